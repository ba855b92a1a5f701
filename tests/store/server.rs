//! What only a PostgreSQL server can do to us: be set up unsafely, go away in the middle, and serve others as well.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tegata_core::name::ClinicId;
use tegata_core::time::Timestamp;
use tegata_server::store::signals::Signal;
use tegata_server::store::sql::Database;
use tegata_server::store::{Batch, CLAIM, Change, Store, StoreError};
use tegata_tests::line::{Lost, losing};
use tegata_tests::postgres::Postgres;
use tokio::time::{sleep, timeout};

use super::{aozora, changes, device_row, record, records};

async fn open(url: &str) -> Result<Database, StoreError> {
    Database::postgres(&url.parse().unwrap()).await
}

#[tokio::test]
async fn s1_settings_that_could_lose_an_answered_commit_are_refused() {
    for unsafe_ in ["fsync = off", "full_page_writes = off", "synchronous_commit = off"] {
        let server = Postgres::start(unsafe_).unwrap();
        let found = open(&server.new_database().unwrap()).await.map(drop);
        assert!(matches!(found, Err(StoreError::Unsafe(_))), "{unsafe_}: {found:?}");
    }
    for as_safe in ["local", "remote_apply"] {
        let server = Postgres::start(&format!("synchronous_commit = {as_safe}")).unwrap();
        open(&server.new_database().unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn s1_a_database_that_cannot_keep_every_text_is_refused() {
    let server = Postgres::shared().unwrap();
    server.ask("postgres", "CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0").unwrap();
    let found = open(&format!("postgres://tegata@127.0.0.1:{}/latin", server.port())).await.map(drop);
    assert!(matches!(found, Err(StoreError::Unsafe(_))), "{found:?}");
}

/// A server is known by its certificate and its name, or nothing is told to it.
#[tokio::test]
async fn s1_a_server_that_shows_another_certificate_or_name_is_not_talked_to() {
    let (server, certificate) = Postgres::start_with_tls().unwrap();
    let name = server.new_database().unwrap().rsplit('/').next().unwrap().to_owned();
    let at = |host: &str, root: &Path| {
        let port = server.port();
        format!("postgres://tegata@{host}:{port}/{name}?sslmode=verify-full&sslrootcert={}", root.display())
    };
    open(&at("localhost", &certificate)).await.unwrap();
    let (_other, another) = Postgres::start_with_tls().unwrap();
    for refused in [at("localhost", &another), at("127.0.0.1", &certificate)] {
        let found = timeout(Duration::from_secs(60), open(&refused)).await.unwrap().map(drop);
        assert!(found.is_err(), "{refused}: {found:?}");
    }
}

/// Writes as many records as `count` through each store, some at the same time, and says which of them were answered.
async fn write(stores: &[Arc<Database>], count: usize) -> Vec<String> {
    let one = |number: usize| async move {
        let object = format!("number-{number}");
        stores[number % stores.len()].commit(records([record(&object)])).await.map(|()| object)
    };
    let mut answered = Vec::new();
    for some in (0..count).collect::<Vec<_>>().chunks(10) {
        answered.extend(join_all(some.iter().map(|number| one(*number))).await.into_iter().flatten());
    }
    answered
}

/// Nothing that was answered is missing, nothing is there twice, and the numbers have no gap.
async fn assert_whole(store: &Database, answered: &[String]) {
    let found = store.audit(&aozora(), 0, 100_000).await.unwrap();
    let numbers: Vec<u64> = found.iter().map(|record| record.sequence).collect();
    assert_eq!(numbers, (1..=found.len() as u64).collect::<Vec<_>>());
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    found.iter().for_each(|record| *times.entry(&record.object).or_default() += 1);
    for object in answered {
        assert_eq!(times.get(&object[..]), Some(&1), "{object}");
    }
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_write_at_the_same_time_leave_no_gap_and_lose_nothing() {
    let server = Postgres::shared().unwrap();
    let url = server.new_database().unwrap();
    let stores = [Arc::new(open(&url).await.unwrap()), Arc::new(open(&url).await.unwrap()), Arc::new(open(&url).await.unwrap())];
    let answered = write(&stores, 600).await;
    assert_eq!(answered.len(), 600);
    assert_whole(&stores[0], &answered).await;
}

/// Each third COMMIT is lost with its line, or the answer to it: what became of it is asked, and neither guessed nor done again.
#[tokio::test(flavor = "multi_thread")]
async fn s1_a_commit_that_is_lost_on_its_way_is_neither_lost_nor_repeated() {
    let server = Postgres::shared().unwrap();
    for lost in [Lost::Question, Lost::Answer] {
        let url = server.new_database().unwrap();
        let line = losing(server.port(), lost, b"COMMIT\0", 3);
        let stores = [Arc::new(open(&url.replace(&format!(":{}/", server.port()), &format!(":{line}/"))).await.unwrap())];
        let answered = write(&stores, 150).await;
        assert_eq!(answered.len(), 150);
        assert_whole(&open(&url).await.unwrap(), &answered).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_a_server_that_is_killed_again_and_again_loses_nothing_that_was_answered() {
    let mut server = Postgres::start("").unwrap();
    let url = server.new_database().unwrap();
    let stores = [Arc::new(open(&url).await.unwrap()), Arc::new(open(&url).await.unwrap())];
    let writing = tokio::spawn({
        let stores = stores.clone();
        async move { write(&stores, 1_500).await }
    });
    for _ in 0..4 {
        sleep(Duration::from_millis(300)).await;
        tokio::task::block_in_place(|| {
            server.kill();
            server.start_again().unwrap();
        });
    }
    let answered = writing.await.unwrap();
    assert_eq!(answered.len(), 1_500, "a server that comes back within seconds is waited for");
    assert_whole(&stores[1], &answered).await;
}

/// Nobody waits for ever, and nothing has to be started again once the server is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_away_is_told_and_one_that_comes_back_is_written_to() {
    let mut server = Postgres::start("").unwrap();
    let store = open(&server.new_database().unwrap()).await.unwrap();
    store.commit(records([record("before")])).await.unwrap();
    server.kill();
    let away = store.commit(records([record("meanwhile")])).await;
    assert!(matches!(away, Err(StoreError::Away(_))), "{away:?}");
    assert!(timeout(Duration::ZERO, store.failed()).await.is_err(), "that is no reason to give up for good");
    server.start_again().unwrap();
    store.commit(records([record("after")])).await.unwrap();
    let found: Vec<String> = store.audit(&aozora(), 0, 9).await.unwrap().into_iter().map(|record| record.object).collect();
    assert_eq!(found, ["before", "after"]);
}

/// A clinic is one server's own for a turn, until that is over or its server is gone.
#[tokio::test(flavor = "multi_thread")]
async fn no_two_servers_take_the_same_turn() {
    let server = Postgres::shared().unwrap();
    let url = server.new_database().unwrap();
    let stores = [Arc::new(open(&url).await.unwrap()), Arc::new(open(&url).await.unwrap()), Arc::new(open(&url).await.unwrap())];
    let clinic = |number: usize| ClinicId { tenant: aozora(), clinic: format!("clinic-{number}").parse().unwrap() };
    let (now, count) = (Timestamp::from_unix(1_000), 600);
    stores[0].commit(changes((0..count).map(|number| Change::Nudge { clinic: clinic(number), at: now }))).await.unwrap();
    let take = |store: Arc<Database>| async move {
        let mut taken = Vec::new();
        loop {
            let some = store.due(now, 7).await.unwrap();
            if some.is_empty() {
                return taken;
            }
            taken.extend(some);
        }
    };
    let taken = join_all(stores.iter().map(|store| tokio::spawn(take(store.clone())))).await;
    let mut taken: Vec<ClinicId> = taken.into_iter().flat_map(Result::unwrap).collect();
    taken.sort();
    let mut expected: Vec<ClinicId> = (0..count).map(clinic).collect();
    expected.sort();
    assert_eq!(taken, expected, "each once");

    let rests = Change::Rest { clinic: clinic(0), as_of: 1, at: None };
    let goes_on = Change::Wake { clinic: clinic(1), at: Some(now) };
    stores[1].commit(changes([rests, goes_on, Change::Release { clinic: clinic(2) }])).await.unwrap();
    let mut due = stores[2].due(now, 9).await.unwrap();
    due.sort();
    assert_eq!(due, [clinic(1), clinic(2)]);
    let later = now.after(CLAIM);
    let due: usize = stores[0].due(later, 64).await.unwrap().len();
    assert_eq!(due, 64, "whoever is gone has them no longer");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_changes_is_heard_by_the_others_even_after_the_line_was_cut() {
    let server = Postgres::shared().unwrap();
    let url = server.new_database().unwrap();
    let (one, other) = (open(&url).await.unwrap(), open(&url).await.unwrap());
    let clinic = ClinicId { tenant: aozora(), clinic: "sakura".parse().unwrap() };
    let nudge = || changes([Change::Nudge { clinic: clinic.clone(), at: Timestamp::from_unix(7) }]);
    let heard = async |store: &Database| timeout(Duration::from_secs(20), store.overheard()).await.unwrap();
    one.commit(nudge()).await.unwrap();
    assert_eq!(heard(&other).await, Signal::Turn);
    let refused = Change::ExpectPolicy { tenant: aozora(), revision: 9 };
    one.commit(Batch { changes: vec![refused, nudge().changes.remove(0)], records: vec![] }).await.unwrap_err();
    one.commit(records([record("x")])).await.unwrap();
    assert_eq!(heard(&other).await, Signal::Records, "nothing was heard of what was refused");
    one.commit(changes([Change::PutDevice(device_row("sakura/pc-1", 1).into())])).await.unwrap();
    assert_eq!(heard(&other).await, Signal::Device("aozora".into(), "sakura/pc-1".into()));

    server.ask("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'").unwrap();
    assert_eq!(heard(&other).await, Signal::Everything);
    one.commit(nudge()).await.unwrap();
    assert_eq!(heard(&other).await, Signal::Turn);
}
