//! Starting, stopping, and the whole way of one certificate.

use std::fs;

use tegata_api::client::{ClientError, Credentials, Trouble};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{CertificateRequest, IssuedCertificate, Manifest};
use tegata_api::v1::fleet::{Access, Clinic, Slot};
use tegata_api::v1::problem::Code;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::Authority;
use tegata_pki::csr;
use tokio::time::timeout;

use super::world::{PATIENCE, World, clock, code_of, config, new_key};
use crate::serve::folder::FolderError;
use crate::serve::{ServeError, start_at};

#[tokio::test]
async fn a_certificate_goes_all_the_way_from_the_code_to_the_proof() {
    let world = World::start().await;
    let mut pc = world.enroll("sakura/pc-1").await;
    assert_eq!((pc.device.as_str(), pc.authorities()), ("sakura/pc-1", world.server.access().authority.as_str()));

    let (_, issued) = pc.install_and_prove().await;
    let slots: Vec<Slot> = world.admin().get("/v1/tenants/aozora/slots").await.unwrap();
    let slot = slots.iter().find(|slot| slot.name == "sakura/pc-1/karte").unwrap();
    assert_eq!((slot.state.as_str(), slot.serial.as_deref()), ("ready", Some(issued.serial.as_str())));
    let mut told = Vec::new();
    for action in ["order.open", "certificate.sign", "certificate.issue", "certificate.installed", "certificate.proven"] {
        told.extend(world.records("aozora", action).await.into_iter().filter(|record| record.object == "sakura/pc-1/karte"));
    }
    assert!(told.is_sorted_by_key(|record| record.sequence), "{told:#?}");
    let stages: Vec<_> = told.iter().map(|record| record.stage).collect();
    assert_eq!(stages, [Stage::Intended, Stage::Intended, Stage::Done, Stage::Seen, Stage::Seen]);
    assert_eq!(told[1].details["serial"], told[2].details["serial"]);
}

#[tokio::test]
async fn the_first_start_leaves_access_that_outlives_restarts() {
    let world = World::empty().await;
    let kept =
        |world: &World| -> Access { serde_json::from_slice(&fs::read(world.place.path().join("state/admin.json")).unwrap()).unwrap() };
    let first = kept(&world);
    let world = world.restart().await;
    let second = kept(&world);
    assert_eq!((&first.token, &first.authority), (&second.token, &second.authority));
    assert_eq!(second.server, format!("https://{}", world.server.address()));
    let clinics: Vec<Clinic> = world.admin().get("/v1/tenants/aozora/clinics").await.unwrap();
    assert!(clinics.is_empty());
}

#[tokio::test]
async fn f3_a_token_that_was_replaced_or_changed_in_one_byte_is_nobodys() {
    let world = World::empty().await;
    let old = world.server.access().token.clone();
    fs::remove_file(world.place.path().join("state/admin.json")).unwrap();
    let world = world.restart().await;
    let new = world.server.access().token.clone();
    let mut changed = new.clone();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.push(last);
    for token in [old, changed, String::new(), "tgt1.".into(), format!("{new}x"), new.to_uppercase()] {
        let result = world.client(Credentials::Token(token)).get::<Vec<Clinic>>("/v1/tenants/aozora/clinics").await;
        assert_eq!(code_of(result), Code::Unauthorized);
    }
    assert!(world.admin().get::<Vec<Clinic>>("/v1/tenants/aozora/clinics").await.is_ok());
}

#[tokio::test]
async fn a_second_server_on_the_same_state_is_refused() {
    let world = World::empty().await;
    let second = start_at(config(&world.place), clock(&Default::default())).await;
    assert!(matches!(second, Err(ServeError::Folder(FolderError::InUse(_)))));
}

#[tokio::test]
async fn stopping_answers_held_requests_and_then_nobody_listens() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    pc.order().await;
    let mut held = super::revocation::hold(&world, &pc).await;
    timeout(PATIENCE, world.server.stop()).await.unwrap();
    assert_eq!(held.receive().await.status, 204);
    // Somebody else may have the port by now, but not the authority.
    let asked = world.anyone.get::<serde_json::Value>("/v1/enroll").await;
    assert!(matches!(asked, Err(ClientError::Unreachable { .. })), "{asked:?}");
}

#[tokio::test]
async fn an_identity_is_renewed_for_its_own_key_only() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let request = |key| CertificateRequest { csr: csr::create(key).unwrap() };
    let renewed: IssuedCertificate = pc.client.post("/v1/agent/identity", &request(&pc.key)).await.unwrap();
    assert_ne!(renewed.certificate, pc.identity);
    super::world::device_client(&world, &pc.key, &renewed.certificate).get::<Manifest>("/v1/agent/manifest").await.unwrap();
    let other = pc.client.post::<_, IssuedCertificate>("/v1/agent/identity", &request(&new_key())).await;
    assert_eq!(code_of(other), Code::RequestRefused);
}

#[tokio::test]
async fn a_certificate_of_another_authority_makes_nobody_a_device() {
    let world = World::start().await;
    let (key, now) = (new_key(), world.now());
    let manifest = async |name: &str| {
        let stranger = Authority::new_root(name, "Tegata", now, now.after(DAY)).unwrap();
        let identity = sign_identity(&stranger, &key, "aozora", now);
        let client = world.client(Credentials::Device(vec![identity], key.to_pkcs8().to_vec()));
        client.get::<Manifest>("/v1/agent/manifest").await
    };
    // One that says it is ours does not even come through the handshake.
    let result = manifest("Tegata Device Authority").await;
    let refused = matches!(result, Err(ClientError::Unreachable { trouble: Trouble::NotAccepted | Trouble::Handshake, .. }));
    assert!(refused, "{result:?}");
    assert_eq!(code_of(manifest("Somebody Else").await), Code::Unauthorized);
}

/// Signs an identity without any record, as somebody who has stolen a key could.
pub fn sign_identity(authority: &Authority, key: &tegata_pki::key::PrivateKey, tenant: &str, now: Timestamp) -> Vec<u8> {
    use tegata_pki::authority::{Purpose, new_serial};
    let purpose = Purpose::Identity { common_name: "sakura/pc-1".into(), organization: tenant.into() };
    let tbs = authority.draft(&purpose, &key.public_key(), new_serial(), now, now.after(DAY / 2)).unwrap();
    authority.sign(&tbs).unwrap()
}
