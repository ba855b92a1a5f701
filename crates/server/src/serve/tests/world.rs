//! One server with two tenants, and the PCs that enrol with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use data_encoding::BASE64;
use serde::Serialize;
use tegata_api::client::{Client, ClientError, Credentials};
use tegata_api::v1::audit::{Record, Stage};
use tegata_api::v1::device::{
    CertificateRequest, Deed, EnrollRequest, Enrolled, Facts, IssuedCertificate, Manifest, Receipt, ReceiptsAnswer, SignedReceipt,
};
use tegata_api::v1::fleet::{ApplyRequest, CodeAnswer, CodeKind, CodeRequest, Documents, File, Preview};
use tegata_api::v1::problem::{Code, Problem};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::certificate::{read_pem, to_pem};
use tegata_pki::csr;
use tegata_pki::key::{PrivateKey, sha256};
use tempfile::TempDir;

use crate::audit::Ledger;
use crate::clock::Clock;
use crate::serve::{Config, Server, start_at};
use crate::tokens::{self, Wanted};

/// Longer than anything here takes: only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(40);

pub struct World {
    pub place: TempDir,
    pub server: Server,
    pub offset: Arc<AtomicI64>,
    /// Somebody without credentials.
    pub anyone: Client,
}

impl World {
    /// A server without any policy.
    pub async fn empty() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (place, offset) = (tempfile::tempdir().unwrap(), Arc::default());
        let server = start_at(config(&place), clock(&offset)).await.unwrap();
        Self::of(place, server, offset)
    }

    /// A server with tenants `aozora` and `momiji`: one clinic each (`sakura`, `kaede`), two PCs each, profile `karte` on all.
    pub async fn start() -> Self {
        let world = Self::empty().await;
        world.apply("aozora", &policy("sakura")).await;
        world.apply("momiji", &policy("kaede")).await;
        world
    }

    /// The same, and anyone can ask for revocation data without TLS.
    pub async fn plain() -> Self {
        let Self { place, server, offset, .. } = Self::empty().await;
        server.stop().await;
        let config = Config { plain: Some("127.0.0.1:0".parse().unwrap()), ..config(&place) };
        let server = start_at(config, clock(&offset)).await.unwrap();
        let world = Self::of(place, server, offset);
        world.apply("aozora", &policy("sakura")).await;
        world.apply("momiji", &policy("kaede")).await;
        world
    }

    /// Stops the server and starts it again on the same state, at another port.
    pub async fn restart(self) -> Self {
        let Self { place, server, offset, .. } = self;
        server.stop().await;
        let server = start_at(config(&place), clock(&offset)).await.unwrap();
        Self::of(place, server, offset)
    }

    pub fn of(place: TempDir, server: Server, offset: Arc<AtomicI64>) -> Self {
        let anyone = Client::new(&server.access().server, &server.access().authority, Credentials::None).unwrap();
        Self { place, server, offset, anyone }
    }

    /// Lets time pass for the server.
    pub fn pass(&self, span: Duration) {
        self.offset.fetch_add(i64::try_from(span.as_secs()).unwrap(), Ordering::Relaxed);
    }

    pub fn now(&self) -> Timestamp {
        clock(&self.offset).now()
    }

    pub fn ledger(&self) -> &Ledger {
        &self.server.ledger
    }

    pub fn client(&self, credentials: Credentials) -> Client {
        let access = self.server.access();
        Client::new(&access.server, &access.authority, credentials).unwrap()
    }

    pub fn admin(&self) -> Client {
        self.client(Credentials::Token(self.server.access().token.clone()))
    }

    /// Somebody who may see one tenant.
    pub async fn person(&self, name: &str, tenant: &str) -> Client {
        self.bind(tenant, name, "role: admin").await;
        self.client(Credentials::Token(self.token(name, Some(tenant)).await))
    }

    /// Makes a token: of a tenant, or of an owner of the installation.
    pub async fn token(&self, name: &str, tenant: Option<&str>) -> String {
        let (name, tenant) = (name.parse().unwrap(), tenant.map(|tenant| tenant.parse().unwrap()));
        let wanted = Wanted { name: &name, tenant: tenant.as_ref(), life: Some(DAY), by: "person:admin", now: self.now() };
        tokens::make(self.ledger(), wanted).await.unwrap().1.to_string()
    }

    /// Binds whoever holds a token of this name to a role: `role: viewer`, and what else stands in the spec.
    pub async fn bind(&self, tenant: &str, name: &str, rest: &str) {
        let head = "apiVersion: tegata.dev/v1alpha1\nkind: AccessBinding";
        self.add(tenant, &format!("{head}\nmetadata: {{ name: {name} }}\nspec: {{ subject: {{ token: {name} }}, {rest} }}\n")).await;
    }

    /// Applies further documents.
    pub async fn add(&self, tenant: &str, text: &str) {
        let documents = Documents { files: vec![File { name: "more.yaml".into(), text: text.into() }], prune: false };
        let request = ApplyRequest { documents, allow_lockout: 0, allow_over_quota: 0 };
        let _: Preview = self.admin().post(&format!("/v1/tenants/{tenant}/apply"), &request).await.unwrap();
    }

    pub async fn apply(&self, tenant: &str, text: &str) {
        let documents = Documents { files: vec![File { name: "policy.yaml".into(), text: text.into() }], prune: true };
        let request = ApplyRequest { documents, allow_lockout: 1000, allow_over_quota: 0 };
        let _: Preview = self.admin().post(&format!("/v1/tenants/{tenant}/apply"), &request).await.unwrap();
    }

    pub async fn code(&self, device: &str, kind: CodeKind) -> (String, String) {
        self.code_of_tenant(tenant_of(device), device, kind).await
    }

    async fn code_of_tenant(&self, tenant: &str, device: &str, kind: CodeKind) -> (String, String) {
        let path = format!("/v1/tenants/{tenant}/devices/{device}/code");
        let answer: CodeAnswer = self.admin().post(&path, &CodeRequest { kind }).await.unwrap();
        let parts: Vec<_> = answer.code.trim_start_matches("tgj1.").split(['-', '.']).map(str::to_owned).collect();
        (parts[0].clone(), parts[1].clone())
    }

    /// Enrols a PC that stands in `sakura` or `kaede`.
    pub async fn enroll(&self, device: &str) -> Pc {
        self.enroll_at(tenant_of(device), device).await
    }

    /// Enrols a PC of this tenant, whatever its clinic is called.
    pub async fn enroll_at(&self, tenant: &str, device: &str) -> Pc {
        let (handle, secret) = self.code_of_tenant(tenant, device, CodeKind::Join).await;
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let enrolled = self.redeem(&handle, &secret, &key).await.unwrap();
        Pc::new(self, key, &enrolled)
    }

    pub async fn redeem(&self, handle: &str, secret: &str, key: &PrivateKey) -> Result<Enrolled, ClientError> {
        self.anyone.post("/v1/enroll", &enroll_request(handle, secret, key)).await
    }

    /// What a tenant's log says about an action.
    pub async fn records(&self, tenant: &str, action: &str) -> Vec<Record> {
        let all: Vec<Record> = self.admin().get(&format!("/v1/tenants/{tenant}/audit?limit=1000")).await.unwrap();
        all.into_iter().filter(|record| record.action == action).collect()
    }

    /// Waits until a tenant's tree has begun.
    pub async fn log_covers_something(&self, tenant: &str) {
        let path = format!("/v1/tenants/{tenant}/log/tile/entries/000.p/1");
        let covered = async {
            while self.admin().get_bytes(&path).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, covered).await.expect("the tree begins");
    }

    /// How many certificates a tenant's log says were issued.
    pub async fn issued(&self, tenant: &str) -> usize {
        self.records(tenant, "certificate.issue").await.iter().filter(|record| record.stage == Stage::Done).count()
    }
}

pub fn config(place: &TempDir) -> Config {
    Config {
        state: place.path().join("state"),
        listen: "127.0.0.1:0".parse().unwrap(),
        names: vec![],
        plain: None,
        metrics: None,
        export: None,
        policies: None,
        mail: None,
        backup_key: None,
        backup_credentials: None,
        database: None,
        witnesses: None,
        providers: vec![],
    }
}

pub fn clock(offset: &Arc<AtomicI64>) -> Clock {
    let (system, offset) = (Clock::system(), offset.clone());
    Clock::with(move || Timestamp::from_unix(system.now().unix() + offset.load(Ordering::Relaxed)))
}

pub fn enroll_request(handle: &str, secret: &str, key: &PrivateKey) -> EnrollRequest {
    let csr = csr::create(key).unwrap();
    EnrollRequest { handle: handle.into(), secret: secret.into(), device: None, csr, facts: Facts::default() }
}

pub fn policy(name: &str) -> String {
    let shared = "apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: { name: portal }
spec: { type: ca, commonName: Clinic CA }
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: { name: karte }
spec:
  issuer: portal
  key: { origin: device, algorithm: ecdsa-p256 }
  validity: 90d
  renewal: { window: 30d, when: early }
  install: { stores: [file] }
---
";
    format!("{shared}{}", clinic(name))
}

/// A clinic with two PCs.
pub fn clinic(name: &str) -> String {
    format!(
        "apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: {{ name: {name} }}
spec:
  displayName: {name}
  facilitySlug: {name}
  accounts:
    - {{ name: staff, quota: {{ certificates: 50 }} }}
  devices:
    - {{ name: pc-1, platform: linux }}
    - {{ name: pc-2, platform: linux }}
  certificates:
    - {{ profile: karte }}
"
    )
}

pub fn tenant_of(device: &str) -> &'static str {
    if device.starts_with("sakura/") { "aozora" } else { "momiji" }
}

/// A PC that has enrolled.
pub struct Pc {
    pub device: String,
    pub key: PrivateKey,
    pub identity: String,
    pub client: Client,
    authorities: String,
    receipts: u64,
}

impl Pc {
    pub fn new(world: &World, key: PrivateKey, enrolled: &Enrolled) -> Self {
        let client = device_client(world, &key, &enrolled.identity);
        let authorities = enrolled.server_authorities.clone();
        Self { device: enrolled.device.clone(), key, identity: enrolled.identity.clone(), client, authorities, receipts: 0 }
    }

    /// The same PC after the server has moved.
    pub fn moved(self, world: &World) -> Self {
        let client = device_client(world, &self.key, &self.identity);
        Self { client, ..self }
    }

    pub fn authorities(&self) -> &str {
        &self.authorities
    }

    /// Waits for a manifest above `after`.
    pub async fn manifest(&self, after: u64) -> Manifest {
        loop {
            let path = format!("/v1/agent/manifest?after={after}");
            if let Some(manifest) = self.client.get_held(&path, PATIENCE).await.unwrap() {
                return manifest;
            }
        }
    }

    /// Waits for an order that is not `other`.
    pub async fn order_other_than(&self, other: Option<&str>) -> String {
        let mut after = 0;
        loop {
            let manifest = self.manifest(after).await;
            after = manifest.generation;
            let order = manifest.slots.first().and_then(|slot| slot.order.clone());
            if let Some(order) = order.filter(|order| Some(order.as_str()) != other) {
                return order;
            }
        }
    }

    pub async fn order(&self) -> String {
        self.order_other_than(None).await
    }

    pub async fn request(&self, order: &str, key: &PrivateKey) -> Result<IssuedCertificate, ClientError> {
        let request = CertificateRequest { csr: csr::create(key).unwrap() };
        self.client.post(&format!("/v1/agent/orders/{order}/certificate"), &request).await
    }

    /// Takes an order all the way to its proof; gives the order and the certificate.
    pub async fn install_and_prove(&mut self) -> (String, IssuedCertificate) {
        let order = self.order().await;
        let issued = self.request(&order, &new_key()).await.unwrap();
        let (slot, fingerprint) = (format!("{}/karte", self.device), fingerprint(&issued.certificate));
        let stores = vec!["file".to_owned()];
        self.did(Deed::Installed { slot: slot.clone(), order: order.clone(), fingerprint: fingerprint.clone(), stores }).await;
        let answer = self.did(Deed::Proven { slot, order: order.clone(), fingerprint, url: String::new(), status: 0 }).await;
        assert_eq!(answer.up_to, 2);
        (order, issued)
    }

    /// Signs for a deed.
    pub async fn did(&mut self, deed: Deed) -> ReceiptsAnswer {
        self.receipts += 1;
        let receipt = Receipt { device: self.device.clone(), number: self.receipts, at: 1_800_000_000, deed };
        let receipt = serde_json::to_string(&receipt).unwrap();
        let signature = BASE64.encode(&self.key.sign(receipt.as_bytes()).unwrap());
        self.client.post("/v1/agent/receipts", &[SignedReceipt { receipt, signature }]).await.unwrap()
    }
}

pub fn device_client(world: &World, key: &PrivateKey, identity: &str) -> Client {
    let chain = read_pem(identity).unwrap().into_iter().map(|certificate| certificate.der).collect();
    world.client(Credentials::Device(chain, key.to_pkcs8().to_vec()))
}

pub fn new_key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
}

pub fn fingerprint(pem: &str) -> String {
    sha256(&read_pem(pem).unwrap()[0].der).to_string()
}

/// The problem that a call came back with.
pub fn problem<T>(result: Result<T, ClientError>) -> Problem {
    match result {
        Err(ClientError::Refused(problem)) => *problem,
        Err(error) => panic!("not a refusal: {error:?}"),
        Ok(_) => panic!("it was not refused"),
    }
}

pub fn code_of<T>(result: Result<T, ClientError>) -> Code {
    problem(result).code
}

/// Sends a body to a path and gives the problem, or nothing if there was none.
pub async fn ask(client: &Client, is_post: bool, path: &str, body: &(impl Serialize + Sync)) -> Option<Problem> {
    let result = if is_post { client.tell(path, body).await } else { client.get_bytes(path).await.map(drop) };
    match result {
        Ok(()) => None,
        Err(ClientError::Refused(problem)) => Some(*problem),
        Err(error) => panic!("{path}: {error:?}"),
    }
}

pub fn pem(der: &[u8]) -> String {
    to_pem(der)
}
