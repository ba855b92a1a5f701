//! The steps themselves. Each can be repeated: a crash may come before, within or after any of them.

use std::collections::BTreeSet;
use std::time::Duration;

use tegata_api::client::ClientError;
use tegata_api::v1::device::Deed;
use tegata_api::v1::problem::Code;
use tegata_core::install::{Event, Step};
use tegata_core::name::Sha256;
use tegata_core::vendor::BundleFault;
use tegata_pki::bundle::SealError;
use tegata_pki::certificate::{self, Certificate, CertificateError};
use tegata_pki::key::{KeyError, PrivateKey};

use super::{Device, Listed};
use crate::browser::BrowserError;
use crate::disk::{self, DiskError, Readers};
use crate::inventory::Item;
use crate::journal::Entry;
use crate::keystore::{Key, KeystoreError, Pair};
use crate::manifest::{Manifest, Slot, Source};
use crate::probe::ProbeError;
use crate::receipts::ReceiptError;
use crate::vendor::Refusal;

/// The staged private key, PKCS#8.
pub(super) const KEY: &str = "key.der";
/// The staged certificate and its intermediates.
pub(super) const CHAIN: &str = "chain.pem";

/// How long what only a person can help is left alone.
const LONG: Duration = Duration::from_secs(6 * 3_600);

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The disk is in the way.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A key cannot be made or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The profile asks for a kind of key that this agent cannot make.
    #[error("this agent cannot make the kind of key that the profile asks for; update the agent")]
    UnknownKey,
    /// The server did not answer, or said no.
    #[error("the certificate could not be fetched")]
    Server(#[source] ClientError),
    /// What the server gave is not a certificate.
    #[error("the server's answer cannot be used")]
    NoCertificate(#[source] CertificateError),
    /// The certificate is for another key than the one on disk.
    #[error("the certificate does not belong to the key on this device; starting over with a new key")]
    OtherKey,
    /// What was staged is not there any more.
    #[error("what was prepared for this order is gone from the agent's folder; starting over with a new key")]
    NothingStaged,
    /// The profile has named another store since the order's key was made in one that it never leaves.
    #[error("the key of this order stays in one store, and the profile names several now; starting over with a new key")]
    KeyOfOneStore,
    /// A store is in the way.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The browser could not be told.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// The certificate in the store does not work.
    #[error("the certificate in the store cannot sign for itself")]
    CannotSign,
    /// The profile names no store.
    #[error("the profile names no store to put the certificate into")]
    NoStore,
    /// The site did not accept it.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The receipt could not be written.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The local limit on removals.
    #[error("this device's own limit on removals is reached; the rest waits")]
    Limited,
    /// A certificate that this agent did not install.
    #[error("certificate {0} was not installed by this agent and is left alone")]
    NotOurs(Sha256),
    /// The certificate that is to replace others is among those to be replaced.
    #[error("certificate {0} is the one that was just installed and is left alone")]
    Newest(Sha256),
    /// A vendor's file cannot be opened, or is not what it should be.
    #[error("{}", said(.0).en)]
    Bundle(BundleFault),
    /// A vendor's file was sealed to another key than this PC's.
    #[error("what waits for this device was not sealed to it, or is damaged; bring the file again")]
    Sealed(#[source] SealError),
    /// The manifest names somebody as a keeper of backups to whom nothing can be sealed.
    #[error(
        "the manifest names '{0}' as a recipient of this slot's backups, which is not the public half of an age X25519 key (age1…), so the \
         vendor was not asked; correct spec.recipients of the clinic's BackupTarget and apply it"
    )]
    Recipient(String),
    /// The manifest asks for more keepers of backups together than it names.
    #[error(
        "the manifest asks for more keepers of this slot's backups together than it names, so the vendor was not asked; correct \
         spec.threshold of the clinic's BackupTarget and apply it"
    )]
    Threshold,
    /// There is another certificate in a vendor's file than the one that was announced.
    #[error("the file holds certificate {0}, not the one that was announced; bring the file again")]
    OtherCertificate(Sha256),
    /// A certificate is in no store of this PC.
    #[error("certificate {0} is in no store of this device")]
    NowhereFound(Sha256),
    /// The vendor gave nothing.
    #[error(transparent)]
    Vendor(#[from] Refusal),
    /// The server does not take what this PC came to.
    #[error("{}", refused(.0))]
    NotTaken(#[source] ClientError),
    /// The steps do not come to an end.
    #[error("the steps for this order go round in a circle")]
    Circle,
}

impl StepError {
    /// What the second brain is told.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::OtherKey | Self::NothingStaged | Self::KeyOfOneStore => Event::Mismatch,
            Self::CannotSign | Self::Keystore(KeystoreError::Absent(..)) => Event::Vanished,
            Self::Server(ClientError::Refused(problem)) if problem.code == Code::OrderClosed => Event::Withdrawn,
            _ => Event::Failed,
        }
    }

    /// For how long it is no use to try again; `None` if it may pass by itself within minutes.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self {
            Self::Vendor(refusal) => Some(refusal.patience()),
            Self::Bundle(_) | Self::Sealed(_) | Self::Recipient(_) | Self::Threshold | Self::OtherCertificate(_) => Some(LONG),
            Self::Keystore(KeystoreError::KeyStays(_) | KeystoreError::AsksPeople(_)) => Some(LONG),
            Self::NotTaken(ClientError::Refused(problem)) if problem.code != Code::Busy => Some(LONG),
            _ => None,
        }
    }

    /// The server's refusal, if it was one.
    pub(super) fn server(&self) -> Option<&ClientError> {
        match self {
            Self::Server(problem) | Self::NotTaken(problem) => Some(problem),
            _ => None,
        }
    }
}

impl Device {
    pub(super) async fn take(&mut self, step: Step, manifest: &Manifest, slot: &Slot, entry: &mut Entry) -> Result<(), StepError> {
        match step {
            Step::MakeKey => self.make_key(slot, entry).await,
            Step::Request => self.fetch(slot, entry).await,
            Step::Install => self.install(manifest, slot, entry).await,
            Step::Prove => self.prove(slot, entry).await,
            Step::RetireOld => self.retire_old(slot, entry).await,
            Step::Discard => self.discard(entry).await,
            Step::Wait | Step::Rest => Ok(()),
        }
    }

    /// Has the store make it, if only one store is to have it and its keys can be born there; else makes it here.
    async fn make_key(&mut self, slot: &Slot, entry: &mut Entry) -> Result<(), StepError> {
        entry.fingerprint = None;
        if slot.source != Source::Request {
            return Ok(());
        }
        let algorithm = slot.key.ok_or(StepError::UnknownKey)?;
        let folder = self.state.staged_of(entry.order);
        disk::make_folder(&folder)?;
        disk::clear_temporary(&folder)?;
        if let [store] = slot.stores.as_slice()
            && self.keystores.of(store)?.make_key(entry.order, algorithm).await?.is_some()
        {
            disk::wipe(&folder.join(KEY))?;
            return Ok(());
        }
        disk::write(&folder.join(KEY), &PrivateKey::generate(algorithm)?.to_pkcs8(), Readers::Owner)?;
        Ok(())
    }

    pub(super) async fn request(&mut self, slot: &Slot, entry: &mut Entry) -> Result<(), StepError> {
        let key = self.staged_key(slot, entry).await?.ok_or(StepError::NothingStaged)?;
        let issued = self.server.certificate(entry.order, key.request()?).await.map_err(StepError::Server)?;
        let pem = format!("{}\n{}", issued.certificate.trim_end(), issued.chain);
        let own = first(certificate::read_pem(&pem).map_err(StepError::NoCertificate)?)?;
        if own.public_key != key.public_key()? {
            return Err(StepError::OtherKey);
        }
        disk::write(&self.state.staged_of(entry.order).join(CHAIN), pem.as_bytes(), Readers::Owner)?;
        entry.fingerprint = Some(own.fingerprint);
        Ok(())
    }

    async fn install(&mut self, manifest: &Manifest, slot: &Slot, entry: &mut Entry) -> Result<(), StepError> {
        let pair = self.staged_pair(slot, entry).await?;
        let fingerprint = pair.fingerprint().ok_or(StepError::NothingStaged)?;
        entry.fingerprint = Some(fingerprint);
        let adopted = self.inventory.item(fingerprint).map(|item| item.adopted.clone()).unwrap_or_default();
        self.inventory.claim(fingerprint, Item { slot: slot.id.to_string(), stores: slot.stores.clone(), adopted })?;
        for store in &slot.stores {
            self.keystores.of(store)?.install(&slot.id, &pair, &slot.label).await?;
        }
        self.note_change(manifest, slot)?;
        // A browser that was not told asks people, who can go on working. `tidy` tries again, and says so.
        let _ = self.tell_browser(manifest, Some(&slot.id));
        self.record(Deed::Installed {
            slot: slot.id.to_string(),
            order: entry.order.to_string(),
            fingerprint: fingerprint.to_string(),
            stores: slot.stores.clone(),
        })
    }

    /// A running browser has to forget what it shows now, unless it is to go on showing another clinic's.
    fn note_change(&mut self, manifest: &Manifest, slot: &Slot) -> Result<(), DiskError> {
        let _alone = self.state.hold_browsers()?;
        if self.is_shown(manifest, slot, Some(&slot.id)) { self.browser.certificates_changed() } else { Ok(()) }
    }

    /// Takes the pair out of every store, has each key sign, and shows the first to the site.
    pub(super) async fn prove(&mut self, slot: &Slot, entry: &mut Entry) -> Result<(), StepError> {
        let fingerprint = entry.fingerprint.ok_or(StepError::NothingStaged)?;
        let mut proving = None;
        for store in &slot.stores {
            let pair = self.keystores.of(store)?.open(fingerprint).await?;
            if !pair.can_sign()? {
                return Err(StepError::CannotSign);
            }
            proving.get_or_insert(pair);
        }
        let pair = proving.ok_or(StepError::NoStore)?;
        let status = match &slot.probe {
            Some(url) => self.prober.ask(url, &pair).await?,
            None => 0,
        };
        self.record(Deed::Proven {
            slot: slot.id.to_string(),
            order: entry.order.to_string(),
            fingerprint: fingerprint.to_string(),
            url: slot.probe.clone().unwrap_or_default(),
            status,
        })
    }

    /// From here on the only copy of the key is in the store. Programs get the new one; then goes what was replaced.
    async fn retire_old(&mut self, slot: &Slot, entry: &mut Entry) -> Result<(), StepError> {
        disk::wipe_folder(&self.state.staged_of(entry.order))?;
        let fingerprint = entry.fingerprint.ok_or(StepError::NothingStaged)?;
        if self.misplacement(fingerprint, &slot.stores, &[], &mut Listed::default()).await?.is_some() {
            // What was proven has vanished since. The old one stays; that the new one is missing is seen once this is settled.
            return Ok(());
        }
        let previous = self.inventory.of_slot(&slot.id).chain(slot.replaces.iter().copied()).filter(|one| *one != fingerprint).collect();
        for store in &slot.stores {
            self.keystores.of(store)?.prefer(fingerprint, &previous).await?;
        }
        entry.proven_rules = slot.select.clone();
        self.forget_superseded(slot, fingerprint).await?;
        self.retire_replaced(slot, fingerprint).await?;
        Ok(())
    }

    /// Removes all that `newest` replaces. Gives what is left alone for good, if anything is: that is told, and keeps nothing waiting.
    pub(super) async fn retire_replaced(&mut self, slot: &Slot, newest: Sha256) -> Result<Option<StepError>, StepError> {
        let (mut left, mut result) = (None, Ok(()));
        for fingerprint in &slot.replaces {
            let retired = if *fingerprint == newest { Err(StepError::Newest(newest)) } else { self.retire(*fingerprint).await };
            match retired {
                Err(problem @ (StepError::NotOurs(_) | StepError::Newest(_))) => left = left.or(Some(problem)),
                other => result = result.and(other),
            }
        }
        result.map(|()| left)
    }

    /// Removes what was made for an order that is not wanted any more.
    async fn discard(&mut self, entry: &mut Entry) -> Result<(), StepError> {
        disk::wipe_folder(&self.state.staged_of(entry.order))?;
        match entry.fingerprint {
            Some(fingerprint) => match self.inventory.item(fingerprint).cloned() {
                Some(item) if !item.adopted.is_empty() => self.give_back(fingerprint, &item).await,
                Some(_) => self.retire(fingerprint).await,
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Removes one certificate from every store it was put into, if it is ours and the local limit allows it.
    pub(super) async fn retire(&mut self, fingerprint: Sha256) -> Result<(), StepError> {
        if self.inventory.was_said_gone(fingerprint) {
            return Ok(());
        }
        match self.inventory.item(fingerprint).cloned() {
            Some(item) => self.remove_ours(fingerprint, &item).await?,
            None => self.make_sure_it_is_absent(fingerprint).await?,
        }
        self.record(Deed::Retired { fingerprint: fingerprint.to_string() })?;
        self.inventory.mark_gone(fingerprint)?;
        Ok(())
    }

    async fn remove_ours(&mut self, fingerprint: Sha256, item: &Item) -> Result<(), StepError> {
        let what = fingerprint.to_string();
        let allowed = match self.inventory.is_last_working(fingerprint, &self.journal) {
            true => self.limit.take_last(&what, self.inventory.working_slots(&self.journal))?,
            false => self.limit.take(&what)?,
        };
        if !allowed {
            return Err(StepError::Limited);
        }
        for store in item.stores.iter().chain(&item.adopted).collect::<BTreeSet<_>>() {
            self.keystores.of(store)?.remove(fingerprint).await?;
        }
        Ok(())
    }

    /// Leaves a certificate that was not ours where it was found, and takes it out of where we put it.
    async fn give_back(&mut self, fingerprint: Sha256, item: &Item) -> Result<(), StepError> {
        for store in item.stores.iter().filter(|store| !item.adopted.contains(store)) {
            self.keystores.of(store)?.remove(fingerprint).await?;
        }
        Ok(self.inventory.give_back(fingerprint)?)
    }

    /// A certificate that was issued but never came to be installed is gone already, and the server may know.
    async fn make_sure_it_is_absent(&self, fingerprint: Sha256) -> Result<(), StepError> {
        for store in self.keystores.all() {
            if store.holds(fingerprint).await? {
                return Err(StepError::NotOurs(fingerprint));
            }
        }
        Ok(())
    }

    pub(super) fn record(&mut self, deed: Deed) -> Result<(), StepError> {
        Ok(self.receipts.record(deed, crate::wall_clock())?)
    }

    /// The key that was made for the order: here, or in the store that is to have it.
    async fn staged_key(&self, slot: &Slot, entry: &Entry) -> Result<Option<Key>, StepError> {
        if let Some(bytes) = disk::read_secret(&self.state.staged_of(entry.order).join(KEY))? {
            return Ok(Some(bytes.into()));
        }
        for store in &slot.stores {
            if let Some(key) = self.keystores.of(store)?.made_key(entry.order).await? {
                return if slot.stores.len() == 1 { Ok(Some(key)) } else { Err(StepError::KeyOfOneStore) };
            }
        }
        Ok(None)
    }

    pub(super) async fn staged_pair(&self, slot: &Slot, entry: &Entry) -> Result<Pair, StepError> {
        let path = self.state.staged_of(entry.order).join(CHAIN);
        let pem = disk::read_text(&path)?.ok_or(StepError::NothingStaged)?;
        let chain = certificate::read_pem(&pem).map_err(StepError::NoCertificate)?;
        let key = match self.staged_key(slot, entry).await? {
            Some(key) => key,
            // A certificate that was found, with a key that stays where it is.
            None => self.look_for(chain[0].fingerprint).await.map_err(|_| StepError::NothingStaged)?.0.key,
        };
        let pair = Pair { chain: chain.into_iter().map(|one| one.der).collect(), key };
        if pair.can_sign()? { Ok(pair) } else { Err(StepError::OtherKey) }
    }
}

/// What the server says of a certificate that it does not take.
fn refused(problem: &ClientError) -> String {
    match problem {
        ClientError::Refused(problem) if !problem.faults.is_empty() => {
            problem.faults.iter().map(|fault| fault.en.as_str()).collect::<Vec<_>>().join(" ")
        }
        ClientError::Carried => problem.to_string(),
        _ => "the server could not be told of the certificate".into(),
    }
}

pub(super) fn said(fault: &BundleFault) -> tegata_api::v1::bundle::BundleFault {
    fault.into()
}

fn first(chain: Vec<Certificate>) -> Result<Certificate, StepError> {
    let none = || CertificateError { problem: "the answer holds no certificate".into() };
    chain.into_iter().next().ok_or_else(|| StepError::NoCertificate(none()))
}
