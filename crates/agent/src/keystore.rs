//! Where programs take client certificates from: a port, with one contract for every platform's store.

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use tegata_core::name::{OrderId, Sha256, SlotId};
use tegata_core::policy::KeyAlgorithm;
use tegata_pki::key::KeyError;
use tegata_pki::{certificate, csr};

use crate::command::CommandError;
use crate::disk::DiskError;
use crate::settings::KeystoreChoice;
use crate::state::State;

pub mod file;
pub mod key;
// Also tested where there is no macOS, with a double of its tool.
#[cfg(unix)]
pub mod macos;
pub mod monsiaj;
#[cfg(target_os = "linux")]
pub mod nss;
#[cfg(windows)]
pub mod windows;

pub use key::{Key, StoredKey};

/// A private key with its certificate and the intermediates.
pub struct Pair {
    /// DER, the key's own certificate first.
    pub chain: Vec<Vec<u8>>,
    /// The key, or where it signs.
    pub key: Key,
}

/// One store. What is installed stays until it is removed by its fingerprint; nothing else is ever touched.
#[async_trait(?Send)]
pub trait Keystore {
    /// What it is called in reports: `nss`, `keychain`, `file`.
    fn name(&self) -> &'static str;
    /// Makes a key that never leaves the store, for the certificate of this order; one that was made for it before is gone then. `None`
    /// in a store that takes keys from outside.
    async fn make_key(&self, _order: OrderId, _algorithm: KeyAlgorithm) -> Result<Option<Key>, KeystoreError> {
        Ok(None)
    }
    /// The key that was made for this order.
    async fn made_key(&self, _order: OrderId) -> Result<Option<Key>, KeystoreError> {
        Ok(None)
    }
    /// Removes the keys that this agent has made or brought here and no certificate uses, but those for these orders.
    async fn forget_keys(&self, _except: &BTreeSet<OrderId>) -> Result<(), KeystoreError> {
        Ok(())
    }
    /// Puts a pair into the store; the same one twice is once. `label` is what people see. A key that stays in a store has to be in this one.
    async fn install(&self, slot: &SlotId, pair: &Pair, label: &str) -> Result<(), KeystoreError>;
    /// False while the tools that it needs are not installed. It may say what it holds all the same.
    fn is_ready(&self) -> bool {
        true
    }
    /// Makes what is in the store usable again, at every start and now and then: a login, or people, may have locked it.
    async fn wake(&self) -> Result<(), KeystoreError> {
        Ok(())
    }
    /// The fingerprints of all certificates that programs find in the store, other people's too.
    async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError>;
    /// True if this certificate is in any place where the store ever was, whether programs find it there or not.
    async fn holds(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        Ok(self.list().await?.contains(&fingerprint))
    }
    /// Gives a pair as programs find it in the store, to prove that it is really there.
    async fn open(&self, fingerprint: Sha256) -> Result<Pair, KeystoreError>;
    /// Makes this certificate, which is installed and proven, the one that programs use, where a store lets only one be used.
    /// Until then they go on with one of `previous`.
    async fn prefer(&self, _fingerprint: Sha256, _previous: &BTreeSet<Sha256>) -> Result<(), KeystoreError> {
        Ok(())
    }
    /// What the store knows of a root.
    async fn root(&self, _fingerprint: Sha256) -> Result<Rooted, KeystoreError> {
        Ok(Rooted::NotHere)
    }
    /// Has programs trust a root, or only keep it.
    async fn trust(&self, _root: &[u8], _is_trusted: bool) -> Result<(), KeystoreError> {
        Ok(())
    }
    /// Removes exactly this certificate and its key, the key first, from every place where the store ever was. False if it was not
    /// there; never because it could not be looked for.
    async fn remove(&self, fingerprint: Sha256) -> Result<bool, KeystoreError>;
}

/// What a store knows of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rooted {
    /// Programs look for roots elsewhere, where the user of the PC must not add any.
    NotHere,
    /// It is not there.
    Absent,
    /// It is there.
    There {
        /// The root.
        der: Vec<u8>,
        /// Programs trust it.
        is_trusted: bool,
    },
}

/// Why a store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The certificate is not there, or its key is not.
    #[error("certificate {0} or its key is not in the {1} store")]
    Absent(Sha256, &'static str),
    /// What came out of the store is not what was put in.
    #[error("what the {0} store gives back cannot be used: {1}")]
    Unreadable(&'static str, String),
    /// Programs use several certificates, and none of them is one that this one follows.
    #[error(
        "monsiaj's settings have several servers, and which of them is to use {0} cannot be told; choose that file once for the right server \
         in monsiaj's settings (its password is in the .pass file beside it)"
    )]
    Ambiguous(String),
    /// A key that cannot be put into another store.
    #[error("the key of certificate {0} cannot be taken out of its store; bring a new file")]
    KeyStays(Sha256),
    /// A key that does nothing before somebody has agreed, which nobody at the counter can do for every connection.
    #[error(
        "the key of certificate {0} asks people each time it is used (strong private key protection), so the agent cannot use it; \
         bring the vendor's file again, or install it without that box checked"
    )]
    AsksPeople(Sha256),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The disk is in the way.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A tool of the store failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The tools of the store are not there.
    #[error(
        "{0} is not installed, and without it certificates cannot be put into the browser; on Debian and Ubuntu: apt-get install libnss3-tools"
    )]
    ToolMissing(&'static str),
    /// The operating system said no.
    #[error("{0}")]
    System(String),
    /// A profile names a store that this agent does not have.
    #[error("this agent knows no store called '{0}'")]
    Unknown(String),
}

impl Pair {
    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> Option<Sha256> {
        self.chain.first().map(|own| tegata_pki::key::sha256(own))
    }

    /// Proves that the key can sign for the certificate: it signs a request, and the request is checked with the certificate's key.
    pub fn can_sign(&self) -> Result<bool, KeyError> {
        let Some(own) = self.chain.first().and_then(|own| certificate::read(own).ok()) else { return Ok(false) };
        let request = self.key.request()?;
        Ok(csr::check(&request).is_ok_and(|proven| proven.public_key == own.public_key))
    }

    /// The key's PKCS#8, DER, for a store that keys are put into.
    ///
    /// # Errors
    /// [`KeystoreError::KeyStays`].
    pub fn pkcs8(&self) -> Result<&[u8], KeystoreError> {
        match &self.key {
            Key::Pkcs8(bytes) => Ok(bytes),
            Key::Stored(_) => Err(KeystoreError::KeyStays(self.fingerprint().unwrap_or(Sha256([0; 32])))),
        }
    }

    /// The pair for handshakes.
    ///
    /// # Errors
    /// The key cannot be used, or does not fit the certificate.
    pub fn for_tls(&self) -> Result<CertifiedKey, rustls::Error> {
        let chain = self.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let certified = CertifiedKey::new(chain, self.key.for_tls()?);
        certified.keys_match().map(|()| certified)
    }
}

/// The stores of this PC.
pub struct Keystores {
    /// What `browser` means here.
    pub browser: Rc<dyn Keystore>,
    /// What `file` means.
    pub file: Rc<dyn Keystore>,
    /// What `monsiaj` means.
    pub monsiaj: Rc<dyn Keystore>,
}

impl Keystores {
    /// The store that a profile calls by this name.
    pub fn of(&self, store: &str) -> Result<&dyn Keystore, KeystoreError> {
        match store {
            "browser" => Ok(&*self.browser),
            "file" => Ok(&*self.file),
            "monsiaj" => Ok(&*self.monsiaj),
            unknown => Err(KeystoreError::Unknown(unknown.to_owned())),
        }
    }

    /// Every store, each once.
    pub fn all(&self) -> impl Iterator<Item = &dyn Keystore> {
        let other = Some(&self.browser).filter(|browser| browser.name() != self.file.name());
        other.into_iter().chain([&self.file, &self.monsiaj]).map(|store| &**store)
    }

    /// Every store, each once, by the name that profiles know it by.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &dyn Keystore)> {
        let browser = Some(&self.browser).filter(|browser| browser.name() != self.file.name());
        browser.map(|store| ("browser", &**store)).into_iter().chain([("file", &*self.file), ("monsiaj", &*self.monsiaj)])
    }

    /// What those are called that can be used.
    pub fn names(&self) -> Vec<String> {
        self.all().filter(|store| store.is_ready()).map(|store| store.name().to_owned()).collect()
    }
}

/// The time on this PC's wall, as monsiaj writes it into names of files: `yyyyMMddHHmmss`.
pub fn now_in_digits() -> String {
    crate::words::local_digits(crate::wall_clock(), &jiff::tz::TimeZone::system())
}

/// Finds the stores that this PC has.
///
/// # Errors
/// [`KeystoreError::ToolMissing`] if the tools of a store that was asked for are not installed.
pub fn available(state: &State, home: &Path, choice: KeystoreChoice) -> Result<Keystores, KeystoreError> {
    let file: Rc<dyn Keystore> = Rc::new(file::FileStore::new(&state.store()));
    let browser = match choice {
        KeystoreChoice::File => Rc::clone(&file),
        KeystoreChoice::Nss | KeystoreChoice::Auto => browser_store(state, home)?,
    };
    if choice == KeystoreChoice::Nss && !browser.is_ready() {
        return Err(KeystoreError::ToolMissing("certutil or pk12util"));
    }
    Ok(Keystores { browser, file, monsiaj: Rc::new(monsiaj::Monsiaj::of(home)) })
}

#[cfg(target_os = "linux")]
fn browser_store(state: &State, home: &Path) -> Result<Rc<dyn Keystore>, KeystoreError> {
    Ok(Rc::new(nss::Nss::of(home, &state.temporary())?))
}

#[cfg(target_os = "macos")]
fn browser_store(state: &State, home: &Path) -> Result<Rc<dyn Keystore>, KeystoreError> {
    Ok(Rc::new(macos::Keychain::of(state, home)?))
}

#[cfg(windows)]
fn browser_store(_state: &State, _home: &Path) -> Result<Rc<dyn Keystore>, KeystoreError> {
    Ok(Rc::new(windows::Windows))
}
