//! The certificates of a Windows user, where Chrome, Edge and every other program look for them: `CurrentUser\My`.
//!
//! Keys lie in Windows' key storage and never leave it: in the TPM where one works, else encrypted for the user. They are ours if their
//! name says so, and only then are they tidied away. A certificate is found by its fingerprint, never by a name.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use tegata_core::name::{OrderId, Sha256, SlotId};
use tegata_core::policy::KeyAlgorithm;
use tegata_pki::certificate;
use tegata_pki::key::{KeyError, PrivateKey, sha256};
use windows_sys::Win32::Foundation::{NTE_BAD_KEYSET, NTE_KEYSET_NOT_DEF, NTE_NO_KEY, NTE_SILENT_CONTEXT};
use windows_sys::core::BOOL;

use self::certificates::{Entry, KeyPlace, Store};
use self::cng::{CngKey, PLATFORM, Provider, SOFTWARE};
use self::keys::{Older, Stored};
use super::{Key, Keystore, KeystoreError, Pair, StoredKey};

pub mod capi;
pub mod certificates;
pub mod cng;
pub mod keys;

const NAME: &str = "windows";
/// How names of keys begin that were made here for an order.
const BORN: &str = "tegata-order-";
/// How names of keys begin that were brought here with a certificate.
const BROUGHT: &str = "tegata-certificate-";
/// The longest name that people are shown, in characters.
const LABEL_MAX: usize = 64;
/// The longest chain that is put together.
const CHAIN_MAX: usize = 8;

/// What Windows did not do, and the number that it gives for the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Windows could not {what} (error 0x{code:08x})")]
pub struct Refused {
    what: &'static str,
    code: i32,
}

impl Refused {
    /// The key was made to ask people.
    pub const ASKS_PEOPLE: Self = Self { what: "use the key without asking", code: NTE_SILENT_CONTEXT };
    /// The key is none that Tegata knows.
    pub const UNKNOWN_KIND: Self = Self { what: "use a key of this kind", code: 0 };
    /// What the key signs, nobody believes.
    pub const WRONG_SIGNATURE: Self = Self { what: "make a signature that the certificate's key confirms", code: 0 };

    fn new(what: &'static str, code: i32) -> Self {
        Self { what, code }
    }

    /// The number is the one that Windows keeps for this thread.
    fn last(what: &'static str) -> Self {
        Self::new(what, io::Error::last_os_error().raw_os_error().unwrap_or_default())
    }

    /// True if somebody would have had to agree.
    pub fn asks_people(&self) -> bool {
        self.code == NTE_SILENT_CONTEXT
    }

    /// True if there is no such key.
    pub fn is_absence(&self) -> bool {
        [NTE_BAD_KEYSET, NTE_KEYSET_NOT_DEF, NTE_NO_KEY].contains(&self.code)
    }
}

impl From<Refused> for KeystoreError {
    fn from(refused: Refused) -> Self {
        Self::System(refused.to_string())
    }
}

/// What a function that says no more than "no" meant by it.
fn done(what: &'static str, succeeded: BOOL) -> Result<(), Refused> {
    if succeeded == 0 { Err(Refused::last(what)) } else { Ok(()) }
}

/// The store of the user that the process runs as.
pub struct Windows;

#[async_trait(?Send)]
impl Keystore for Windows {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn make_key(&self, order: OrderId, algorithm: KeyAlgorithm) -> Result<Option<Key>, KeystoreError> {
        let name = format!("{BORN}{order}");
        delete_ours(&name)?;
        let in_tpm = if algorithm == KeyAlgorithm::EcdsaP256 { make(PLATFORM, &name, algorithm) } else { Ok(None) };
        let key = match in_tpm {
            Ok(Some(key)) => Some(key),
            Ok(None) => make(SOFTWARE, &name, algorithm)?,
            Err(problem) => {
                tracing::info!(problem = crate::told(&problem), "there is no TPM that works, so the key is kept in Windows' own store");
                make(SOFTWARE, &name, algorithm)?
            }
        };
        Ok(key.map(|key| Key::Stored(Arc::new(key))))
    }

    async fn made_key(&self, order: OrderId) -> Result<Option<Key>, KeystoreError> {
        let found = ours(&format!("{BORN}{order}"))?;
        let key = found.map(|(_, key)| opened_alone(key)).transpose()?;
        Ok(key.map(|key| Key::Stored(Arc::new(key))))
    }

    async fn forget_keys(&self, except: &BTreeSet<OrderId>) -> Result<(), KeystoreError> {
        let kept: BTreeSet<String> = except.iter().map(|order| format!("{BORN}{order}")).collect();
        let my = Store::open("MY")?;
        let places = places(&my.entries()?)?;
        let used: BTreeSet<String> = places.into_iter().filter(|place| place.kind == 0).map(|place| place.container).collect();
        for provider in [PLATFORM, SOFTWARE] {
            let Ok(provider) = Provider::open(provider) else { continue };
            let is_over = |name: &String| is_ours(name) && !kept.contains(name) && !used.contains(name);
            for name in provider.names()?.into_iter().filter(is_over) {
                // One that cannot be opened, as after the TPM was cleared, keeps none of the others.
                if let Err(problem) = provider.key(&name, 0).and_then(|key| key.map_or(Ok(()), CngKey::delete)) {
                    tracing::warn!(name, %problem, "a key that nothing uses stays");
                }
            }
        }
        Ok(())
    }

    async fn install(&self, _slot: &SlotId, pair: &Pair, label: &str) -> Result<(), KeystoreError> {
        let own = pair.chain.first().ok_or_else(|| KeystoreError::Unreadable(NAME, "there is no certificate".into()))?;
        let fingerprint = sha256(own);
        let ca = Store::open("CA")?;
        for above in pair.chain.iter().skip(1).filter(|above| !certificate::is_issued_by(above, above)) {
            ca.add_once(&Entry::new(above)?)?;
        }
        if self.open(fingerprint).await.is_ok_and(|there| there.can_sign().unwrap_or(false)) {
            return Ok(());
        }
        let entry = Entry::new(own)?;
        entry.set_key_place(&place_of(pair, fingerprint)?)?;
        entry.set_friendly_name(&label.trim().chars().take(LABEL_MAX).collect::<String>())?;
        let my = Store::open("MY")?;
        // One that is there already would keep its old key, or none.
        if let Some(there) = find(&my, fingerprint)? {
            my.remove(&there)?;
        }
        Ok(my.add(&entry)?)
    }

    async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError> {
        Ok(Store::open("MY")?.entries()?.iter().map(|entry| sha256(entry.der())).collect())
    }

    async fn open(&self, fingerprint: Sha256) -> Result<Pair, KeystoreError> {
        let absent = || KeystoreError::Absent(fingerprint, NAME);
        let entry = find(&Store::open("MY")?, fingerprint)?.ok_or_else(absent)?;
        let own = certificate::read(entry.der()).map_err(|problem| KeystoreError::Unreadable(NAME, problem.to_string()))?;
        let place = entry.key_place()?.ok_or_else(absent)?;
        let key: Result<Arc<dyn StoredKey>, Refused> = if place.kind == 0 {
            let key = Provider::open(&place.provider)?.key(&place.container, place.flags)?.ok_or_else(absent)?;
            Stored::tried(key, own.public_key).map(|key| Arc::new(key) as _)
        } else {
            Older::tried(place, own.public_key).map(|key| Arc::new(key) as _)
        };
        match key {
            Ok(key) => Ok(Pair { chain: chain_of(own.der)?, key: Key::Stored(key) }),
            Err(problem) if problem.asks_people() => Err(KeystoreError::AsksPeople(fingerprint)),
            Err(problem) if problem.is_absence() => Err(absent()),
            Err(problem) => Err(problem.into()),
        }
    }

    async fn remove(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        let my = Store::open("MY")?;
        let Some(entry) = find(&my, fingerprint)? else { return Ok(false) };
        if let Some(place) = entry.key_place()? {
            let others: Vec<Entry> = my.entries()?.into_iter().filter(|other| sha256(other.der()) != fingerprint).collect();
            let is_shared = places(&others)?.iter().any(|other| other.is_in_one_with(&place));
            if !is_shared && !place.is_of_computer() {
                delete_key(&place)?;
            }
        }
        my.remove(&entry)?;
        match find(&Store::open("MY")?, fingerprint)? {
            None => Ok(true),
            Some(_) => Err(KeystoreError::System("Windows says that a certificate was removed, and still has it".into())),
        }
    }
}

fn find(store: &Store, fingerprint: Sha256) -> Result<Option<Entry>, Refused> {
    Ok(store.entries()?.into_iter().find(|entry| sha256(entry.der()) == fingerprint))
}

/// Where the keys of these certificates are.
fn places(entries: &[Entry]) -> Result<Vec<KeyPlace>, Refused> {
    entries.iter().filter_map(|entry| entry.key_place().transpose()).collect()
}

fn is_ours(name: &str) -> bool {
    name.starts_with(BORN) || name.starts_with(BROUGHT)
}

/// Makes a key, and has it sign once: one that does not goes at once.
fn make(provider: &str, name: &str, algorithm: KeyAlgorithm) -> Result<Option<Stored>, KeyError> {
    let provider = Provider::open(provider)?;
    let made = Stored::born(provider.make(name, algorithm, None)?, algorithm);
    if made.is_err()
        && let Some(useless) = provider.key(name, 0)?
    {
        useless.delete()?;
    }
    made.map(Some)
}

/// A key of this name, and the provider that has it. A provider that cannot be opened has none: a PC without a TPM.
fn ours(name: &str) -> Result<Option<(&'static str, CngKey)>, Refused> {
    for provider in [PLATFORM, SOFTWARE] {
        let Ok(open) = Provider::open(provider) else { continue };
        if let Some(key) = open.key(name, 0)? {
            return Ok(Some((provider, key)));
        }
    }
    Ok(None)
}

fn delete_ours(name: &str) -> Result<(), Refused> {
    while let Some((_, key)) = ours(name)? {
        key.delete()?;
    }
    Ok(())
}

/// Opens a key that no certificate says the kind of.
fn opened_alone(key: CngKey) -> Result<Stored, KeyError> {
    let algorithm = key.algorithm()?;
    Stored::born(key, algorithm)
}

fn delete_key(place: &KeyPlace) -> Result<(), Refused> {
    if place.kind != 0 {
        return match capi::delete(place) {
            Err(problem) if problem.is_absence() => Ok(()),
            other => other,
        };
    }
    match Provider::open(&place.provider)?.key(&place.container, place.flags)? {
        Some(key) => key.delete(),
        None => Ok(()),
    }
}

/// Where the key of a pair is that comes into the store; it is brought in if it is not there.
fn place_of(pair: &Pair, fingerprint: Sha256) -> Result<KeyPlace, KeystoreError> {
    let (provider, container) = match &pair.key {
        Key::Stored(key) => born_with(key.public_key())?.ok_or(KeystoreError::KeyStays(fingerprint))?,
        Key::Pkcs8(bytes) => {
            let name = format!("{BROUGHT}{fingerprint}");
            let (algorithm, numbers) = keys::private_blob(&PrivateKey::from_pkcs8(bytes)?)?;
            Provider::open(SOFTWARE)?.make(&name, algorithm, Some(&numbers))?;
            (SOFTWARE, name)
        }
    };
    Ok(KeyPlace { container, provider: provider.to_owned(), kind: 0, flags: 0, spec: 0 })
}

/// Which of our keys has this public half.
fn born_with(public_key: &[u8]) -> Result<Option<(&'static str, String)>, KeystoreError> {
    for provider in [PLATFORM, SOFTWARE] {
        let Ok(open) = Provider::open(provider) else { continue };
        for name in open.names()?.into_iter().filter(|name| is_ours(name)) {
            let Ok(Some(key)) = open.key(&name, 0) else { continue };
            if opened_alone(key).is_ok_and(|key| key.public_key() == public_key) {
                return Ok(Some((provider, name)));
            }
        }
    }
    Ok(None)
}

/// The certificate with the intermediates above it, as far as the user's store has them.
fn chain_of(own: Vec<u8>) -> Result<Vec<Vec<u8>>, KeystoreError> {
    let above = Store::open("CA")?.entries()?;
    let mut chain = vec![own];
    while let Some(next) = above.iter().find(|above| chain.last().is_some_and(|last| certificate::is_issued_by(last, above.der()))) {
        if chain.len() == CHAIN_MAX || chain.iter().any(|known| known == next.der()) {
            break;
        }
        chain.push(next.der().to_vec());
    }
    Ok(chain)
}
