//! Where the certificate of an order comes from: a request of this PC's own, a vendor's file, a vendor's answer, or one of the stores.
//!
//! Whatever comes is staged before anything else is done with it. What a vendor made on request is kept first of all, sealed to this PC in
//! one write, until the server knows of it, under whichever order: asked again, the vendor may refuse, or make another.

use std::path::PathBuf;

use data_encoding::BASE64;
use tegata_api::v1::device::TakenCertificate;
use tegata_core::backup::Keepers;
use tegata_core::name::Sha256;
use tegata_core::vendor::BundleFault;
use tegata_pki::bundle::{self, Content, SealError};
use tegata_pki::certificate;

use super::steps::{CHAIN, KEY};
use super::{Device, StepError};
use crate::disk::{self, Readers};
use crate::inventory::Item;
use crate::journal::Entry;
use crate::keystore::{Key, KeystoreError, Pair};
use crate::manifest::{Renewal, Slot, Source};
use crate::vendor::{Offer, Refusal};

/// Where a vendor has put what it made, and the password, sealed to this PC.
const OFFER: &str = "offer.age";
/// What the vendor made, and the password, sealed to this PC.
const BUNDLE: &str = "bundle.age";
/// How much room there has to be for what a vendor makes before it is asked, in bytes: far more than files of the real ones take.
const ROOM: usize = 64 * 1024;
/// What stays here is sealed to this PC alone.
const NOBODY: Keepers = Keepers::each(vec![]);
/// The longest file name that the server takes, in characters.
const NAME_MAX: usize = 64;

impl Device {
    /// Gets the order's certificate and its key into the staging folder.
    pub(super) async fn fetch(&mut self, slot: &Slot, entry: &mut Entry) -> Result<(), StepError> {
        if slot.source == Source::Request {
            return self.request(slot, entry).await;
        }
        let folder = self.staging(entry);
        disk::make_folder(&folder)?;
        disk::clear_temporary(&folder)?;
        match &slot.source {
            Source::Request => Ok(()),
            Source::Bundle(fingerprint) => self.fetch_bundle(slot, entry, *fingerprint).await,
            Source::Found(fingerprint) => self.fetch_found(slot, entry, *fingerprint).await,
            Source::Renewal(renewal) => self.fetch_renewed(slot, entry, renewal).await,
        }
    }

    fn staging(&self, entry: &Entry) -> PathBuf {
        self.state.staged_of(entry.order)
    }

    /// An order that is answered names its certificate from then on, wherever it came from. What is here already is not asked for again.
    /// What others have put here is noted before it is installed: with a key that asks people each time, or with the plug pulled after the
    /// server had agreed that a found one is ours.
    async fn fetch_bundle(&mut self, slot: &Slot, entry: &mut Entry, fingerprint: Sha256) -> Result<(), StepError> {
        self.stage_made(slot, entry, fingerprint)?;
        if self.staged_pair(slot, entry).await.is_ok_and(|pair| pair.fingerprint() == Some(fingerprint)) {
            entry.fingerprint = Some(fingerprint);
        } else if let Ok((pair, _)) = self.look_for(fingerprint).await {
            self.stage(entry, &pair)?;
        } else {
            self.fetch_sealed(entry, fingerprint).await?;
        }
        match self.places_of(slot, fingerprint).await? {
            none if none.is_empty() => Ok(()),
            places => self.adopt(slot, fingerprint, places),
        }
    }

    async fn fetch_sealed(&mut self, entry: &mut Entry, fingerprint: Sha256) -> Result<(), StepError> {
        let sent = self.server.bundle(entry.order).await.map_err(StepError::Server)?;
        let sealed = BASE64.decode(sent.sealed.as_bytes()).map_err(|_| StepError::Bundle(BundleFault::Unreadable))?;
        let content = bundle::unseal(&sealed, &self.bundle_key).map_err(StepError::Sealed)?;
        self.stage_content(entry, &content, Some(fingerprint))
    }

    /// Told to the server first: until it has agreed, the certificate is somebody else's.
    async fn fetch_found(&mut self, slot: &Slot, entry: &mut Entry, fingerprint: Sha256) -> Result<(), StepError> {
        let (pair, places) = self.look_for(fingerprint).await?;
        self.stage(entry, &pair)?;
        let taken = TakenCertificate { chain: pem(&pair), file_name: String::new(), sealed: String::new(), recipients: vec![] };
        self.server.taken(entry.order, &taken).await.map_err(StepError::NotTaken)?;
        self.adopt(slot, fingerprint, places)
    }

    /// Whoever cannot tell the server of what comes does not ask for it: each answer may cost a place in a quota.
    async fn fetch_renewed(&mut self, slot: &Slot, entry: &mut Entry, renewal: &Renewal) -> Result<(), StepError> {
        bundle::check_keepers(&renewal.backup).map_err(unsealable)?;
        let content = match self.made_before(slot, entry)? {
            Some(content) => content,
            None => self.renew(slot, renewal).await?,
        };
        if let Err(problem) = self.stage_content(entry, &content, None) {
            if matches!(problem, StepError::Bundle(_)) {
                // It will not get better by being looked at again.
                self.forget_made(slot, entry)?;
            }
            return Err(problem);
        }
        let chain = pem(&self.staged_pair(slot, entry).await?);
        let sealed = match &renewal.backup {
            nobody if nobody.is_nobody() => String::new(),
            keepers => BASE64.encode(&self.seal(&content, keepers)?),
        };
        let taken = TakenCertificate { chain, file_name: content.file_name.clone(), sealed, recipients: renewal.backup.of.clone() };
        self.server.taken(entry.order, &taken).await.map_err(StepError::NotTaken)?;
        // Now it is this order's, and goes with it.
        disk::write(&self.staging(entry).join(BUNDLE), &self.seal(&content, &NOBODY)?, Readers::Owner)?;
        Ok(disk::wipe_folder(&self.state.renewed_of(&slot.id))?)
    }

    /// What the vendor made already: for this order, or for one that the server replaced before it heard of it.
    fn made_before(&self, slot: &Slot, entry: &Entry) -> Result<Option<Content>, StepError> {
        for folder in [self.staging(entry), self.state.renewed_of(&slot.id)] {
            let Some(sealed) = disk::read(&folder.join(BUNDLE))? else { continue };
            match bundle::unseal(&sealed, &self.bundle_key) {
                Ok(content) => return Ok(Some(content)),
                Err(problem) => {
                    disk::remove(&folder.join(BUNDLE))?;
                    return Err(StepError::Sealed(problem));
                }
            }
        }
        Ok(None)
    }

    /// The server names what the vendor made here: it did hear of it, only its answer was lost.
    fn stage_made(&self, slot: &Slot, entry: &mut Entry, fingerprint: Sha256) -> Result<(), StepError> {
        let folder = self.state.renewed_of(&slot.id);
        let Some(sealed) = disk::read(&folder.join(BUNDLE))? else { return Ok(()) };
        let Ok(content) = bundle::unseal(&sealed, &self.bundle_key) else { return Ok(()) };
        match self.stage_content(entry, &content, Some(fingerprint)) {
            Ok(()) => Ok(disk::wipe_folder(&folder)?),
            Err(StepError::OtherCertificate(_) | StepError::Bundle(_)) => Ok(()),
            Err(problem) => Err(problem),
        }
    }

    fn forget_made(&self, slot: &Slot, entry: &Entry) -> Result<(), StepError> {
        disk::remove(&self.staging(entry).join(BUNDLE))?;
        Ok(disk::wipe_folder(&self.state.renewed_of(&slot.id))?)
    }

    /// What the vendor made and nobody was told of is over once one is proven that is no older.
    pub(super) async fn forget_superseded(&self, slot: &Slot, proven: Sha256) -> Result<(), StepError> {
        let folder = self.state.renewed_of(&slot.id);
        let (Some(sealed), Some(store)) = (disk::read(&folder.join(BUNDLE))?, slot.stores.first()) else {
            return Ok(disk::wipe_folder(&folder)?);
        };
        let pair = self.keystores.of(store)?.open(proven).await?;
        let begins = pair.chain.first().and_then(|own| certificate::read(own).ok()).map(|own| own.not_before);
        let made = bundle::unseal(&sealed, &self.bundle_key).ok().and_then(|content| content.open().ok());
        if made.is_none_or(|(_, facts)| Some(facts.not_before) <= begins) {
            disk::wipe_folder(&folder)?;
        }
        Ok(())
    }

    /// Has the vendor make a successor. What it offers, and then what it gives, is on disk before anything else happens, and stays there
    /// whatever becomes of the order.
    async fn renew(&self, slot: &Slot, renewal: &Renewal) -> Result<Content, StepError> {
        let (current, _) = self.look_for(renewal.current).await?;
        let folder = self.state.renewed_of(&slot.id);
        disk::make_folder(&folder)?;
        disk::clear_temporary(&folder)?;
        let offer_path = folder.join(OFFER);
        let offer = match self.offered(&offer_path)? {
            Some(offer) => offer,
            None => {
                // On a full disk nothing could be kept, and the next try would cost another certificate.
                disk::write(&offer_path, &[0; ROOM], Readers::Owner)?;
                let offer = self.vendor.offer(&renewal.url, &current).await?;
                let noted = Content::new("", &offer.password, offer.uri.as_bytes());
                disk::write(&offer_path, &self.seal(&noted, &NOBODY)?, Readers::Owner)?;
                offer
            }
        };
        let file = match self.vendor.fetch(&renewal.url, &offer.uri, &current).await {
            Ok(file) => file,
            Err(refusal) => {
                if matches!(refusal, Refusal::OfferOver | Refusal::OtherHost | Refusal::Nonsense) {
                    disk::remove(&offer_path)?;
                }
                return Err(refusal.into());
            }
        };
        let content = Content::new(&file_name(&offer.uri), &offer.password, &file);
        disk::write(&folder.join(BUNDLE), &self.seal(&content, &NOBODY)?, Readers::Owner)?;
        disk::remove(&offer_path)?;
        Ok(content)
    }

    /// Seals to this PC, and to keepers.
    fn seal(&self, content: &Content, keepers: &Keepers) -> Result<Vec<u8>, StepError> {
        bundle::seal_for(content, &[self.bundle_key.recipient()], keepers).map_err(unsealable)
    }

    /// What the vendor offered before a crash; nothing if it cannot be read any more.
    fn offered(&self, path: &std::path::Path) -> Result<Option<Offer>, StepError> {
        let Some(sealed) = disk::read(path)? else { return Ok(None) };
        let noted = bundle::unseal(&sealed, &self.bundle_key).ok();
        Ok(noted.and_then(|noted| Some(Offer { uri: std::str::from_utf8(&noted.file).ok()?.to_owned(), password: noted.password.clone() })))
    }

    /// Opens a vendor's file in memory, with one try, and stages what is in it.
    fn stage_content(&self, entry: &mut Entry, content: &Content, expected: Option<Sha256>) -> Result<(), StepError> {
        let (opened, facts) = content.open().map_err(StepError::Bundle)?;
        if expected.is_some_and(|expected| expected != facts.fingerprint) {
            return Err(StepError::OtherCertificate(facts.fingerprint));
        }
        self.stage(entry, &Pair { chain: opened.chain, key: opened.key.into() })
    }

    /// The key first: a chain that is there means that all is there. A key that stays in its store is used there.
    pub(super) fn stage(&self, entry: &mut Entry, pair: &Pair) -> Result<(), StepError> {
        let folder = self.staging(entry);
        match &pair.key {
            Key::Pkcs8(bytes) => disk::write(&folder.join(KEY), bytes, Readers::Owner)?,
            Key::Stored(_) => drop(disk::wipe(&folder.join(KEY))?),
        }
        disk::write(&folder.join(CHAIN), pem(pair).as_bytes(), Readers::Owner)?;
        entry.fingerprint = pair.fingerprint();
        Ok(())
    }

    /// Takes a pair out of whichever store has it, and says which stores have the certificate.
    pub(super) async fn look_for(&self, fingerprint: Sha256) -> Result<(Pair, Vec<String>), StepError> {
        let (mut pair, mut places) = (None, Vec::new());
        for (word, store) in self.keystores.named() {
            if !store.list().await?.contains(&fingerprint) {
                continue;
            }
            places.push(word.to_owned());
            match store.open(fingerprint).await {
                Ok(found) if found.can_sign()? => drop(pair.get_or_insert(found)),
                Ok(_) | Err(KeystoreError::Absent(..) | KeystoreError::Unreadable(..) | KeystoreError::Command(_)) => {}
                Err(problem) => return Err(problem.into()),
            }
        }
        match pair {
            Some(pair) => Ok((pair, places)),
            None if places.is_empty() => Err(StepError::NowhereFound(fingerprint)),
            None => Err(KeystoreError::KeyStays(fingerprint).into()),
        }
    }

    /// Which stores have a certificate, whether or not its key can be used. One that cannot say counts only if the slot is for it.
    async fn places_of(&self, slot: &Slot, fingerprint: Sha256) -> Result<Vec<String>, StepError> {
        let mut places = Vec::new();
        for (word, store) in self.keystores.named() {
            let is_for_it = || slot.stores.iter().any(|wanted| self.keystores.of(wanted).is_ok_and(|wanted| wanted.name() == store.name()));
            match store.list().await {
                Ok(list) => places.extend(list.contains(&fingerprint).then(|| word.to_owned())),
                Err(problem) if is_for_it() => return Err(problem.into()),
                Err(_) => {}
            }
        }
        Ok(places)
    }

    /// From now on the certificate is ours, and so is its removal one day.
    fn adopt(&mut self, slot: &Slot, fingerprint: Sha256, places: Vec<String>) -> Result<(), StepError> {
        if self.inventory.item(fingerprint).is_some() {
            return Ok(());
        }
        Ok(self.inventory.claim(fingerprint, Item { slot: slot.id.to_string(), stores: vec![], adopted: places })?)
    }
}

/// Nothing of a vendor's is too long to be sealed that was not too long to be read.
fn unsealable(problem: SealError) -> StepError {
    match problem {
        SealError::Recipient(text) => StepError::Recipient(text),
        SealError::Threshold => StepError::Threshold,
        _ => StepError::Vendor(Refusal::Nonsense),
    }
}

fn pem(pair: &Pair) -> String {
    pair.chain.iter().map(|der| certificate::to_pem(der)).collect()
}

/// What the file is called at the vendor's; if that is no name of a bundle, what monsiaj would call it: `<yyyyMMddHHmmss>.p12`.
fn file_name(uri: &str) -> String {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let is_plain = last.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')) && last.len() <= NAME_MAX;
    let is_bundle = [".p12", ".pfx"].iter().any(|end| last.to_ascii_lowercase().ends_with(end) && last.len() > end.len());
    if is_plain && is_bundle { last.to_owned() } else { format!("{}.p12", crate::keystore::now_in_digits()) }
}
