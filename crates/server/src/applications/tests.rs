use std::time::Duration;

use super::*;
use crate::policy;
use crate::pretend::{World, clinic as clinic_with, documents, tenant};
use tegata_api::v1::fleet::ApplyRequest;

const VENDOR: &str = "
apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: { name: obn }
spec: { type: vendor }
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: { name: eligibility }
spec:
  issuer: obn
  key: { origin: vendor }
  expect: { validity: 1185d }
  application: { window: 180d, notices: [60d, 30d, 15d, 7d, daily] }
";

/// `age -a -R recipients` of a short text.
fn sealed() -> String {
    let body = data_encoding::BASE64.encode(b"age-encryption.org/v1\n-> X25519 abc\n\x00\x01");
    format!("-----BEGIN AGE ENCRYPTED FILE-----\n{body}\n-----END AGE ENCRYPTED FILE-----\n")
}

fn asked() -> RecordApplication {
    RecordApplication {
        slot: "sakura/shikaku-1/eligibility".into(),
        applied: "2027-01-10".into(),
        request_id: "A1234-56".into(),
        sealed_reference: sealed(),
    }
}

fn slot() -> SlotId {
    asked().slot.parse().unwrap()
}

/// 2027-01-15T08:00:00Z.
async fn world() -> World {
    let world = World::new().await;
    let hours = "  hours: { timeZone: Asia/Tokyo }\n";
    let files = documents(&[VENDOR, &clinic_with("sakura", &["shikaku-1"], hours)]);
    let request = ApplyRequest { documents: files, allow_lockout: 0, allow_over_quota: 0 };
    policy::apply(&world.ledger, &world.bells, &tenant(), &request, "person:test", world.now).await.unwrap();
    world
}

#[tokio::test]
async fn an_application_is_kept_with_its_deadline_until_it_is_closed() {
    let mut world = world().await;
    record(&world.ledger, &world.bells, &tenant(), &asked(), "person:ito", world.now).await.unwrap();
    let shown = async |world: &World| list(&world.ledger, &tenant(), None, world.now).await.unwrap().remove(0);
    let first = shown(&world).await;
    let midnight = 1_800_000_000 - 8 * 3_600 - 5 * 86_400 - 9 * 3_600;
    assert_eq!((&first.state[..], &first.applied[..], first.deadline), ("open", "2027-01-10", Some(midnight + 180 * 86_400)));
    assert_eq!(first.next_notice, Some(midnight + 120 * 86_400 + 8 * 3_600), "in the morning");
    assert_eq!((&first.request_id[..], first.sealed_reference, &first.recorded_by[..]), ("A1234-56", sealed(), "person:ito"));
    assert!(matches!(record(&world.ledger, &world.bells, &tenant(), &asked(), "person:ito", world.now).await, Err(AskError::Gone(_))));

    world.pass(Duration::from_secs(150 * 86_400));
    assert_eq!(shown(&world).await.state, "closing");
    world.pass(Duration::from_secs(40 * 86_400));
    assert_eq!(shown(&world).await.state, "lapsed");
    close(&world.ledger, &world.bells, &tenant(), &slot(), "person:ito", world.now).await.unwrap();
    let closed = shown(&world).await;
    assert_eq!((&closed.state[..], closed.next_notice, closed.closed_at), ("withdrawn", None, Some(world.now.unix())));
    assert!(matches!(close(&world.ledger, &world.bells, &tenant(), &slot(), "person:ito", world.now).await, Err(AskError::NotFound(_))));
    record(&world.ledger, &world.bells, &tenant(), &asked(), "person:ito", world.now).await.expect("a new application after the old one");
    assert_eq!((world.logged("done application.record").await, world.logged("done application.close").await), (2, 1));
}

#[tokio::test]
async fn a_reference_in_clear_and_a_slot_without_applications_are_refused() {
    let world = world().await;
    let wrong = |change: fn(&mut RecordApplication)| {
        let mut asked = asked();
        change(&mut asked);
        asked
    };
    let cases = [
        wrong(|asked| asked.sealed_reference = "R-99887766".into()),
        wrong(|asked| asked.sealed_reference = "-----BEGIN AGE ENCRYPTED FILE-----\nUi05OTg4\n-----END AGE ENCRYPTED FILE-----".into()),
        wrong(|asked| asked.applied = "2027-13-01".into()),
        wrong(|asked| asked.applied = "2027-02-01".into()),
        wrong(|asked| asked.request_id = "１２３".into()),
        wrong(|asked| asked.slot = "sakura/shikaku-1/karte".into()),
    ];
    for case in cases {
        let refused = record(&world.ledger, &world.bells, &tenant(), &case, "person:ito", world.now).await;
        assert!(matches!(refused, Err(AskError::Malformed(_))), "{case:?}: {refused:?}");
    }
    for unknown in ["kaede/shikaku-1/eligibility", "sakura/nobody/eligibility", "sakura/shikaku-1/nothing"] {
        let case = RecordApplication { slot: unknown.into(), ..asked() };
        let refused = record(&world.ledger, &world.bells, &tenant(), &case, "person:ito", world.now).await;
        assert!(matches!(refused, Err(AskError::NotFound(_))), "{unknown}: {refused:?}");
    }
    assert!(list(&world.ledger, &tenant(), None, world.now).await.unwrap().is_empty(), "nothing was stored");
}
