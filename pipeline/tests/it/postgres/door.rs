//! Who gets in: tokens, machines, TLS; and clients that do not keep to the protocol.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::server::{ANYBODY, Server, User, bad, good};
use crate::binary::Bench;

fn token(bench: &Bench, name: &str) -> String {
    bench.json(&["token", "create", name, "--role", "reader"])["token"].as_str().expect("a token").to_owned()
}

fn connect(server: &Server, user: User<'_>) -> Option<std::process::Output> {
    Some(server.psql(user)?.args(["-c", "select count(*) from faces"]).output().expect("psql runs"))
}

#[test]
fn a_token_is_the_password_from_the_moment_there_is_one() {
    let server = Server::start();
    // Nobody made one yet.
    let Some(output) = connect(&server, ANYBODY) else { return };
    assert_eq!(good(&output).trim(), "30");
    let ada = token(&server.bench, "ada");
    let user = User { name: "ada", token: &ada };
    assert_eq!(good(&connect(&server, user).expect("psql")).trim(), "30");
    for (name, token) in
        [("ada", "mrg_wrong"), ("ada", &ada[..ada.len() - 1]), ("bob", &ada), ("Ada", &ada), ("", &ada)]
    {
        let said = bad(&connect(&server, User { name, token }).expect("psql"));
        assert!(said.contains("no entry for") || said.contains("user"), "{name}: {said}");
        assert!(!said.contains(&ada), "{said}");
    }
    let said = bad(&connect(&server, User { name: "ada", token: "mrg_wrong" }).expect("psql"));
    assert!(said.contains("no entry for \"ada\"") && said.contains("token list"), "{said}");
    let bob = token(&server.bench, "bob");
    server.bench.ok(&["token", "revoke", "ada"]);
    assert!(bad(&connect(&server, user).expect("psql")).contains("no entry"));
    assert_eq!(good(&connect(&server, User { name: "bob", token: &bob }).expect("psql")).trim(), "30");
    // Without a good token nobody gets in, as long as there ever was one.
    server.bench.ok(&["token", "revoke", "bob"]);
    bad(&connect(&server, ANYBODY).expect("psql"));
}

#[test]
fn a_revoked_token_ends_its_connections() {
    let bench = Bench::new();
    let ada = token(&bench, "ada");
    let server = Server::start_with(bench, &[]);
    let Some(mut psql) = server.psql(User { name: "ada", token: &ada }) else { return };
    let revoke = format!("\\! {} token revoke ada", env!("CARGO_BIN_EXE_marginalia"));
    psql.env("MARGINALIA_CORPUS", server.bench.corpus());
    let output = psql.args(["-c", "select 1", "-c", &revoke, "-c", "select 2"]).output().expect("psql runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("was revoked"), "{said}");
}

#[test]
fn in_a_blind_corpus_only_admins_are_told_the_names_of_others() {
    let bench = Bench::new();
    let config = bench.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&config).expect("the config");
    std::fs::write(&config, text.replace("blind = false", "blind = true")).expect("the config");
    let ada = token(&bench, "ada");
    let root = bench.json(&["token", "create", "root", "--role", "admin"])["token"].as_str().expect("one").to_owned();
    let server = Server::start_with(bench, &[]);
    let face = server.bench.sql("select face_id from faces limit 1")[0]["face_id"].as_str().expect("an id").to_owned();
    for annotator in ["ada", "bob"] {
        server.bench.ok(&["label", &face, "fear", "--annotator", annotator]);
    }
    // Each in a block of its own, whose statements see one state.
    let names = |name: &str, token: &str| {
        let mut psql = server.psql(User { name, token })?;
        for view in ["labels", "current_labels"] {
            let query = format!("select annotator from {view} where face_id = '{face}' order by annotator");
            psql.args(["-c", "begin", "-c", query.as_str(), "-c", query.as_str(), "-c", "commit"]);
        }
        let told = good(&psql.output().expect("psql runs"));
        Some(told.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let Some(told) = names("root", &root) else { return };
    assert_eq!(told, ["ada", "bob"].repeat(4));
    let told = names("ada", &ada).expect("psql");
    assert!(told[0] == "ada" && told[1].starts_with("annotator-"), "{told:?}");
    assert_eq!(told, [told[0].as_str(), told[1].as_str()].repeat(4));
}

#[test]
fn beyond_this_machine_nobody_gets_in_without_a_token() {
    let bench = Bench::new();
    let refused = bench.run(&["serve", "--postgres", "0.0.0.0:0"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("token create"), "{said}");
    token(&bench, "ada");
    bench.ok(&["token", "revoke", "ada"]);
    assert_eq!(bench.run(&["serve", "--postgres", "0.0.0.0:0"]).status.code(), Some(2));
    let pages = bench.run(&["serve", "--addr", "0.0.0.0:0"]);
    assert_eq!(pages.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&pages.stderr).contains("token create"));
}

#[test]
fn tls_is_all_or_nothing() {
    let bench = Bench::new();
    let (certificate, key) = (bench.path("cert.pem"), bench.path("key.pem"));
    let (certificate, key) = (certificate.to_str().expect("UTF-8"), key.to_str().expect("UTF-8"));
    let serve = |cert: &str, key: &str| {
        bench.run(&["serve", "--postgres", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key])
    };
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-keyout", key, "-out", certificate])
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!("SKIPPED (no openssl: `make tools` installs it)");
        return;
    }
    // What cannot be used stops the start; it never means plain text.
    for (cert, key, word) in
        [(key, key, "no certificate"), (certificate, certificate, "key"), ("missing.pem", key, "missing.pem")]
    {
        let refused = serve(cert, key);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(word), "{cert} {key}: {said}");
    }
    assert_eq!(bench.run(&["serve", "--postgres", "127.0.0.1:0", "--tls-cert", certificate]).status.code(), Some(2));
    let ada = token(&bench, "ada");
    let (certificate, key) = (certificate.to_owned(), key.to_owned());
    let server = Server::start_with(bench, &["--tls-cert", &certificate, "--tls-key", &key]);
    let user = User { name: "ada", token: &ada };
    let with = |settings: &[(&str, &str)]| {
        let mut psql = server.psql(user)?;
        psql.envs(settings.iter().copied()).args(["-c", "select count(*) from faces"]);
        Some(psql.output().expect("psql runs"))
    };
    let verified = [("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", certificate.as_str())];
    let Some(output) = with(&verified) else { return };
    assert_eq!(good(&output).trim(), "30");
    // The login is bound to the certificate.
    let bound = [("PGSSLMODE", "require"), ("PGCHANNELBINDING", "require")];
    assert_eq!(good(&with(&bound).expect("psql")).trim(), "30");
    let said = bad(&with(&[("PGSSLMODE", "disable")]).expect("psql"));
    assert!(said.contains("TLS only"), "{said}");
    let secure = ["-connect", &server.http, "-CAfile", &certificate, "-verify_return_error", "-quiet", "-ign_eof"];
    let mut asking = Command::new("openssl")
        .arg("s_client")
        .args(secure)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl runs");
    let request = format!("GET /api/status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.http);
    asking.stdin.take().expect("its stdin").write_all(request.as_bytes()).expect("a request is sent");
    let answer = String::from_utf8(asking.wait_with_output().expect("an answer").stdout).expect("UTF-8");
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"faces\""), "{answer}");
    // Whoever speaks plain HTTP to the port hears nothing.
    let mut plain = TcpStream::connect(&server.http).expect("a connection");
    plain.write_all(request.as_bytes()).expect("a request is sent");
    let mut heard = Vec::new();
    let _ = plain.read_to_end(&mut heard);
    assert!(!heard.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&heard));
}

/// The startup message of a user.
fn startup(user: &str) -> Vec<u8> {
    let body = [&196_608_u32.to_be_bytes()[..], b"user\0", user.as_bytes(), b"\0\0"].concat();
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

/// Everything the server says until it closes the connection.
fn conversation(server: &Server, sent: &[&[u8]]) -> Vec<u8> {
    let mut socket = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    for bytes in sent {
        // The server may have closed it by then.
        let _ = socket.write_all(bytes);
    }
    let mut heard = Vec::new();
    // A reset is an end, too.
    let _ = socket.read_to_end(&mut heard);
    heard
}

#[test]
fn a_client_that_skips_the_login_gets_nothing() {
    let bench = Bench::new();
    token(&bench, "ada");
    let server = Server::start_with(bench, &[]);
    let query = message(b'Q', b"select face_id from faces\0");
    let nonsense = message(b'p', b"SCRAM-SHA-256\0\0\0\0\x05hello");
    let other = message(b'p', b"PLAIN\0\0\0\0\x05hello");
    let huge = [&[b'p'][..], &(1_u32 << 29).to_be_bytes(), &[0; 1 << 20]].concat();
    let sessions: [&[&[u8]]; 7] = [
        &[&query],
        &[&startup("ada"), &query],
        &[&startup("ada"), &nonsense, &query, &query],
        &[&startup("ada"), &other, &query],
        &[&startup("nobody"), &nonsense, &query],
        &[&startup("ada"), &huge, &query],
        &[b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ];
    for (i, sent) in sessions.iter().enumerate() {
        let heard = conversation(&server, sent);
        let text = String::from_utf8_lossy(&heard).into_owned();
        assert!(!text.contains("face_id") && !text.contains("SELECT"), "{i}: {text}");
        // No row description, and never ready for a query.
        assert!(!heard.windows(5).any(|bytes| bytes == [b'Z', 0, 0, 0, 5]), "{i}: {text}");
    }
    // It is still there for those who know better.
    assert!(!conversation(&server, &[&startup("ada"), &message(b'X', b"")]).is_empty());
}

#[test]
fn tokens_are_shown_once_and_listed_without_themselves() {
    let bench = Bench::new();
    assert!(bench.ok(&["token", "list"]).contains("token create"));
    let ada = bench.ok(&["token", "create", "ada", "--role", "annotator"]);
    assert!(ada.starts_with("mrg_") && ada.lines().count() == 1, "stdout is the token alone: {ada}");
    let list = bench.ok(&["token", "list"]);
    assert!(list.contains("ada") && list.contains("annotator") && !list.contains(ada.trim()), "{list}");
    let twice = bench.run(&["token", "create", "ada", "--role", "reader"]);
    assert_eq!(twice.status.code(), Some(2));
    let role = bench.run(&["token", "create", "bob", "--role", "root"]);
    assert_eq!(role.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&role.stderr).contains("annotator"));
    let id = bench.json(&["token", "list"])[0]["token_id"].as_str().expect("an id").to_owned();
    bench.ok(&["token", "revoke", &id]);
    assert_eq!(bench.run(&["token", "revoke", "ada"]).status.code(), Some(2));
    assert!(bench.json(&["token", "list"])[0]["revoked_at"].is_i64());
}
