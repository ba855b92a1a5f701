//! Devices without a network: what is exported for them, and the answers that come back by hand.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use tegata_api::client::{Client, ClientError};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{CertificateRequest, Deed, Receipt, Report, SignedReceipt, SlotReport, TakenCertificate};
use tegata_api::v1::offline::{AnswerTaken, Meant, OfflineAnswer, OfflineBundle, SignedAnswer, SignedBundle};
use tegata_api::v1::problem::Code;
use tegata_core::time::DAY;
use tegata_pki::certificate::read_pem;
use tegata_pki::key::{PrivateKey, sha256, verify};
use tegata_pki::{bundle, csr};

use super::vendor::{SLOT, Scene};
use super::world::{Pc, World, code_of, fingerprint, new_key, pem};
use crate::store::DeviceRow;

async fn export_of(person: &Client, device: &str) -> Result<SignedBundle, ClientError> {
    person.post(&format!("/v1/tenants/aozora/devices/{device}/bundle"), &()).await
}

async fn export(world: &World, device: &str) -> OfflineBundle {
    serde_json::from_str(&export_of(&world.admin(), device).await.unwrap().bundle).unwrap()
}

/// What a device says that has nothing to say.
fn nothing(pc: &Pc) -> OfflineAnswer {
    OfflineAnswer {
        tenant: "aozora".into(),
        device: pc.device.clone(),
        last_receipt: 0,
        receipts: vec![],
        report: Report::default(),
        requests: BTreeMap::new(),
        taken: BTreeMap::new(),
    }
}

fn receipt(pc: &Pc, number: u64, deed: Deed) -> SignedReceipt {
    let receipt = serde_json::to_string(&Receipt { device: pc.device.clone(), number, at: 1_800_000_000, deed }).unwrap();
    let signature = BASE64.encode(&pc.key.sign(receipt.as_bytes()).unwrap());
    SignedReceipt { receipt, signature }
}

/// That an order was installed and proven.
fn proven(pc: &Pc, slot: &str, order: &str, fingerprint: &str) -> OfflineAnswer {
    let (slot, order, fingerprint) = (slot.to_owned(), order.to_owned(), fingerprint.to_owned());
    let stores = vec!["file".to_owned()];
    let installed = Deed::Installed { slot: slot.clone(), order: order.clone(), fingerprint: fingerprint.clone(), stores };
    let proven = Deed::Proven { slot, order, fingerprint, url: String::new(), status: 0 };
    OfflineAnswer { last_receipt: 2, receipts: vec![receipt(pc, 1, installed), receipt(pc, 2, proven)], ..nothing(pc) }
}

fn sign(key: &PrivateKey, meant: Meant, answer: &OfflineAnswer) -> SignedAnswer {
    let answer = serde_json::to_string(answer).unwrap();
    let signature = BASE64.encode(&key.sign(&meant.signed_bytes(&answer)).unwrap());
    SignedAnswer { answer, signature }
}

async fn send(world: &World, signed: &SignedAnswer) -> Result<AnswerTaken, ClientError> {
    world.admin().post("/v1/tenants/aozora/bundles/answers", signed).await
}

async fn accept(world: &World, pc: &Pc, answer: &OfflineAnswer) -> AnswerTaken {
    send(world, &sign(&pc.key, Meant::Answer, answer)).await.unwrap()
}

async fn row(world: &World, pc: &Pc) -> DeviceRow {
    let (tenant, device) = ("aozora".parse().unwrap(), pc.device.parse().unwrap());
    world.ledger().store().device(&tenant, &device).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_bundle_is_what_the_device_would_fetch_signed_by_the_server_and_on_record_first() {
    let scene = Scene::set().await;
    let content = scene.good();
    let imported = scene.import(&content, SLOT).await.unwrap();
    let (manifest, order, _) = scene.source().await;
    let signed = export_of(&scene.world.admin(), "sakura/pc-1").await.unwrap();

    let chain = read_pem(&signed.chain).unwrap();
    let signature = BASE64.decode(signed.signature.as_bytes()).unwrap();
    assert!(verify(&chain[0].public_key, &Meant::Bundle.signed_bytes(&signed.bundle), &signature));
    assert!(!verify(&chain[0].public_key, signed.bundle.as_bytes(), &signature), "it is said what is signed");
    assert_eq!(pem(&chain[1].der), scene.pc.authorities(), "the authority that the device was given");
    let left = chain[0].not_after.since(scene.world.now());
    assert!(left > DAY * 29, "a file may lie for a month: {left:?}");

    let bundle: OfflineBundle = serde_json::from_str(&signed.bundle).unwrap();
    assert_eq!((bundle.tenant.as_str(), &bundle.manifest, bundle.receipts), ("aozora", &manifest, 0));
    assert_eq!(bundle.identity, sha256(&scene.pc.key.public_key()).to_string());
    assert_eq!(bundle.sealed.keys().collect::<Vec<_>>(), [&order]);
    assert_eq!(bundle.sealed[&order].fingerprint, imported.fingerprint);
    let sealed = BASE64.decode(bundle.sealed[&order].sealed.as_bytes()).unwrap();
    assert_eq!(bundle::unseal(&sealed, &scene.device_key).unwrap(), content);
    assert!(bundle::unseal(&sealed, &bundle::DeviceKey::generate()).is_err(), "nobody else can open it");

    let records = scene.world.records("aozora", "bundle.export").await;
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!((record.stage, record.actor.as_str(), record.object.as_str()), (Stage::Intended, "person:admin", "sakura/pc-1"));
    assert_eq!(record.details["generation"], manifest.generation);
    assert_eq!(record.details["sha256"], sha256(signed.bundle.as_bytes()).to_string());
    assert!(!record.details.to_string().contains(&bundle.sealed[&order].sealed), "{}", record.details);
}

#[tokio::test]
async fn there_is_no_bundle_for_who_has_not_enrolled_or_was_revoked() {
    let world = World::start().await;
    assert_eq!(code_of(export_of(&world.admin(), "sakura/pc-9").await), Code::NotFound);
    assert_eq!(code_of(export_of(&world.admin(), "sakura/pc-1").await), Code::Conflict, "it has not enrolled");
    let pc = world.enroll("sakura/pc-1").await;
    pc.order().await;
    export_of(&world.person("staff", "aozora").await, "sakura/pc-1").await.unwrap();
    world.admin().tell("/v1/tenants/aozora/devices/sakura/pc-1/revoke", &()).await.unwrap();
    assert_eq!(code_of(export_of(&world.admin(), "sakura/pc-1").await), Code::Conflict, "it was revoked");
    let answer = sign(&pc.key, Meant::Answer, &nothing(&pc));
    assert_eq!(code_of(send(&world, &answer).await), Code::Conflict);
    assert_eq!(world.records("aozora", "bundle.export").await.len(), 1);
}

#[tokio::test]
async fn receipts_that_are_carried_settle_the_slot_and_count_once() {
    let scene = Scene::set().await;
    let imported = scene.import(&scene.good(), SLOT).await.unwrap();
    let (_, order, _) = scene.source().await;
    let answer = proven(&scene.pc, SLOT, &order, &imported.fingerprint);
    for _ in 0..2 {
        let taken = accept(&scene.world, &scene.pc, &answer).await;
        assert_eq!((taken.device.as_str(), taken.up_to, taken.refused.len()), ("sakura/pc-1", 2, 0));
    }
    assert_eq!(scene.state().await.state, "dependants-open", "proven; a linkage tool has a copy");
    for action in ["certificate.installed", "certificate.proven"] {
        let seen = scene.world.records("aozora", action).await;
        assert_eq!(seen.iter().map(|record| record.stage).collect::<Vec<_>>(), [Stage::Seen], "{action}");
    }
    assert_eq!(export(&scene.world, "sakura/pc-1").await.receipts, 2, "the device hears of it");
    let carried = scene.world.records("aozora", "bundle.accept").await;
    assert_eq!(carried[0].actor, "person:admin");
}

#[tokio::test]
async fn more_receipts_than_one_message_of_a_device_holds_are_all_taken() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let order = pc.order().await;
    let issued = pc.request(&order, &new_key()).await.unwrap();
    let again = |number| {
        let (slot, order, fingerprint) = ("sakura/pc-1/karte".to_owned(), order.clone(), fingerprint(&issued.certificate));
        receipt(&pc, number, Deed::Proven { slot, order, fingerprint, url: String::new(), status: 0 })
    };
    let answer = OfflineAnswer { last_receipt: 230, receipts: (1..=230).map(again).collect(), ..nothing(&pc) };
    assert_eq!(accept(&world, &pc, &answer).await.up_to, 230);
}

#[tokio::test]
async fn a_request_is_answered_in_the_next_bundle_even_if_the_identitys_certificate_is_over() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let order = pc.order().await;
    let before = export(&world, "sakura/pc-1").await;
    assert!(before.issued.is_empty() && before.sealed.is_empty());
    world.pass(DAY * 400);
    let key = new_key();
    let requests = BTreeMap::from([(order.clone(), CertificateRequest { csr: csr::create(&key).unwrap() })]);
    let answer = OfflineAnswer { requests, ..nothing(&pc) };
    for _ in 0..2 {
        assert_eq!(accept(&world, &pc, &answer).await.issued, std::slice::from_ref(&order));
    }
    let issued = export(&world, "sakura/pc-1").await.issued.remove(&order).unwrap();
    assert_eq!(read_pem(&issued.certificate).unwrap()[0].public_key, key.public_key());
    assert_eq!(world.issued("aozora").await, 1, "the same request, the same certificate");
}

#[tokio::test]
async fn what_a_device_did_not_sign_is_refused_and_changes_nothing() {
    let world = World::start().await;
    let (pc, neighbour) = (world.enroll("sakura/pc-1").await, world.enroll("sakura/pc-2").await);
    let order = pc.order().await;
    let requests = BTreeMap::from([(order, CertificateRequest { csr: csr::create(&new_key()).unwrap() })]);
    let answer = OfflineAnswer { requests, ..nothing(&pc) };
    let good = sign(&pc.key, Meant::Answer, &answer);
    let momijis = OfflineAnswer { tenant: "momiji".into(), ..answer.clone() };
    for (signed, code) in [
        (sign(&neighbour.key, Meant::Answer, &answer), Code::Forbidden),
        (sign(&pc.key, Meant::Bundle, &answer), Code::Forbidden),
        (SignedAnswer { answer: good.answer.replace("\"clock\":0", "\"clock\":1"), ..good.clone() }, Code::Forbidden),
        (SignedAnswer { signature: "no".into(), ..good.clone() }, Code::Forbidden),
        (SignedAnswer { answer: good.answer[..40].into(), ..good.clone() }, Code::Malformed),
        (sign(&pc.key, Meant::Answer, &momijis), Code::NotFound),
        (sign(&pc.key, Meant::Answer, &OfflineAnswer { device: "sakura/pc-9".into(), ..answer.clone() }), Code::NotFound),
        (sign(&pc.key, Meant::Answer, &OfflineAnswer { device: "../x".into(), ..answer.clone() }), Code::NotFound),
    ] {
        assert_ne!(signed, good);
        assert_eq!(code_of(send(&world, &signed).await), code, "{signed:?}");
    }
    assert_eq!(world.issued("aozora").await, 0);
    assert!(world.records("aozora", "bundle.accept").await.is_empty());
    send(&world, &good).await.unwrap();
}

#[tokio::test]
async fn what_is_refused_of_an_answer_stops_nothing_else() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let order = pc.order().await;
    let csr = |key: &PrivateKey| CertificateRequest { csr: csr::create(key).unwrap() };
    let unknown = "00".repeat(16);
    let forged = SignedReceipt { signature: BASE64.encode(b"no"), ..receipt(&pc, 1, Deed::Retired { fingerprint: "00".repeat(32) }) };
    let taken = TakenCertificate { chain: String::new(), file_name: String::new(), sealed: String::new(), recipients: vec![] };
    let answer = OfflineAnswer {
        receipts: vec![forged],
        last_receipt: 1,
        requests: BTreeMap::from([(order.clone(), csr(&new_key())), (unknown.clone(), csr(&new_key()))]),
        taken: BTreeMap::from([(unknown.clone(), taken)]),
        report: Report { generation: 1, ..Report::default() },
        ..nothing(&pc)
    };
    let heard = accept(&world, &pc, &answer).await;
    assert_eq!((heard.issued, heard.up_to, heard.last_receipt), (vec![order], 0, 1));
    let refused: Vec<_> = heard.refused.into_iter().map(|one| (one.order, one.problem.code)).collect();
    assert_eq!(refused, [(None, Code::Forbidden), (Some(unknown.clone()), Code::NotFound), (Some(unknown), Code::NotFound)]);
    assert_eq!(row(&world, &pc).await.report.generation, 1);
}

#[tokio::test]
async fn an_old_answer_says_nothing_new_and_no_answer_says_anything_about_the_clock() {
    let world = World::start().await;
    let mut pc = world.enroll("sakura/pc-1").await;
    let (order, issued) = pc.install_and_prove().await;
    let said = |stage: &str| {
        let slot = SlotReport {
            slot: "sakura/pc-1/karte".into(),
            order: order.clone(),
            stage: stage.into(),
            misplaced: false,
            trouble: None,
            trouble_ja: None,
        };
        Report { generation: 1, slots: vec![slot], ..Report::default() }
    };
    let old = OfflineAnswer { report: said("keyed"), ..nothing(&pc) };
    let new = OfflineAnswer { report: said("settled"), ..proven(&pc, "sakura/pc-1/karte", &order, &fingerprint(&issued.certificate)) };
    world.pass(DAY * 3);
    for answer in [&new, &old] {
        assert_eq!(accept(&world, &pc, answer).await.up_to, 2);
        let row = row(&world, &pc).await;
        assert_eq!((row.report.slots[0].stage.as_str(), row.clock_offset), ("settled", 0));
        assert!(world.now().since(row.last_seen) < DAY, "it was heard");
    }
}
