//! A pretend world for tests: a real database, and devices that sign with real keys.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use tegata_api::v1::device::{Deed, Facts, Manifest, Receipt, Report, SignedReceipt};
use tegata_api::v1::fleet::{ApplyRequest, Documents, File, Preview};
use tegata_core::name::{ClinicId, DeviceId, OrderId, SlotId, TenantName};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::Timestamp;
use tegata_pki::authority::new_serial;
use tegata_pki::key::{PrivateKey, sha256};

use crate::asks;
use crate::audit::Ledger;
use crate::bells::Bells;
use crate::policy::{self, ApplyError};
use crate::receipts;
use crate::store::sql::{Database, sqlite::archive};
use crate::store::{Batch, CertificateRow, Change, DeviceRow, Draft, Issued, OrderRow, OrderState};
use crate::turn;

/// More turns than any story needs: a plan that never falls silent is an error.
const TURNS_MAX: usize = 50;

pub(crate) const ISSUER: &str = "
apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: { name: portal }
spec: { type: ca, commonName: Aozora CA }
";

pub(crate) const PROFILE: &str = "
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: { name: karte }
spec:
  issuer: portal
  key: { origin: device, algorithm: ecdsa-p256 }
  validity: 90d
  renewal: { window: 30d, when: early }
  install: { stores: [file] }
  browser: { select: [\"https://{facilitySlug}.karte.example.jp\"] }
";

/// The clinic `sakura` with these devices, each of which gets a `karte` certificate.
pub(crate) fn sakura(devices: &[&str]) -> String {
    clinic("sakura", devices, "")
}

/// A clinic with these devices, and whatever else its `spec` says.
pub(crate) fn clinic(name: &str, devices: &[&str], more: &str) -> String {
    let devices: String = devices.iter().map(|device| format!("    - {{ name: {device}, platform: linux }}\n")).collect();
    let devices = if devices.is_empty() { String::new() } else { format!("  devices:\n{devices}") };
    format!(
        "\napiVersion: tegata.dev/v1alpha1\nkind: ClinicNetwork\nmetadata: {{ name: {name} }}\nspec:\n  displayName: {name}\n  \
         facilitySlug: {name}\n  rollout: {{ replaceAtOnce: 100 }}\n{devices}  certificates:\n    - {{ profile: karte }}\n{more}"
    )
}

/// A server without its doors, and the time.
pub(crate) struct World {
    folder: tempfile::TempDir,
    pub ledger: Ledger,
    pub bells: Bells,
    pub now: Timestamp,
}

impl World {
    /// An empty world.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(folder.path()).await;
        Self { folder, ledger, bells: Bells::default(), now: Timestamp::from_unix(1_800_000_000) }
    }

    /// A world in which these clinics are in force.
    pub async fn with(clinics: &[&str]) -> Self {
        let world = Self::new().await;
        world.apply(clinics).await.unwrap();
        world
    }

    /// Ends the process and starts it again on the same database.
    pub async fn restart(self) -> Self {
        let Self { folder, ledger, now, .. } = self;
        drop(ledger);
        Self { ledger: open(folder.path()).await, folder, bells: Bells::default(), now }
    }

    /// A copy of everything as it is now.
    pub async fn copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        archive::copy(&self.folder.path().join("tegata.db"), &copy.path().join("tegata.db")).await.unwrap();
        copy
    }

    /// Loses everything and puts a copy back.
    pub async fn put_back(self, folder: tempfile::TempDir) -> Self {
        archive::begin_epoch(&folder.path().join("tegata.db"), self.now, self.now).await.unwrap();
        Self { ledger: open(folder.path()).await, folder, bells: Bells::default(), now: self.now }
    }

    /// Applies issuer, profile and exactly these clinics.
    pub async fn apply(&self, clinics: &[&str]) -> Result<Preview, ApplyError> {
        self.apply_allowing(clinics, 0).await
    }

    pub async fn apply_allowing(&self, clinics: &[&str], allow_lockout: u32) -> Result<Preview, ApplyError> {
        let request = ApplyRequest { documents: documents(clinics), allow_lockout, allow_over_quota: 0 };
        policy::apply(&self.ledger, &self.bells, &tenant(), &request, "person:test", self.now).await
    }

    pub async fn preview(&self, clinics: &[&str]) -> Result<Preview, ApplyError> {
        policy::preview(&self.ledger, &tenant(), &documents(clinics), self.now).await
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// Takes turns until nothing is due.
    pub async fn settle(&self) {
        for _ in 0..TURNS_MAX {
            let due = self.ledger.store().due(self.now, 100).await.unwrap();
            if due.is_empty() {
                return;
            }
            for clinic in due {
                turn::turn(&self.ledger, &self.bells, &clinic, self.now).await.unwrap();
            }
        }
        panic!("the plan never falls silent: {:#?}", self.log().await);
    }

    /// Enrols a device with a fresh key.
    pub async fn enrol(&self, name: &str) -> Pc {
        let pc = Pc { device: device(name), key: PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap(), number: 0 };
        let row = DeviceRow {
            tenant: tenant(),
            device: pc.device.clone(),
            identity: sha256(&pc.key.public_key()),
            public_key: pc.key.public_key(),
            enrolled_at: self.now,
            last_seen: self.now,
            clock_offset: 0,
            revoked_at: None,
            facts: Facts::default(),
            report: Report::default(),
            manifest: Manifest::default(),
            receipts: 0,
        };
        let mut changes = asks::on_enrolment(&self.ledger, &row, self.now).await.unwrap();
        changes.push(Change::PutDevice(row.into()));
        self.note(changes).await;
        pc
    }

    pub async fn note(&self, changes: Vec<Change>) {
        self.ledger.note(Batch { records: vec![], changes }).await.unwrap();
    }

    pub async fn row(&self, pc: &Pc) -> DeviceRow {
        self.ledger.store().device(&tenant(), &pc.device).await.unwrap().unwrap()
    }

    pub async fn manifest(&self, pc: &Pc) -> Manifest {
        self.row(pc).await.manifest
    }

    /// The open order for a slot.
    pub async fn order(&self, slot: &str) -> OrderRow {
        let snapshot = self.ledger.store().snapshot(&clinic_of(slot), self.now).await.unwrap();
        let open = snapshot.orders.into_iter().filter(|order| order.state == OrderState::Open);
        open.into_iter().find(|order| order.slot.to_string() == slot).expect("the slot should have an open order")
    }

    /// Fulfils the open order of a slot, as the issuing door would.
    pub async fn issue(&self, slot: &str) -> CertificateRow {
        let OrderRow { id, template, .. } = self.order(slot).await;
        let serial = new_serial();
        let draft = Draft { serial, public_key: sha256(&serial.0), tbs: serial.0.to_vec(), shard: 1 };
        let der = [b"certificate".as_slice(), &serial.0].concat();
        let (fingerprint, not_before, not_after) = (sha256(&der), self.now, self.now.after(template.validity));
        let issued = Issued { order: id, serial, der, fingerprint, not_before, not_after, at: self.now };
        self.note(vec![Change::PutDraft { id, draft }, Change::Fulfil(issued)]).await;
        self.ledger.store().certificate(&serial).await.unwrap().expect("what was kept can be read")
    }

    /// The newest certificate of a slot.
    pub async fn newest(&self, slot: &str) -> CertificateRow {
        let rows = self.ledger.store().certificates(&tenant(), Default::default()).await.unwrap();
        rows.into_iter().rfind(|row| row.slot.to_string() == slot).expect("the slot should have a certificate")
    }

    /// Has a device say that it did these things.
    pub async fn tell(&self, pc: &mut Pc, deeds: Vec<Deed>) {
        let receipts = deeds.into_iter().map(|deed| pc.sign(self.now, deed)).collect();
        let row = self.row(pc).await;
        let answer = receipts::accept(&self.ledger, &self.bells, &row, receipts, self.now).await.unwrap();
        assert_eq!(answer.up_to, pc.number);
    }

    /// Leads the open order of a slot to its proof, and takes away what it replaces.
    pub async fn prove(&self, pc: &mut Pc, slot: &str) -> CertificateRow {
        let row = self.issue(slot).await;
        let replaced = self.manifest(pc).await.slots.into_iter().find(|told| told.slot == slot).map(|told| told.replaces);
        let mut deeds = vec![installed(&row), proven(&row)];
        deeds.extend(replaced.into_iter().flatten().map(|fingerprint| Deed::Retired { fingerprint }));
        self.tell(pc, deeds).await;
        self.settle().await;
        row
    }

    /// The log, one line for each record.
    pub async fn log(&self) -> Vec<String> {
        let records = self.ledger.store().audit(&tenant(), 0, 10_000).await.unwrap();
        let stage = |stage| serde_json::to_value(stage).unwrap().as_str().unwrap().to_owned();
        records.iter().map(|record| format!("{} {} {}", stage(record.stage), record.action, record.object)).collect()
    }

    /// How many records of the log begin like this.
    pub async fn logged(&self, beginning: &str) -> usize {
        self.log().await.iter().filter(|line| line.starts_with(beginning)).count()
    }
}

/// A device, and its memory.
pub(crate) struct Pc {
    pub device: DeviceId,
    pub key: PrivateKey,
    /// The number of its last receipt.
    pub number: u64,
}

impl Pc {
    /// Signs its next receipt.
    pub fn sign(&mut self, at: Timestamp, deed: Deed) -> SignedReceipt {
        self.number += 1;
        let receipt = Receipt { device: self.device.to_string(), number: self.number, at: at.unix(), deed };
        self.sign_text(serde_json::to_string(&receipt).unwrap())
    }

    pub fn sign_text(&self, receipt: String) -> SignedReceipt {
        let signature = BASE64.encode(&self.key.sign(receipt.as_bytes()).unwrap());
        SignedReceipt { receipt, signature }
    }
}

pub(crate) fn tenant() -> TenantName {
    "aozora".parse().unwrap()
}

pub(crate) fn device(name: &str) -> DeviceId {
    name.parse().unwrap()
}

pub(crate) fn installed(row: &CertificateRow) -> Deed {
    let (slot, order, fingerprint) = place(row);
    Deed::Installed { slot, order, fingerprint, stores: vec!["file".into()] }
}

pub(crate) fn proven(row: &CertificateRow) -> Deed {
    let (slot, order, fingerprint) = place(row);
    Deed::Proven { slot, order, fingerprint, url: String::new(), status: 200 }
}

pub(crate) fn retired(row: &CertificateRow) -> Deed {
    Deed::Retired { fingerprint: row.fingerprint.to_string() }
}

fn place(row: &CertificateRow) -> (String, String, String) {
    (row.slot.to_string(), OrderId::to_string(&row.order), row.fingerprint.to_string())
}

fn clinic_of(slot: &str) -> ClinicId {
    ClinicId { tenant: tenant(), clinic: slot.parse::<SlotId>().unwrap().clinic }
}

pub(crate) fn documents(clinics: &[&str]) -> Documents {
    let text = [&[ISSUER, PROFILE], clinics].concat().join("---");
    Documents { files: vec![File { name: "policy.yaml".into(), text }], prune: true }
}

async fn open(folder: &Path) -> Ledger {
    Ledger::open(Arc::new(Database::sqlite(&folder.join("tegata.db")).await.unwrap())).await.unwrap()
}
