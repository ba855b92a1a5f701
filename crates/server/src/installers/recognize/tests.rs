//! Files that nobody has put on record, and that a certificate in them gives away.

use tegata_api::v1::device::{Deed, Inside};
use tegata_api::v1::fleet::{HeldKey, Installer, InstallerState, RecordInstaller};
use tegata_core::name::OrderId;
use tegata_pki::authority::new_serial;
use tegata_pki::key::sha256;

use super::*;
use crate::pretend::{Pc, World, clinic, installed, proven, tenant};
use crate::store::{CertificateRow, Draft, Issued, OrderState};
use crate::{asks, fleet, installers, reports};

const SLOT: &str = "sakura/pc-1/karte";

fn file() -> FileHash {
    FileHash { sha256: "ab".repeat(32), size: 3_000 }
}

fn policy(name: &str, devices: &[&str], more: &str) -> String {
    clinic(name, devices, &format!("  installers: {{ remove: after-proof, folders: [downloads]{more} }}\n"))
}

/// What an agent tells of a file in which these certificates have their keys.
fn holding(certificates: &[Sha256]) -> Option<Inside> {
    let keys = u32::try_from(certificates.len()).unwrap();
    Some(Inside { keys, certificates: certificates.iter().map(ToString::to_string).collect(), whole: true })
}

async fn sees(world: &World, pc: &Pc, inside: Option<Inside>) {
    let installers = vec![InstallerSeen { path: "~/Downloads/a.p12".into(), file: file(), inside, quarantined: false }];
    reports_of(world, pc, installers).await;
}

async fn reports_of(world: &World, pc: &Pc, installers: Vec<InstallerSeen>) {
    let report = Report { clock: world.now.unix(), installers, ..Report::default() };
    reports::report(&world.ledger, &world.bells, &world.row(pc).await, report, world.now).await.unwrap();
    world.settle().await;
}

async fn listed(world: &World) -> Vec<Installer> {
    installers::list(&world.ledger, &tenant(), None, world.now).await.unwrap()
}

async fn state(world: &World) -> InstallerState {
    let [only] = <[Installer; 1]>::try_from(listed(world).await).unwrap();
    only.state
}

async fn actions(world: &World) -> Vec<String> {
    let actions = fleet::actions(&world.ledger, &tenant(), None, world.now).await.unwrap();
    actions.iter().map(|action| format!("{} {}", action.action, action.because)).collect()
}

/// A clinic of one PC, whose certificate is proven.
async fn settled() -> (World, Pc, CertificateRow) {
    let world = World::with(&[&policy("sakura", &["pc-1"], "")]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let row = world.prove(&mut pc, SLOT).await;
    (world, pc, row)
}

#[tokio::test]
async fn a_file_with_the_key_of_a_certificate_on_record_is_recognised_once_removed_and_known_when_it_comes_back() {
    let (world, mut pc, row) = settled().await;
    for _ in 0..3 {
        sees(&world, &pc, holding(&[row.fingerprint])).await;
    }
    assert_eq!(world.manifest(&pc).await.remove_installers, [file()]);
    let [told] = <[Installer; 1]>::try_from(listed(&world).await).unwrap();
    assert_eq!(told.state, InstallerState::Removing);
    assert_eq!(told.certificates, [HeldKey { fingerprint: row.fingerprint.to_string(), slots: vec![SLOT.into()] }]);
    let records = world.ledger.store().audit(&tenant(), 0, 10_000).await.unwrap();
    let recognized: Vec<_> = records.iter().filter(|record| record.action == "installer.recognize").collect();
    assert_eq!(recognized.len(), 1, "once, however often it is reported");
    assert_eq!((&*recognized[0].actor, &*recognized[0].object), ("device:sakura/pc-1", "sakura/pc-1"));
    assert_eq!(recognized[0].details["certificates"], json!([row.fingerprint.to_string()]));

    world.tell(&mut pc, vec![Deed::InstallerRemoved { path: "~/Downloads/a.p12".into(), file: file(), generation: 2 }]).await;
    reports_of(&world, &pc, vec![]).await;
    assert_eq!(state(&world).await, InstallerState::Removed);
    let manifest = world.manifest(&pc).await;
    assert_eq!((manifest.remove_installers, manifest.tombstones), (vec![], vec![file()]), "the device goes on looking for it");
    sees(&world, &pc, None).await;
    assert_eq!(state(&world).await, InstallerState::Removing, "it is known now, and goes again");
    assert_eq!(world.logged("seen installer.returned sakura/pc-1").await, 1);
    assert!(actions(&world).await.is_empty());
}

#[tokio::test]
async fn it_waits_for_the_proof_of_that_very_certificate() {
    let world = World::with(&[&policy("sakura", &["pc-1"], "")]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let row = world.issue(SLOT).await;
    sees(&world, &pc, holding(&[row.fingerprint])).await;
    assert_eq!(state(&world).await, InstallerState::Recognized);
    assert_eq!(actions(&world).await, ["keep-installer not-safe", "hold not-installed"]);
    world.tell(&mut pc, vec![installed(&row), proven(&row)]).await;
    world.settle().await;
    assert_eq!(world.manifest(&pc).await.remove_installers, [file()]);
}

#[tokio::test]
async fn what_is_newer_than_the_slot_is_not_on_record_and_stays_and_what_was_replaced_goes() {
    let (mut world, mut pc, old) = settled().await;
    sees(&world, &pc, holding(&[sha256(b"what the vendor made yesterday, and nobody has brought yet")])).await;
    assert_eq!((state(&world).await, actions(&world).await), (InstallerState::Unknown, vec![]));
    world.pass(80 * tegata_core::time::DAY);
    reports_of(&world, &pc, vec![]).await;
    let newer = world.issue(SLOT).await;
    sees(&world, &pc, holding(&[newer.fingerprint])).await;
    assert_eq!(state(&world).await, InstallerState::Recognized, "its slot has not proven it yet");
    assert!(world.manifest(&pc).await.remove_installers.is_empty());
    reports_of(&world, &pc, vec![]).await;
    world.tell(&mut pc, vec![installed(&newer), proven(&newer), crate::pretend::retired(&old)]).await;
    world.settle().await;
    let other = FileHash { sha256: "cd".repeat(32), size: 3_000 };
    let seen = InstallerSeen { path: "~/b.p12".into(), file: other.clone(), inside: holding(&[old.fingerprint]), quarantined: false };
    reports_of(&world, &pc, vec![seen]).await;
    assert_eq!(world.manifest(&pc).await.remove_installers, [other]);
}

/// Another tenant's certificate, as the issuing door would keep it.
async fn of_another_tenant(world: &World, like: &CertificateRow) -> Sha256 {
    let mut order = world.ledger.store().order(&like.order).await.unwrap().unwrap();
    (order.tenant, order.id, order.state, order.draft) = ("midori".parse().unwrap(), OrderId([9; 16]), OrderState::Open, None);
    let (serial, id) = (new_serial(), order.id);
    let der = b"another tenant's certificate".to_vec();
    let fingerprint = sha256(&der);
    let draft = Draft { serial, public_key: fingerprint, tbs: der.clone(), shard: 1 };
    let issued = Issued { order: id, serial, der, fingerprint, not_before: like.not_before, not_after: like.not_after, at: world.now };
    world.note(vec![Change::OpenOrder(order), Change::PutDraft { id, draft }, Change::Fulfil(issued)]).await;
    fingerprint
}

#[tokio::test]
async fn another_tenants_certificate_says_nothing() {
    let (world, pc, row) = settled().await;
    let theirs = of_another_tenant(&world, &row).await;
    sees(&world, &pc, holding(&[theirs])).await;
    assert_eq!((state(&world).await, world.logged("seen installer.recognize").await), (InstallerState::Unknown, 0));
    sees(&world, &pc, holding(&[row.fingerprint, theirs])).await;
    assert_eq!(state(&world).await, InstallerState::Unknown, "nor beside one of ours: its key would be lost");
    assert!(world.manifest(&pc).await.remove_installers.is_empty());
}

#[tokio::test]
async fn another_clinics_certificate_is_told_and_its_file_stays() {
    let clinics = [policy("sakura", &["pc-1"], ""), policy("momiji", &["pc-9"], "")];
    let world = World::with(&[&clinics[0], &clinics[1]]).await;
    let (mut pc, mut other) = (world.enrol("sakura/pc-1").await, world.enrol("momiji/pc-9").await);
    world.settle().await;
    world.prove(&mut pc, SLOT).await;
    let theirs = world.prove(&mut other, "momiji/pc-9/karte").await;
    sees(&world, &pc, holding(&[theirs.fingerprint])).await;
    let [told] = <[Installer; 1]>::try_from(listed(&world).await).unwrap();
    assert_eq!((told.state, &*told.device), (InstallerState::OtherClinic, "sakura/pc-1"));
    assert_eq!(told.certificates, [HeldKey { fingerprint: theirs.fingerprint.to_string(), slots: vec![] }], "nor where they have it");
    assert_eq!(actions(&world).await, ["keep-installer other-clinic"]);
    assert!(world.manifest(&pc).await.remove_installers.is_empty());
    assert_eq!(world.logged("seen installer.recognize sakura/pc-1").await, 1);
}

#[tokio::test]
async fn what_is_not_known_whole_is_not_known() {
    let (world, pc, row) = settled().await;
    let whole = holding(&[row.fingerprint]).unwrap();
    let stranger = sha256(b"a stranger").to_string();
    let odd = [
        Inside { whole: false, ..whole.clone() },
        Inside { keys: 0, ..whole.clone() },
        Inside { certificates: vec![], ..whole.clone() },
        Inside { certificates: vec!["no hash".into()], ..whole.clone() },
        Inside { keys: 2, certificates: vec![row.fingerprint.to_string(), stranger], ..whole.clone() },
        Inside { certificates: (0..=KEYS_MAX).map(|number| sha256(&number.to_be_bytes()).to_string()).collect(), ..whole.clone() },
    ];
    for inside in odd {
        sees(&world, &pc, Some(inside.clone())).await;
        assert_eq!(state(&world).await, InstallerState::Unknown, "{inside:?}");
    }
    sees(&world, &pc, Some(whole)).await;
    assert_eq!(state(&world).await, InstallerState::Removing);
}

#[tokio::test]
async fn what_a_device_says_of_a_file_counts_on_that_device_alone() {
    let world = World::with(&[&policy("sakura", &["pc-1", "pc-2"], "")]).await;
    let (mut pc, mut liar) = (world.enrol("sakura/pc-1").await, world.enrol("sakura/pc-2").await);
    world.settle().await;
    world.prove(&mut pc, SLOT).await;
    let row = world.prove(&mut liar, "sakura/pc-2/karte").await;
    sees(&world, &liar, holding(&[row.fingerprint])).await;
    sees(&world, &pc, None).await;
    assert_eq!(world.manifest(&liar).await.remove_installers, [file()]);
    assert!(world.manifest(&pc).await.remove_installers.is_empty(), "a file of that hash may be anything there");
    let states: Vec<_> = listed(&world).await.into_iter().map(|row| (row.device, row.state)).collect();
    let told = [("sakura/pc-1".to_owned(), InstallerState::Unknown), ("sakura/pc-2".to_owned(), InstallerState::Removing)];
    assert_eq!(states, told);
}

#[tokio::test]
async fn what_is_on_record_by_its_hash_needs_no_other_sign() {
    let (world, pc, row) = settled().await;
    let known = RecordInstaller { file: file(), name: "a.p12".into() };
    asks::record_installer(&world.ledger, &world.bells, &tenant(), &known, "person:test", world.now).await.unwrap();
    sees(&world, &pc, holding(&[row.fingerprint])).await;
    assert_eq!(world.logged("seen installer.recognize").await, 0);
    assert_eq!(world.manifest(&pc).await.remove_installers, [file()]);
}

#[tokio::test]
async fn where_policy_says_so_the_certificate_is_replaced_whose_file_comes_back() {
    let (world, mut pc, row) = settled().await;
    world.apply(&[&policy("sakura", &["pc-1"], ", onReturn: rotate")]).await.unwrap();
    sees(&world, &pc, holding(&[row.fingerprint])).await;
    world.tell(&mut pc, vec![Deed::InstallerRemoved { path: "~/Downloads/a.p12".into(), file: file(), generation: 2 }]).await;
    reports_of(&world, &pc, vec![]).await;
    assert!(actions(&world).await.is_empty());
    sees(&world, &pc, None).await;
    assert_eq!(world.order(SLOT).await.because, tegata_core::plan::Reason::Exposed);
}
