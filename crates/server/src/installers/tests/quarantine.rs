//! Files that nobody has put on record, moved out of the way on PCs.

use tegata_api::v1::device::Inside;
use tegata_api::v1::fleet::RecordInstaller;

use super::*;

const QUARANTINE: &str = ", unknown: quarantine";

/// A file with a private key behind a password.
fn stranger() -> FileHash {
    FileHash { sha256: "cd".repeat(32), size: 3_000 }
}

fn seen(file: FileHash, keys: u32, quarantined: bool) -> InstallerSeen {
    let inside = Some(Inside { keys, ..Inside::default() });
    InstallerSeen { path: "~/Downloads/b.p12".into(), file, inside, quarantined }
}

async fn reports_of(world: &World, pc: &Pc, installers: Vec<InstallerSeen>) {
    let report = Report { clock: world.now.unix(), installers, ..Report::default() };
    reports::report(&world.ledger, &world.bells, &world.row(pc).await, report, world.now).await.unwrap();
    world.settle().await;
}

async fn has_moved(world: &World, pc: &mut Pc) {
    world.tell(pc, vec![Deed::InstallerQuarantined { path: "~/Downloads/b.p12".into(), file: stranger(), generation: 2 }]).await;
    reports_of(world, pc, vec![seen(stranger(), 1, true)]).await;
}

#[tokio::test]
async fn a_file_with_a_key_is_ordered_out_of_the_way_once_and_told_as_moved() {
    let (world, mut pc) = settled(QUARANTINE).await;
    for _ in 0..2 {
        reports_of(&world, &pc, vec![seen(stranger(), 1, false)]).await;
        assert_eq!((world.manifest(&pc).await.quarantine, told(&world).await), (vec![stranger()], vec![(InstallerState::Asked, 0)]));
    }
    for stage in ["intended", "done"] {
        assert_eq!(world.logged(&format!("{stage} installer.quarantine sakura/pc-1")).await, 1);
    }
    has_moved(&world, &mut pc).await;
    assert_eq!(told(&world).await, [(InstallerState::Quarantined, 0)]);
    assert_eq!(world.logged("seen installer.quarantined sakura/pc-1").await, 1);
    assert!(world.manifest(&pc).await.remove_installers.is_empty(), "it is not deleted");
    reports_of(&world, &pc, vec![seen(stranger(), 1, true), seen(stranger(), 1, false)]).await;
    assert_eq!(told(&world).await, [(InstallerState::Asked, 0)], "a copy that lies about says more");
    reports_of(&world, &pc, vec![]).await;
    assert!(world.manifest(&pc).await.quarantine.is_empty() && told(&world).await.is_empty());
}

#[tokio::test]
async fn what_holds_no_key_or_is_on_record_or_not_meant_is_not_moved() {
    let (world, pc) = settled(QUARANTINE).await;
    reports_of(&world, &pc, vec![seen(stranger(), 0, false), InstallerSeen { inside: None, ..seen(file(), 0, false) }]).await;
    let manifest = world.manifest(&pc).await;
    assert_eq!((manifest.quarantine, manifest.remove_installers), (vec![], vec![file()]));
    for other in [", unknown: ask", ""] {
        let (world, pc) = settled(other).await;
        reports_of(&world, &pc, vec![seen(stranger(), 1, false)]).await;
        assert!(world.manifest(&pc).await.quarantine.is_empty());
    }
    let (world, pc) = settled(QUARANTINE).await;
    reports_of(&world, &pc, vec![seen(stranger(), 1, false)]).await;
    world.apply(&[&rule(", unknown: ask")]).await.unwrap();
    world.settle().await;
    assert!(world.manifest(&pc).await.quarantine.is_empty(), "policy has changed its mind");
}

#[tokio::test]
async fn an_agent_that_begins_to_look_inside_is_heard() {
    let (world, pc) = settled(QUARANTINE).await;
    sees(&world, &pc, &[stranger()], &[]).await;
    assert!(world.manifest(&pc).await.quarantine.is_empty(), "an older agent says nothing of keys");
    reports_of(&world, &pc, vec![seen(stranger(), 1, false)]).await;
    assert_eq!(world.manifest(&pc).await.quarantine, [stranger()]);
}

#[tokio::test]
async fn what_people_put_back_is_not_moved_again() {
    let (world, mut pc) = settled(QUARANTINE).await;
    reports_of(&world, &pc, vec![seen(stranger(), 1, false)]).await;
    has_moved(&world, &mut pc).await;
    world.tell(&mut pc, vec![Deed::InstallerRestored { path: "~/Downloads/b.p12".into(), file: stranger() }]).await;
    for _ in 0..2 {
        reports_of(&world, &pc, vec![seen(stranger(), 1, false)]).await;
        assert_eq!((world.manifest(&pc).await.quarantine, told(&world).await), (vec![], vec![(InstallerState::Restored, 0)]));
    }
    assert_eq!(world.logged("seen installer.restored sakura/pc-1").await, 1);
    assert!(actions(&world).await.is_empty());
}

#[tokio::test]
async fn what_is_recorded_while_it_is_moved_goes_as_policy_says() {
    let (world, mut pc) = settled(QUARANTINE).await;
    reports_of(&world, &pc, vec![seen(stranger(), 1, false)]).await;
    has_moved(&world, &mut pc).await;
    let known = RecordInstaller { file: stranger(), name: "b.p12".into() };
    asks::record_installer(&world.ledger, &world.bells, &tenant(), &known, "person:test", world.now).await.unwrap();
    world.settle().await;
    let manifest = world.manifest(&pc).await;
    assert_eq!((manifest.remove_installers, manifest.quarantine), (vec![stranger()], vec![]));
    assert_eq!(told(&world).await, [(InstallerState::Removing, 0)]);
}
