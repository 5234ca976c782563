//! psql: the simple protocol, and what people type first.

use super::server::{ANYBODY, Server, bad, good};

/// Runs psql commands one after the other in one session; returns what it printed.
macro_rules! psql {
    ($server:expr, $($command:expr),+ $(,)?) => {{
        let Some(mut psql) = $server.psql(ANYBODY) else { return };
        $(psql.args(["-c", $command]);)+
        psql.output().expect("psql runs")
    }};
}

#[test]
fn what_people_type_first() {
    let server = Server::start();
    assert_eq!(good(&psql!(server, "select count(*) from faces")).trim(), "30");
    let tables = good(&psql!(server, "\\d"));
    for (name, kind) in [("faces", "table"), ("labels", "table"), ("corpus", "view"), ("queue", "view")] {
        assert!(tables.lines().any(|line| line.starts_with(&format!("public|{name}|{kind}|"))), "{name}: {tables}");
    }
    for hidden in ["tokens", "tombstones", "truth", "_all"] {
        assert!(!tables.contains(hidden), "{hidden}: {tables}");
    }
    let columns = good(&psql!(server, "\\d corpus"));
    for column in ["face_id|text|", "expression|text|", "confidence|real|", "round|bigint|"] {
        assert!(columns.contains(column), "{column}: {columns}");
    }
    let face = good(&psql!(server, "\\d faces"));
    assert!(face.contains("image|bytea|") && face.contains("ingested_at|timestamp without time zone|"), "{face}");
    for command in ["\\dt", "\\dv", "\\dn", "\\l", "\\conninfo", "\\encoding", "show server_version", "\\x"] {
        good(&psql!(server, command));
    }
    let several = good(&psql!(server, "select 1; select 'a' as b; show datestyle"));
    assert_eq!(several.lines().collect::<Vec<_>>(), ["1", "a", "ISO, MDY"]);
    assert!(good(&psql!(server, "explain select * from queue")).contains("plan"));
    let plain =
        good(&psql!(server, "select 1.5::double, null, true, date '2026-02-03', array[1, 2], now() is not null"));
    assert_eq!(plain.trim(), "1.5||t|2026-02-03|{1,2}|t");
    assert!(good(&psql!(server, "select created_at from labels union all select now()")).contains("+00"));
    good(&psql!(server, "select image, face_id from faces"));
}

#[test]
fn whatever_does_more_than_read_is_refused() {
    let server = Server::start();
    for statement in [
        "insert into labels select * from labels",
        "update labels set annotator = 'x'",
        "delete from labels",
        "create table t as select 1",
        "create view v as select 1",
        "create external table t stored as csv location '/etc/passwd'",
        "drop table faces",
        "copy faces to stdout",
        "copy (select 1) to '/tmp/x.csv'",
        "copy faces from stdin",
        "\\copy faces to '/tmp/x'",
        "set datafusion.execution.batch_size = 1",
        "set role admin",
        "set session authorization x",
        "prepare p as select 1",
        "vacuum",
        "explain analyze insert into labels select * from labels",
        "begin; insert into labels select * from labels",
        "declare c cursor with hold for insert into labels select 1",
    ] {
        let said = bad(&psql!(server, statement));
        assert!(said.contains("ERROR") && said.len() > 40, "{statement}: {said}");
    }
    let said = bad(&psql!(server, "copy faces to stdout"));
    assert!(said.contains("COPY is not allowed") && said.contains("only reads"), "{said}");
    let said = bad(&psql!(server, "set work_mem = '1GB'"));
    assert!(said.contains("work_mem") && said.contains("application_name"), "{said}");
    let said = bad(&psql!(server, "set datestyle = 'German'"));
    assert!(said.contains("ISO"), "{said}");
    for harmless in [
        "set client_encoding = 'UTF8'",
        "set application_name = 'test'",
        "set extra_float_digits = 3",
        "set datestyle = 'ISO, DMY'",
        "set datestyle to iso",
        "set search_path = public, pg_catalog",
        "set time zone 'Europe/Berlin'",
        "set session timezone to 'UTC'",
        "set local statement_timeout = '5s'",
        "set names 'utf8'",
        "set transaction isolation level serializable",
        "set session characteristics as transaction read only",
        "reset all",
        "reset datestyle",
        "discard all",
    ] {
        good(&psql!(server, harmless, "select 1"));
    }
}

#[test]
fn a_transaction_is_a_state_and_a_cursor_ends_with_it() {
    let server = Server::start();
    let counted = "fetch 2 from c";
    let cursor = good(&psql!(
        server,
        "begin",
        "declare c cursor for select value from generate_series(1, 5)",
        counted,
        counted,
        "fetch all from c",
        counted,
        "close c",
        "commit"
    ));
    assert_eq!(cursor.lines().collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
    for (commands, expected) in [
        (["begin; declare c cursor for select 1; commit", "fetch 1 from c"], "no open cursor"),
        (["select 1", "declare c cursor for select 1"], "BEGIN first"),
        (["begin", "select * from nowhere; select 1"], "no such table"),
        (["begin; declare c cursor for select 1", "fetch prior from c"], "forward"),
        (["select 1", "rollback to savepoint s"], "no transaction"),
    ] {
        let said = bad(&psql!(server, commands[0], commands[1]));
        assert!(said.contains(expected), "{commands:?}: {said}");
    }
    let failed = psql!(server, "\\set ON_ERROR_STOP 0", "begin", "select nothing", "select 1", "rollback", "select 2");
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(said.contains("nothing but ROLLBACK"), "{said}");
    assert_eq!(String::from_utf8_lossy(&failed.stdout).trim(), "2");
    let savepoints = good(&psql!(
        server,
        "begin",
        "savepoint a",
        "release savepoint a",
        "savepoint b",
        "rollback to savepoint b",
        "select 3",
        "end"
    ));
    assert_eq!(savepoints.trim(), "3");
    let held =
        ["declare h cursor with hold for select value from generate_series(1, 3)", "fetch 2 from h", "close all"];
    assert_eq!(good(&psql!(server, held[0], held[1], held[2])).lines().collect::<Vec<_>>(), ["1", "2"]);
    // psql itself opens a cursor for long answers.
    let Some(mut psql) = server.psql(ANYBODY) else { return };
    psql.args(["-v", "FETCH_COUNT=1000", "-c", "select value from generate_series(1, 5000)"]);
    assert_eq!(good(&psql.output().expect("psql runs")).lines().count(), 5000);
}
