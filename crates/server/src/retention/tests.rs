use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::time::DAY;

use super::*;
use crate::erasure::erase;
use crate::pretend::{World, tenant};
use crate::store::{Batch, NewRecord, Personal};

const SEVEN: u32 = 7;
/// Seven years have at most two leap days.
const PERIOD: u32 = 2_557;

async fn write(world: &World, action: &'static str, details: Value) {
    let (actor, object) = ("tegata".to_owned(), "sakura/pc-1/karte".to_owned());
    let record = NewRecord { tenant: tenant(), at: world.now, stage: Stage::Done, actor, action, object, details };
    world.ledger.note(Batch { records: vec![record], changes: vec![] }).await.unwrap();
}

async fn planned(world: &World, later: u32) -> Retention {
    plan(&world.ledger, &tenant(), (SEVEN, world.now.after(DAY * later)), |_| {}).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_names_a_certificate_is_kept_until_that_is_over_by_whatever_name() {
    let world = World::new().await;
    let end = world.now.after(DAY * 90).unix();
    let (serial, fingerprint) = ("4f".repeat(16), "ab".repeat(32));
    for (action, details, until, because) in [
        ("certificate.issue", json!({ "serial": serial, "fingerprint": fingerprint, "notAfter": end }), Some(end), Some(&serial)),
        ("policy.apply", json!({ "revision": 3 }), Some(world.now.unix()), None),
        ("order.cancel", json!({ "order": "11".repeat(16) }), Some(world.now.unix()), None),
        ("certificate.abandon", json!({ "serial": serial }), Some(world.now.unix()), None),
        ("host-key.trust", json!({ "fingerprint": "SHA256:abc" }), Some(world.now.unix()), None),
        ("certificate.revoke", json!({ "serial": serial }), None, Some(&serial)),
        (
            "certificate.proven",
            json!({ "receipt": json!({ "deed": { "fingerprint": fingerprint } }).to_string() }),
            None,
            Some(&fingerprint),
        ),
        ("installer.recognize", json!({ "certificates": [fingerprint] }), None, Some(&fingerprint)),
        ("authority.create", json!({ "certificates": { "root": fingerprint } }), None, Some(&fingerprint)),
    ] {
        let record = Record {
            sequence: 1,
            at: world.now.unix(),
            stage: Stage::Done,
            actor: String::new(),
            action: action.into(),
            object: String::new(),
            details,
        };
        let kept = judge(&record, Period::default(), |_| None);
        let until = until.map_or(Until::Ever, |until| Until::Moment(Timestamp::from_unix(until).after(DAY * PERIOD)));
        assert_eq!((kept.until, kept.because.as_ref()), (until, because), "{action}");
    }
    let revoked = json!({ "serial": serial });
    let record = Record {
        sequence: 1,
        at: world.now.unix(),
        stage: Stage::Done,
        actor: String::new(),
        action: "certificate.revoke".into(),
        object: String::new(),
        details: revoked,
    };
    let kept = judge(&record, Period::default(), |name| (name == serial).then(|| Timestamp::from_unix(end)));
    assert_eq!(kept.until, Until::Moment(Timestamp::from_unix(end).after(DAY * PERIOD)), "as the database knows it");
}

#[tokio::test]
async fn everything_from_the_first_that_counts_is_needed_and_texts_are_due_by_themselves() {
    let mut world = World::new().await;
    let end = world.now.after(DAY * 90).unix();
    write(&world, "policy.apply", json!({ "note": Personal("佐藤") })).await;
    write(&world, "certificate.issue", json!({ "serial": "4f", "notAfter": end, "note": Personal("鈴木") })).await;
    write(&world, "policy.apply", json!({ "note": Personal("高橋"), "again": Personal("高橋") })).await;
    let plan = planned(&world, PERIOD + 1).await;
    assert_eq!((plan.records, plan.over, plan.texts, plan.due), (3, 2, 4, 3));
    let oldest = plan.oldest.unwrap();
    assert_eq!((oldest.sequence, oldest.because.as_deref()), (2, Some("4f")));
    assert_eq!(oldest.until, Some(Timestamp::from_unix(end).after(DAY * PERIOD).unix()));
    assert_eq!(planned(&world, PERIOD + 91).await.oldest, None, "nothing counts any more");
    assert!(super::plan(&world.ledger, &tenant(), (6, world.now), |_| {}).await.unwrap().is_none(), "nobody shortens it");

    world.now = world.now.after(DAY * (PERIOD + 1));
    let request =
        tegata_api::v1::audit::EraseRequest { due: Some(SEVEN), why: "their time is over".into(), sure: true, ..Default::default() };
    let done = erase(&world.ledger, &tenant(), &request, ("person:admin", world.now)).await.unwrap();
    assert_eq!(done.texts.iter().map(|text| text.sequence).collect::<Vec<_>>(), [1, 3, 3]);
    let again = erase(&world.ledger, &tenant(), &request, ("person:admin", world.now)).await.unwrap();
    assert!(again.texts.is_empty(), "{again:?}");
    let plan = planned(&world, 0).await;
    assert_eq!((plan.texts, plan.due), (2, 0), "one that still counts, and why these went");
}
