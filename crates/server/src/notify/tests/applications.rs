//! Applications at vendors: told before their certificate cannot be fetched any more.

use tegata_api::v1::application::RecordApplication;
use tegata_api::v1::notice::Acts;

use super::*;
use crate::applications;

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
  application: { window: 180d, notices: [60d, 30d, 3d, daily] }
";

const SLOT: &str = "sakura/shikaku-1/eligibility";

async fn world() -> World {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let world = World::new().await;
    apply_with(&world, &[PROFILE, VENDOR], &sakura(&["shikaku-1", "shikaku-2"], "  contacts: [incho@example.jp]\n")).await;
    world.settle().await;
    world
}

/// Applied for two days ago. What lies in the envelope is none of the server's business.
async fn record(world: &World, slot: &str) {
    let body = data_encoding::BASE64.encode(b"age-encryption.org/v1\n-> X25519 abc\n\x00\x01");
    let sealed_reference = format!("-----BEGIN AGE ENCRYPTED FILE-----\n{body}\n-----END AGE ENCRYPTED FILE-----\n");
    let asked = RecordApplication { slot: slot.into(), applied: "2027-01-13".into(), request_id: "A1234-56".into(), sealed_reference };
    applications::record(&world.ledger, &world.bells, &tenant(), &asked, "person:ito", world.now).await.unwrap();
}

#[tokio::test]
async fn an_application_is_told_by_its_ladder_each_rung_once_whatever_is_restarted() {
    let mail = Mail::new();
    let mut world = world().await;
    record(&world, SLOT).await;
    // One number for two terminals: two things to be told of.
    record(&world, "sakura/shikaku-2/eligibility").await;
    let end = world.now.after(250 * DAY);
    while let Some(next) = next_step(&world).await.filter(|next| *next <= end) {
        world.now = next.max(world.now);
        world = world.restart().await;
        world.settle().await;
        world = world.restart().await;
        post(&world, Some(&mail.mailer)).send_due().await.unwrap();
    }
    let ladder = ["60d", "30d", "3d", "2d", "1d", "expired"].map(|rung| format!("{rung} x2 8:00"));
    assert_eq!(rungs(&world).await, ladder, "what has lapsed is said once");
    assert_eq!(mail.arrived().len(), 6);
    let item = &told(&world).await[0].bulletin.items[0];
    let said = (&item.kind[..], &item.object[..], &item.slot[..], &item.issuer[..], item.days_left, item.acts);
    assert_eq!(said, ("application", "A1234-56", SLOT, "obn", 60, Acts::Person));
}

#[tokio::test]
async fn an_application_that_was_used_or_withdrawn_is_told_no_more() {
    let mut world = world().await;
    record(&world, SLOT).await;
    record(&world, "sakura/shikaku-2/eligibility").await;
    live(&mut world, 119 * DAY, None).await;
    assert_eq!(rungs(&world).await, ["60d x2 8:00"]);
    let slot = SLOT.parse().unwrap();
    applications::close(&world.ledger, &world.bells, &tenant(), &slot, "person:ito", world.now).await.unwrap();
    live(&mut world, 35 * DAY, None).await;
    assert_eq!(rungs(&world).await, ["60d x2 8:00", "30d x1 8:00"]);
    let used = Change::CloseApplication {
        tenant: tenant(),
        slot: "sakura/shikaku-2/eligibility".parse().unwrap(),
        because: crate::store::Closed::Imported,
        at: world.now,
    };
    world.note(vec![used, Change::Nudge { clinic: sakura_id(), at: world.now }]).await;
    live(&mut world, 90 * DAY, None).await;
    assert_eq!(rungs(&world).await.len(), 2);
}

#[tokio::test]
async fn an_application_is_told_to_its_own_clinic_alone() {
    let mut world = world().await;
    let momiji = clinic("momiji", &["shikaku-9"], "  hours: { timeZone: Asia/Tokyo }\n");
    apply_with(&world, &[PROFILE, VENDOR], &[&sakura(&["shikaku-1"], "")[..], &momiji].join("---")).await;
    record(&world, SLOT).await;
    live(&mut world, 119 * DAY, None).await;
    let to: Vec<_> = told(&world).await.into_iter().map(|notice| (notice.bulletin.tenant, notice.bulletin.clinic)).collect();
    assert_eq!(to, [("aozora".to_owned(), "sakura".to_owned())]);
}

#[tokio::test]
async fn an_application_whose_clinic_is_closed_is_told_the_next_open_morning_and_so_it_is_listed() {
    let mut world = world().await;
    // The first rung falls on Thursday, 13 May 2027.
    let mondays = "  hours:\n    timeZone: Asia/Tokyo\n    open: { mon: \"09:00-18:00\" }\n";
    apply_with(&world, &[PROFILE, VENDOR], &clinic("sakura", &["shikaku-1"], mondays)).await;
    record(&world, SLOT).await;
    let shown = applications::list(&world.ledger, &tenant(), None, world.now).await.unwrap().remove(0);
    live(&mut world, 125 * DAY, None).await;
    assert_eq!(told(&world).await.iter().map(|notice| Some(notice.at)).collect::<Vec<_>>(), [shown.next_notice]);
    assert_eq!(rungs(&world).await, ["60d x1 8:00"]);
}
