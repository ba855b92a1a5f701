//! A vendor's file from the person who brings it to the device that installs it, and everything that is refused on the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64;
use tegata_api::v1::application::{Application, RecordApplication};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::backup::{Backup, FetchRequest, Fetched, KeepRequest};
use tegata_api::v1::bundle::FaultCode;
use tegata_api::v1::device::{
    Deed, Facts, FileHash, FoundCertificate, Manifest, Report, ReportAnswer, SealedBundle, Source, TakenCertificate,
};
use tegata_api::v1::fleet::{Certificate, Slot};
use tegata_api::v1::notice::{Expiring, Origin};
use tegata_api::v1::problem::Code;
use tegata_api::v1::vendor::{AdoptRequest, ConfirmRequest, ImportAnswer, ImportRequest, Recipients, RecipientsRequest, TryRequest};
use tegata_core::backup::Keepers;
use tegata_core::time::{DAY, Timestamp};
use tegata_core::vendor::BundleFacts;
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::bundle::{self, Content, DeviceKey, folder};
use tegata_pki::certificate;
use tegata_pki::key::sha256;
use tegata_pki::pkcs12::{self, Flavor};

use super::world::{Pc, World, code_of, new_key, pem, problem};

mod quorum;
mod refused;

pub const SLOT: &str = "sakura/pc-1/weborca";
const FILE: &str = "004431_JP_u00000126_client1210.p12";

/// The policy of a clinic whose certificates a vendor issues. Its backups go into this folder, and can be opened by `backup`.
pub fn policy(backup: &DeviceKey, nas: &Path) -> String {
    format!(
        "apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: {{ name: orca }}
spec: {{ type: vendor }}
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: {{ name: weborca }}
spec:
  issuer: orca
  key: {{ origin: vendor }}
  expect: {{ issuer: {{ CN: Intermediate CA }}, validity: 3y, subject: vendor-tenant, fileName: '{{digits}}_JP_{{tenant}}_client{{n}}.p12' }}
  renewal: {{ window: 90d, when: early }}
  install: {{ stores: [file] }}
  browser: {{ select: ['https://weborca.example.jp'] }}
  dependants: [{{ name: 資格確認連携ツール, confirm: operator }}]
---
apiVersion: tegata.dev/v1alpha1
kind: BackupTarget
metadata: {{ name: nas }}
spec: {{ directory: {{ path: {} }}, recipients: [{}], retention: 5y }}
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: {{ name: sakura }}
spec:
  displayName: さくら内科
  facilitySlug: sakura
  vendorTenant: u00000126
  devices: [{{ name: pc-1, platform: linux }}, {{ name: pc-2, platform: linux }}]
  certificates: [{{ profile: weborca }}]
  backup: {{ targets: [nas] }}
",
        nas.display(),
        backup.recipient()
    )
}

/// The vendor, a clinic that uses it, and a PC of that clinic.
pub struct Scene {
    pub world: World,
    pub backup: DeviceKey,
    vendor: Authority,
    pub pc: Pc,
    pub device_key: DeviceKey,
}

impl Scene {
    pub async fn set() -> Self {
        let (world, backup, device_key) = (World::empty().await, DeviceKey::generate(), DeviceKey::generate());
        let nas = world.place.path().join("nas");
        fs::create_dir(&nas).unwrap();
        world.apply("aozora", &policy(&backup, &nas)).await;
        let pc = world.enroll("sakura/pc-1").await;
        let now = world.now();
        let vendor = Authority::new_root("Intermediate CA", "Vendor", now.before(DAY * 400), now.after(DAY * 3650)).unwrap();
        let stage = Self { world, backup, vendor, pc, device_key };
        stage.report(vec![]).await;
        stage
    }

    pub fn policy(&self) -> String {
        policy(&self.backup, &self.nas())
    }

    /// The folder for backups.
    pub fn nas(&self) -> PathBuf {
        self.world.place.path().join("nas")
    }

    /// The PC says to whom files for it are sealed, and what it found.
    async fn report(&self, found: Vec<FoundCertificate>) {
        let facts = Facts { recipient: self.device_key.recipient(), ..Facts::default() };
        let report = Report { facts, found, clock: self.world.now().unix(), ..Report::default() };
        let _: ReportAnswer = self.pc.client.post("/v1/agent/report", &report).await.unwrap();
    }

    /// A file as the vendor delivers it, valid for three years since `from`.
    fn file(&self, organization: &str, from: Timestamp) -> Content {
        let key = new_key();
        let purpose = Purpose::Client {
            common_name: "client1210".into(),
            organization: organization.into(),
            unique: "1".into(),
            crl_url: None,
            ocsp_url: None,
        };
        let tbs = self.vendor.draft(&purpose, &key.public_key(), new_serial(), from, from.after(DAY * 1095)).unwrap();
        let chain = [self.vendor.sign(&tbs).unwrap(), self.vendor.certificate().to_vec()];
        Content::new(FILE, "pass", &pkcs12::write(Flavor::Legacy, &key, &chain, "client1210", "pass").unwrap())
    }

    pub fn good(&self) -> Content {
        self.file("u00000126", self.world.now().before(DAY))
    }

    async fn recipients(&self, slot: &str) -> Result<Recipients, tegata_api::client::ClientError> {
        self.world.admin().post("/v1/tenants/aozora/bundles/recipients", &RecipientsRequest { slot: slot.into() }).await
    }

    /// What the command line does.
    pub async fn import(&self, content: &Content, slot: &str) -> Result<ImportAnswer, tegata_api::client::ClientError> {
        let recipients = self.recipients(SLOT).await?;
        let to: Vec<String> = recipients.backup.into_iter().chain([recipients.device]).collect();
        let (opened, _) = content.open().expect("the file can be opened");
        let request = ImportRequest {
            slot: slot.into(),
            chain: opened.chain.iter().map(|der| pem(der)).collect(),
            file_name: content.file_name.clone(),
            file: FileHash { sha256: content.digest().to_string(), size: content.file.len() as u64 },
            sealed: BASE64.encode(&bundle::seal(content, &to).unwrap()),
            recipients: to,
        };
        self.world.admin().post("/v1/tenants/aozora/bundles", &request).await
    }

    /// Waits until the device is told where to get a certificate from.
    pub async fn source(&self) -> (Manifest, String, Source) {
        let mut after = 0;
        loop {
            let manifest = self.pc.manifest(after).await;
            after = manifest.generation;
            let slot = manifest.slots.iter().find(|slot| slot.slot == SLOT);
            if let Some((order, source)) = slot.and_then(|slot| Some((slot.order.clone()?, slot.source.clone()))) {
                return (manifest, order, source);
            }
        }
    }

    async fn fetch(&self, order: &str) -> Result<SealedBundle, tegata_api::client::ClientError> {
        self.pc.client.get(&format!("/v1/agent/orders/{order}/bundle")).await
    }

    async fn prove(&mut self, order: &str, fingerprint: &str) {
        let (slot, order, fingerprint) = (SLOT.to_owned(), order.to_owned(), fingerprint.to_owned());
        let stores = vec!["file".to_owned()];
        self.pc.did(Deed::Installed { slot: slot.clone(), order: order.clone(), fingerprint: fingerprint.clone(), stores }).await;
        self.pc.did(Deed::Proven { slot, order, fingerprint, url: String::new(), status: 0 }).await;
    }

    pub async fn state(&self) -> Slot {
        let slots: Vec<Slot> = self.world.admin().get("/v1/tenants/aozora/slots").await.unwrap();
        slots.into_iter().find(|slot| slot.name == SLOT).unwrap()
    }

    async fn certificates(&self) -> Vec<Certificate> {
        self.world.admin().get("/v1/tenants/aozora/certificates").await.unwrap()
    }
}

#[tokio::test]
async fn a_vendors_file_reaches_its_device_and_nobody_else_can_open_it() {
    let mut stage = Scene::set().await;
    let content = stage.good();
    let answer = stage.import(&content, SLOT).await.unwrap();
    assert_eq!((answer.subject.as_str(), answer.again), ("CN=client1210, O=u00000126", false));
    let (manifest, order, source) = stage.source().await;
    assert_eq!(source, Source::Bundle { fingerprint: answer.fingerprint.clone() });
    assert_eq!(manifest.slots[0].select[0].issuer_common_name, "Intermediate CA");
    assert_eq!(manifest.slots[0].select[0].subject_common_name.as_deref(), Some("client1210"));

    let sealed = BASE64.decode(stage.fetch(&order).await.unwrap().sealed.as_bytes()).unwrap();
    assert_eq!(bundle::unseal(&sealed, &stage.device_key).unwrap(), content, "byte for byte as the vendor made it");
    assert_eq!(bundle::unseal(&sealed, &stage.backup).unwrap(), content);
    assert!(bundle::unseal(&sealed, &DeviceKey::generate()).is_err());

    stage.prove(&order, &answer.fingerprint).await;
    assert_eq!(stage.state().await.state, "dependants-open", "a linkage tool has a copy");
    let confirm = format!("/v1/tenants/aozora/certificates/{}/confirm", answer.serial);
    for _ in 0..2 {
        stage.world.admin().tell(&confirm, &ConfirmRequest { dependant: None }).await.unwrap();
    }
    // Its backup is read back by the way.
    while stage.state().await.state != "ready" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stage.world.records("aozora", "dependant.confirm").await.len(), 1);
}

/// What monsiaj keeps on a PC is carried like a vendor's file; who else sends something, or too much, is refused.
#[tokio::test]
async fn what_a_device_seals_of_its_own_files_is_kept_carried_and_handed_out() {
    let mut stage = Scene::set().await;
    let policy = stage.policy().replace("install: { stores: [file] }", "install: { stores: [file, monsiaj] }");
    stage.world.apply("aozora", &policy).await;
    let answer = stage.import(&stage.good(), SLOT).await.unwrap();
    let (_, order, _) = stage.source().await;
    stage.prove(&order, &answer.fingerprint).await;
    let recipient = stage.backup.recipient();
    assert!(stage.pc.manifest(0).await.slots.iter().any(|slot| slot.backup == [recipient.clone()]), "it is told to whom");

    let files = [folder::File { name: "monsiaj.jsonrpc.properties".into(), bytes: b"a=b".to_vec().into() }];
    let sealed = folder::seal(&folder::pack(&files).unwrap(), &Keepers::each(vec![recipient.clone()])).unwrap();
    let good = KeepRequest { slot: SLOT.into(), recipients: vec![recipient], sealed: BASE64.encode(&sealed) };
    let keep = async |request: &KeepRequest| stage.pc.client.tell("/v1/agent/backups", request).await;
    let elsewhere = KeepRequest { slot: "sakura/pc-2/weborca".into(), ..good.clone() };
    let to_others = KeepRequest { recipients: vec![DeviceKey::generate().recipient()], ..good.clone() };
    let in_clear = KeepRequest { sealed: BASE64.encode(b"a=b"), ..good.clone() };
    for (request, code) in [(elsewhere, Code::NotFound), (to_others, Code::Conflict), (in_clear, Code::Malformed)] {
        assert_eq!(code_of(keep(&request).await), code);
    }
    keep(&good).await.unwrap();
    assert_eq!(code_of(keep(&good).await), Code::Busy, "once in a while is enough");
    let carried = async || -> Vec<Backup> { stage.world.admin().get("/v1/tenants/aozora/backups").await.unwrap() };
    while !carried().await.iter().any(|backup| backup.kind == "monsiaj" && backup.state == "verified") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let fetch = format!("/v1/tenants/aozora/backups/{SLOT}/fetch");
    for target in [None, Some("nas".to_owned())] {
        let request = FetchRequest { target, kind: Some("monsiaj".into()), id: None };
        let fetched: Fetched = stage.world.admin().post(&fetch, &request).await.unwrap();
        let sealed = BASE64.decode(fetched.sealed.as_bytes()).unwrap();
        assert_eq!(folder::unseal(&sealed, &stage.backup).unwrap(), files);
    }
    assert_eq!(stage.world.records("aozora", "backup.read").await.len(), 2);
}

/// R4: with the whole state folder, nothing of the file, its password or its key can be found.
#[tokio::test]
async fn r4_the_server_never_holds_a_vendors_file_in_clear() {
    let stage = Scene::set().await;
    let content = stage.good();
    stage.import(&content, SLOT).await.unwrap();
    let (opened, _) = content.open().unwrap();
    // ECPrivateKey (RFC 5915, section 3): version 1, then the private key as 32 octets.
    let begin = opened.key.windows(5).position(|bytes| bytes == [0x02, 1, 1, 0x04, 32]).unwrap() + 5;
    let secret = &opened.key[begin..begin + 32];
    let mut files = 0;
    for entry in std::fs::read_dir(stage.world.place.path().join("state")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        files += 1;
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!holds(&content.file[..64]), "{} holds the file", path.display());
        assert!(!holds(secret), "{} holds the key", path.display());
    }
    assert!(files >= 3, "the database, the seal and the access file");
    let database = std::fs::read(stage.world.place.path().join("state/tegata.db-wal")).unwrap();
    assert!(database.windows(32).any(|window| window == &opened.chain[0][..32]), "what is public is there, so it was looked for rightly");
}

#[tokio::test]
async fn what_policy_does_not_want_is_refused_with_every_reason_at_once_and_nothing_is_kept() {
    let stage = Scene::set().await;
    let other = Content { file_name: "client_cert.pfx".into(), ..stage.file("u00000999", stage.world.now().before(DAY * 2000)) };
    let refused = problem(stage.import(&other, SLOT).await);
    assert_eq!(refused.code, Code::BundleRefused);
    let codes: Vec<FaultCode> = refused.faults.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, [FaultCode::Expired, FaultCode::WrongTenant, FaultCode::WrongFileName]);
    assert!(refused.faults.iter().all(|fault| fault.ja.ends_with('。') && fault.en.ends_with('.')), "{:?}", refused.faults);
    assert!(stage.certificates().await.is_empty());
    for action in ["certificate.import", "installer.record"] {
        assert!(stage.world.records("aozora", action).await.is_empty(), "{action}");
    }
}

#[tokio::test]
async fn the_same_file_may_come_twice_but_not_to_two_devices() {
    let stage = Scene::set().await;
    let content = stage.good();
    let first = stage.import(&content, SLOT).await.unwrap();
    let again = stage.import(&content, SLOT).await.unwrap();
    assert_eq!((again.serial, again.again), (first.serial, true));
    assert_eq!(stage.certificates().await.len(), 1);
    let pc2 = stage.world.enroll("sakura/pc-2").await;
    let facts = Facts { recipient: stage.device_key.recipient(), ..Facts::default() };
    let _: ReportAnswer = pc2.client.post("/v1/agent/report", &Report { facts, ..Report::default() }).await.unwrap();
    let refused = problem(stage.import(&content, "sakura/pc-2/weborca").await);
    assert_eq!(refused.faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), [FaultCode::OnAnotherDevice]);
}

#[tokio::test]
async fn a_file_that_was_sealed_to_others_or_for_no_device_is_refused() {
    let stage = Scene::set().await;
    assert_eq!(code_of(stage.recipients("sakura/pc-9/weborca").await), Code::NotFound);
    assert_eq!(code_of(stage.recipients("sakura/pc-2/weborca").await), Code::Conflict, "it has not enrolled");
    let content = stage.good();
    let stranger = vec![DeviceKey::generate().recipient()];
    let request = ImportRequest {
        slot: SLOT.into(),
        chain: content.open().unwrap().0.chain.iter().map(|der| pem(der)).collect(),
        file_name: FILE.into(),
        file: FileHash { sha256: content.digest().to_string(), size: 1 },
        sealed: BASE64.encode(&bundle::seal(&content, &stranger).unwrap()),
        recipients: stranger,
    };
    let import =
        async |request: &ImportRequest| code_of(stage.world.admin().post::<_, ImportAnswer>("/v1/tenants/aozora/bundles", request).await);
    assert_eq!(import(&request).await, Code::Conflict);
    assert_eq!(import(&ImportRequest { sealed: BASE64.encode(&content.file), ..request.clone() }).await, Code::Malformed, "in clear");
    assert_eq!(import(&ImportRequest { chain: "no".into(), ..request }).await, Code::Malformed);
    assert!(stage.certificates().await.is_empty());
}

#[tokio::test]
async fn a_successor_is_brought_early_and_the_old_one_stays_until_the_tool_was_changed() {
    let mut stage = Scene::set().await;
    let first = stage.import(&stage.good(), SLOT).await.unwrap();
    let (_, order, _) = stage.source().await;
    stage.prove(&order, &first.fingerprint).await;
    let confirm = |serial: &str| format!("/v1/tenants/aozora/certificates/{serial}/confirm");
    stage.world.admin().tell(&confirm(&first.serial), &ConfirmRequest { dependant: None }).await.unwrap();

    let second = stage.import(&stage.file("u00000126", stage.world.now()), SLOT).await.unwrap();
    let order = stage.pc.order_other_than(Some(&order)).await;
    stage.prove(&order, &second.fingerprint).await;
    assert_eq!(stage.state().await.state, "dependants-open");
    let retiring = |manifest: &Manifest| manifest.retire.contains(&first.fingerprint);
    let newest = stage.pc.manifest(0).await;
    assert!(!retiring(&newest) && newest.slots[0].replaces.is_empty(), "both stay");
    stage.world.admin().tell(&confirm(&second.serial), &ConfirmRequest { dependant: Some("資格確認連携ツール".into()) }).await.unwrap();
    let mut manifest = newest;
    while !retiring(&manifest) {
        manifest = stage.pc.manifest(manifest.generation).await;
    }
}

fn found(facts: &BundleFacts) -> FoundCertificate {
    FoundCertificate {
        fingerprint: facts.fingerprint.to_string(),
        store: "nss".into(),
        subject: "CN=client1210, O=u00000126".into(),
        issuer: "CN=Intermediate CA".into(),
        serial: facts.serial.clone(),
        not_before: facts.not_before.unix(),
        not_after: facts.not_after.unix(),
        has_key: true,
    }
}

#[tokio::test]
async fn a_found_certificate_is_adopted_told_and_proven_in_its_slot() {
    let mut stage = Scene::set().await;
    let (opened, facts) = stage.good().open().unwrap();
    stage.report(vec![found(&facts)]).await;
    let expiring: Vec<Expiring> = stage.world.admin().get("/v1/tenants/aozora/expiring?within=94608000").await.unwrap();
    let told: Vec<_> = expiring.iter().map(|row| (row.kind, &row.slot[..], row.serial.clone())).collect();
    assert_eq!(told, [(Origin::Found, "sakura/pc-1", facts.fingerprint.to_string())]);
    let adopt = |fingerprint: &str| AdoptRequest { slot: SLOT.into(), fingerprint: fingerprint.into() };
    let path = "/v1/tenants/aozora/adopt";
    assert_eq!(code_of(stage.world.admin().tell(path, &adopt("00000000")).await), Code::NotFound);
    stage.world.admin().tell(path, &adopt(&facts.fingerprint.to_string()[..8])).await.unwrap();
    let (_, order, source) = stage.source().await;
    assert_eq!(source, Source::Found { fingerprint: facts.fingerprint.to_string() });

    let chain: String = opened.chain[..1].iter().map(|der| certificate::to_pem(der)).collect();
    let taken = TakenCertificate { chain, file_name: String::new(), sealed: String::new(), recipients: vec![] };
    let path = format!("/v1/agent/orders/{order}/taken");
    let other = TakenCertificate { chain: pem(stage.vendor.certificate()), ..taken.clone() };
    assert_eq!(code_of(stage.pc.client.tell(&path, &other).await), Code::Malformed);
    for _ in 0..2 {
        stage.pc.client.tell(&path, &taken).await.unwrap();
    }
    stage.prove(&order, &facts.fingerprint.to_string()).await;
    assert_eq!(stage.state().await.state, "dependants-open");
    let done: Vec<_> = stage.world.records("aozora", "certificate.adopt").await;
    assert_eq!(done.iter().map(|record| record.stage).collect::<Vec<_>>(), [Stage::Done]);
    assert_eq!(sha256(&opened.chain[0]), facts.fingerprint);
}

/// What was applied for long ago, and how it stands.
async fn applied(stage: &Scene) {
    let body = BASE64.encode(b"age-encryption.org/v1\n-> X25519 abc\n");
    let sealed_reference = format!("-----BEGIN AGE ENCRYPTED FILE-----\n{body}\n-----END AGE ENCRYPTED FILE-----\n");
    let asked = RecordApplication { slot: SLOT.into(), applied: "2020-01-06".into(), request_id: "A1".into(), sealed_reference };
    stage.world.admin().tell("/v1/tenants/aozora/applications", &asked).await.unwrap();
    assert_eq!(application(stage).await, "lapsed");
}

async fn application(stage: &Scene) -> String {
    let applications: Vec<Application> = stage.world.admin().get("/v1/tenants/aozora/applications").await.unwrap();
    applications[0].state.clone()
}

#[tokio::test]
async fn an_application_ends_when_its_certificate_comes_in_a_file_or_is_adopted() {
    let takes_applications = |stage: &Scene| stage.policy().replace("  renewal: {", "  application: { window: 180d }\n  renewal: {");
    let stage = Scene::set().await;
    stage.world.apply("aozora", &takes_applications(&stage)).await;
    applied(&stage).await;
    stage.import(&stage.good(), SLOT).await.unwrap();
    assert_eq!(application(&stage).await, "imported");

    let stage = Scene::set().await;
    stage.world.apply("aozora", &takes_applications(&stage)).await;
    applied(&stage).await;
    let (opened, facts) = stage.good().open().unwrap();
    let fingerprint = facts.fingerprint.to_string();
    stage.report(vec![found(&facts)]).await;
    stage
        .world
        .admin()
        .tell("/v1/tenants/aozora/adopt", &AdoptRequest { slot: SLOT.into(), fingerprint: fingerprint.clone() })
        .await
        .unwrap();
    let order = loop {
        let (_, order, source) = stage.source().await;
        if source == (Source::Found { fingerprint: fingerprint.clone() }) {
            break order;
        }
    };
    assert_eq!(application(&stage).await, "lapsed", "the device has not taken it over yet");
    let taken = TakenCertificate {
        chain: certificate::to_pem(&opened.chain[0]),
        file_name: String::new(),
        sealed: String::new(),
        recipients: vec![],
    };
    stage.pc.client.tell(&format!("/v1/agent/orders/{order}/taken"), &taken).await.unwrap();
    assert_eq!(application(&stage).await, "imported");
}

#[tokio::test]
async fn f4_a_bundle_is_handed_to_its_own_device_only() {
    let stage = Scene::set().await;
    stage.import(&stage.good(), SLOT).await.unwrap();
    let (_, order, _) = stage.source().await;
    let other = stage.world.enroll("sakura/pc-2").await;
    let path = format!("/v1/agent/orders/{order}/bundle");
    assert_eq!(code_of(other.client.get::<SealedBundle>(&path).await), Code::NotFound);
    let taken =
        TakenCertificate { chain: pem(stage.vendor.certificate()), file_name: String::new(), sealed: String::new(), recipients: vec![] };
    assert_eq!(code_of(other.client.tell(&format!("/v1/agent/orders/{order}/taken"), &taken).await), Code::NotFound);
    stage.fetch(&order).await.unwrap();
}

#[tokio::test]
async fn the_last_try_of_a_pin_is_kept_back_and_a_right_one_gives_them_all_back() {
    let stage = Scene::set().await;
    let with_pin = stage.policy().replace("  renewal: { window", "  pin: { digits: 4, tries: 3 }\n  renewal: { window");
    stage.world.apply("aozora", &with_pin).await;
    let content = stage.good();
    let attempt = async |last| {
        let request = TryRequest { slot: SLOT.into(), sha256: content.digest().to_string(), last };
        stage.world.admin().tell("/v1/tenants/aozora/bundles/tries", &request).await
    };
    attempt(false).await.unwrap();
    attempt(false).await.unwrap();
    assert_eq!(code_of(attempt(false).await), Code::Conflict, "only the last is left");
    attempt(true).await.unwrap();
    assert_eq!(code_of(attempt(true).await), Code::Conflict, "none is left");
    assert_eq!(stage.world.records("aozora", "pin.try").await.len(), 3);
    stage.import(&content, SLOT).await.unwrap();
    attempt(false).await.expect("it was right after all");
}
