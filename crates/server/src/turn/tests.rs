use std::time::Duration;

use tegata_api::v1::device::{Deed, FileHash, InstallerSeen, Manifest, Report};
use tegata_api::v1::fleet::{RecordInstaller, RevokeRequest};
use tegata_core::name::ClinicId;
use tegata_core::time::DAY;

use super::*;
use crate::pretend::{Pc, World, clinic, device, installed, proven, retired, sakura, tenant};
use crate::store::OrderState;
use crate::{asks, fleet, reports};

const SLOT: &str = "sakura/pc-1/karte";

/// A world in which one PC has one certificate, proven.
async fn settled() -> (World, Pc, crate::store::CertificateRow) {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let row = world.prove(&mut pc, SLOT).await;
    (world, pc, row)
}

fn sakura_id() -> ClinicId {
    ClinicId { tenant: tenant(), clinic: "sakura".parse().unwrap() }
}

async fn actions(world: &World) -> Vec<String> {
    let actions = fleet::actions(&world.ledger, &tenant(), None, world.now).await.unwrap();
    let waits = |action: &tegata_api::v1::fleet::Action| action.waits_for.clone().map(|waits| format!(" ({waits})")).unwrap_or_default();
    actions.iter().map(|action| format!("{} {} {}{}", action.action, action.object, action.because, waits(action))).collect()
}

#[tokio::test]
async fn a_first_certificate_from_policy_to_silence() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    world.settle().await;
    assert_eq!(actions(&world).await, [format!("hold {SLOT} not-enrolled (enrolment)")]);
    let before = world.log().await.len();
    assert_eq!(world.logged("intended").await, 0, "a hold is silence");

    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let told = world.manifest(&pc).await;
    let order = world.order(SLOT).await;
    assert_eq!((told.generation, &told.device[..], told.slots.len()), (1, "sakura/pc-1", 1));
    let slot = &told.slots[0];
    assert_eq!((slot.order.clone(), &slot.key[..], &slot.stores[..]), (Some(order.id.to_string()), "ecdsa-p256", &["file".to_owned()][..]));
    assert_eq!(slot.select[0].pattern, "https://sakura.karte.example.jp");
    assert_eq!((&slot.select[0].issuer_common_name[..], &slot.select[0].subject_organization[..]), ("Aozora CA", "sakura"));
    assert_eq!(world.log().await[before..], [format!("intended order.open {SLOT}"), "done manifest.raise sakura/pc-1".into()]);

    let row = world.issue(SLOT).await;
    world.tell(&mut pc, vec![installed(&row)]).await;
    world.settle().await;
    assert_eq!(actions(&world).await, [format!("hold {SLOT} not-proven (device)")]);
    world.tell(&mut pc, vec![proven(&row)]).await;
    world.settle().await;
    assert!(actions(&world).await.is_empty(), "silence is success");
    assert_eq!(world.manifest(&pc).await.generation, 1, "the device is not told again what it knows");
    let seen = [format!("seen certificate.installed {SLOT}"), format!("seen certificate.proven {SLOT}")];
    assert_eq!(world.log().await[before + 2..], seen);
}

#[tokio::test]
async fn i3_a_turn_that_is_taken_again_changes_nothing() {
    let (world, pc, _) = settled().await;
    let (manifest, log) = (world.manifest(&pc).await, world.log().await);
    for _ in 0..3 {
        let plan = turn(&world.ledger, &world.bells, &sakura_id(), world.now).await.unwrap();
        assert!(plan.actions.is_empty());
    }
    assert_eq!((world.manifest(&pc).await, world.log().await), (manifest, log));
}

#[tokio::test]
async fn i1_the_bell_rings_only_when_the_record_and_the_manifest_are_durable() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let pc = world.enrol("sakura/pc-1").await;
    let mut listener = world.bells.listen_device(&tenant(), &device("sakura/pc-1"));
    let listening = async {
        listener.heard().await;
        (world.manifest(&pc).await.generation, world.logged("intended order.open").await)
    };
    let ((generation, announced), ()) = tokio::join!(listening, world.settle());
    assert_eq!((generation, announced), (1, 1));
}

#[tokio::test]
async fn i1_a_crash_between_announcing_and_carrying_out_heals_by_itself() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let pc = world.enrol("sakura/pc-1").await;
    let policy = world.ledger.policy(&tenant()).await.unwrap();
    let scene = observe::read(world.ledger.store(), &policy, &sakura_id(), world.now).await.unwrap();
    let plan = tegata_core::plan::plan(&scene.desired, &scene.observed, world.now);
    let decided = announce::announce(&world.ledger, &sakura_id(), &scene, &plan, world.now).await.unwrap();
    assert_eq!(decided.get().len(), 1);
    drop(decided);

    let world = world.restart().await;
    assert_eq!(world.manifest(&pc).await.generation, 0, "nothing was carried out yet");
    world.settle().await;
    let order = world.order(SLOT).await;
    assert_eq!(world.manifest(&pc).await.slots[0].order, Some(order.id.to_string()));
    assert_eq!(world.logged("intended order.open").await, 1, "and it is not decided twice");
}

/// A clinic whose certificates a vendor issues.
const OF_A_VENDOR: &str = "
apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: { name: orca }
spec: { type: vendor }
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: { name: weborca }
spec:
  issuer: orca
  key: { origin: vendor }
  expect: { issuer: { CN: ORCA }, validity: 3y, subject: vendor-tenant }
  renewal: { window: 90d }
  install: { stores: [file] }
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: { name: sakura }
spec:
  displayName: sakura
  facilitySlug: sakura
  vendorTenant: u00000126
  devices: [{ name: pc-1, platform: linux }]
  certificates: [{ profile: weborca }]
";

/// Whoever brings a file while the turn reads has closed the order that the turn is about to open.
#[tokio::test]
async fn what_is_brought_while_a_turn_thinks_is_not_ordered_once_more() {
    let world = World::with(&[OF_A_VENDOR]).await;
    world.enrol("sakura/pc-1").await;
    let policy = world.ledger.policy(&tenant()).await.unwrap();
    let scene = observe::read(world.ledger.store(), &policy, &sakura_id(), world.now).await.unwrap();
    let plan = tegata_core::plan::plan(&scene.desired, &scene.observed, world.now);
    let brought = Change::Nudge { clinic: sakura_id(), at: world.now };
    world.ledger.note(Batch { records: vec![], changes: vec![brought] }).await.unwrap();
    let outcome = announce::announce(&world.ledger, &sakura_id(), &scene, &plan, world.now).await.map(|decided| decided.get().len());
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
    world.settle().await;
    assert_eq!(world.logged("intended order.open").await, 1, "the next turn reads what is there now");
}

fn why(note: &str) -> RevokeRequest {
    RevokeRequest { note: note.into(), ..RevokeRequest::default() }
}

#[tokio::test]
async fn what_is_revoked_goes_and_is_replaced() {
    let (world, mut pc, old) = settled().await;
    asks::revoke_certificate(&world.ledger, &world.bells, &tenant(), &old.serial, &why("lost"), "person:test", world.now).await.unwrap();
    world.settle().await;
    let told = world.manifest(&pc).await;
    assert_eq!(told.retire, [old.fingerprint.to_string()]);
    assert_eq!(told.slots[0].order, Some(world.order(SLOT).await.id.to_string()));
    for stage in ["intended", "done"] {
        assert_eq!(world.logged(&format!("{stage} certificate.revoke {SLOT}")).await, 1, "{stage}");
    }
    assert_eq!(world.logged(&format!("intended certificate.retire {SLOT}")).await, 1);
    assert_eq!(world.logged("done certificate.retire sakura/pc-1").await, 1);

    world.tell(&mut pc, vec![retired(&old)]).await;
    world.prove(&mut pc, SLOT).await;
    assert!(actions(&world).await.is_empty());
    assert!(world.manifest(&pc).await.retire.is_empty());
    asks::revoke_certificate(&world.ledger, &world.bells, &tenant(), &old.serial, &why("again"), "person:test", world.now).await.unwrap();
    assert_eq!(world.logged("done certificate.revoke").await, 1, "twice is once");
}

#[tokio::test]
async fn a_certificate_is_renewed_in_its_window_and_the_old_one_stays_until_the_proof() {
    let (mut world, mut pc, old) = settled().await;
    let wake_at = world.ledger.store().next_wake().await.unwrap().expect("renewal will fall due");
    assert!(wake_at >= old.not_after.before(30 * DAY), "not before its window");
    world.now = wake_at;
    world.note(vec![Change::Heard { tenant: tenant(), device: pc.device.clone(), at: world.now }]).await;
    world.settle().await;
    let order = world.order(SLOT).await;
    assert_eq!(order.replaces, [old.serial]);
    let told = world.manifest(&pc).await;
    assert_eq!((&told.slots[0].replaces, told.retire.len()), (&vec![old.fingerprint.to_string()], 0));

    world.prove(&mut pc, SLOT).await;
    assert!(actions(&world).await.is_empty());
    let old = world.ledger.store().certificate(&old.serial).await.unwrap().unwrap();
    assert!(old.retired_at.is_some() && old.revoked_at.is_none());
}

#[tokio::test]
async fn a_device_that_leaves_policy_loses_its_certificate() {
    let (world, mut pc, old) = settled().await;
    world.apply_allowing(&[&sakura(&[])], 1).await.unwrap();
    world.settle().await;
    let told = world.manifest(&pc).await;
    assert_eq!((told.slots.len(), &told.retire[..]), (0, &[old.fingerprint.to_string()][..]));
    assert!(world.ledger.store().certificate(&old.serial).await.unwrap().unwrap().revoked_at.is_some());
    world.tell(&mut pc, vec![retired(&old)]).await;
    world.settle().await;
    assert!(actions(&world).await.is_empty() && world.manifest(&pc).await.retire.is_empty());
}

#[tokio::test]
async fn an_order_that_policy_no_longer_wants_is_taken_back() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let order = world.order(SLOT).await;
    world.apply(&[&sakura(&[])]).await.unwrap();
    world.settle().await;
    let state = world.ledger.store().order(&order.id).await.unwrap().unwrap().state;
    assert_eq!((state, world.logged("done order.cancel").await), (OrderState::Cancelled, 1));
    assert!(world.manifest(&pc).await.slots.is_empty());
}

#[tokio::test]
async fn an_order_that_says_something_else_than_policy_is_made_anew_at_once() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let old = world.order(SLOT).await;
    world.apply(&[&sakura(&["pc-1"]).replace("facilitySlug: sakura", "facilitySlug: sakura2")]).await.unwrap();
    world.settle().await;
    let new = world.order(SLOT).await;
    assert!(new.id != old.id && new.template.organization == "sakura2");
    assert_eq!(world.manifest(&pc).await.slots[0].order, Some(new.id.to_string()));
}

#[tokio::test]
async fn an_order_whose_certificate_has_left_the_device_is_not_told_again() {
    let (world, mut pc, old) = settled().await;
    world.apply_allowing(&[&sakura(&[])], 1).await.unwrap();
    world.settle().await;
    world.tell(&mut pc, vec![retired(&old)]).await;
    let wrong_clock = Report { clock: world.now.unix() + 9_000, ..Report::default() };
    reports::report(&world.ledger, &world.bells, &world.row(&pc).await, wrong_clock, world.now).await.unwrap();
    world.apply(&[&sakura(&["pc-1"])]).await.unwrap();
    world.settle().await;
    assert_eq!(actions(&world).await, [format!("hold {SLOT} missing (wrong-clock)")]);
    assert_eq!(world.manifest(&pc).await.slots[0].order, None, "it would make the key again and be refused");
}

#[tokio::test]
async fn a_guest_device_is_told_of_all_its_clinics() {
    let guests = "  guests:\n    - { clinic: momiji, device: note }\n";
    let (host, home) = (clinic("sakura", &[], guests), clinic("momiji", &["note"], ""));
    let world = World::with(&[&host, &home]).await;
    let mut pc = world.enrol("momiji/note").await;
    world.settle().await;
    let slots = |told: &tegata_api::v1::device::Manifest| told.slots.iter().map(|slot| slot.slot.clone()).collect::<Vec<_>>();
    let both = ["momiji/note/karte", "sakura/note@momiji/karte"];
    assert_eq!(slots(&world.manifest(&pc).await), both);
    for slot in both {
        world.prove(&mut pc, slot).await;
    }
    assert!(actions(&world).await.is_empty());

    // What one clinic takes away is not forgotten when the other one has its turn.
    world.apply_allowing(&[&clinic("sakura", &[], ""), &home], 1).await.unwrap();
    world.settle().await;
    let told = world.manifest(&pc).await;
    assert_eq!((slots(&told), told.retire.len()), (vec![both[0].to_owned()], 1));
    let momiji = ClinicId { tenant: tenant(), clinic: "momiji".parse().unwrap() };
    turn(&world.ledger, &world.bells, &momiji, world.now).await.unwrap();
    assert_eq!(world.manifest(&pc).await, told);
}

#[tokio::test]
async fn a_device_is_told_which_roots_its_profiles_pin_and_each_move_is_on_record() {
    let profile = |more: &str| crate::pretend::PROFILE.replace("name: karte", "name: site") + more;
    let network = sakura(&["pc-1"]).replace("profile: karte", "profile: site");
    let pin = "ab".repeat(32);
    let world = World::with(&[&network, &profile(&format!("  trust: [\"{pin}\"]\n"))]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let pins = |told: Manifest| told.trust.into_iter().map(|root| (root.sha256, root.der)).collect::<Vec<_>>();
    assert_eq!(pins(world.manifest(&pc).await), [(pin.clone(), None)]);
    world.tell(&mut pc, vec![Deed::RootTrusted { fingerprint: pin.clone() }]).await;
    world.apply(&[&network, &profile("")]).await.unwrap();
    world.settle().await;
    assert!(pins(world.manifest(&pc).await).is_empty());
    world.tell(&mut pc, vec![Deed::RootDistrusted { fingerprint: pin }]).await;
    for said in ["done root.trust ", "seen root.trusted ", "done root.distrust ", "seen root.distrusted "] {
        assert_eq!(world.logged(said).await, 1, "{said}: {:#?}", world.log().await);
    }
}

#[tokio::test]
async fn installers_go_once_everything_is_proven() {
    let rule = "  installers: { remove: after-proof, folders: [downloads] }\n";
    let world = World::with(&[&clinic("sakura", &["pc-1"], rule)]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    let file = FileHash { sha256: "ab".repeat(32), size: 3 };
    let installers = vec![InstallerSeen { path: "~/Downloads/a.p12".into(), file: file.clone(), inside: None, quarantined: false }];
    let report = Report { clock: world.now.unix(), installers, ..Report::default() };
    reports::report(&world.ledger, &world.bells, &world.row(&pc).await, report, world.now).await.unwrap();
    let known = RecordInstaller { file: file.clone(), name: "a.p12".into() };
    asks::record_installer(&world.ledger, &world.bells, &tenant(), &known, "person:test", world.now).await.unwrap();
    world.settle().await;
    let told = world.manifest(&pc).await;
    assert_eq!((told.remove_installers.len(), &told.folders[..]), (0, &["downloads".to_owned()][..]), "not before the proof");

    world.prove(&mut pc, SLOT).await;
    assert_eq!(world.manifest(&pc).await.remove_installers, std::slice::from_ref(&file));
    assert_eq!(world.logged("done installer.remove sakura/pc-1").await, 1);
    world.tell(&mut pc, vec![Deed::InstallerRemoved { path: "~/Downloads/a.p12".into(), file, generation: 1 }]).await;
    world.settle().await;
    assert!(world.manifest(&pc).await.remove_installers.is_empty() && actions(&world).await.is_empty());
}

#[tokio::test]
async fn a_device_that_enrols_with_another_key_gets_new_certificates() {
    let (world, _, old) = settled().await;
    let mut again = world.enrol("sakura/pc-1").await;
    world.settle().await;
    assert_eq!(world.order(SLOT).await.replaces, [old.serial]);
    assert_eq!(world.manifest(&again).await.generation, 2, "a generation never goes back");
    world.prove(&mut again, SLOT).await;
    assert!(actions(&world).await.is_empty());
}

#[tokio::test]
async fn a_device_whose_identity_was_revoked_is_told_nothing_and_its_certificates_are_revoked() {
    let (world, pc, old) = settled().await;
    let mut listener = world.bells.listen_device(&tenant(), &pc.device);
    asks::revoke_device(&world.ledger, &world.bells, &tenant(), &pc.device, "person:test", world.now).await.unwrap();
    listener.heard().await;
    world.settle().await;
    assert!(world.ledger.store().certificate(&old.serial).await.unwrap().unwrap().revoked_at.is_some());
    assert_eq!(world.manifest(&pc).await.generation, 1);
}

#[tokio::test]
async fn the_loop_takes_turns_when_it_is_rung_and_ends_when_it_is_told() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let pc = world.enrol("sakura/pc-1").await;
    let mut listener = world.bells.listen_device(&tenant(), &pc.device);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(world.ledger.clone(), world.bells.clone(), Clock::fixed(world.now), shutdown.clone()));
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, listener.heard()).await.expect("what is due at the start is done");
    asks::revoke_device(&world.ledger, &world.bells, &tenant(), &pc.device, "person:test", world.now).await.unwrap();
    while !world.ledger.store().due(world.now, 1).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    tokio::time::timeout(patience, running).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn documents_that_are_applied_while_a_turn_reads_are_not_slept_over() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    world.settle().await;
    let old = world.ledger.policy(&tenant()).await.unwrap();
    // The turn has the old policy in hand; its snapshot is going to hold the nudge of the new one.
    world.apply(&[&sakura(&["pc-1", "pc-2"])]).await.unwrap();
    let outcome = turn_by(old, &world.ledger, &world.bells, &sakura_id(), world.now).await;
    assert!(matches!(outcome, Err(TurnError::Store(StoreError::Conflict(_)))), "{outcome:?}");
    assert_eq!(world.ledger.store().due(world.now, 10).await.unwrap(), [sakura_id()]);
}
