//! The formats: one file each, one line each.

use crate::reader::Reader;

macro_rules! formats {
    ($($module:ident: $reader:ident,)*) => {
        $(mod $module;)*
        /// Every format, in the order that help shows.
        pub(crate) static ALL: &[&dyn Reader] = &[$(&$module::$reader,)*];
    };
}

formats! {
    imagefolder: ImageFolder,
    manifest: Manifest,
    fer2013: Fer2013,
    ferplus: FerPlus,
    raf_db: RafDb,
    affectnet: AffectNet,
    ck_plus: CkPlus,
    sfew: Sfew,
    expw: ExpW,
    oulu_casia: OuluCasia,
    kdef: Kdef,
    jaffe: Jaffe,
    label_studio: LabelStudio,
}
