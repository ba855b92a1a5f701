use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tegata_api::v1::audit::Stage;
use tegata_core::time::Timestamp;

use super::*;
use crate::store::log::LogQueries;
use crate::store::{AuditQuery, Batch, Change, NewRecord, Part, Personal, Store};

fn tenant(name: &str) -> TenantName {
    name.parse().unwrap()
}

fn noted(tenant: &TenantName, note: &str) -> Batch {
    let record = NewRecord {
        tenant: tenant.clone(),
        at: Timestamp::from_unix(1),
        stage: Stage::Done,
        actor: "person:ito".into(),
        action: "test.note",
        object: "sakura".into(),
        details: json!({ "note": Personal(note), "again": [Personal(note)] }),
    };
    Batch { records: vec![record], changes: vec![] }
}

async fn erase_all(store: &Database, tenant: &TenantName, which: Which) -> usize {
    let texts: Vec<_> = store.erasable(tenant, &which, 1_000).await.unwrap();
    let erase = Erase { tenant: tenant.clone(), texts: texts.iter().map(|text| (text.sequence, text.commitment.clone())).collect() };
    store.commit(Batch { records: vec![], changes: vec![Change::Erase(erase)] }).await.unwrap();
    texts.len()
}

async fn records(store: &Database, tenant: &TenantName) -> Vec<String> {
    store.log_entries(tenant, 0, 10_000).await.unwrap()
}

/// Everything that the database's files hold.
fn files(folder: &Path) -> Vec<u8> {
    fs::read_dir(folder).unwrap().flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

/// Short ones, and one in five that goes over several pages; of two tenants in turn, so that rows of both share pages.
fn text(number: usize) -> String {
    format!("<{number:05}{}{number:05}>", "x".repeat(if number.is_multiple_of(5) { 9_000 } else { number % 90 }))
}

/// The numbers of texts whose beginning or end is in one of the files.
fn found(folder: &Path) -> BTreeSet<usize> {
    let files = files(folder);
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse().ok();
    let begun = files.windows(6).filter(|bytes| bytes[0] == b'<').filter_map(|bytes| number(&bytes[1..]));
    begun.chain(files.windows(6).filter(|bytes| bytes[5] == b'>').filter_map(|bytes| number(&bytes[..5]))).collect()
}

#[tokio::test]
async fn an_erased_text_is_in_no_file_of_the_database_and_the_records_are_what_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let store = Database::sqlite(&folder.path().join("t.db")).await.unwrap();
    let tenants = [tenant("aozora"), tenant("momiji")];
    let of = |number: usize| &tenants[number % 2];
    for number in 0..240 {
        store.commit(noted(of(number), &text(number))).await.unwrap();
    }
    assert_eq!(found(folder.path()), (0..240).collect(), "the search finds what is there");
    let before = records(&store, &tenants[0]).await;
    assert!(before.iter().all(|record| !record.contains('<')), "no record has one in clear");
    let salts: Vec<Vec<u8>> = store.disclosures_of(&tenants[0], &[1, 2]).await.unwrap().iter().map(|told| salt(&told.salt)).collect();
    let salted = || salts.iter().filter(|salt| files(folder.path()).windows(32).any(|bytes| bytes == **salt)).count();
    assert_eq!(salted(), 4);

    // One by one, with others written between, and many at once.
    let mut left: BTreeSet<usize> = (0..240).collect();
    for number in (0..240).filter(|number| number % 3 == 0) {
        assert_eq!(erase_all(&store, of(number), Which::Saying(text(number))).await, 2, "in both places");
        left.remove(&number);
        store.commit(noted(of(number), &format!("later {number}"))).await.unwrap();
    }
    assert_eq!(erase_all(&store, &tenants[0], Which::OfRecords((1..=30).collect())).await, 40);
    left.retain(|number| number % 2 == 1 || *number >= 60);
    assert_eq!(found(folder.path()), left);
    assert_eq!(salted(), 0);
    assert_eq!(records(&store, &tenants[0]).await[..before.len()], before);
    drop(store);
    let store = Database::sqlite(&folder.path().join("t.db")).await.unwrap();
    assert_eq!(erase_all(&store, &tenants[0], Which::OfRecords((1..=30).collect())).await, 0, "they are gone");
    assert_eq!(found(folder.path()), left);
}

fn salt(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

#[tokio::test]
async fn what_is_there_is_shown_and_what_was_erased_is_a_commitment() {
    let folder = tempfile::tempdir().unwrap();
    let store = Database::sqlite(&folder.path().join("t.db")).await.unwrap();
    let (own, other) = (tenant("aozora"), tenant("momiji"));
    for tenant in [&own, &other, &own] {
        store.commit(noted(tenant, "佐藤")).await.unwrap();
    }
    let shown = async |tenant: &TenantName| {
        let asked = AuditQuery { part: Part::After(0), limit: 10, object: None };
        store.records(tenant, &asked).await.unwrap().into_iter().map(|record| record.details).collect::<Vec<_>>()
    };
    let clear = json!({ "note": "佐藤", "again": ["佐藤"] });
    assert_eq!(shown(&own).await, [clear.clone(), clear.clone()]);
    assert_eq!(erase_all(&store, &own, Which::OfRecords(vec![1])).await, 2);
    let [erased, kept] = &shown(&own).await[..] else { panic!("two records") };
    assert_eq!((commitments(erased).len(), kept), (2, &clear));
    assert_eq!(shown(&other).await, [clear], "another tenant's is another's");
    let entry = &store.log_entries(&own, 0, 1).await.unwrap()[0];
    assert!(commitments(erased).iter().all(|commitment| entry.contains(commitment)), "{entry}");

    // Page by page, also within a record.
    let (mut mark, mut told) = (Mark { sequence: 0, number: i64::MAX }, Vec::new());
    while let Some((next, disclosure)) = store.disclosures(&own, mark, 9, 1).await.unwrap().pop() {
        mark = next;
        told.push((disclosure.sequence, disclosure.text));
    }
    assert_eq!(told, [(2, "佐藤".to_owned()), (2, "佐藤".to_owned())]);
}

#[tokio::test]
async fn nobody_is_told_that_something_was_erased_which_was_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = Database::sqlite(&folder.path().join("t.db")).await.unwrap();
    let (own, other) = (tenant("aozora"), tenant("momiji"));
    store.commit(noted(&own, "佐藤")).await.unwrap();
    let [text, _] = &store.erasable(&own, &Which::OfRecords(vec![1]), 9).await.unwrap()[..] else { panic!("two texts") };
    for (tenant, sequence, commitment) in
        [(&other, 1, text.commitment.clone()), (&own, 2, text.commitment.clone()), (&own, 1, "00".repeat(32))]
    {
        let erase = Erase { tenant: tenant.clone(), texts: vec![(sequence, commitment)] };
        let refused = store.commit(Batch { records: vec![], changes: vec![Change::Erase(erase)] }).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    }
    assert_eq!(erase_all(&store, &own, Which::OfRecords(vec![1])).await, 2);
}
