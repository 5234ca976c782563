//! A disk that is really full: of bytes, of files.

use marginalia_store::tables::labels::Label;
use marginalia_store::{Corpus, Error, Options};

use super::disk::{Mount, obstacle, skip};
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
    assert!(matches!(corpus.check_room(), Err(Error::NoRoom { .. })));
    corpus.writer::<Label>().append(vec![label(1, "a")]).await.unwrap();
}
