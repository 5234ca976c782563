//! A disk that is really full: of bytes, of files.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use marginalia_store::tables::labels::Label;
use marginalia_store::{Corpus, Error, Options};

use super::child::{prepare, streamed, streamer};
use super::disk::{Mount, make, obstacle, skip};
use crate::commits::{face, label};
use crate::slt::{CLASSES, new_corpus};

#[test]
fn a_full_disk_says_so_and_work_goes_on_once_there_is_room() {
    let name = "a_full_disk_says_so_and_work_goes_on_once_there_is_room";
    if let Some(why) = obstacle() {
        return skip(name, &why);
    }
    for options in ["size=6m", "size=64m,nr_inodes=400"] {
        let folder = tempfile::tempdir().unwrap();
        let mount = Mount::tmpfs(options, &folder.path().join("mount")).unwrap();
        let root = mount.at.join("c");
        let ballast = mount.at.join("ballast");
        std::fs::create_dir(&ballast).unwrap();
        for i in 0..60 {
            std::fs::write(ballast.join(i.to_string()), [1; 20_000]).unwrap();
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let classes = CLASSES.map(str::to_owned);
            let open = Options { reserve_bytes: 0, ..Options::default() };
            let corpus = Corpus::init(&root, &classes, open.clone()).await.unwrap();
            // Room for a few commits, then none.
            let mut refused = None;
            let mut acknowledged = 0;
            for i in 0..400_u32 {
                // Bytes that do not compress.
                let mut image = vec![0; 32 << 10];
                blake3::Hasher::new().update(&i.to_le_bytes()).finalize_xof().fill(&mut image);
                match corpus.writer().append(vec![face(&image)]).await {
                    Ok(_) => acknowledged += 1,
                    Err(error) => {
                        refused = Some(error);
                        break;
                    }
                }
            }
            let refused = refused.expect("the disk never got full");
            assert!(refused.is_out_of_room(), "{refused}");
            assert!(refused.to_string().contains("make room"), "{refused}");
            let count = |corpus: Corpus| async move {
                corpus.snapshot().await.unwrap().count(marginalia_store::TableId::Faces, None).await.unwrap()
            };
            assert_eq!(count(corpus.clone()).await, acknowledged);
            std::fs::remove_dir_all(&ballast).unwrap();
            corpus.writer().append(vec![face(b"fits again")]).await.unwrap();
            acknowledged += 1;
            drop(corpus);
            // What was acknowledged is there for the next start as well.
            let corpus = Corpus::open(&root, open).await.unwrap();
            assert_eq!(count(corpus.clone()).await, acknowledged);
        });
    }
}

/// The disk under the file system runs out while the file system believes that it has room: writes succeed, syncs do not.
#[test]
fn a_disk_that_fails_beneath_acknowledges_nothing_that_it_loses() {
    let name = "a_disk_that_fails_beneath_acknowledges_nothing_that_it_loses";
    if let Some(why) = obstacle() {
        return skip(name, &why);
    }
    let folder = tempfile::tempdir().unwrap();
    let below = Mount::tmpfs("size=20m", &folder.path().join("below")).unwrap();
    let image = below.at.join("disk.img");
    if let Err(why) = make("ext4", &image, 300) {
        return skip(name, &why);
    }
    let at = folder.path().join("mount");
    let mount = Mount::image(&image, &at).unwrap();
    mount.write_single_pages();
    let root = at.join("c");
    tokio::runtime::Runtime::new().unwrap().block_on(prepare(&root));
    let mut writer = streamer(&root, true).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    // It ends by itself: the first sync that fails stops it.
    let acknowledged: Vec<u32> = lines.map_while(Result::ok).filter_map(|line| line.parse().ok()).collect();
    writer.wait().unwrap();
    assert!(acknowledged.len() > 20, "only {} rows before the disk was full", acknowledged.len());
    drop(mount);
    below.remount("size=200m");
    let _mount = Mount::image(&image, &at).unwrap();
    let found = tokio::runtime::Runtime::new().unwrap().block_on(streamed(&root)).unwrap();
    let lost: Vec<&u32> = acknowledged.iter().filter(|id| !found.contains(id)).collect();
    assert!(lost.is_empty(), "of {} acknowledged rows these are gone: {lost:?}", acknowledged.len());
    println!("{} rows acknowledged before the disk failed beneath the file system, none lost", acknowledged.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_the_reserve_faces_wait_and_labels_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    drop(new_corpus(&root).await);
    // More than any disk has free.
    let options = Options { reserve_bytes: 1 << 60, ..Options::default() };
    let corpus = Corpus::open(&root, options).await.unwrap();
    let refused = corpus.writer().append(vec![face(b"a")]).await.unwrap_err();
    assert!(refused.is_out_of_room(), "{refused}");
    assert!(matches!(corpus.check_room(0), Err(Error::NoRoom { .. })));
    corpus.writer::<Label>().append(vec![label(1, "a")]).await.unwrap();
}
