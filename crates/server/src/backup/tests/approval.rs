//! Two people for one read.

use tegata_api::v1::backup::FetchRequest;
use tegata_core::name::SlotId;

use super::super::approval::expect;
use super::super::fetch::{BackupError, fetch};
use super::*;
use crate::approvals::{ApprovalError, approve};
use crate::store::approvals::ApprovalRow;

async fn two_people() -> Scene {
    let (scene, _) = Scene::with_file().await;
    let two = documents(&[("nas", &scene.nas(), KEY)]).replace("targets: [nas]", "targets: [nas], approvals: 2");
    scene.world.apply(&[&two]).await.unwrap();
    scene
}

async fn ask(scene: &Scene, who: &str) -> Result<(), BackupError> {
    ask_for(scene, who, &FetchRequest::default()).await
}

/// As the route does it.
async fn ask_for(scene: &Scene, who: &str, request: &FetchRequest) -> Result<(), BackupError> {
    let (slot, by): (SlotId, _) = (SLOT.parse().unwrap(), (who, scene.world.now));
    let release = expect(&scene.world.ledger, &tenant(), &slot, request, by).await?;
    fetch(&scene.world.ledger, &scene.carrier().access, (&tenant(), &slot), request, release, by).await.map(drop)
}

async fn asked(scene: &Scene, who: &str) -> String {
    match ask(scene, who).await {
        Err(BackupError::Approval(ApprovalError::Needed(id))) => id,
        other => panic!("{other:?}"),
    }
}

async fn agree(scene: &Scene, id: &str, who: &str) -> Result<ApprovalRow, ApprovalError> {
    approve(&scene.world.ledger, &tenant(), id, (who, scene.world.now)).await
}

#[tokio::test]
async fn one_asks_another_agrees_and_the_first_reads_once() {
    let scene = two_people().await;
    let id = asked(&scene, "person:one").await;
    assert_eq!(asked(&scene, "person:one").await, id, "asking again is the same request");
    assert!(matches!(agree(&scene, &id, "person:one").await, Err(ApprovalError::SamePerson)));
    assert_eq!(agree(&scene, &id, "person:two").await.unwrap().object, SLOT);
    assert_ne!(asked(&scene, "person:three").await, id, "it was not they who asked");
    let nowhere = FetchRequest { target: Some("nowhere".into()), ..FetchRequest::default() };
    assert!(matches!(ask_for(&scene, "person:one", &nowhere).await, Err(BackupError::NotFound(_))), "no word is used up by a try");
    ask(&scene, "person:one").await.unwrap();
    assert_ne!(asked(&scene, "person:one").await, id, "once");
    assert!(matches!(agree(&scene, &id, "person:two").await, Err(ApprovalError::NotFound)));
    let logged = ["intended backup.ask", "done backup.approve", "done backup.release"];
    let mut counts = Vec::new();
    for action in logged {
        counts.push(scene.logged(action).await);
    }
    assert_eq!(counts, [3, 1, 1]);
}

#[tokio::test]
async fn nobody_agrees_to_what_was_asked_too_long_ago_or_elsewhere() {
    let mut scene = two_people().await;
    let id = asked(&scene, "person:one").await;
    let elsewhere = "momiji".parse().unwrap();
    let foreign = approve(&scene.world.ledger, &elsewhere, &id, ("person:two", scene.world.now)).await;
    assert!(matches!(foreign, Err(ApprovalError::NotFound)));
    assert!(matches!(agree(&scene, "AAAAAAAA", "person:two").await, Err(ApprovalError::NotFound)));
    agree(&scene, &id, "person:two").await.unwrap();
    scene.world.pass(HOUR + MINUTE);
    assert_ne!(asked(&scene, "person:one").await, id, "the hour is over");
    scene.world.pass(HOUR + MINUTE);
    assert!(matches!(agree(&scene, &id, "person:two").await, Err(ApprovalError::NotFound)));
}

#[tokio::test]
async fn where_policy_does_not_ask_one_is_enough() {
    let (scene, _) = Scene::with_file().await;
    ask(&scene, "person:one").await.unwrap();
    assert_eq!(scene.logged("backup.ask").await, 0);
}
