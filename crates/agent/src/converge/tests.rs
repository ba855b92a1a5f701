//! Orders led through a PC: as they should go, as they can fail, and with the plug pulled between any two effects.

use std::panic::AssertUnwindSafe;

use tegata_api::v1::device::{self as wire, BrowserRule, Deed, SignedReceipt};
use tegata_core::name::OrderId;

use super::*;
use crate::crash::{self, Unplugged};
use crate::keystore::{Keystore, KeystoreError, Pair};
use crate::limit::REMOVALS_MAX;
use crate::pretend::World;
use tokio::time::Duration;

mod born;
mod clinics;
mod sources;

const SLOT: &str = "sakura/uketsuke-1/karte";

fn order(number: u8) -> OrderId {
    OrderId([number; 16])
}

fn rule(pattern: &str) -> BrowserRule {
    BrowserRule {
        pattern: pattern.into(),
        issuer_common_name: "Sakura Issuing CA".into(),
        subject_organization: "sakura".into(),
        subject_common_name: None,
    }
}

fn slot(order: Option<OrderId>, replaces: &[Sha256]) -> wire::SlotManifest {
    wire::SlotManifest {
        backup: vec![],
        quorum: None,
        source: wire::Source::Request,
        slot: SLOT.into(),
        order: order.map(|order| order.to_string()),
        key: "ecdsa-p256".into(),
        label: "受付1番".into(),
        stores: vec!["browser".into(), "file".into()],
        select: vec![rule("https://karte.example.jp")],
        probe: Some("https://karte.example.jp/".into()),
        replaces: replaces.iter().map(Sha256::to_string).collect(),
    }
}

fn manifest(slots: Vec<wire::SlotManifest>) -> Manifest {
    Manifest::try_from(&wire::Manifest { generation: 1, device: "sakura/uketsuke-1".into(), slots, ..Default::default() }).unwrap()
}

async fn pass(world: &World, manifest: &Manifest) -> Outcome {
    world.parts().converge(manifest, &mut Retries::default()).await
}

fn stage(world: &World) -> Stage {
    world.parts().journal.entry(&SLOT.parse().unwrap()).unwrap().stage
}

fn trouble(world: &World) -> String {
    world.parts().journal.entry(&SLOT.parse().unwrap()).unwrap().report().trouble.unwrap_or_default()
}

fn trouble_ja(world: &World) -> String {
    world.parts().journal.entry(&SLOT.parse().unwrap()).unwrap().report().trouble_ja.unwrap_or_default()
}

fn is_misplaced(world: &World) -> bool {
    world.parts().journal.entry(&SLOT.parse().unwrap()).unwrap().misplaced
}

async fn held(world: &World) -> BTreeSet<Sha256> {
    world.parts().keystores.file.list().await.unwrap()
}

/// What programs that read files get.
fn current(world: &World) -> Option<Sha256> {
    disk::pointed_at(&world.state.store().join(SLOT).join("current")).unwrap()?.parse().ok()
}

async fn deeds(world: &World) -> Vec<Deed> {
    world.receipts().send(&*world.server).await.unwrap();
    world.server.deeds(&world.identity.key)
}

fn kinds(deeds: &[Deed]) -> Vec<&'static str> {
    deeds
        .iter()
        .map(|deed| match deed {
            Deed::Installed { .. } => "installed",
            Deed::Proven { .. } => "proven",
            Deed::Retired { .. } => "retired",
            Deed::InstallerRemoved { .. } | Deed::InstallerQuarantined { .. } | Deed::InstallerRestored { .. } => "installer",
            Deed::RootTrusted { .. } | Deed::RootDistrusted { .. } => "root",
            Deed::LogContradicted { .. } => "log",
        })
        .collect()
}

/// A PC with one settled certificate.
async fn settled() -> (World, Sha256) {
    let world = World::new();
    pass(&world, &manifest(vec![slot(Some(order(1)), &[])])).await;
    assert_eq!((stage(&world), trouble(&world).as_str()), (Stage::Settled, ""));
    let fingerprint = world.server.issued(order(1)).unwrap();
    (world, fingerprint)
}

#[tokio::test]
async fn an_order_goes_all_the_way_in_one_pass() {
    let (world, fingerprint) = settled().await;
    assert_eq!(held(&world).await, [fingerprint].into());
    assert_eq!(*world.site.accepted.borrow(), [fingerprint]);
    assert_eq!(kinds(&deeds(&world).await), ["installed", "proven"]);
    assert_eq!(*world.browser.rules.borrow(), [rule("https://karte.example.jp")].into());
    assert!(disk::entries(&world.state.staged()).unwrap().is_empty(), "the only copy of the key is in the store");
}

#[tokio::test]
async fn what_is_settled_is_left_alone() {
    let (world, _) = settled().await;
    let before = world.server.asked();
    pass(&world, &manifest(vec![slot(Some(order(1)), &[])])).await;
    assert_eq!((world.server.asked(), kinds(&deeds(&world).await).len()), (before, 2));
}

#[tokio::test]
async fn the_old_certificate_goes_only_after_the_new_one_has_answered() {
    let (world, old) = settled().await;
    world.site.refuses.set(400);
    let renewal = manifest(vec![slot(Some(order(2)), &[old])]);
    pass(&world, &renewal).await;
    let new = world.server.issued(order(2)).unwrap();
    assert_eq!(stage(&world), Stage::Installed);
    assert_eq!(held(&world).await, [old, new].into());
    assert_eq!(current(&world), Some(old), "programs do not get what the site refuses");
    assert!(trouble(&world).contains("answered with status 400"), "{}", trouble(&world));
    world.site.refuses.set(0);
    pass(&world, &renewal).await;
    assert_eq!((stage(&world), trouble(&world).as_str()), (Stage::Settled, ""));
    assert_eq!((held(&world).await, current(&world)), ([new].into(), Some(new)));
    assert_eq!(kinds(&deeds(&world).await), ["installed", "proven", "installed", "proven", "retired"]);
}

#[tokio::test]
async fn programs_get_what_is_proven_even_if_nothing_is_removed() {
    let (world, old) = settled().await;
    assert_eq!(current(&world), Some(old));
    pass(&world, &manifest(vec![slot(Some(order(2)), &[])])).await;
    let new = world.server.issued(order(2)).unwrap();
    assert_eq!((held(&world).await, current(&world)), ([old, new].into(), Some(new)));
}

#[tokio::test]
async fn the_browser_keeps_the_old_rules_until_the_new_certificate_is_proven() {
    let (world, old) = settled().await;
    let mut renewed = slot(Some(order(2)), &[old]);
    renewed.select = vec![rule("https://new.example.jp")];
    let renewal = manifest(vec![renewed]);
    world.site.refuses.set(503);
    pass(&world, &renewal).await;
    let both: BTreeSet<_> = [rule("https://karte.example.jp"), rule("https://new.example.jp")].into();
    assert_eq!(*world.browser.rules.borrow(), both);
    world.site.refuses.set(0);
    pass(&world, &renewal).await;
    assert_eq!(*world.browser.rules.borrow(), [rule("https://new.example.jp")].into());
}

#[tokio::test]
async fn a_browser_that_cannot_be_told_is_reported_and_stops_nothing() {
    let world = World::new();
    world.browser.is_closed.set(true);
    pass(&world, &manifest(vec![slot(Some(order(1)), &[])])).await;
    let old = world.server.issued(order(1)).unwrap();
    let (mut parts, mut retries) = (world.parts(), Retries::default());
    let renewal = manifest(vec![slot(Some(order(2)), &[old])]);
    parts.converge(&renewal, &mut retries).await;
    parts.look_after_settled(&renewal).await.unwrap();
    assert_eq!(held(&world).await, [world.server.issued(order(2)).unwrap()].into());
    assert_eq!(stage(&world), Stage::Settled);
    assert!(trouble(&world).contains("run once: sudo install"), "{}", trouble(&world));
    assert!(retries.next().is_some(), "it is tried again");
    world.browser.is_closed.set(false);
    pass(&world, &renewal).await;
    assert_eq!((trouble(&world).as_str(), world.browser.rules.borrow().len()), ("", 1));
}

#[tokio::test]
async fn an_order_that_the_server_took_back_leaves_nothing_behind() {
    let (world, old) = settled().await;
    world.server.closed.borrow_mut().insert(order(2));
    pass(&world, &manifest(vec![slot(Some(order(2)), &[old])])).await;
    assert_eq!(stage(&world), Stage::Abandoned);
    assert_eq!(held(&world).await, [old].into(), "the old one stays");
    assert!(disk::entries(&world.state.staged()).unwrap().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_key_is_never_installed() {
    let world = World::new();
    world.server.wrong_certificates.set(1);
    let wanted = manifest(vec![slot(Some(order(1)), &[])]);
    pass(&world, &wanted).await;
    assert_eq!(stage(&world), Stage::Wanted);
    assert!(held(&world).await.is_empty());
    pass(&world, &wanted).await;
    assert_eq!(stage(&world), Stage::Settled);
}

#[tokio::test]
async fn one_slots_trouble_does_not_stop_another() {
    let world = World::new();
    let mut stuck = slot(Some(order(1)), &[]);
    stuck.slot = "sakura/uketsuke-1/aaa".into();
    stuck.stores = vec!["smartcard".into()];
    let mut unknown = slot(Some(order(3)), &[]);
    unknown.slot = "sakura/uketsuke-1/bbb".into();
    unknown.key = "ml-dsa-65".into();
    pass(&world, &manifest(vec![stuck, unknown, slot(Some(order(2)), &[])])).await;
    assert_eq!(stage(&world), Stage::Settled);
    let parts = world.parts();
    let troubles: Vec<String> = parts.journal.entries().filter_map(|entry| entry.report().trouble).collect();
    assert_eq!(troubles.len(), 2);
    assert!(troubles[0].contains("'smartcard'") && troubles[1].contains("update the agent"), "{troubles:?}");
}

#[tokio::test]
async fn f1_only_what_this_agent_installed_is_ever_removed() {
    let (world, ours) = settled().await;
    let foreign = foreign(&world).await;
    let mut hostile = manifest(vec![slot(Some(order(2)), &[foreign])]);
    hostile.retire = [foreign].into();
    pass(&world, &hostile).await;
    assert!(held(&world).await.contains(&foreign));
    assert!(held(&world).await.contains(&ours));
    assert!(trouble(&world).contains("was not installed by this agent"), "{}", trouble(&world));
    assert!(!kinds(&deeds(&world).await).contains(&"retired"));
}

/// Somebody else's certificate, in the same store.
async fn foreign(world: &World) -> Sha256 {
    let theirs = World::new();
    pass(&theirs, &manifest(vec![slot(Some(order(9)), &[])])).await;
    let foreign = theirs.server.issued(order(9)).unwrap();
    let pair = theirs.parts().keystores.file.open(foreign).await.unwrap();
    world.parts().keystores.file.install(&"other/vendor/cert".parse().unwrap(), &pair, "theirs").await.unwrap();
    foreign
}

#[tokio::test]
async fn what_is_not_ours_is_told_and_keeps_nothing_else_from_being_settled() {
    let (world, ours) = settled().await;
    let foreign = foreign(&world).await;
    // Whichever comes first.
    let never_here = [Sha256([0; 32]), Sha256([255; 32])];
    let renewal = manifest(vec![slot(Some(order(2)), &[ours, foreign, never_here[0], never_here[1]])]);
    for _ in 0..2 {
        pass(&world, &renewal).await;
        world.parts().look_after_settled(&renewal).await.unwrap();
        assert_eq!(stage(&world), Stage::Settled);
        assert!(trouble(&world).contains("was not installed by this agent"), "{}", trouble(&world));
    }
    assert_eq!(held(&world).await, [foreign, world.server.issued(order(2)).unwrap()].into());
    assert_eq!(kinds(&deeds(&world).await)[4..], ["retired"; 3]);
    // When it has gone in some other way, that is told too.
    world.parts().keystores.file.remove(foreign).await.unwrap();
    world.parts().look_after_settled(&renewal).await.unwrap();
    assert_eq!((trouble(&world).as_str(), kinds(&deeds(&world).await).len()), ("", 8));
}

#[tokio::test]
async fn what_vanished_before_it_was_proven_is_installed_once_more() {
    let (world, old) = settled().await;
    let renewal = manifest(vec![slot(Some(order(2)), &[old])]);
    world.site.refuses.set(503);
    pass(&world, &renewal).await;
    let new = world.server.issued(order(2)).unwrap();
    world.parts().keystores.file.remove(new).await.unwrap();
    let (mut parts, mut retries) = (world.parts(), Retries::default());
    parts.converge(&renewal, &mut retries).await;
    assert_eq!(stage(&world), Stage::Staged, "written down, so that the next try installs");
    assert!(trouble(&world).contains("is not in the file store"), "{}", trouble(&world));
    world.site.refuses.set(0);
    pass(&world, &renewal).await;
    assert_eq!((stage(&world), held(&world).await), (Stage::Settled, [new].into()));
}

#[tokio::test]
async fn a_key_that_was_exchanged_in_the_store_is_put_back() {
    let (world, old) = settled().await;
    world.site.refuses.set(503);
    let renewal = manifest(vec![slot(Some(order(2)), &[old])]);
    pass(&world, &renewal).await;
    let new = world.server.issued(order(2)).unwrap();
    let folder = world.state.store().join(SLOT);
    std::fs::copy(folder.join(format!("{old}/key.pem")), folder.join(format!("{new}/key.pem"))).unwrap();
    world.site.refuses.set(0);
    pass(&world, &renewal).await;
    assert!(trouble(&world).contains("cannot sign"), "{}", trouble(&world));
    pass(&world, &renewal).await;
    assert_eq!((stage(&world), held(&world).await), (Stage::Settled, [new].into()));
}

/// Between the proof and the removal of the old one, which may have to wait for its turn.
#[tokio::test]
async fn the_old_one_stays_if_the_proven_one_vanishes_before_its_removal() {
    let (world, old) = settled().await;
    let renewal = manifest(vec![slot(Some(order(2)), &[old])]);
    for number in 0..REMOVALS_MAX {
        world.parts().limit.take(&number.to_string()).unwrap();
    }
    pass(&world, &renewal).await;
    assert_eq!(stage(&world), Stage::Proven);
    world.parts().keystores.file.remove(world.server.issued(order(2)).unwrap()).await.unwrap();
    disk::remove(&world.state.removals()).unwrap();
    pass(&world, &renewal).await;
    assert_eq!((stage(&world), is_misplaced(&world)), (Stage::Settled, true), "the server orders another");
    assert_eq!((held(&world).await, current(&world)), ([old].into(), Some(old)));
    let another = manifest(vec![slot(Some(order(3)), &[old])]);
    pass(&world, &another).await;
    assert_eq!((held(&world).await, trouble(&world).as_str()), ([world.server.issued(order(3)).unwrap()].into(), ""));
}

#[tokio::test]
async fn the_newest_certificate_never_retires_itself() {
    let (world, _) = settled().await;
    let renewal = manifest(vec![slot(Some(order(2)), &[])]);
    world.site.refuses.set(503);
    pass(&world, &renewal).await;
    let new = world.server.issued(order(2)).unwrap();
    world.site.refuses.set(0);
    pass(&world, &manifest(vec![slot(Some(order(2)), &[new])])).await;
    assert!(held(&world).await.contains(&new));
    assert!(trouble(&world).contains("left alone"), "{}", trouble(&world));
}

#[tokio::test]
async fn what_is_to_go_at_once_goes_and_is_said_once() {
    let (world, ours) = settled().await;
    let mut revoked = manifest(vec![slot(None, &[])]);
    revoked.retire = [ours, Sha256([7; 32])].into();
    for _ in 0..3 {
        pass(&world, &revoked).await;
    }
    assert!(held(&world).await.is_empty());
    // The one that never was here is said to be gone too: the server waits for that word.
    assert_eq!(kinds(&deeds(&world).await), ["installed", "proven", "retired", "retired"]);
}

/// A store whose tools are missing, or whose user's home is not mounted.
struct Away;

#[async_trait::async_trait(?Send)]
impl Keystore for Away {
    fn name(&self) -> &'static str {
        "away"
    }

    async fn install(&self, _: &SlotId, _: &Pair, _: &str) -> Result<(), KeystoreError> {
        Err(KeystoreError::ToolMissing("certutil"))
    }

    async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError> {
        Err(KeystoreError::ToolMissing("certutil"))
    }

    async fn open(&self, _: Sha256) -> Result<Pair, KeystoreError> {
        Err(KeystoreError::ToolMissing("certutil"))
    }

    async fn remove(&self, _: Sha256) -> Result<bool, KeystoreError> {
        Err(KeystoreError::ToolMissing("certutil"))
    }
}

#[tokio::test]
async fn nothing_is_said_to_be_gone_while_a_store_cannot_be_looked_into() {
    let (world, ours) = settled().await;
    let mut revoked = manifest(vec![slot(None, &[])]);
    revoked.retire = [ours, Sha256([7; 32])].into();
    let mut parts = world.parts();
    parts.keystores.browser = Rc::new(Away);
    parts.converge(&revoked, &mut Retries::default()).await;
    assert_eq!(kinds(&deeds(&world).await), ["installed", "proven"]);
    pass(&world, &revoked).await;
    assert_eq!(kinds(&deeds(&world).await), ["installed", "proven", "retired", "retired"]);
}

#[tokio::test]
async fn f1_a_hostile_server_removes_no_more_than_the_limit() {
    let world = World::new();
    let slots = |orders: std::ops::Range<u8>| -> Vec<wire::SlotManifest> {
        orders.map(|n| wire::SlotManifest { slot: format!("sakura/uketsuke-1/p{n}"), ..slot(Some(order(n)), &[]) }).collect()
    };
    pass(&world, &manifest(slots(0..15))).await;
    let mut all = manifest(vec![]);
    all.retire = held(&world).await;
    assert_eq!(all.retire.len(), 15);
    for _ in 0..3 {
        assert!(pass(&world, &all).await.limited);
    }
    assert_eq!(held(&world).await.len(), 8, "half of them go on working");
    let mut replaced = manifest(slots(20..35));
    replaced.slots.iter_mut().zip(0..15).for_each(|(slot, n)| slot.id = format!("sakura/uketsuke-1/p{n}").parse().unwrap());
    let old = held(&world).await;
    replaced.retire = old.clone();
    assert!(pass(&world, &replaced).await.limited);
    let left = held(&world).await.intersection(&old).count();
    assert_eq!(left, 15 - REMOVALS_MAX, "those with a newer one beside them count as any removal");
}

/// Four profiles, of which the oldest are dropped as new ones come: first one by one, then several that an agent hears of at once.
#[tokio::test]
async fn profiles_that_make_room_for_others_go_at_once() {
    let world = World::new();
    for first in [0, 1, 2, 3, 4, 6, 9] {
        let slots = (first..first + 4).map(|n| wire::SlotManifest { slot: format!("sakura/uketsuke-1/p{n}"), ..slot(Some(order(n)), &[]) });
        let mut wanted = manifest(slots.collect());
        wanted.retire = (0..first).filter_map(|n| world.server.issued(order(n))).collect();
        assert!(!pass(&world, &wanted).await.limited, "from {first} on");
        assert_eq!(held(&world).await.len(), 4);
    }
}

#[tokio::test]
async fn a_slot_that_policy_forgot_is_forgotten_and_its_staged_key_wiped() {
    let world = World::new();
    world.server.refuse_with(crate::pretend::problem(tegata_api::v1::problem::Code::Busy));
    pass(&world, &manifest(vec![slot(Some(order(1)), &[])])).await;
    assert_eq!(stage(&world), Stage::Keyed);
    assert_eq!(disk::entries(&world.state.staged()).unwrap().len(), 1);
    pass(&world, &manifest(vec![])).await;
    assert!(disk::entries(&world.state.staged()).unwrap().is_empty());
    assert_eq!(world.parts().journal.entries().count(), 0);
}

#[tokio::test]
async fn a_certificate_that_vanished_from_its_store_is_reported_until_something_is_done() {
    let (world, ours) = settled().await;
    world.parts().keystores.file.remove(ours).await.unwrap();
    let same = manifest(vec![slot(Some(order(1)), &[])]);
    world.parts().look_after_settled(&same).await.unwrap();
    pass(&world, &same).await;
    assert_eq!((trouble(&world).as_str(), is_misplaced(&world)), ("the certificate is not in its store (browser, file)", true));
    pass(&world, &manifest(vec![slot(Some(order(2)), &[ours])])).await;
    assert_eq!((stage(&world), trouble(&world).as_str(), is_misplaced(&world)), (Stage::Settled, "", false));
}

#[tokio::test]
async fn stores_that_policy_changed_are_reported_until_the_replacement_is_in_them() {
    let (world, ours) = settled().await;
    let moved = |number, replaces: &[_]| wire::SlotManifest { stores: vec!["browser".into()], ..slot(Some(order(number)), replaces) };
    world.parts().look_after_settled(&manifest(vec![moved(1, &[])])).await.unwrap();
    let surplus = "the certificate is in a store that policy does not name (file)";
    assert_eq!((trouble(&world).as_str(), is_misplaced(&world)), (surplus, true));
    let replacing = manifest(vec![moved(2, &[ours])]);
    pass(&world, &replacing).await;
    world.parts().look_after_settled(&replacing).await.unwrap();
    assert_eq!((stage(&world), trouble(&world).as_str(), is_misplaced(&world)), (Stage::Settled, "", false));
}

#[tokio::test(start_paused = true)]
async fn a_failed_step_is_tried_again_later_and_later() {
    let world = World::new();
    world.site.refuses.set(503);
    let wanted = manifest(vec![slot(Some(order(1)), &[])]);
    let (mut parts, mut retries) = (world.parts(), Retries::default());
    let mut tries = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3_600) {
        parts.converge(&wanted, &mut retries).await;
        tries += 1;
        tokio::time::sleep_until(retries.next().expect("something failed") + Duration::from_millis(1)).await;
    }
    assert!((12..120).contains(&tries), "{tries} tries in an hour");
    world.site.refuses.set(0);
    parts.converge(&wanted, &mut retries).await;
    assert_eq!((stage(&world), retries.next()), (Stage::Settled, None));
}

/// What the plug is pulled in: a first certificate, then its renewal, each followed by the receipts. The server's generation says
/// how far this life has come; it never goes back.
async fn whole_life(world: &World) {
    if world.server.manifest.borrow().generation == 0 {
        pass(world, &manifest(vec![slot(Some(order(1)), &[])])).await;
        world.receipts().send(&*world.server).await.unwrap();
        world.server.manifest.borrow_mut().generation = 1;
    }
    let old = world.server.issued(order(1)).unwrap();
    pass(world, &manifest(vec![slot(Some(order(2)), &[old])])).await;
    world.receipts().send(&*world.server).await.unwrap();
}

/// Runs until the plug is pulled at the `n`-th point; false if it never was.
fn unplugged_at(world: &World, n: u32) -> bool {
    unplugged(whole_life(world), n)
}

fn unplugged(life: impl Future<Output = ()>, n: u32) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    crash::after(Some(n));
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(life)));
    crash::after(None);
    match ended {
        Ok(()) => false,
        Err(cause) if cause.is::<Unplugged>() => true,
        Err(cause) => std::panic::resume_unwind(cause),
    }
}

/// Panics that stand for a power cut are not worth a word.
fn quietly() {
    std::panic::set_hook(Box::new(|info| {
        if !info.payload().is::<Unplugged>() {
            eprintln!("{info}");
        }
    }));
}

#[test]
fn the_plug_can_be_pulled_between_any_two_effects() {
    quietly();
    let mut points = 0;
    loop {
        let world = World::new();
        if !unplugged_at(&world, points) {
            break;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(whole_life(&world));
        runtime.block_on(check_whole_life(&world, points));
        points += 1;
    }
    assert!(points > 60, "only {points} points");
}

/// Whatever happened in between: both orders have one certificate, the new one is in the store and was accepted, the old one is gone
/// with its key, every deed is on record in order, and nothing is left in the agent's folder.
async fn check_whole_life(world: &World, at: u32) {
    let (old, new) = (world.server.issued(order(1)).unwrap(), world.server.issued(order(2)).unwrap());
    assert_eq!(held(world).await, [new].into(), "pulled at {at}");
    assert!(world.parts().keystores.file.open(new).await.unwrap().can_sign().unwrap());
    assert_eq!(stage(world), Stage::Settled, "pulled at {at}");
    assert!(world.site.accepted.borrow().contains(&new));
    assert!(disk::entries(&world.state.staged()).unwrap().is_empty(), "pulled at {at}");
    assert!(world.parts().inventory.item(old).is_none() && world.parts().inventory.item(new).is_some());
    let deeds = world.server.deeds(&world.identity.key);
    let kinds = kinds(&deeds);
    // A deed may be done, and said, twice after a crash; none may be missing, and none may come before its cause.
    let mut order: Vec<&str> = kinds.clone();
    order.dedup();
    assert_eq!(order, ["installed", "proven", "installed", "proven", "retired"], "pulled at {at}");
    assert!(kinds.len() <= 6, "pulled at {at}: {kinds:?}");
    assert!(deeds.contains(&Deed::Retired { fingerprint: old.to_string() }));
    assert!(!world.receipts().is_waiting());
}

#[tokio::test]
async fn the_stage_is_on_disk_before_its_step_is_taken() {
    let world = World::new();
    for watched in [&world.server.watched, &world.site.watched] {
        watched.state.replace(Some(world.state.clone()));
    }
    pass(&world, &manifest(vec![slot(Some(order(1)), &[])])).await;
    assert_eq!(*world.server.watched.stages.borrow(), [Stage::Keyed], "what the disk said when the server was asked");
    assert_eq!(*world.site.watched.stages.borrow(), [Stage::Installed], "what the disk said when the site was asked");
}

#[tokio::test]
async fn the_browser_hears_nothing_of_certificates_that_are_not_in_its_store() {
    let world = World::new();
    let elsewhere = wire::SlotManifest { stores: vec!["file".into()], ..slot(Some(order(1)), &[]) };
    pass(&world, &manifest(vec![elsewhere])).await;
    assert_eq!(stage(&world), Stage::Settled);
    assert!(world.browser.history.borrow().is_empty());
}

#[tokio::test]
async fn a_profile_that_names_no_store_proves_nothing() {
    let world = World::new();
    let nowhere = wire::SlotManifest { stores: vec![], ..slot(Some(order(1)), &[]) };
    pass(&world, &manifest(vec![nowhere])).await;
    assert_eq!(stage(&world), Stage::Installed);
    assert!(trouble(&world).contains("names no store"), "{}", trouble(&world));
}

#[tokio::test]
async fn receipts_of_a_restored_folder_are_numbered_behind_what_the_server_has() {
    let world = World::new();
    let mut receipts = world.receipts();
    for number in 1..=3 {
        receipts.record(world.retired(number), 0).unwrap();
    }
    receipts.send(&*world.server).await.unwrap();
    // The folder goes back to before anything was sent.
    Receipts::reset(&world.state).unwrap();
    let mut receipts = world.receipts();
    receipts.record(world.retired(4), 0).unwrap();
    receipts.send(&*world.server).await.unwrap();
    let said: Vec<SignedReceipt> = world.server.receipts.borrow().values().cloned().collect();
    assert_eq!(said.len(), 4);
    assert_eq!(world.server.deeds(&world.identity.key)[3], world.retired(4));
}
