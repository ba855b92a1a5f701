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
  pin: { digits: 4, tries: 3 }
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

async fn keep(world: &World, sealed_pin: &str, replace: bool) -> Result<(), AskError> {
    let asked = KeepPin { sealed_pin: sealed_pin.into(), replace };
    keep_pin(&world.ledger, &tenant(), &slot(), &asked, "person:ito", world.now).await
}

#[tokio::test]
async fn a_pin_is_kept_sealed_apart_from_its_file_and_replaced_only_when_told() {
    let world = world().await;
    assert!(matches!(keep(&world, &sealed(), false).await, Err(AskError::NotFound(_))), "nothing was applied for");
    record(&world.ledger, &world.bells, &tenant(), &asked(), "person:ito", world.now).await.unwrap();
    let listed = async || list(&world.ledger, &tenant(), None, world.now).await.unwrap().remove(0);
    assert_eq!((listed().await.pin, listed().await.has_pin), (Some(Pin { digits: 4, tries: 3 }), false));
    for clear in ["4821", "-----BEGIN AGE ENCRYPTED FILE-----\nNDgyMQ==\n-----END AGE ENCRYPTED FILE-----"] {
        assert!(matches!(keep(&world, clear, false).await, Err(AskError::Malformed(_))), "{clear}");
    }
    assert!(!listed().await.has_pin);
    keep(&world, &sealed(), false).await.unwrap();
    assert!(listed().await.has_pin);
    assert!(matches!(keep(&world, &sealed(), false).await, Err(AskError::Gone(_))), "somebody may have used it");
    keep(&world, &format!("{}\n", sealed()), true).await.unwrap();
    assert_eq!(world.logged("done application.pin ").await, 2);
}

#[tokio::test]
async fn a_sealed_pin_is_handed_out_on_record_to_its_own_tenant_even_after_its_file_came() {
    let world = world().await;
    let hand_out = async |tenant: &TenantName| sealed_pin(&world.ledger, tenant, &slot(), "person:ito", world.now).await;
    record(&world.ledger, &world.bells, &tenant(), &asked(), "person:ito", world.now).await.unwrap();
    assert!(matches!(hand_out(&tenant()).await, Err(AskError::NotFound(_))), "none was made");
    keep(&world, &sealed(), false).await.unwrap();
    close(&world.ledger, &world.bells, &tenant(), &slot(), "person:ito", world.now).await.unwrap();
    assert_eq!(hand_out(&tenant()).await.unwrap().sealed_pin, sealed());
    assert_eq!(world.logged("done application.sealed-pin sakura/shikaku-1/eligibility").await, 1);
    let midori = "midori".parse().unwrap();
    assert!(matches!(hand_out(&midori).await, Err(AskError::NotFound(_))));
    let stranger = keep_pin(&world.ledger, &midori, &slot(), &KeepPin { sealed_pin: sealed(), replace: true }, "person:x", world.now).await;
    assert!(matches!(stranger, Err(AskError::NotFound(_))), "{stranger:?}");
    assert!(matches!(keep(&world, &sealed(), true).await, Err(AskError::NotFound(_))), "what is closed takes no other");
}
