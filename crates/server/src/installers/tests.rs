//! Files that come back, files that are spared, and what people see of each.

use serde_json::Value;
use tegata_api::v1::device::{Deed, FileHash, InstallerSeen, Report, Suspect, SuspectKind, UNREAD_MAX};

use super::*;
use crate::pretend::{Pc, World, clinic, tenant};
use crate::store::{Batch, Change};
use crate::{asks, fleet, reports};

mod quarantine;

const SLOT: &str = "sakura/pc-1/karte";

fn rule(more: &str) -> String {
    clinic("sakura", &["pc-1"], &format!("  installers: {{ remove: after-proof, folders: [downloads]{more} }}\n"))
}

fn file() -> FileHash {
    FileHash { sha256: "ab".repeat(32), size: 3 }
}

/// A clinic whose certificate is proven, and came in a file.
async fn settled(more: &str) -> (World, Pc) {
    let world = World::with(&[&rule(more)]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let row = world.prove(&mut pc, SLOT).await;
    let put = Change::PutInstaller { tenant: tenant(), file: file(), name: "a.p12".into(), order: Some(row.order), at: world.now };
    world.ledger.note(Batch { records: vec![], changes: vec![put] }).await.unwrap();
    (world, pc)
}

async fn sees(world: &World, pc: &Pc, files: &[FileHash], unread: &[&str]) {
    let seen = |file: &FileHash| InstallerSeen { path: "~/Downloads/a.p12".into(), file: file.clone(), inside: None, quarantined: false };
    let unread = unread.iter().map(|place| (*place).to_owned()).collect();
    let report = Report { clock: world.now.unix(), installers: files.iter().map(seen).collect(), unread, ..Report::default() };
    reports::report(&world.ledger, &world.bells, &world.row(pc).await, report, world.now).await.unwrap();
    world.settle().await;
}

async fn removes(world: &World, pc: &mut Pc) {
    world.tell(pc, vec![Deed::InstallerRemoved { path: "~/Downloads/a.p12".into(), file: file(), generation: 2 }]).await;
    sees(world, pc, &[], &[]).await;
}

/// State, and how often it came back.
async fn told(world: &World) -> Vec<(InstallerState, u32)> {
    list(&world.ledger, &tenant(), None, world.now).await.unwrap().into_iter().map(|row| (row.state, row.returns)).collect()
}

async fn actions(world: &World) -> Vec<String> {
    let actions = fleet::actions(&world.ledger, &tenant(), None, world.now).await.unwrap();
    actions.iter().map(|action| format!("{} {}", action.action, action.because)).collect()
}

#[tokio::test]
async fn a_file_that_comes_back_is_on_record_each_time_and_is_removed_again() {
    let (world, mut pc) = settled("").await;
    sees(&world, &pc, &[file()], &[]).await;
    assert_eq!(told(&world).await, [(InstallerState::Removing, 0)]);
    removes(&world, &mut pc).await;
    assert_eq!(told(&world).await, [(InstallerState::Removed, 0)]);
    assert_eq!(world.manifest(&pc).await.tombstones, [file()], "the device goes on looking for it");
    for times in 1..=2 {
        for _ in 0..2 {
            sees(&world, &pc, &[file()], &[]).await;
        }
        let stranger = FileHash { sha256: "cd".repeat(32), size: 3 };
        sees(&world, &pc, &[file(), stranger], &[]).await;
        sees(&world, &pc, &[file()], &[]).await;
        assert_eq!(world.logged("seen installer.returned sakura/pc-1").await, times, "once, however often it is reported");
        assert_eq!(told(&world).await, [(InstallerState::Removing, u32::try_from(times).unwrap())]);
        assert_eq!(world.manifest(&pc).await.remove_installers, [file()]);
        removes(&world, &mut pc).await;
    }
    assert!(actions(&world).await.is_empty(), "people see it, and nothing else follows");
}

#[tokio::test]
async fn where_policy_says_so_the_certificate_is_replaced_that_came_in_a_file_that_comes_back() {
    let (world, mut pc) = settled(", onReturn: rotate").await;
    sees(&world, &pc, &[file()], &[]).await;
    removes(&world, &mut pc).await;
    assert!(actions(&world).await.is_empty());
    sees(&world, &pc, &[file()], &[]).await;
    let order = world.order(SLOT).await;
    assert_eq!(order.because, tegata_core::plan::Reason::Exposed);
    removes(&world, &mut pc).await;
    world.prove(&mut pc, SLOT).await;
    assert!(actions(&world).await.is_empty(), "the new one did not come in the file");
}

#[tokio::test]
async fn what_is_spared_stays_also_if_it_was_ordered_away_before_and_goes_when_its_day_has_come() {
    let (mut world, pc) = settled("").await;
    sees(&world, &pc, &[file()], &[]).await;
    assert_eq!(world.manifest(&pc).await.remove_installers, [file()]);
    let day = tegata_core::calendar::Date::in_japan(world.now.after(9 * tegata_core::time::DAY)).unwrap();
    let exempt =
        format!(", exempt: [{{ sha256: \"{}\", until: {:04}-{:02}-{:02}, because: 移行 }}]", file().sha256, day.year, day.month, day.day);
    world.apply(&[&rule(&exempt)]).await.unwrap();
    world.settle().await;
    assert!(world.manifest(&pc).await.remove_installers.is_empty());
    let row = list(&world.ledger, &tenant(), None, world.now).await.unwrap().remove(0);
    assert_eq!((row.state, row.exempt_until.is_some()), (InstallerState::Exempt, true));
    assert_eq!(actions(&world).await, ["keep-installer exempt"]);
    world.now = world.now.after(10 * tegata_core::time::DAY);
    world.settle().await;
    assert_eq!(world.manifest(&pc).await.remove_installers, [file()]);
    assert_eq!(told(&world).await, [(InstallerState::Removing, 0)]);
}

#[tokio::test]
async fn what_is_not_on_record_is_asked_about_and_what_was_not_looked_at_is_not_fine() {
    for (more, state) in [("", InstallerState::Unknown), (", unknown: ask", InstallerState::Asked)] {
        let (world, pc) = settled(more).await;
        let stranger = FileHash { sha256: "cd".repeat(32), size: 3 };
        sees(&world, &pc, std::slice::from_ref(&stranger), &["E:\\"]).await;
        assert_eq!(told(&world).await, [(state, 0), (InstallerState::NotLookedAt, 0)]);
        let known = tegata_api::v1::fleet::RecordInstaller { file: stranger, name: "b.p12".into() };
        asks::record_installer(&world.ledger, &world.bells, &tenant(), &known, "person:test", world.now).await.unwrap();
        world.settle().await;
        assert_eq!(told(&world).await[0], (InstallerState::Removing, 0));
    }
}

#[tokio::test]
async fn a_folder_of_policys_that_is_on_no_pc_is_told_once() {
    let world =
        World::with(&[&clinic("sakura", &["pc-1", "pc-2", "pc-3"], "  installers: { remove: after-proof, also: [Work, Wrok] }\n")]).await;
    let (one, two) = (world.enrol("sakura/pc-1").await, world.enrol("sakura/pc-2").await);
    world.enrol("sakura/pc-3").await;
    assert!(told(&world).await.is_empty(), "nobody has looked");
    for (pc, absent) in [(&one, &["~/Work", "~/Wrok"][..]), (&two, &["~/Wrok"])] {
        let absent = absent.iter().map(|folder| (*folder).to_owned()).collect();
        let report = Report { clock: world.now.unix(), absent, ..Report::default() };
        reports::report(&world.ledger, &world.bells, &world.row(pc).await, report, world.now).await.unwrap();
    }
    let told = list(&world.ledger, &tenant(), None, world.now).await.unwrap();
    let told: Vec<_> = told.iter().map(|row| (row.device.as_str(), row.state, &row.paths[..])).collect();
    assert_eq!(told, [("sakura/*", InstallerState::NotThere, &["~/Wrok".to_owned()][..])]);
}

#[tokio::test]
async fn what_gives_a_file_away_is_told_and_no_more_of_it_than_an_agent_may_say() {
    let (world, pc) = settled("").await;
    let suspect = |_| Suspect { path: "~/Downloads/パスワード.txt".repeat(99), kind: SuspectKind::PasswordNote };
    let report = Report { clock: world.now.unix(), suspects: (0..UNREAD_MAX * 2).map(suspect).collect(), ..Report::default() };
    reports::report(&world.ledger, &world.bells, &world.row(&pc).await, report, world.now).await.unwrap();
    let told = list(&world.ledger, &tenant(), None, world.now).await.unwrap();
    assert_eq!((told.len(), told[0].state, told[0].paths[0].chars().count()), (UNREAD_MAX, InstallerState::PasswordNote, 400));
}

#[tokio::test]
async fn a_return_says_what_came_back_and_since_when_it_was_gone() {
    let (world, mut pc) = settled("").await;
    sees(&world, &pc, &[file()], &[]).await;
    removes(&world, &mut pc).await;
    sees(&world, &pc, &[file()], &[]).await;
    let records = world.ledger.store().audit(&tenant(), 0, 10_000).await.unwrap();
    let returned = records.into_iter().find(|record| record.action == "installer.returned").unwrap();
    assert_eq!(returned.actor, "device:sakura/pc-1");
    assert_eq!(returned.details["sha256"], Value::from(file().sha256));
    assert_eq!(returned.details["removedAt"], Value::from(world.now.unix()));
}
