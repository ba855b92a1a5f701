use tegata_pki::key::Seal;

use super::*;
use crate::clock::Clock;
use crate::issuers::authorities::Authorities;
use crate::pretend::{World, clinic, documents, sakura, tenant};

fn lines(preview: &Preview) -> Vec<String> {
    preview.actions.iter().map(|action| format!("{} {} {}", action.action, action.object, action.because)).collect()
}

#[tokio::test]
async fn a_preview_shows_only_what_follows_from_the_difference() {
    let world = World::with(&[&sakura(&["pc-1"]), &clinic("momiji", &["pc-9"], "")]).await;
    world.enrol("sakura/pc-1").await;
    world.enrol("sakura/pc-2").await;
    // The turn was not taken yet: the order for pc-1 is due anyway, and so is no news.
    let preview = world.preview(&[&sakura(&["pc-1", "pc-2"]), &clinic("momiji", &["pc-9"], "")]).await.unwrap();
    assert_eq!(lines(&preview), ["issue sakura/pc-2/karte missing"]);
    let documents: Vec<_> = preview.documents.iter().map(|change| (&change.name[..], change.change, &change.paths[..])).collect();
    assert_eq!(documents, [("sakura", tegata_api::v1::fleet::Change::Changed, &["/spec/devices".to_owned()][..])]);
    assert!(preview.locked_out.is_empty());
    assert_eq!(world.logged("done policy.apply").await, 4, "a preview leaves no trace");
}

#[tokio::test]
async fn applying_the_same_again_changes_nothing() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    world.settle().await;
    let (revision, log) = (world.ledger.store().policy_revision(&tenant()).await.unwrap(), world.log().await);
    assert_eq!(world.apply(&[&sakura(&["pc-1"])]).await.unwrap(), Preview::default());
    assert_eq!((world.ledger.store().policy_revision(&tenant()).await.unwrap(), world.log().await), (revision, log));
    assert!(world.ledger.store().due(world.now, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_is_applied_if_one_document_is_wrong() {
    let world = World::new().await;
    let wrong = clinic("momiji", &["pc-9"], "").replace("platform", "platfrom");
    let refused = world.apply(&[&sakura(&["pc-1"]), &wrong]).await;
    let Err(ApplyError::Invalid(findings)) = refused else { panic!("{refused:?}") };
    assert!(findings.iter().all(|finding| finding.file == "policy.yaml" && finding.line > 0), "{findings:?}");
    assert!(world.ledger.store().documents(&tenant()).await.unwrap().is_empty() && world.log().await.is_empty());
}

#[tokio::test]
async fn who_would_be_locked_out_is_told_and_refused_unless_allowed() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    world.prove(&mut pc, "sakura/pc-1/karte").await;
    let refused = world.apply(&[&sakura(&[])]).await;
    let Err(ApplyError::WouldLockOut(preview)) = refused else { panic!("{refused:?}") };
    assert_eq!(preview.locked_out, ["sakura/pc-1"]);
    assert_eq!(world.ledger.policy(&tenant()).await.unwrap().clinics.values().next().unwrap().devices.len(), 1, "nothing was applied");
    world.apply_allowing(&[&sakura(&[])], 1).await.unwrap();
    assert!(world.ledger.policy(&tenant()).await.unwrap().clinics.values().next().unwrap().devices.is_empty());
}

#[tokio::test]
async fn documents_that_are_left_out_go_only_with_prune() {
    let world = World::with(&[&sakura(&["pc-1"]), &clinic("momiji", &["pc-9"], "")]).await;
    let keep = Documents { prune: false, ..documents(&[&sakura(&["pc-2"])]) };
    let request = ApplyRequest { documents: keep, allow_lockout: 0, allow_over_quota: 0 };
    apply(&world.ledger, &world.bells, &tenant(), &request, "person:test", world.now).await.unwrap();
    assert_eq!(world.ledger.policy(&tenant()).await.unwrap().clinics.len(), 2);
    let preview = world.apply(&[&sakura(&["pc-2"])]).await.unwrap();
    assert_eq!(preview.documents[0].change, tegata_api::v1::fleet::Change::Deleted);
    assert_eq!(world.ledger.policy(&tenant()).await.unwrap().clinics.len(), 1);
}

#[tokio::test]
async fn i4_a_profile_that_changes_wakes_every_clinic_that_uses_it() {
    let world = World::with(&[&sakura(&["pc-1"]), &clinic("momiji", &["pc-9"], "")]).await;
    world.settle().await;
    let mut longer = documents(&[&sakura(&["pc-1"]), &clinic("momiji", &["pc-9"], "")]);
    longer.files[0].text = longer.files[0].text.replace("validity: 90d", "validity: 120d");
    let request = ApplyRequest { documents: longer, allow_lockout: 0, allow_over_quota: 0 };
    apply(&world.ledger, &world.bells, &tenant(), &request, "person:test", world.now).await.unwrap();
    assert_eq!(world.ledger.store().due(world.now, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_log_says_what_was_applied_by_whom() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let log = world.ledger.store().audit(&tenant(), 0, 10).await.unwrap();
    let entry = log.iter().find(|entry| entry.object == "ClinicNetwork/sakura").unwrap();
    assert_eq!((&entry.actor[..], &entry.action[..]), ("person:test", "policy.apply"));
    assert_eq!((&entry.details["revision"], &entry.details["change"]), (&json!(1), &json!("created")));
    assert_eq!(entry.details["document"]["spec"]["facilitySlug"], json!("sakura"));
}

#[tokio::test]
async fn an_issuer_whose_authority_was_made_keeps_its_name() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let rename = |mut documents: Documents| {
        documents.files[0].text = documents.files[0].text.replace("commonName: Aozora CA", "commonName: Other CA");
        ApplyRequest { documents, allow_lockout: 0, allow_over_quota: 0 }
    };
    let request = rename(documents(&[&sakura(&["pc-1"])]));
    apply(&world.ledger, &world.bells, &tenant(), &request, "person:test", world.now).await.expect("nothing was made by this name yet");
    let request = ApplyRequest { documents: documents(&[&sakura(&["pc-1"])]), allow_lockout: 0, allow_over_quota: 0 };
    apply(&world.ledger, &world.bells, &tenant(), &request, "person:test", world.now).await.unwrap();

    let authorities = Authorities::new(world.ledger.clone(), Clock::system(), Seal::generate());
    authorities.issuer(&tenant(), &"portal".parse().unwrap()).await.unwrap();
    let request = rename(documents(&[&sakura(&["pc-1"])]));
    let refused = apply(&world.ledger, &world.bells, &tenant(), &request, "person:test", world.now).await;
    let Err(ApplyError::Invalid(findings)) = refused else { panic!("{refused:?}") };
    let told: Vec<_> = findings.iter().map(|finding| (&finding.file[..], finding.line, &finding.path[..], &finding.message[..])).collect();
    let message = "the authority of this issuer was made as \"Aozora CA\", and its name cannot be changed";
    assert_eq!(told, [("policy.yaml", 5, "/spec/commonName", message)]);
}

#[tokio::test]
async fn an_issuer_stays_until_nothing_that_it_issued_is_in_use() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    world.prove(&mut pc, "sakura/pc-1/karte").await;
    let moved = |mut documents: Documents| {
        let text = documents.files[0].text.replace("name: portal", "name: portal-2").replace("issuer: portal", "issuer: portal-2");
        documents.files[0].text = text;
        ApplyRequest { documents, allow_lockout: 0, allow_over_quota: 0 }
    };
    let apply = async || {
        let request = moved(documents(&[&sakura(&["pc-1"])]));
        apply(&world.ledger, &world.bells, &tenant(), &request, "person:test", world.now).await
    };
    let refused = apply().await;
    let Err(ApplyError::Invalid(findings)) = refused else { panic!("{refused:?}") };
    assert_eq!(findings[0].message, "1 certificates of this issuer are still in use");
    // Both issuers, until the replacement is proven.
    let mut both = moved(documents(&[&sakura(&["pc-1"])]));
    both.documents.prune = false;
    super::apply(&world.ledger, &world.bells, &tenant(), &both, "person:test", world.now).await.unwrap();
    world.settle().await;
    world.prove(&mut pc, "sakura/pc-1/karte").await;
    apply().await.expect("nothing of the old issuer is left");
}
