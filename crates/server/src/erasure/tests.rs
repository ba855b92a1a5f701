use std::collections::BTreeSet;

use futures::TryStreamExt;
use serde_json::Value;
use tegata_core::time::Timestamp;
use tegata_tlog::entry;
use tegata_tlog::merkle::{Frontier, Hash};

use super::*;
use crate::pretend::{World, tenant};

async fn note(world: &World, tenant: &TenantName, note: &str) {
    let (actor, object) = ("person:ito".to_owned(), "sakura".to_owned());
    let details = json!({ "note": Personal(note) });
    let at = world.now;
    let record = NewRecord { tenant: tenant.clone(), at, stage: Stage::Done, actor, action: "certificate.revoke", object, details };
    world.ledger.note(Batch { records: vec![record], changes: vec![] }).await.unwrap();
}

async fn erased(world: &World, request: &EraseRequest) -> Result<Vec<u64>, AskError> {
    let done = erase(&world.ledger, &tenant(), request, ("person:admin", world.now)).await?;
    Ok(done.texts.into_iter().map(|text| text.sequence).collect())
}

async fn records(world: &World) -> Vec<String> {
    world.ledger.store().log_entries(&tenant(), 0, 10_000).await.unwrap()
}

async fn texts(world: &World, of: &TenantName) -> Vec<(u64, String)> {
    let pages: Vec<_> = pages(world.ledger.clone(), of.clone(), 0, u64::MAX >> 1).try_collect().await.unwrap();
    pages.into_iter().flatten().map(|told| (told.sequence, told.text)).collect()
}

/// As a verifier computes it, from the bytes of the first records.
fn root(records: &[String]) -> Hash {
    records.iter().map(|record| entry::of(record)).collect::<Vec<_>>().iter().map(|entry| &entry[..]).collect::<Frontier>().root()
}

#[tokio::test]
async fn an_erasure_is_a_record_without_the_text_and_changes_no_root() {
    let (world, other) = (World::new().await, "momiji".parse().unwrap());
    for (of, text) in [(&tenant(), "佐藤の PC"), (&tenant(), "鈴木"), (&tenant(), "佐藤の PC"), (&other, "佐藤の PC")] {
        note(&world, of, text).await;
    }
    let before = records(&world).await;
    let asked = EraseRequest { text: Some("佐藤の PC".into()), ..EraseRequest::default() };
    assert_eq!(erased(&world, &asked).await.unwrap(), [1, 3], "only told");
    assert_eq!((records(&world).await, texts(&world, &tenant()).await.len()), (before.clone(), 3), "and nothing was done");

    let sure = EraseRequest { why: "as he has asked".into(), sure: true, ..asked };
    assert_eq!(erased(&world, &sure).await.unwrap(), [1, 3]);
    assert_eq!(texts(&world, &other).await, [(1, "佐藤の PC".to_owned())], "another tenant's is another's");
    let after = records(&world).await;
    assert_eq!((after.len(), root(&after[..3])), (4, root(&before)));
    let told: Value = serde_json::from_str(&after[3]).unwrap();
    assert_eq!((&told["action"], &told["actor"]), (&json!("audit.erase"), &json!("person:admin")));
    assert_eq!((&told["details"]["records"], &told["details"]["texts"]), (&json!([1, 3]), &json!(2)));
    assert!(!after.concat().contains("佐藤") && !after.concat().contains("as he has asked"), "{after:?}");
    assert_eq!(texts(&world, &tenant()).await, [(2, "鈴木".to_owned()), (4, "as he has asked".to_owned())]);

    assert_eq!(erased(&world, &sure).await.unwrap(), Vec::<u64>::new(), "again is nothing, and no record");
    assert_eq!(records(&world).await, after);
    let whole = EraseRequest { records: vec![4, 2, 9], why: "all of it".into(), sure: true, ..EraseRequest::default() };
    assert_eq!(erased(&world, &whole).await.unwrap(), [2, 4]);
}

#[tokio::test]
async fn what_is_meant_is_said_in_one_way_and_with_a_reason_that_does_not_repeat_it() {
    let world = World::new().await;
    note(&world, &tenant(), "佐藤").await;
    let good = EraseRequest { text: Some("佐藤".into()), why: "asked".into(), sure: true, ..EraseRequest::default() };
    for wrong in [
        EraseRequest { records: vec![1], ..good.clone() },
        EraseRequest { text: None, ..good.clone() },
        EraseRequest { text: Some(String::new()), ..good.clone() },
        EraseRequest { why: " ".into(), ..good.clone() },
        EraseRequest { why: "x".repeat(501), ..good.clone() },
        EraseRequest { why: "佐藤 has asked".into(), ..good.clone() },
        EraseRequest { text: None, records: vec![1; 1_001], ..good.clone() },
    ] {
        assert!(matches!(erased(&world, &wrong).await, Err(AskError::Malformed(_))), "{wrong:?}");
    }
    assert_eq!(texts(&world, &tenant()).await.len(), 1);
    assert_eq!(erased(&world, &good).await.unwrap(), [1]);
}

#[tokio::test]
async fn more_than_one_record_can_name_goes_on_with_the_same_request() {
    let world = World::new().await;
    let record = |number: i64| NewRecord {
        tenant: tenant(),
        at: Timestamp::from_unix(number),
        stage: Stage::Done,
        actor: "person:ito".into(),
        action: "certificate.revoke",
        object: "sakura".into(),
        details: json!({ "note": Personal("佐藤") }),
    };
    world.ledger.note(Batch { records: (1..=1_500).map(record).collect(), changes: vec![] }).await.unwrap();
    let request = EraseRequest { text: Some("佐藤".into()), why: "asked".into(), sure: true, ..EraseRequest::default() };
    let mut gone = BTreeSet::new();
    for more in [true, false] {
        let done = erase(&world.ledger, &tenant(), &request, ("person:admin", world.now)).await.unwrap();
        assert_eq!(done.more, more);
        gone.extend(done.texts.into_iter().map(|text| text.sequence));
    }
    assert_eq!(gone, (1..=1_500).collect());
}
