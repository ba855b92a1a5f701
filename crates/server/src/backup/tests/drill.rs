//! What a person finds out by opening copies, and what follows from it.

use tegata_api::v1::backup::{DrillReport, Drilled};
use tegata_core::name::SlotId;

use super::super::drill;
use super::super::fetch::BackupError;
use super::*;

async fn report(scene: &Scene, outcome: Drilled) -> Result<(), BackupError> {
    let id = scene.shown().await[0].id.clone();
    say(scene, SLOT, &DrillReport { id, target: "nas".into(), outcome }).await
}

async fn say(scene: &Scene, slot: &str, report: &DrillReport) -> Result<(), BackupError> {
    let (world, slot) = (&scene.world, slot.parse::<SlotId>().unwrap());
    drill::note(&world.ledger, &world.bells, &tenant(), &slot, report, ("person:test", world.now)).await
}

#[tokio::test]
async fn s4_what_was_opened_says_when_and_where_policy_asks_it_counts_no_longer_than_that() {
    let (mut scene, _) = Scene::with_file().await;
    let often =
        documents(&[("nas", &scene.nas(), KEY)]).replace("retention: 365d", "retention: 365d, drill: { every: 7d, openEvery: 40d }");
    scene.world.apply(&[&often]).await.unwrap();
    scene.carry().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("verified", None), "ready".into()), "just put there");
    for _ in 0..6 {
        scene.world.pass(DAY * 7);
        scene.carry().await;
    }
    assert_eq!((scene.state().await, scene.verdict().await), (state("stale", Some("not-opened")), "not-backed-up".into()));
    report(&scene, Drilled::Opened).await.unwrap();
    scene.world.settle().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("verified", None), "ready".into()));
    assert_eq!(scene.shown().await[0].opened_at, Some(scene.world.now.unix()));
    assert_eq!(scene.logged("seen backup.drill").await, 1);
}

#[tokio::test]
async fn s4_what_a_drill_finds_damaged_is_put_there_again_at_once() {
    let (scene, _) = Scene::with_file().await;
    scene.carry().await;
    fs::write(scene.sealed(), AGE).unwrap();
    report(&scene, Drilled::Opened).await.unwrap();
    report(&scene, Drilled::Altered).await.unwrap();
    scene.world.settle().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("failing", Some("altered")), "not-backed-up".into()));
    assert_eq!(scene.shown().await[0].opened_at, None, "what was opened is not there any more");
    scene.carry().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("verified", None), "ready".into()));
    assert_eq!(fs::read(scene.sealed()).unwrap(), [AGE, b"one"].concat());
}

#[tokio::test]
async fn s4_what_nobody_can_use_counts_nowhere_until_the_file_is_brought_again() {
    for (outcome, trouble) in [(Drilled::Closed, "closed"), (Drilled::OtherContent, "other-content")] {
        let (mut scene, row) = Scene::with_file().await;
        scene.carry().await;
        report(&scene, outcome).await.unwrap();
        for _ in 0..2 {
            scene.world.pass(DAY * 8);
            scene.carry().await;
            assert_eq!((scene.state().await, scene.verdict().await), (state("failing", Some(trouble)), "not-backed-up".into()));
        }
        scene.keep(&row, Kind::File, b"again").await;
        scene.carry().await;
        assert_eq!((scene.state().await, scene.verdict().await), (state("verified", None), "ready".into()));
    }
}

#[tokio::test]
async fn a_report_about_what_is_not_there_is_refused() {
    let (scene, _) = Scene::with_file().await;
    let id = scene.shown().await[0].id.clone();
    let report = DrillReport { id: id.clone(), target: "nas".into(), outcome: Drilled::Closed };
    assert!(matches!(say(&scene, SLOT, &report).await, Err(BackupError::NotFound(_))), "not stored yet");
    scene.carry().await;
    let none = "00".repeat(16);
    for (slot, id, target) in [("sakura/pc-2/weborca", &id, "nas"), (SLOT, &none, "nas"), (SLOT, &id, "offsite"), (SLOT, &id, "../x")] {
        let report = DrillReport { id: id.clone(), target: target.into(), outcome: Drilled::Closed };
        assert!(matches!(say(&scene, slot, &report).await, Err(BackupError::NotFound(_))), "{slot} {id} {target}");
    }
    assert_eq!(scene.state().await, state("verified", None));
}
