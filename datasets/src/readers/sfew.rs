//! SFEW 2.0 (Dhall et al., "Static facial expressions in the wild", ICCV workshops 2011): stills from films. Read are
//! the aligned faces, 143×181: `Train_Aligned_Faces/<Class>/<Movie>_<time>_<frame>.png`, `Val_Aligned_Faces` (also as
//! `Val_Aligned_Faces_new`) and `Test_Aligned_Faces`, whose faces have no class because its labels are withheld.
//!
//! The published counts (958, 436 and 372) are of the frames. Fewer faces were found in them, so they are not compared.

use std::path::Path;

use crate::candidate::has_image_extension;
use crate::error::Result;
use crate::glimpse::Glimpse;
use crate::image_files::Meaning;
use crate::layout::Layout;
use crate::reader::{ReadRequest, Reader, Sink};
use crate::reading::Reading;
use crate::split::Split;

pub(super) struct Sfew;

const NAME: &str = "sfew";

impl Reader for Sfew {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "SFEW 2.0: a folder or archive with Train_Aligned_Faces, Val_Aligned_Faces and Test_Aligned_Faces"
    }

    fn evidence(&self, glimpse: &Glimpse) -> Option<String> {
        let image = glimpse.find(|path| has_image_extension(path) && aligned(path).is_some())?;
        Some(format!("`{}` is one of SFEW's aligned faces", image.display()))
    }

    fn read(&self, request: &ReadRequest<'_>, sink: Sink<'_>) -> Result<()> {
        let reading = Reading::of(request, NAME);
        let expected = "a folder or archive with Train_Aligned_Faces, Val_Aligned_Faces or Test_Aligned_Faces";
        let entries = request.entries(NAME, expected)?;
        let layout = Layout::of(&entries, |_| false)?;
        if !layout.folders.iter().any(|folder| aligned(&folder.join("image")).is_some()) {
            return Err(request.refused(NAME, expected));
        }
        reading.check_files(&entries, meaning)?;
        reading.read_files(&entries, &mut meaning, sink).map(|_| ())
    }
}

fn meaning(path: &Path) -> Meaning {
    match aligned(path) {
        Some((split, class)) => Meaning::face(class, Some(split), None),
        None => Meaning::skip("not one of the aligned faces, which alone are read"),
    }
}

/// Split and class of an aligned face; the class is empty where the face lies right in the split's folder.
fn aligned(path: &Path) -> Option<(Split, &str)> {
    let mut folders = path.parent()?.iter();
    let split = folders.find_map(|folder| {
        let name = folder.to_str()?.to_ascii_lowercase();
        let split = name.strip_suffix("_new").unwrap_or(&name).strip_suffix("_aligned_faces")?;
        Split::parse(split)
    })?;
    // A name that is not UTF-8 is no class; the replacement shows up in the error.
    Some((split, folders.next().map_or("", |class| class.to_str().unwrap_or("\u{FFFD}"))))
}
