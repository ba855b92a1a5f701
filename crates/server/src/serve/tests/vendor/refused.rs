//! What a vendor's certificate may not be, whoever brings it.

use super::*;

/// Two more places on the same PC: for another certificate of the vendor, and for one of our own.
const MORE: &str = "---
apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: { name: own }
spec: { type: ca, commonName: Clinic CA }
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: { name: karte }
spec:
  issuer: own
  key: { origin: device, algorithm: ecdsa-p256 }
  validity: 90d
  renewal: { window: 30d }
  install: { stores: [file] }
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: { name: receipt }
spec:
  issuer: orca
  key: { origin: vendor }
  expect: { issuer: { CN: Intermediate CA }, validity: 3y, subject: vendor-tenant, sharing: many-devices }
  install: { stores: [file] }
";

const OWN: &str = "sakura/pc-1/karte";

async fn set() -> Scene {
    let stage = Scene::set().await;
    let more = "[{ profile: weborca }, { profile: karte }, { profile: receipt }]";
    let policy = stage.policy().replace("[{ profile: weborca }]", more);
    // Another tenant has a clinic of the same name, with the same PC.
    for tenant in ["aozora", "momiji"] {
        stage.world.apply(tenant, &format!("{policy}{MORE}")).await;
    }
    stage
}

/// The order that a slot waits with. A device is told of a vendor's only once there is something to fetch.
async fn order_of(stage: &Scene, slot: &str) -> String {
    loop {
        let opened = stage.world.records("aozora", "order.open").await;
        if let Some(record) = opened.iter().find(|record| record.object == slot) {
            return record.details["order"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn take(stage: &Scene, order: &str, content: &Content, sealed: &str) -> Result<(), tegata_api::client::ClientError> {
    take_for(stage, order, content, sealed, vec![]).await
}

async fn take_for(
    stage: &Scene,
    order: &str,
    content: &Content,
    sealed: &str,
    recipients: Vec<String>,
) -> Result<(), tegata_api::client::ClientError> {
    let chain = content.open().unwrap().0.chain.iter().map(|der| pem(der)).collect();
    let taken = TakenCertificate { chain, file_name: FILE.into(), sealed: sealed.into(), recipients };
    stage.pc.client.tell(&format!("/v1/agent/orders/{order}/taken"), &taken).await
}

async fn adopt(stage: &Scene, slot: &str, fingerprint: &str) -> Result<(), tegata_api::client::ClientError> {
    stage.world.admin().tell("/v1/tenants/aozora/adopt", &AdoptRequest { slot: slot.into(), fingerprint: fingerprint.into() }).await
}

#[tokio::test]
async fn what_a_device_took_is_refused_in_clear_for_a_foreign_order_and_when_it_is_too_late() {
    let stage = set().await;
    let (good, order) = (stage.good(), order_of(&stage, SLOT).await);
    assert_eq!(code_of(take(&stage, &order, &good, &BASE64.encode(&good.file)).await), Code::Malformed, "in clear");
    let sealed = BASE64.encode(b"age-encryption.org/v1\n...");
    for recipients in [vec!["age1".into()], vec![format!("age1{}", "q".repeat(58)); 201]] {
        assert_eq!(code_of(take_for(&stage, &order, &good, &sealed, recipients).await), Code::Malformed, "no recipients");
    }
    let own = order_of(&stage, OWN).await;
    assert_eq!(code_of(take(&stage, &own, &good, "").await), Code::NotFound, "the device makes that key itself");
    // Adopting takes the order back that was there before.
    let facts = good.open().unwrap().1;
    stage.report(vec![found(&facts)]).await;
    adopt(&stage, SLOT, &facts.fingerprint.to_string()).await.unwrap();
    assert_eq!(problem(take(&stage, &order, &good, "").await).title, "the order was taken back");
    let adopting = loop {
        let (_, adopting, _) = stage.source().await;
        if adopting != order {
            break adopting;
        }
    };
    take(&stage, &adopting, &good, "").await.unwrap();
    let namesake = stage.world.enroll_at("momiji", "sakura/pc-1").await;
    let taken =
        TakenCertificate { chain: pem(stage.vendor.certificate()), file_name: String::new(), sealed: String::new(), recipients: vec![] };
    let theirs = namesake.client.tell(&format!("/v1/agent/orders/{adopting}/taken"), &taken).await;
    assert_eq!(code_of(theirs), Code::NotFound, "another tenant's order");
    let other = stage.file("u00000126", stage.world.now());
    assert_eq!(code_of(take(&stage, &adopting, &other, "").await), Code::Conflict, "it is answered by another certificate");
    assert_eq!(stage.certificates().await.len(), 1);
}

#[tokio::test]
async fn only_what_is_named_without_doubt_can_be_used_and_is_in_no_slot_is_adopted() {
    let mut stage = set().await;
    let facts = stage.good().open().unwrap().1;
    let one = found(&facts);
    let digits = one.fingerprint.clone();
    let twin = FoundCertificate { fingerprint: format!("{}{}", &digits[..10], "0".repeat(54)), ..one.clone() };
    let keyless = FoundCertificate { fingerprint: "f".repeat(64), has_key: false, ..one.clone() };
    stage.report(vec![one, twin, keyless]).await;
    assert_eq!(code_of(adopt(&stage, SLOT, "fffffff").await), Code::Malformed, "too few digits");
    assert_eq!(code_of(adopt(&stage, SLOT, &digits[..10]).await), Code::Malformed, "two begin like this");
    assert_eq!(code_of(adopt(&stage, SLOT, "ffffffff").await), Code::Conflict, "its key is not there");
    assert_eq!(code_of(adopt(&stage, OWN, &digits).await), Code::Conflict, "the device makes that key itself");
    assert_eq!(stage.world.records("aozora", "order.cancel").await.len(), 0);

    let content = stage.good();
    let imported = stage.import(&content, SLOT).await.unwrap();
    let (_, order, _) = stage.source().await;
    stage.prove(&order, &imported.fingerprint).await;
    stage.report(vec![found(&content.open().unwrap().1)]).await;
    assert_eq!(code_of(adopt(&stage, "sakura/pc-1/receipt", &imported.fingerprint).await), Code::Conflict, "it is in a slot already");
}

#[tokio::test]
async fn a_file_goes_into_one_slot_of_a_pc_that_is_in_force_and_its_copies_are_looked_for() {
    let stage = set().await;
    let content = stage.good();
    stage.import(&content, SLOT).await.unwrap();
    assert_eq!(stage.world.records("aozora", "installer.record").await.len(), 1);
    let again = stage.import(&content, "sakura/pc-1/receipt").await;
    assert!(problem(again).title.contains("holds this certificate already"), "the browser could not tell them apart");
    assert_eq!(code_of(stage.import(&content, OWN).await), Code::Conflict, "the device makes that key itself");
    let recipients = stage.recipients(SLOT).await.unwrap();
    let request = ImportRequest {
        slot: SLOT.into(),
        chain: content.open().unwrap().0.chain.iter().map(|der| pem(der)).collect(),
        file_name: FILE.into(),
        file: FileHash { sha256: content.digest().to_string(), size: 1 },
        sealed: BASE64.encode(&[b"age-encryption.org/v1\n".as_slice(), &vec![0; 2 << 20]].concat()),
        recipients: recipients.backup.into_iter().chain([recipients.device]).collect(),
    };
    let large = stage.world.admin().post::<_, ImportAnswer>("/v1/tenants/aozora/bundles", &request).await;
    assert_eq!(code_of(large), Code::Malformed, "no bundle is so large");
    stage.world.admin().tell("/v1/tenants/aozora/devices/sakura/pc-1/revoke", &serde_json::json!({})).await.unwrap();
    assert_eq!(code_of(stage.recipients(SLOT).await), Code::Conflict, "a lost PC gets nothing any more");
}

#[tokio::test]
async fn f4_only_what_the_slot_depends_on_is_confirmed_by_its_own_tenant_and_while_it_is_there() {
    let mut stage = set().await;
    let imported = stage.import(&stage.good(), SLOT).await.unwrap();
    let (_, order, _) = stage.source().await;
    stage.prove(&order, &imported.fingerprint).await;
    let confirm = async |tenant: &str, dependant: Option<&str>| {
        let path = format!("/v1/tenants/{tenant}/certificates/{}/confirm", imported.serial);
        stage.world.admin().tell(&path, &ConfirmRequest { dependant: dependant.map(Into::into) }).await
    };
    assert_eq!(code_of(confirm("momiji", None).await), Code::NotFound);
    assert_eq!(code_of(confirm("aozora", Some("another tool")).await), Code::NotFound);
    assert!(stage.world.records("aozora", "dependant.confirm").await.is_empty());
    confirm("aozora", None).await.unwrap();
    stage.pc.did(Deed::Retired { fingerprint: imported.fingerprint.clone() }).await;
    assert_eq!(code_of(confirm("aozora", None).await), Code::NotFound, "it is gone");
}
