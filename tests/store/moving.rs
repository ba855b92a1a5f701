//! A database that is moved from a file to a server.

use std::path::Path;

use tegata_core::time::Timestamp;
use tegata_server::store::recovery::RecoveryQueries;
use tegata_server::store::sql::Database;
use tegata_server::store::sql::moving::{MoveError, Moved, move_to_server};
use tegata_server::store::{Change, Store};
use tegata_tests::postgres::Postgres;
use tegata_tests::process::run_well;

use super::{PostgresServer, SqliteFile, aozora, changes, device_row, issue, record, records, with_device};

/// What a text may hold that means something to whoever carries it.
const ODD: [&str; 5] = ["a\tb\\n\nc\r", "\\N", "\\\\x41", "あ\u{202e}\u{0}", ""];

async fn filled() -> SqliteFile {
    let file = SqliteFile::new();
    let store = with_device(&file).await;
    for n in 1..=3 {
        issue(&*store, n, &format!("sakura/pc-{n}/karte")).await;
    }
    store.commit(records(ODD.map(record))).await.unwrap();
    store.commit(records([tegata_server::store::NewRecord { tenant: "midori".parse().unwrap(), ..record("x") }])).await.unwrap();
    let put = |text: &str| Change::PutDocument {
        tenant: aozora(),
        kind: "Account".into(),
        name: format!("n-{}", text.len()),
        body: serde_json::json!({ "text": text }),
        author: text.replace('\0', ""),
        at: Timestamp::from_unix(7),
    };
    store.commit(changes(ODD.map(put))).await.unwrap();
    file
}

async fn moved(file: &Path, url: &str) -> Result<Moved, MoveError> {
    move_to_server(file, &url.parse().unwrap(), Timestamp::from_unix(99)).await
}

#[tokio::test]
async fn what_was_moved_is_the_same_and_goes_on_and_the_file_gives_nothing_out_any_more() {
    let file = filled().await;
    let path = file.0.path().join("tegata.db");
    let server = PostgresServer::new();
    let before = Database::sqlite(&path).await.unwrap();
    let told = moved(&path, &server.url).await.unwrap();
    assert_eq!(told.logs.iter().map(|(tenant, (size, _))| (tenant.as_str(), *size)).collect::<Vec<_>>(), [("aozora", 5), ("midori", 1)]);

    let after = Database::postgres(&server.url.parse().unwrap()).await.unwrap();
    let device = device_row("sakura/pc-1", 1).device;
    assert_eq!(after.documents(&aozora()).await.unwrap(), before.documents(&aozora()).await.unwrap());
    assert_eq!(after.device(&aozora(), &device).await.unwrap(), before.device(&aozora(), &device).await.unwrap());
    assert_eq!(
        after.certificates(&aozora(), Default::default()).await.unwrap(),
        before.certificates(&aozora(), Default::default()).await.unwrap()
    );
    assert_eq!(after.audit(&aozora(), 0, 99).await.unwrap(), before.audit(&aozora(), 0, 99).await.unwrap());
    assert_eq!(after.epochs().await.unwrap(), [], "there is nothing to recover from");
    issue(&after, 9, "sakura/pc-9/karte").await;
    after.commit(records([record("later")])).await.unwrap();
    assert_eq!(after.newest(&aozora()).await.unwrap(), 6);
    assert_eq!(before.epochs().await.unwrap().iter().filter(|epoch| epoch.recorded_at.is_none()).count(), 1);
}

#[tokio::test]
async fn nothing_is_written_over() {
    let file = filled().await;
    let server = PostgresServer::new();
    let there = Database::postgres(&server.url.parse().unwrap()).await.unwrap();
    there.commit(records([record("there")])).await.unwrap();
    let refused = moved(&file.0.path().join("tegata.db"), &server.url).await;
    assert!(matches!(refused, Err(MoveError::NotEmpty(_))), "{refused:?}");
    assert_eq!(there.newest(&aozora()).await.unwrap(), 1);
    let store = Database::sqlite(&file.0.path().join("tegata.db")).await.unwrap();
    assert_eq!(store.epochs().await.unwrap(), [], "the file is as it was");
}

/// Whatever is made later in one of them has to be made in the other.
#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let file = filled().await;
    let path = file.0.path().join("tegata.db");
    let server = Postgres::shared().unwrap();
    let url = server.new_database().unwrap();
    Database::postgres(&url.parse().unwrap()).await.unwrap();
    let name = url.rsplit('/').next().unwrap();
    let of_server = server.ask(
        name,
        "SELECT relname || '.' || attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attnum > 0 AND relname NOT IN ('_sqlx_migrations', 'turnstile')",
    );
    let of_file = "SELECT m.name || '.' || c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name <> '_sqlx_migrations'";
    let of_file = run_well(Path::new("python3"), ["-c", COLUMNS, &path.display().to_string(), of_file]).unwrap();
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().filter(|line| !line.ends_with(".rowid")).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&of_server.unwrap()), sorted(&of_file));
}

const COLUMNS: &str = "import sqlite3, sys\nfor row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(row[0])";
