use expect_test::{Expect, expect};
use tegata_api::v1::fleet::{Documents, File};

use super::*;
use crate::policy;
use crate::pretend::{World, clinic, sakura, tenant};

fn check(found: &impl serde::Serialize, expected: Expect) {
    expected.assert_eq(&serde_json::to_string_pretty(found).unwrap());
}

#[tokio::test]
async fn people_see_what_is_there_and_what_is_missing() {
    let world = World::with(&[&sakura(&["pc-1", "pc-2"])]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let row = world.prove(&mut pc, "sakura/pc-1/karte").await;
    let (ledger, now) = (&world.ledger, world.now);

    let clinics = clinics(ledger, &tenant(), None, now).await.unwrap();
    let glance = &clinics[0];
    assert_eq!((clinics.len(), &glance.name[..], glance.devices, glance.enrolled), (1, "sakura", 2, 1));
    assert_eq!((glance.slots, glance.ready, glance.next_expiry), (2, 1, Some(row.not_after.unix())));

    let slots = slots(ledger, &tenant(), None, now).await.unwrap();
    let states: Vec<_> = slots.iter().map(|slot| (&slot.name[..], &slot.state[..], slot.serial.is_some())).collect();
    assert_eq!(states, [("sakura/pc-1/karte", "ready", true), ("sakura/pc-2/karte", "not-enrolled", false)]);

    let devices = devices(ledger, &tenant(), Some(&"sakura".parse().unwrap()), now).await.unwrap();
    let states: Vec<_> = devices.iter().map(|device| (&device.name[..], &device.state[..], device.ready, device.slots)).collect();
    assert_eq!(states, [("sakura/pc-1", "enrolled", 1, 1), ("sakura/pc-2", "not-enrolled", 0, 1)]);

    let certificates = certificates(ledger, &tenant(), None).await.unwrap();
    assert_eq!((certificates.len(), &certificates[0].state[..]), (1, "proven"));
    check(
        &actions(ledger, &tenant(), None, now).await.unwrap(),
        expect![[r#"
        [
          {
            "clinic": "sakura",
            "action": "hold",
            "object": "sakura/pc-2/karte",
            "because": "not-enrolled",
            "waitsFor": "enrolment"
          }
        ]"#]],
    );
}

#[tokio::test]
async fn a_device_in_full_shows_the_slots_of_every_clinic_it_opens() {
    let guests = "  guests:\n    - { clinic: momiji, device: note }\n";
    let world = World::with(&[&clinic("sakura", &[], guests), &clinic("momiji", &["note"], "")]).await;
    let pc = world.enrol("momiji/note").await;
    world.settle().await;
    let detail = device_detail(&world.ledger, &tenant(), &pc.device, world.now).await.unwrap().unwrap();
    let slots: Vec<_> = detail.slots.iter().map(|slot| (&slot.name[..], &slot.state[..])).collect();
    assert_eq!(slots, [("momiji/note/karte", "ordered"), ("sakura/note@momiji/karte", "ordered")]);
    assert_eq!((detail.device.slots, detail.generation), (2, Generation { newest: world.manifest(&pc).await.generation, accepted: 0 }));
    let nobody = "momiji/nobody".parse().unwrap();
    assert!(device_detail(&world.ledger, &tenant(), &nobody, world.now).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_in_force_can_be_applied_again() {
    let world = World::with(&[&sakura(&["pc-1"]), &clinic("momiji", &["note"], "")]).await;
    world.apply(&[&sakura(&["pc-1", "pc-2"]), &clinic("momiji", &["note"], "")]).await.unwrap();
    let found = documents(&world.ledger, &tenant()).await.unwrap();
    let told: Vec<_> = found.iter().map(|found| (&found.kind[..], &found.name[..], found.revision)).collect();
    let expected =
        [("CertificateProfile", "karte", 1), ("ClinicNetwork", "momiji", 1), ("ClinicNetwork", "sakura", 2), ("Issuer", "portal", 1)];
    assert_eq!(told, expected);
    assert!(found.iter().all(|found| found.author == "person:test" && found.applied_at == world.now.unix()));
    // JSON is YAML.
    let files = found.iter().map(|found| File { name: found.name.clone(), text: found.document.to_string() }).collect();
    let again = policy::preview(&world.ledger, &tenant(), &Documents { files, prune: true }, world.now).await.unwrap();
    assert!(again.documents.is_empty(), "{again:?}");
}
