//! Tokens: known again when they are shown, stored nowhere, taken back for good.

use std::path::Path;

use marginalia_store::{
    Corpus, Error, Grant, Options, Role, SCRAM_ITERATIONS, Session, SqlLimits, SqlRuntime, TableId, VerifyOptions,
    restore,
};

use crate::slt::new_corpus;

/// What SCRAM would make of a password, as far as these tests care.
fn salted(token: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
    blake3::hash(&[token.as_bytes(), salt, &iterations.to_le_bytes()].concat()).as_bytes().to_vec()
}

async fn create(corpus: &Corpus, name: &str, role: Role) -> Result<(Grant, String), Error> {
    corpus.create_token(name, role, salted).await
}

/// Files under a folder that hold this text.
fn files_with(folder: &Path, text: &str, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_type().unwrap().is_dir() {
            files_with(&entry.path(), text, found);
        } else if std::fs::read(entry.path()).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes()) {
            found.push(entry.path());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_known_again_and_stored_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpus = new_corpus(&root).await;
    assert!(corpus.grants().await.unwrap().is_empty());
    let (grant, token) = create(&corpus, "ada", Role::Annotator).await.unwrap();
    let (_, other) = create(&corpus, "bob", Role::Reader).await.unwrap();
    assert_ne!(token, other);
    let digits = token.strip_prefix("mrg_").expect("a prefix that tells what it is");
    assert!(digits.len() * 4 >= 160 && digits.chars().all(|c| c.is_ascii_hexdigit()), "{} digits", digits.len());
    let mut found = Vec::new();
    files_with(folder.path(), digits, &mut found);
    assert!(found.is_empty(), "the token lies in {found:?}");
    files_with(folder.path(), "$argon2id$v=19$m=19456,t=2,p=1$", &mut found);
    assert!(!found.is_empty(), "no slow hash");
    // Another process sees the same.
    let corpus = Corpus::open(&root, Options::default()).await.unwrap();
    let known = corpus.grant_of(&token).await.unwrap().expect("known");
    assert_eq!((&known.token_id, known.name.as_str(), known.role), (&grant.token_id, "ada", Role::Annotator));
    let scram = corpus.grant_named("ada").await.unwrap().and_then(|grant| grant.scram).expect("for SCRAM");
    assert_eq!(scram.iterations, SCRAM_ITERATIONS);
    assert_eq!(scram.salted_password, salted(&token, &scram.salt, scram.iterations));
    assert!(!format!("{known:?}").contains(&format!("{:?}", scram.salted_password)), "in logs");
    let last = if token.ends_with('0') { '1' } else { '0' };
    let guess = format!("{}{last}", &token[..token.len() - 1]);
    let mixed = format!("{}{}", &other[..12], &token[12..]);
    for wrong in ["", "mrg_", "ada", &token[..token.len() - 1], &token.to_uppercase(), &guess, &mixed] {
        assert!(corpus.grant_of(wrong).await.unwrap().is_none(), "{wrong:?}");
    }
    assert!(corpus.grant_named("Ada").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_is_good_for_nothing_and_its_name_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpus = new_corpus(&root).await;
    let (first, token) = create(&corpus, "ada", Role::Reader).await.unwrap();
    let twice = create(&corpus, "ada", Role::Admin).await.unwrap_err();
    assert!(matches!(twice, Error::TokenExists { .. }) && twice.to_string().contains("revoke ada"), "{twice}");
    // A process that has the corpus open already learns of it.
    let other = Corpus::open(&root, Options::default()).await.unwrap();
    assert!(other.grant_of(&token).await.unwrap().is_some());
    assert_eq!(corpus.revoke_token("ada").await.unwrap()[0].token_id, first.token_id);
    assert!(other.grant_of(&token).await.unwrap().is_none());
    assert!(other.grant_named("ada").await.unwrap().is_none());
    let (second, token) = create(&corpus, "ada", Role::Admin).await.unwrap();
    assert_eq!(other.grant_of(&token).await.unwrap().map(|grant| grant.role), Some(Role::Admin));
    corpus.revoke_token(&second.token_id).await.unwrap();
    for gone in ["ada", &second.token_id, "nobody"] {
        let missing = corpus.revoke_token(gone).await.unwrap_err();
        assert!(
            matches!(missing, Error::NoSuchToken { .. }) && missing.to_string().contains("token list"),
            "{missing}"
        );
    }
    // The history stays.
    let grants = corpus.grants().await.unwrap();
    assert_eq!(grants.len(), 2);
    assert!(grants.iter().all(|grant| grant.revoked_at.is_some_and(|at| at >= grant.created_at)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_token_takes_the_place_of_the_old_one_in_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpus = new_corpus(&root).await;
    let (old, token) = create(&corpus, "ada", Role::Annotator).await.unwrap();
    let (_, other) = create(&corpus, "bob", Role::Reader).await.unwrap();
    let server = Corpus::open(&root, Options::default()).await.unwrap();
    assert!(server.grant_of(&token).await.unwrap().is_some());
    let version = async || server.log().latest(TableId::Tokens).await.unwrap().version().version;
    let before = version().await;
    let (new, fresh) = corpus.rotate_token("ada", salted).await.unwrap();
    assert_eq!(version().await, before + 1, "there is no moment between");
    assert_eq!((new.name.as_str(), new.role), ("ada", Role::Annotator));
    assert!(server.grant_of(&token).await.unwrap().is_none());
    let known = server.grant_of(&fresh).await.unwrap().expect("the new one");
    assert_eq!((known.token_id, known.role), (new.token_id, Role::Annotator));
    let scram = server.grant_named("ada").await.unwrap().and_then(|grant| grant.scram).expect("for SCRAM");
    assert_eq!(scram.salted_password, salted(&fresh, &scram.salt, scram.iterations));
    assert!(server.grant_of(&other).await.unwrap().is_some(), "of others nothing changes");
    let grants = corpus.grants().await.unwrap();
    let revoked: Vec<&str> =
        grants.iter().filter(|grant| grant.revoked_at.is_some()).map(|grant| grant.token_id.as_str()).collect();
    assert_eq!(revoked, [old.token_id]);
    corpus.revoke_token("ada").await.unwrap();
    for nobodys in ["ada", "eve"] {
        let missing = corpus.rotate_token(nobodys, salted).await.unwrap_err();
        assert!(matches!(missing, Error::NoSuchToken { .. }), "{missing}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_user_names() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = new_corpus(&folder.path().join("c")).await;
    let long = "x".repeat(64);
    for bad in ["", " ", "a b", "-a", "a'b", "a\nb", "größe", "a/b", "a:b", &long] {
        let refused = create(&corpus, bad, Role::Reader).await.unwrap_err();
        assert!(matches!(refused, Error::TokenName { .. }), "{bad:?}: {refused}");
    }
    for good in ["a", "ada.lovelace@example-2_x", &long[1..]] {
        create(&corpus, good, Role::Reader).await.unwrap();
    }
    let unknown = "root".parse::<Role>().unwrap_err().to_string();
    assert!(unknown.contains("reader") && unknown.contains("annotator") && unknown.contains("admin"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_hold_them_and_sql_does_not() {
    let sql = SqlRuntime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (root, copy, new) = (folder.path().join("c"), folder.path().join("backup"), folder.path().join("new"));
    let corpus = new_corpus(&root).await;
    let (_, token) = create(&corpus, "ada", Role::Reader).await.unwrap();
    corpus.backup(&copy, &sql).await.unwrap();
    corpus.revoke_token("ada").await.unwrap();
    let session = Session::open(&sql, corpus.snapshot().await.unwrap(), SqlLimits::default()).await.unwrap();
    for query in ["select * from tokens", "select * from public.tokens", "select * from marginalia.public.tokens"] {
        let refused = session.query(query).await.err().expect(query).to_string();
        assert!(refused.contains("no such table"), "{refused}");
    }
    let named = "select count(*) as n from information_schema.columns where table_name = 'tokens' or column_name like '%scram%'";
    let rows = session.query(named).await.unwrap().rows::<serde_json::Value>().await.unwrap();
    assert_eq!(rows[0]["n"], 0);
    let report = corpus.verify(&sql, VerifyOptions::default(), &mut |_, _| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    // As it was when the backup was taken.
    restore(&copy, &new, &sql).await.unwrap();
    let restored = Corpus::open(&new, Options::default()).await.unwrap();
    assert!(restored.grant_of(&token).await.unwrap().is_some());
}
