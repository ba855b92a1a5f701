use std::time::Duration;

use tegata_api::v1::device::{FileHash, InstallerSeen, SlotReport};
use tegata_api::v1::diagnosis::{self as wire, Finding};
use tegata_core::time::DAY;

use super::*;
use crate::pretend::{Pc, World, sakura};

async fn quiet() -> (World, Pc) {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    (world, pc)
}

async fn is_nudged_by(world: &World, pc: &Pc, said: Report) -> bool {
    report(&world.ledger, &world.bells, &world.row(pc).await, said, world.now).await.unwrap();
    let nudged = !world.ledger.store().due(world.now, 10).await.unwrap().is_empty();
    world.settle().await;
    nudged
}

fn saying(world: &World, offset: i64, files: &[&str]) -> Report {
    let file = |sha256: &&str| FileHash { sha256: sha256.repeat(32), size: 1 };
    let installers =
        files.iter().map(|sha256| InstallerSeen { path: "~/a.p12".into(), file: file(sha256), inside: None, quarantined: false }).collect();
    Report { clock: world.now.unix() + offset, installers, ..Report::default() }
}

#[tokio::test]
async fn only_what_planning_looks_at_wakes_a_clinic() {
    let (world, pc) = quiet().await;
    assert!(!is_nudged_by(&world, &pc, saying(&world, 0, &[])).await, "nothing new");
    assert!(!is_nudged_by(&world, &pc, saying(&world, 299, &[])).await, "a clock that is a little off");
    assert!(is_nudged_by(&world, &pc, saying(&world, 301, &[])).await, "a clock that became wrong");
    assert!(!is_nudged_by(&world, &pc, saying(&world, 400, &[])).await, "and stays wrong");
    assert!(is_nudged_by(&world, &pc, saying(&world, -300, &[])).await, "a clock that was set right");
    assert!(is_nudged_by(&world, &pc, saying(&world, 0, &["ab"])).await, "a file that was not there");
    assert!(!is_nudged_by(&world, &pc, saying(&world, 0, &["ab"])).await, "and is still there");
    assert!(is_nudged_by(&world, &pc, saying(&world, 0, &["cd"])).await, "another one instead");
    assert_eq!(world.row(&pc).await.clock_offset, 0);
}

#[tokio::test]
async fn a_diagnosis_is_kept_wakes_nobody_and_is_dated_by_the_servers_clock() {
    let (world, pc) = quiet().await;
    let finding = Finding { cause: wire::Cause::Intercepted, certainty: wire::Certainty::Certain };
    let made = Diagnosis { at: world.now.unix() + 290, findings: vec![finding; 99], unchecked: vec![wire::Cause::Clock; 99] };
    let said = Report { diagnosis: Some(made.clone()), ..saying(&world, 299, &[]) };
    assert!(!is_nudged_by(&world, &pc, said).await);
    let devices = crate::fleet::devices(&world.ledger, &crate::pretend::tenant(), None, world.now).await.unwrap();
    let told = devices[0].diagnosis.clone().unwrap();
    assert_eq!((told.at, told.glance()), (world.now.unix() - 9, "intercepted".into()));
    assert_eq!((told.findings.len(), told.unchecked.len()), (14, 14), "no more than there are causes");
}

#[tokio::test]
async fn of_what_was_found_no_more_is_kept_than_an_agent_may_say_and_nothing_that_deceives() {
    let (world, pc) = quiet().await;
    let one = |number: usize| FoundCertificate {
        fingerprint: format!("{number:064x}"),
        store: "nss".into(),
        subject: "CN=client1210\n\nClick here:\u{202e}".into(),
        issuer: "x".repeat(9_999),
        serial: "0659".into(),
        not_before: 0,
        not_after: world.now.unix() + i64::try_from(number).unwrap(),
        has_key: true,
    };
    let mut found: Vec<_> = (0..FOUND_MAX * 3).map(one).collect();
    found.push(FoundCertificate { fingerprint: "no fingerprint".into(), ..one(999) });
    assert!(is_nudged_by(&world, &pc, Report { found: found.clone(), ..saying(&world, 0, &[]) }).await, "there is something to tell");
    let kept = world.row(&pc).await.report.found;
    let longest: Vec<_> = (FOUND_MAX * 2..FOUND_MAX * 3).rev().map(|number| format!("{number:064x}")).collect();
    assert_eq!(kept.iter().map(|one| one.fingerprint.clone()).collect::<Vec<_>>(), longest, "those that live longest");
    assert_eq!((&kept[0].subject[..], kept[0].issuer.len()), ("CN=client1210Click here:", FOUND_TEXT_MAX));
    assert!(!is_nudged_by(&world, &pc, Report { found, ..saying(&world, 0, &[]) }).await, "the same again is nothing new");
    assert!(is_nudged_by(&world, &pc, saying(&world, 0, &[])).await, "and gone is something again");
}

#[tokio::test]
async fn a_device_that_is_heard_again_wakes_its_clinic_and_is_written_down_seldom() {
    let (mut world, pc) = quiet().await;
    let hear = async |world: &World| {
        heard(&world.ledger, &world.bells, &world.row(&pc).await, world.now).await.unwrap();
        let nudged = !world.ledger.store().due(world.now, 10).await.unwrap().is_empty();
        world.settle().await;
        nudged
    };
    let first = world.now;
    world.pass(Duration::from_secs(60));
    assert!(!hear(&world).await);
    assert_eq!(world.row(&pc).await.last_seen, first, "a minute later is the same");
    world.pass(Duration::from_secs(600));
    assert!(!hear(&world).await);
    assert_eq!(world.row(&pc).await.last_seen, world.now);
    world.pass(DAY + Duration::from_secs(2));
    world.settle().await;
    assert!(hear(&world).await, "it was silent");
}

#[tokio::test]
async fn a_certificate_that_is_not_where_it_belongs_is_replaced_once() {
    let (world, mut pc) = quiet().await;
    let row = world.prove(&mut pc, "sakura/pc-1/karte").await;
    let saying = |misplaced| {
        let slot = SlotReport {
            slot: "sakura/pc-1/karte".into(),
            order: row.order.to_string(),
            stage: "settled".into(),
            misplaced,
            trouble: None,
            trouble_ja: None,
        };
        Report { clock: world.now.unix(), slots: vec![slot], ..Report::default() }
    };
    assert!(!is_nudged_by(&world, &pc, saying(false)).await);
    assert!(is_nudged_by(&world, &pc, saying(true)).await);
    let order = world.order("sakura/pc-1/karte").await;
    assert_eq!((order.because, &order.replaces[..]), (tegata_core::plan::Reason::RenewalAsked, &[row.serial][..]));
    assert!(!is_nudged_by(&world, &pc, saying(true)).await, "said again, it is no news");
    assert_eq!(world.logged("seen certificate.misplaced").await, 1);
    assert_eq!(world.logged("intended order.open").await, 2);
}

#[tokio::test]
async fn a5_a_certificate_of_our_authority_that_nothing_here_knows_is_told_once() {
    let (world, mut pc) = quiet().await;
    let row = world.prove(&mut pc, "sakura/pc-1/karte").await;
    let found = |fingerprint: String, issuer: &str| FoundCertificate {
        fingerprint,
        store: "nss".into(),
        subject: "CN=somebody".into(),
        issuer: issuer.into(),
        serial: "4F".into(),
        not_before: 0,
        not_after: world.now.unix() + 9,
        has_key: true,
    };
    let own = "CN=Aozora CA";
    let known = found(row.fingerprint.to_string(), own);
    let strangers = [found("a".repeat(64), own), found("b".repeat(64), "CN=Vendor CA"), known];
    let said = Report { found: strangers.into(), ..saying(&world, 0, &[]) };
    for _ in 0..2 {
        report(&world.ledger, &world.bells, &world.row(&pc).await, said.clone(), world.now).await.unwrap();
    }
    assert_eq!(world.logged("seen certificate.unrecorded").await, 1);
    let records = world.ledger.store().audit(&crate::pretend::tenant(), 0, 1_000).await.unwrap();
    let told = records.iter().find(|record| record.action == "certificate.unrecorded").unwrap();
    assert_eq!((&*told.object, told.details["fingerprint"].as_str()), ("sakura/pc-1", Some(&*"a".repeat(64))));
}

#[tokio::test]
async fn f4_nobody_has_the_certificate_of_another_replaced() {
    let world = World::with(&[&sakura(&["pc-1", "pc-2"])]).await;
    let (mut one, other) = (world.enrol("sakura/pc-1").await, world.enrol("sakura/pc-2").await);
    world.settle().await;
    let row = world.prove(&mut one, "sakura/pc-1/karte").await;
    let slots = [row.order.to_string(), "0".repeat(32), "no order".into()].map(|order| SlotReport {
        slot: "sakura/pc-1/karte".into(),
        order,
        stage: "settled".into(),
        misplaced: true,
        trouble: None,
        trouble_ja: None,
    });
    assert!(!is_nudged_by(&world, &other, Report { clock: world.now.unix(), slots: slots.into(), ..Report::default() }).await);
    assert_eq!(world.logged("seen certificate.misplaced").await, 0);
}
