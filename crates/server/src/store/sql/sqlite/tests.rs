use std::time::Duration;

use tegata_api::v1::audit::Stage;

use sqlx::{AssertSqlSafe, query};
use tegata_core::name::{Serial, TenantName};
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;

use super::*;
use crate::store::audit::filter::Filter;
use crate::store::audit::{Indexed, Search};
use crate::store::log::LogQueries;
use crate::store::revocation::RevokedRow;
use crate::store::{Batch, Change, NewRecord, Part, Store};

fn tenant() -> TenantName {
    "aozora".parse().unwrap()
}

fn batch(bytes: usize) -> Batch {
    let record = NewRecord {
        tenant: tenant(),
        at: Timestamp::from_unix(1),
        stage: Stage::Done,
        actor: "tegata".into(),
        action: "test",
        object: "x".repeat(bytes),
        details: serde_json::Value::Null,
    };
    Batch { records: vec![record], changes: vec![] }
}

async fn length(store: &Database) -> usize {
    store.audit(&tenant(), 0, 1_000_000).await.unwrap().len()
}

/// What no change can do, and a copy of the database that is put back does: revocations are forgotten.
pub(crate) async fn forget_revocations(path: &Path) {
    let mut db = settings::writer(path).connect().await.unwrap();
    query("UPDATE certificates SET revoked_at = NULL").execute(&mut db).await.unwrap();
}

#[tokio::test]
async fn s2_a_full_disk_ends_the_store_for_good_and_nothing_that_was_answered_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let small = settings::writer(&path).pragma("max_page_count", "150");
    let store = Database::sqlite_with(small, &path).await.unwrap();
    let mut answered = 0;
    let failure = loop {
        match store.commit(batch(1_000)).await {
            Ok(()) => answered += 1,
            Err(error) => break error,
        }
        assert!(answered < 1_000, "the disk never got full");
    };
    assert!(matches!(failure, StoreError::Database(_)), "{failure:?}");
    tokio::time::timeout(Duration::from_secs(10), store.failed()).await.expect("whoever watches over the store is told");
    // Even what would fit is not tried any more.
    assert!(matches!(store.commit(Batch::default()).await, Err(StoreError::Database(_))));
    assert!(answered > 10);
    drop(store);

    let store = Database::sqlite(&path).await.unwrap();
    assert_eq!(length(&store).await, answered);
    store.commit(batch(1_000)).await.unwrap();
}

#[tokio::test]
async fn s2_everybody_who_waits_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let small = settings::writer(&path).pragma("max_page_count", "150");
    let store = Database::sqlite_with(small, &path).await.unwrap();
    let outcomes = futures::future::join_all((0..3_000).map(|_| store.commit(batch(1_000)))).await;
    let answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(StoreError::Database(_)))));
    drop(store);
    assert_eq!(length(&Database::sqlite(&path).await.unwrap()).await, answered, "no more and no less than what was answered");
}

#[tokio::test]
async fn a_few_large_batches_do_not_let_the_log_grow_on_and_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = Database::sqlite(&path).await.unwrap();
    let large = Batch { records: vec![batch(400).records; 5_000].concat(), changes: vec![] };
    for _ in 0..10 {
        store.commit(large.clone()).await.unwrap();
    }
    let log = std::fs::metadata(folder.path().join("t.db-wal")).unwrap().len();
    assert!(log < 3 * 5_000 * 600, "ten batches of 3 MB each, and the log has {log} bytes");
}

#[tokio::test]
async fn s1_what_was_answered_is_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = Database::sqlite(&path).await.unwrap();
    for round in 1..=20 {
        store.commit(batch(100)).await.unwrap();
        // The files as a crash would leave them: the process goes on, its copy begins anew.
        let crashed = tempfile::tempdir().unwrap();
        for name in ["t.db", "t.db-wal"] {
            std::fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
        }
        let copy = Database::sqlite(&crashed.path().join("t.db")).await.unwrap();
        assert_eq!(length(&copy).await, round);
    }
}

#[tokio::test]
async fn the_log_of_the_database_begins_anew_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = Database::sqlite(&path).await.unwrap();
    let wal = || std::fs::metadata(folder.path().join("t.db-wal")).unwrap().len();
    let mut largest = 0;
    for _ in 0..12 {
        futures::future::join_all((0..1_000).map(|_| store.commit(batch(500)))).await;
        largest = largest.max(wal());
    }
    assert_eq!(length(&store).await, 12_000);
    let written = 12_000 * 500;
    assert!(largest < written, "the log grew to {largest} bytes: it was never copied and begun anew");
}

#[tokio::test]
async fn who_is_due_is_found_by_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = Database::sqlite(&path).await.unwrap();
    let questions = [
        "EXPLAIN QUERY PLAN SELECT tenant, clinic FROM clinics WHERE wake_at IS NOT NULL AND wake_at <= 5 ORDER BY wake_at LIMIT 9",
        "EXPLAIN QUERY PLAN SELECT min(wake_at) AS wake_at FROM clinics WHERE wake_at IS NOT NULL",
    ];
    let of_notices = [
        ("deliveries_due", "EXPLAIN QUERY PLAN SELECT * FROM deliveries WHERE state = 0 AND at <= 5 ORDER BY at, id LIMIT 9"),
        ("deliveries_due", "EXPLAIN QUERY PLAN SELECT min(at) AS at FROM deliveries WHERE state = 0"),
        ("letters_of_clinic", "EXPLAIN QUERY PLAN SELECT * FROM letters WHERE tenant = 'a' AND clinic = 'b' ORDER BY number DESC LIMIT 1"),
        (
            "certificates_expiring",
            "EXPLAIN QUERY PLAN SELECT * FROM certificates WHERE tenant = 'a' AND not_after >= 1 AND not_after <= 2 AND (NULL IS NULL OR clinic = NULL)
                AND retired_at IS NULL AND revoked_at IS NULL ORDER BY not_after, rowid LIMIT 9",
        ),
    ];
    for (index, question) in of_notices {
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(question).fetch_all(readers(&store)).await.unwrap();
        assert!(steps.iter().all(|(.., step)| step.contains(&format!("INDEX {index}"))), "{index}: {steps:?}");
    }
    for question in questions {
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(question).fetch_all(readers(&store)).await.unwrap();
        assert!(steps.iter().any(|(.., step)| step.contains("INDEX clinics_due")), "{steps:?}");
    }
}

/// The statements that come once for every stranger who asks, or once for every list: as the view has them, with whatever it holds.
#[tokio::test]
async fn r1_revocation_is_answered_by_index_however_much_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let store = Database::sqlite(&folder.path().join("t.db")).await.unwrap();
    let questions = [
        ("SELECT not_after, revoked_at FROM serials WHERE serial = x'01' AND tenant = 'a' AND issuer = 'b'", "(serial=?)"),
        (
            "SELECT serial, revoked_at, revoked_because FROM serials
             WHERE tenant = 'a' AND issuer = 'b' AND shard = 5 AND revoked_at IS NOT NULL AND not_after >= 5 ORDER BY serial LIMIT 9",
            "COVERING INDEX certificates_revoked_in_shard (tenant=? AND issuer=? AND shard=?)",
        ),
        (
            "SELECT serial, revoked_at, revoked_because, shard FROM serials
             WHERE tenant = 'a' AND issuer = 'b' AND revoked_at IS NOT NULL AND not_after >= 5 ORDER BY shard, serial LIMIT 9",
            "COVERING INDEX certificates_revoked_in_shard (tenant=? AND issuer=?)",
        ),
        (
            "SELECT shard FROM serials WHERE tenant = 'a' AND issuer = 'b' ORDER BY shard DESC LIMIT 1",
            "COVERING INDEX certificates_of_shard",
        ),
        ("SELECT count(*) FROM serials WHERE tenant = 'a' AND issuer = 'b' AND shard = 5", "(tenant=? AND issuer=? AND shard=?)"),
    ];
    for (question, index) in questions {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {question}"));
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(readers(&store)).await.unwrap();
        assert!(steps.iter().any(|(.., step)| step.contains(index)), "{question}: {steps:?}");
        // What the view gives is counted one by one; what it is made of has to be found by index.
        let reads_all = |step: &str| step.contains("TEMP B-TREE") || (step.contains("SCAN") && step != "SCAN serials");
        assert!(!steps.iter().any(|(.., step)| reads_all(step)), "{question}: {steps:?}");
    }
}

/// A database as it was before there were shards and causes, with one certificate revoked and one that is drafted but not signed.
#[tokio::test]
async fn a_database_from_before_there_were_shards_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut db = settings::writer(&path).connect().await.unwrap();
    let mut before = sqlx::migrate!("migrations/sqlite");
    before.migrations = before.migrations.iter().filter(|migration| migration.version < 3).cloned().collect::<Vec<_>>().into();
    before.run_direct(None, &mut db, false).await.unwrap();
    for (n, state, draft) in [(1_u8, 1, "NULL, NULL, NULL"), (2, 0, "zeroblob(16), zeroblob(32), x'30'")] {
        let order = format!(
            "INSERT INTO orders (id, tenant, clinic, home, device, profile, issuer, common_name, organization, key, validity, because,
                replaces, opened_at, state, draft_serial, draft_key, draft_tbs)
            VALUES (zeroblob(15) || x'0{n}', 'aozora', 'sakura', 'sakura', 'pc-{n}', 'karte', 'portal', 'pc', 'sakura', 'ecdsa-p256', 60,
                'missing', x'', 1, {state}, {draft})"
        );
        query(AssertSqlSafe(order)).execute(&mut db).await.unwrap();
    }
    let certificate = "INSERT INTO certificates (serial, order_id, tenant, clinic, home, device, profile, issuer, common_name, organization,
            key, validity, der, fingerprint, public_key, not_before, not_after, issued_at, revoked_at, revoked_because)
        VALUES (zeroblob(16), zeroblob(15) || x'01', 'aozora', 'sakura', 'sakura', 'pc-1', 'karte', 'portal', 'pc', 'sakura', 'ecdsa-p256', 60,
            x'30', zeroblob(32), zeroblob(32), 0, 100, 1, 7, 'device-revoked')";
    query(certificate).execute(&mut db).await.unwrap();
    sqlx::Connection::close(db).await.unwrap();

    let store = Database::sqlite(&path).await.unwrap();
    let issuer = "portal".parse().unwrap();
    let lost = RevokedRow { serial: Serial([0; 16]), at: Timestamp::from_unix(7), because: Cause::KeyCompromise };
    for shard in [None, Some(0)] {
        assert_eq!(store.revoked(&tenant(), &issuer, shard, Timestamp::from_unix(50), 9).await.unwrap(), [lost]);
    }
    assert_eq!(store.shard(&tenant(), &issuer, None).await.unwrap(), None, "no shard was begun");
    let drafted = store.unsigned_drafts().await.unwrap();
    assert_eq!(drafted[0].draft.as_ref().map(|draft| draft.shard), Some(0), "its bytes name the whole list");
}

/// Sixty records about three clinics, over four days, the clock of which goes back once.
fn many() -> Vec<NewRecord> {
    let record = |number: i64| NewRecord {
        tenant: tenant(),
        at: Timestamp::from_unix(if number == 30 { 10 } else { number * 5_000 }),
        stage: Stage::Done,
        actor: ["tegata", "person:ito", "device:kaede/pc-1"][(number % 3) as usize].into(),
        action: ["certificate.issue", "certificate.revoke"][(number % 2) as usize],
        object: format!("{}/pc-{}/karte", ["sakura", "kaede", "momiji"][(number % 3) as usize], number % 4),
        details: serde_json::json!({ "serial": format!("{number:032x}") }),
    };
    (1..=60).map(record).collect()
}

/// Lets the index go on until there.
async fn index(store: &Database, from: u64, through: u64) {
    let records = store.log_entries(&tenant(), from, u32::try_from(through - from).unwrap()).await.unwrap();
    let gained = Indexed::of(&tenant(), from, &records).unwrap();
    store.commit(Batch { records: vec![], changes: vec![Change::Index(gained)] }).await.unwrap();
}

#[tokio::test]
async fn however_far_the_index_is_behind_the_same_records_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = Database::sqlite(&folder.path().join("t.db")).await.unwrap();
    store.commit(Batch { records: many(), changes: vec![] }).await.unwrap();
    let all = store.audit(&tenant(), 0, 1_000).await.unwrap();
    let some = |edit: fn(&mut Filter)| {
        let mut filter = Filter::default();
        edit(&mut filter);
        filter
    };
    let filters = [
        Filter::default(),
        some(|filter| filter.clinic = Some("sakura".into())),
        some(|filter| filter.device = Some("kaede/pc-1".into())),
        some(|filter| filter.certificates.extend([3, 30, 59].map(|number| format!("{number:032x}")))),
        some(|filter| (filter.actor, filter.kinds) = (Some("person:ito".into()), ["certificate.revoke".into()].into())),
        some(|filter| (filter.since, filter.until) = (Some(Timestamp::from_unix(90_000)), Some(Timestamp::from_unix(180_000)))),
        some(|filter| filter.until = Some(Timestamp::from_unix(11))),
        some(|filter| (filter.clinic, filter.since) = (Some("momiji".into()), Some(Timestamp::from_unix(250_000)))),
        some(|filter| filter.clinic = Some("nowhere".into())),
    ];
    let mut from = 0;
    for through in [0, 1, 29, 31, 60] {
        if through > from {
            index(&store, from, through).await;
            from = through;
        }
        for filter in &filters {
            let fitting: Vec<u64> = all.iter().filter(|record| filter.takes(record)).map(|record| record.sequence).collect();
            for (after, limit, last) in [(0, 100, 60), (0, 3, 60), (20, 4, 60), (29, 100, 60), (5, 100, 40), (60, 9, 60)] {
                let numbers = async |part| {
                    let search = Search { part, through: last, limit, filter: filter.clone() };
                    store.search(&tenant(), &search).await.unwrap().iter().map(|entry| entry.record.sequence).collect::<Vec<_>>()
                };
                let within = fitting.iter().copied().filter(|number| *number <= last);
                let expected: Vec<u64> = within.clone().filter(|number| *number > after).take(limit as usize).collect();
                assert_eq!(numbers(Part::After(after)).await, expected, "{filter:?} after {after} through {last}, indexed {through}");
                let within: Vec<u64> = within.collect();
                assert_eq!(
                    numbers(Part::Newest).await,
                    within[within.len().saturating_sub(limit as usize)..],
                    "{filter:?} newest of {last}"
                );
            }
        }
    }
    let again = Indexed::of(&tenant(), 31, &[]).unwrap();
    let again = store.commit(Batch { records: vec![], changes: vec![Change::Index(again)] }).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "two who index are one too many: {again:?}");
}

fn readers(store: &Database) -> &sqlx::SqlitePool {
    match &store.readers {
        Pool::Sqlite(pool) => pool,
        Pool::Postgres(_) => panic!("this store is a file"),
    }
}
