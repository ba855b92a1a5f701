//! A world for tests: a server that keeps the protocol in memory, one PC on a real disk, a site that answers. Compiled into tests only.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use async_trait::async_trait;
use data_encoding::BASE64;
use tegata_api::client::ClientError;
use tegata_api::v1::backup::KeepRequest;
use tegata_api::v1::device::{
    BrowserRule, Deed, HOLD_SECONDS, IssuedCertificate, LogShown, Manifest, Receipt, ReceiptsAnswer, Report, ReportAnswer, SealedBundle,
    SignedReceipt, TakenCertificate,
};
use tegata_api::v1::problem::{Code, Problem};
use tegata_core::install::Stage;
use tegata_core::name::{DeviceId, OrderId, Sha256};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::certificate::{self, to_pem};
use tegata_pki::csr;
use tegata_pki::key::PrivateKey;
use tokio::time::{Duration, Instant};

use crate::browser::{Browser, BrowserError};
use crate::converge::Device;
use crate::crash;
use crate::disk::{self, DiskError, Readers};
use crate::identity::Identity;
use crate::inventory::Inventory;
use crate::journal::Journal;
use crate::keystore::file::FileStore;
use crate::keystore::{Keystore, Keystores, Pair};
use crate::limit::Limit;
use crate::probe::{ProbeError, Prober};
use crate::receipts::Receipts;
use crate::server::Server;
use crate::settings::{KeystoreChoice, Settings};
use crate::state::State;
use crate::vendor::Vendor;
use crate::vendor::tests::PretendVendor;

/// One enrolled PC and its server.
pub(crate) struct World {
    root: tempfile::TempDir,
    pub state: State,
    pub settings: Settings,
    pub identity: Identity,
    pub server: Rc<PretendServer>,
    pub site: Rc<PretendSite>,
    pub browser: Rc<PretendBrowser>,
    pub vendor: Rc<PretendVendor>,
}

impl World {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let state = State::make(&root.path().join("agent")).unwrap();
        std::fs::create_dir_all(root.path().join("home")).unwrap();
        let server = Rc::new(PretendServer::new());
        let settings = Settings {
            server: "https://server.test:1".into(),
            tenant: "aozora".into(),
            device: "sakura/uketsuke-1".into(),
            home: root.path().join("home"),
            browser_policies: None,
            keystore: KeystoreChoice::File,
            resolve: vec![],
            granted_roots: vec![],
        };
        settings.write(&state).unwrap();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        disk::write(&state.identity_key(), &key.to_pkcs8(), Readers::Owner).unwrap();
        let own = server.identity_for(&key.public_key());
        disk::write(&state.identity_chain(), own.certificate.as_bytes(), Readers::Owner).unwrap();
        disk::write(&state.authorities(), to_pem(server.authority.certificate()).as_bytes(), Readers::Owner).unwrap();
        let identity = Identity::load(&state).unwrap();
        Self { root, state, settings, identity, server, site: Rc::default(), browser: Rc::default(), vendor: Rc::default() }
    }

    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub fn device(&self) -> DeviceId {
        self.settings.device.parse().unwrap()
    }

    pub fn receipts(&self) -> Receipts {
        Receipts::open(&self.state, &self.settings.device, Rc::clone(&self.identity.key)).unwrap()
    }

    /// Some deed; another number is another deed.
    pub fn retired(&self, number: u8) -> Deed {
        Deed::Retired { fingerprint: Sha256([number; 32]).to_string() }
    }

    /// What the agent is made of, read from disk as at a start.
    pub fn parts(&self) -> Device {
        self.state.clear().unwrap();
        let file: Rc<dyn Keystore> = Rc::new(FileStore::new(&self.state.store()));
        Device {
            state: self.state.clone(),
            journal: Journal::open(&self.state).unwrap(),
            inventory: Inventory::open(&self.state).unwrap(),
            receipts: self.receipts(),
            limit: Limit::open(&self.state.removals()).unwrap(),
            keystores: Keystores { browser: Rc::clone(&file), file, monsiaj: Rc::new(crate::keystore::monsiaj::Monsiaj::of(&self.home())) },
            browser: Box::new(Rc::clone(&self.browser)),
            prober: Box::new(Rc::clone(&self.site)),
            server: Rc::clone(&self.server) as Rc<dyn Server>,
            bundle_key: Rc::new(crate::bundle_key::of(&self.state).unwrap()),
            vendor: Rc::clone(&self.vendor) as Rc<dyn Vendor>,
        }
    }
}

pub(crate) fn problem(code: Code) -> Problem {
    Problem {
        status: 400,
        code,
        title: "no".into(),
        detail: None,
        retry_after: None,
        findings: vec![],
        locked_out: vec![],
        over_quota: vec![],
        faults: vec![],
    }
}

/// The server's side of the protocol: the same question always gets the same answer.
pub(crate) struct PretendServer {
    pub authority: Authority,
    pub manifest: RefCell<Manifest>,
    issued: RefCell<BTreeMap<OrderId, (Vec<u8>, IssuedCertificate)>>,
    pub closed: RefCell<BTreeSet<OrderId>>,
    pub bundles: RefCell<BTreeMap<OrderId, SealedBundle>>,
    /// What devices told of, order by order; the first word counts.
    pub taken: RefCell<BTreeMap<OrderId, TakenCertificate>>,
    pub takes_nothing: RefCell<Option<Problem>>,
    pub wrong_certificates: Cell<u32>,
    pub watched: Watched,
    pub receipts: RefCell<BTreeMap<u64, SignedReceipt>>,
    /// How many receipts it says it has, answer by answer, whatever is so.
    pub says: RefCell<Vec<u64>>,
    pub refuses_receipts: Cell<bool>,
    pub reports: RefCell<Vec<Report>>,
    pub presented: RefCell<Vec<Sha256>>,
    pub clock_ahead: Cell<Duration>,
    refusal: RefCell<Option<Problem>>,
    down_until: Cell<Option<Instant>>,
    holds: Cell<Duration>,
    asked: Cell<usize>,
    /// How far the audit log goes.
    pub log: RefCell<Option<LogShown>>,
    /// What was sealed of programs\' own files.
    pub kept: RefCell<Vec<KeepRequest>>,
}

impl PretendServer {
    fn new() -> Self {
        let now = Timestamp::from_unix(crate::wall_clock());
        let root = Authority::new_root("Sakura Root", "sakura", now.before(DAY), now.after(DAY * 900)).unwrap();
        Self {
            authority: root.new_issuing("Sakura Issuing CA", "sakura", now.before(DAY), now.after(DAY * 900)).unwrap(),
            manifest: RefCell::new(Manifest { device: "sakura/uketsuke-1".into(), ..Manifest::default() }),
            issued: RefCell::default(),
            closed: RefCell::default(),
            bundles: RefCell::default(),
            taken: RefCell::default(),
            takes_nothing: RefCell::default(),
            wrong_certificates: Cell::new(0),
            watched: Watched::default(),
            receipts: RefCell::default(),
            says: RefCell::default(),
            refuses_receipts: Cell::new(false),
            reports: RefCell::default(),
            presented: RefCell::default(),
            clock_ahead: Cell::new(Duration::ZERO),
            refusal: RefCell::default(),
            down_until: Cell::new(None),
            holds: Cell::new(Duration::from_secs(HOLD_SECONDS)),
            asked: Cell::new(0),
            log: RefCell::default(),
            kept: RefCell::default(),
        }
    }

    pub fn refuse_with(&self, problem: Problem) {
        *self.refusal.borrow_mut() = Some(problem);
    }

    pub fn accept_again(&self) {
        *self.refusal.borrow_mut() = None;
    }

    pub fn down_for(&self, span: Duration) {
        self.down_until.set(Some(Instant::now() + span));
    }

    pub fn holds_for(&self, span: Duration) {
        self.holds.set(span);
    }

    pub fn asked(&self) -> usize {
        self.asked.get()
    }

    /// The fingerprint of the certificate that answered an order.
    pub fn issued(&self, order: OrderId) -> Option<Sha256> {
        let issued = self.issued.borrow();
        issued.get(&order).map(|(_, issued)| certificate::read_pem(&issued.certificate).unwrap()[0].fingerprint)
    }

    /// Everything that was said in receipts, in the order of the numbers; checks signatures and that no number is missing.
    pub fn deeds(&self, key: &PrivateKey) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for (expected, (number, signed)) in (1..).zip(self.receipts.borrow().iter()) {
            let signature = BASE64.decode(signed.signature.as_bytes()).unwrap();
            assert!(tegata_pki::key::verify(&key.public_key(), signed.receipt.as_bytes(), &signature));
            let receipt: Receipt = serde_json::from_str(&signed.receipt).unwrap();
            assert_eq!((*number, receipt.number), (expected, expected), "receipts have a gap");
            deeds.push(receipt.deed);
        }
        deeds
    }

    fn up(&self) -> Result<(), ClientError> {
        self.asked.set(self.asked.get() + 1);
        if self.down_until.get().is_some_and(|until| Instant::now() < until) {
            return Err(ClientError::Unexpected { server: "https://server.test:1".into(), status: 503 });
        }
        self.refusal.borrow().clone().map_or(Ok(()), |problem| Err(ClientError::Refused(Box::new(problem))))
    }

    fn identity_for(&self, public_key: &[u8]) -> IssuedCertificate {
        self.sign(Purpose::Identity { common_name: "sakura/uketsuke-1".into(), organization: "aozora".into() }, public_key)
    }

    fn sign(&self, purpose: Purpose, public_key: &[u8]) -> IssuedCertificate {
        let now = Timestamp::from_unix(crate::wall_clock());
        let serial = new_serial();
        let tbs = self.authority.draft(&purpose, public_key, serial, now, now.after(DAY * 90)).unwrap();
        let certificate = to_pem(&self.authority.sign(&tbs).unwrap());
        IssuedCertificate { serial: serial.to_string(), certificate, chain: to_pem(self.authority.certificate()) }
    }

    fn issue(&self, order: OrderId, public_key: Vec<u8>) -> Result<IssuedCertificate, ClientError> {
        if let Some((key, issued)) = self.issued.borrow().get(&order) {
            return if *key == public_key { Ok(issued.clone()) } else { Err(ClientError::Refused(Box::new(problem(Code::OrderClosed)))) };
        }
        let unique = order.to_string();
        let purpose =
            Purpose::Client { common_name: "uketsuke-1".into(), organization: "sakura".into(), unique, crl_url: None, ocsp_url: None };
        let issued = self.sign(purpose, &public_key);
        self.issued.borrow_mut().insert(order, (public_key, issued.clone()));
        Ok(issued)
    }
}

#[async_trait(?Send)]
impl Server for PretendServer {
    async fn manifest(&self, after: u64) -> Result<Option<Manifest>, ClientError> {
        self.up()?;
        if self.manifest.borrow().generation <= after {
            tokio::time::sleep(self.holds.get()).await;
        }
        let manifest = self.manifest.borrow().clone();
        Ok((manifest.generation > after).then_some(manifest))
    }

    async fn certificate(&self, order: OrderId, request: String) -> Result<IssuedCertificate, ClientError> {
        crash::point();
        self.watched.look();
        self.up()?;
        if self.closed.borrow().contains(&order) {
            return Err(ClientError::Refused(Box::new(problem(Code::OrderClosed))));
        }
        let key = csr::check(&request).unwrap().public_key;
        if self.wrong_certificates.get() > 0 {
            self.wrong_certificates.set(self.wrong_certificates.get() - 1);
            let other = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
            return Ok(self.identity_for(&other.public_key()));
        }
        let issued = self.issue(order, key);
        crash::point();
        issued
    }

    async fn bundle(&self, order: OrderId) -> Result<SealedBundle, ClientError> {
        crash::point();
        self.up()?;
        let bundle = self.bundles.borrow().get(&order).cloned();
        crash::point();
        bundle.ok_or_else(|| ClientError::Refused(Box::new(problem(Code::NotFound))))
    }

    async fn taken(&self, order: OrderId, certificate: &TakenCertificate) -> Result<(), ClientError> {
        crash::point();
        self.up()?;
        if let Some(problem) = self.takes_nothing.borrow().clone() {
            return Err(ClientError::Refused(Box::new(problem)));
        }
        let first = self.taken.borrow_mut().entry(order).or_insert_with(|| certificate.clone()).clone();
        crash::point();
        if first.chain == certificate.chain { Ok(()) } else { Err(ClientError::Refused(Box::new(problem(Code::Conflict)))) }
    }

    async fn identity(&self, request: String) -> Result<IssuedCertificate, ClientError> {
        self.up()?;
        Ok(self.identity_for(&csr::check(&request).unwrap().public_key))
    }

    async fn log(&self, _after: u64) -> Result<Option<LogShown>, ClientError> {
        self.up()?;
        Ok(self.log.borrow().clone())
    }

    async fn keep(&self, backup: &KeepRequest) -> Result<(), ClientError> {
        crash::point();
        self.up()?;
        self.kept.borrow_mut().push(backup.clone());
        Ok(())
    }

    async fn report(&self, report: &Report) -> Result<ReportAnswer, ClientError> {
        crash::point();
        self.up()?;
        self.reports.borrow_mut().push(report.clone());
        let clock = Timestamp::from_unix(crate::wall_clock()).after(self.clock_ahead.get());
        Ok(ReportAnswer { clock: clock.unix() })
    }

    async fn receipts(&self, receipts: &[SignedReceipt]) -> Result<ReceiptsAnswer, ClientError> {
        crash::point();
        self.up()?;
        if self.refuses_receipts.get() {
            return Err(ClientError::Refused(Box::new(problem(Code::RequestRefused))));
        }
        if let Some(up_to) = self.says.borrow_mut().pop() {
            return Ok(ReceiptsAnswer { up_to });
        }
        let mut up_to = self.receipts.borrow().len() as u64;
        for signed in receipts {
            let receipt: Receipt = serde_json::from_str(&signed.receipt).unwrap();
            if receipt.number == up_to + 1 {
                up_to = receipt.number;
                self.receipts.borrow_mut().insert(up_to, signed.clone());
            }
        }
        crash::point();
        Ok(ReceiptsAnswer { up_to })
    }

    fn present(&self, identity: &Identity) -> Result<(), ClientError> {
        self.presented.borrow_mut().push(identity.chain[0].fingerprint);
        Ok(())
    }
}

/// The site that the certificates are for.
#[derive(Default)]
pub(crate) struct PretendSite {
    /// What it refuses with; 0 accepts.
    pub refuses: Cell<u16>,
    /// Whom it has accepted.
    pub accepted: RefCell<Vec<Sha256>>,
    pub watched: Watched,
}

/// Looks into the journal on disk at the moment of being asked.
#[derive(Default)]
pub(crate) struct Watched {
    pub state: RefCell<Option<State>>,
    pub stages: RefCell<Vec<Stage>>,
}

impl Watched {
    fn look(&self) {
        if let Some(state) = &*self.state.borrow() {
            let journal = Journal::open(state).unwrap();
            self.stages.borrow_mut().extend(journal.entries().map(|entry| entry.stage));
        }
    }
}

#[async_trait(?Send)]
impl Prober for Rc<PretendSite> {
    async fn ask(&self, url: &str, pair: &Pair) -> Result<u16, ProbeError> {
        crash::point();
        self.watched.look();
        if self.refuses.get() > 0 {
            return Err(ProbeError::Refused { site: url.into(), status: self.refuses.get() });
        }
        self.accepted.borrow_mut().push(pair.fingerprint().unwrap());
        Ok(200)
    }
}

/// A browser that only remembers what it was told.
#[derive(Default)]
pub(crate) struct PretendBrowser {
    pub rules: RefCell<BTreeSet<BrowserRule>>,
    /// Every set of rules that was ever in force.
    pub history: RefCell<Vec<BTreeSet<BrowserRule>>>,
    pub holds_old: Cell<bool>,
    /// How often it was told that a certificate has changed.
    pub changes: Cell<u32>,
    /// Nobody may write its policies.
    pub is_closed: Cell<bool>,
}

impl Browser for Rc<PretendBrowser> {
    fn select(&mut self, rules: &BTreeSet<BrowserRule>) -> Result<bool, BrowserError> {
        crash::point();
        if self.is_closed.get() {
            let source = DiskError { operation: "write into", path: "/etc".into(), source: std::io::ErrorKind::PermissionDenied.into() };
            return Err(BrowserError::Closed { command: "sudo install".into(), source });
        }
        let changed = *self.rules.borrow() != *rules;
        if changed {
            self.rules.replace(rules.clone());
            self.history.borrow_mut().push(rules.clone());
        }
        Ok(changed)
    }

    fn certificates_changed(&mut self) -> Result<(), DiskError> {
        self.changes.set(self.changes.get() + 1);
        Ok(())
    }

    fn holds_old(&self) -> Result<bool, DiskError> {
        Ok(self.holds_old.get())
    }
}

/// A process that is called like a browser, and its lock in this home.
#[cfg(target_os = "linux")]
pub(crate) fn start_browser(home: &std::path::Path) -> std::process::Child {
    let program = home.join("chromium");
    std::fs::copy(crate::command::find("sleep").unwrap(), &program).unwrap();
    let child = std::process::Command::new(program).arg("1000").spawn().unwrap();
    let data = home.join(".config/chromium");
    std::fs::create_dir_all(&data).unwrap();
    std::os::unix::fs::symlink(format!("{}-{}", crate::facts::hostname(), child.id()), data.join("SingletonLock")).unwrap();
    child
}
