//! One order, one certificate, whatever happens in between.

use tegata_api::v1::audit::Stage;
use tegata_api::v1::problem::Code;
use tegata_core::name::OrderId;
use tegata_core::policy::KeyAlgorithm;
use tegata_pki::authority::{Purpose, new_serial};
use tegata_pki::certificate::read_pem;
use tegata_pki::key::{PrivateKey, sha256};

use super::world::{Pc, World, code_of, new_key};
use crate::issuers::signer::Validity;
use crate::store::{Batch, Change, Draft, NewRecord};

#[tokio::test]
async fn i3_the_same_order_and_key_give_the_same_bytes_even_after_a_restart() {
    let world = World::start().await;
    let (pc, key) = (world.enroll("sakura/pc-1").await, new_key());
    let order = pc.order().await;
    let first = pc.request(&order, &key).await.unwrap();
    assert_eq!(pc.request(&order, &key).await.unwrap().certificate, first.certificate);
    let world = world.restart().await;
    let again = pc.moved(&world).request(&order, &key).await.unwrap();
    assert_eq!((again.certificate, again.chain, again.serial), (first.certificate, first.chain, first.serial));
    assert_eq!(world.issued("aozora").await, 1);
}

#[tokio::test]
async fn i3_requests_at_the_same_moment_get_the_same_bytes() {
    let world = World::start().await;
    let (pc, key) = (world.enroll("sakura/pc-1").await, new_key());
    let order = pc.order().await;
    let all = futures::future::join_all((0..8).map(|_| pc.request(&order, &key))).await;
    let all: Vec<_> = all.into_iter().map(|issued| issued.unwrap().certificate).collect();
    assert!(all.iter().all(|one| *one == all[0]));
    assert_eq!(world.issued("aozora").await, 1);
}

#[tokio::test]
async fn a_certificate_says_what_policy_says_and_comes_from_the_tenants_own_authority() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let issued = pc.request(&pc.order().await, &new_key()).await.unwrap();
    let (certificate, chain) = (&read_pem(&issued.certificate).unwrap()[0], &read_pem(&issued.chain).unwrap()[..]);
    assert_eq!(certificate.issuer_common_name.as_deref(), Some("Clinic CA"));
    assert_eq!(certificate.organization.as_deref(), Some("sakura"));
    assert_eq!(certificate.common_name.as_deref(), Some("pc-1"));
    assert_eq!(certificate.not_after.since(certificate.not_before).as_secs(), 90 * 86_400 + 300);
    assert_eq!((chain.len(), chain[0].common_name.as_deref()), (1, Some("Clinic CA")));
}

#[tokio::test]
async fn an_order_that_ended_is_closed_for_another_key() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let order = pc.order().await;
    pc.request(&order, &new_key()).await.unwrap();
    assert_eq!(code_of(pc.request(&order, &new_key()).await), Code::OrderClosed);
    assert_eq!(world.issued("aozora").await, 1);
}

#[tokio::test]
async fn a_device_that_lost_the_key_of_its_new_certificate_gets_another_order() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let order = pc.order().await;
    pc.request(&order, &new_key()).await.unwrap();
    let key = new_key();
    assert_eq!(code_of(pc.request(&order, &key).await), Code::OrderClosed);
    let next = pc.order_other_than(Some(&order)).await;
    pc.request(&next, &key).await.unwrap();
}

#[tokio::test]
async fn a_key_of_another_kind_is_refused_and_the_order_stays_open() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let order = pc.order().await;
    let other = PrivateKey::generate(KeyAlgorithm::EcdsaP384).unwrap();
    assert_eq!(code_of(pc.request(&order, &other).await), Code::RequestRefused);
    pc.request(&order, &new_key()).await.unwrap();
}

#[tokio::test]
async fn i1_a_crash_between_draft_and_signature_heals_at_the_next_start() {
    let world = World::start().await;
    let (pc, key) = (world.enroll("sakura/pc-1").await, new_key());
    let order = pc.order().await;
    let draft = crash_after_draft(&world, &pc, &order, &key).await;
    let world = world.restart().await;
    let row = world.ledger().store().certificate(&draft.serial).await.unwrap().expect("signed at start");
    assert!(row.der.windows(draft.tbs.len()).any(|window| window == draft.tbs), "the very bytes that were recorded");
    let issued = pc.moved(&world).request(&order, &key).await.unwrap();
    assert_eq!(issued.certificate, super::world::pem(&row.der));
    assert_eq!(world.issued("aozora").await, 1);
}

#[tokio::test]
async fn i1_a_crash_between_draft_and_signature_heals_at_the_next_request() {
    let world = World::start().await;
    let (pc, key) = (world.enroll("sakura/pc-1").await, new_key());
    let order = pc.order().await;
    let draft = crash_after_draft(&world, &pc, &order, &key).await;
    let issued = pc.request(&order, &key).await.unwrap();
    assert_eq!(issued.serial, draft.serial.to_string());
}

#[tokio::test]
async fn a_device_that_lost_the_key_of_a_draft_gets_another_order_and_the_draft_is_never_signed() {
    let world = World::start().await;
    let (pc, lost) = (world.enroll("sakura/pc-1").await, new_key());
    let order = pc.order().await;
    let draft = crash_after_draft(&world, &pc, &order, &lost).await;
    let key = new_key();
    assert_eq!(code_of(pc.request(&order, &key).await), Code::OrderClosed);
    assert_eq!(code_of(pc.request(&order, &lost).await), Code::OrderClosed);
    let next = pc.order_other_than(Some(&order)).await;
    pc.request(&next, &key).await.unwrap();
    let world = world.restart().await;
    assert!(world.ledger().store().certificate(&draft.serial).await.unwrap().is_none());
    let abandoned = world.records("aozora", "certificate.abandon").await;
    assert_eq!(abandoned[0].details["serial"], draft.serial.to_string());
}

#[tokio::test]
async fn sites_can_fetch_whom_to_trust_before_anything_was_issued() {
    let world = World::start().await;
    let answer = super::revocation::fetch(&world, "/ca/aozora/portal.pem").await;
    let bundle = read_pem(std::str::from_utf8(&answer.body).unwrap()).unwrap();
    let names: Vec<_> = bundle.iter().map(|certificate| certificate.common_name.clone().unwrap()).collect();
    assert_eq!(names, ["Clinic CA", "Clinic CA Root"]);
    let pc = world.enroll("sakura/pc-1").await;
    let issued = pc.request(&pc.order().await, &new_key()).await.unwrap();
    assert_eq!(read_pem(&issued.chain).unwrap()[0], bundle[0]);
    for unknown in ["/ca/aozora/other.pem", "/ca/nobody/portal.pem", "/ca/aozora/portal", "/crl/aozora/other.crl"] {
        assert_eq!(super::revocation::fetch(&world, unknown).await.status, 404, "{unknown}");
    }
}

/// Leaves the database as a power cut between the two commits of an issuance would.
async fn crash_after_draft(world: &World, pc: &Pc, order: &str, key: &PrivateKey) -> Draft {
    let order: OrderId = order.parse().unwrap();
    let row = world.ledger().store().order(&order).await.unwrap().unwrap();
    let (now, serial) = (world.now(), new_serial());
    let issuing = super::tenants::authorities(world).issuer(&row.tenant, &row.template.issuer).await.unwrap();
    let purpose = Purpose::Client {
        common_name: row.template.common_name.clone(),
        organization: row.template.organization.clone(),
        unique: order.to_string(),
        crl_url: None,
        ocsp_url: None,
    };
    let tbs = issuing.signer.draft(&purpose, &key.public_key(), serial, Validity::from_now(now, row.template.validity)).unwrap();
    let draft = Draft { serial, public_key: sha256(&key.public_key()), tbs: tbs.bytes.clone(), shard: 0 };
    let record = NewRecord {
        tenant: row.tenant,
        at: now,
        stage: Stage::Intended,
        actor: format!("device:{}", pc.device),
        action: "certificate.sign",
        object: row.slot.to_string(),
        details: serde_json::Value::Null,
    };
    let change = Change::PutDraft { id: order, draft: draft.clone() };
    world.ledger().record((), Batch { records: vec![record], changes: vec![change] }).await.unwrap();
    draft
}
