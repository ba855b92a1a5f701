//! The certificates of Chrome and Edge on macOS: a keychain that is the agent's own, in the user's list of keychains.
//!
//! Its password is random and the agent knows it, so that nobody is asked for one: not to put a key in, not to name the browsers that may
//! use it, not to unlock it after a login. Everything goes through `/usr/bin/security`: only Apple's own tool can name those browsers
//! (the partition list of a key), and there is no call for it.
//!
//! Keys can be exported. A probe has to hold the key that it proves, and `security` can sign messages (`cms -S`) but no TLS handshake.
//! That is no loss: whoever is this user can ask `security` for a signature all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tegata_core::name::{Sha256, SlotId};
use tegata_pki::certificate;
use tegata_pki::key::{PrivateKey, sha256};
use tegata_pki::pkcs12::{self, Flavor};
use tempfile::TempDir;
use zeroize::Zeroizing;

use self::listing::Listed;
use self::security::Security;
use super::{Keystore, KeystoreError, Pair};
use crate::disk::{self, Readers, failing};
use crate::state::State;

mod listing;
mod security;

/// Apple's own tool.
pub const TOOL: &str = "/usr/bin/security";

const NAME: &str = "keychain";
/// The longest name that is given to a key, in characters.
const LABEL_MAX: usize = 64;
/// Who may use the keys without asking: Apple's own programs, `security` among them, and what Google (Chrome) and Microsoft (Edge) have
/// signed. A team stays the same whatever version or channel of its browser is installed, today or later.
const PARTITIONS: &str = "apple-tool:,apple:,teamid:EQHXZ8M8AV,teamid:UBF8T346G9";
/// The first macOS whose `security import -f pkcs12` reads AES (Security 61439). Older ones say that the password is wrong.
const READS_AES: u32 = 15;

/// The agent's own keychain.
pub struct Keychain {
    security: Security,
    /// The keychain, as `security` names it: without links in its path.
    path: PathBuf,
    password: PathBuf,
    temporary: PathBuf,
    flavor: Flavor,
}

impl Keychain {
    /// The keychain of the agent that works in `state`, for the user of `home`.
    pub fn of(state: &State, home: &Path) -> Result<Self, KeystoreError> {
        Self::with(state, home, Path::new(TOOL), crate::facts::macos_major())
    }

    /// As [`of`](Self::of), with the tool and the number of the macOS, if it is known.
    pub fn with(state: &State, home: &Path, tool: &Path, macos: Option<u32>) -> Result<Self, KeystoreError> {
        let root = state.root().canonicalize().map_err(failing("find", state.root()))?;
        let state = State::at(&root);
        Ok(Self {
            security: Security::new(tool, home),
            path: state.keychain(),
            password: state.keychain_password(),
            temporary: state.temporary(),
            flavor: if macos.is_some_and(|major| major >= READS_AES) { Flavor::Modern } else { Flavor::Legacy },
        })
    }

    /// The user's list of keychains.
    pub(crate) async fn search_list(&self) -> Result<Vec<PathBuf>, KeystoreError> {
        self.security.search_list().await
    }

    /// Deletes the keychain with everything in it, and takes it out of the list: for one that was made to try something.
    pub(crate) async fn discard(&self) -> Result<(), KeystoreError> {
        self.security.delete(&self.path).await
    }

    /// False as long as nothing was ever installed. A folder that cannot be looked into is not one without a keychain.
    fn is_made(&self) -> Result<bool, KeystoreError> {
        let folder = self.path.parent().unwrap_or(&self.path);
        std::fs::metadata(folder).map_err(failing("look into", folder))?;
        Ok(self.path.try_exists().map_err(failing("look for", &self.path))?)
    }

    /// Makes the keychain if there is none, and makes it usable. Its password is on disk before it is.
    async fn prepare(&self) -> Result<Zeroizing<String>, KeystoreError> {
        if !self.is_made()? {
            let password = match self.read_password()? {
                Some(password) => password,
                None => {
                    let password = crate::chance::password();
                    disk::write(&self.password, password.as_bytes(), Readers::Owner)?;
                    password
                }
            };
            self.security.create(&self.path, &password).await?;
        }
        let password = self.unlock().await?;
        self.security.never_lock(&self.path).await?;
        self.join_search_list().await?;
        Ok(password)
    }

    async fn unlock(&self) -> Result<Zeroizing<String>, KeystoreError> {
        let lost = || {
            let (keychain, password) = (self.path.display(), self.password.display());
            let next = "move the keychain away, and the agent makes a new one and asks for new certificates";
            strange(format!("{keychain} cannot be unlocked, because its password {password} is gone; {next}"))
        };
        let password = self.read_password()?.ok_or_else(lost)?;
        self.security.unlock(&self.path, &password).await?;
        Ok(password)
    }

    fn read_password(&self) -> Result<Option<Zeroizing<String>>, KeystoreError> {
        let text = |bytes: Zeroizing<Vec<u8>>| Some(Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned()));
        Ok(disk::read_secret(&self.password)?.and_then(text))
    }

    /// Programs look for certificates in the keychains of this list. Ours is added once, at the end; the others stay as they are.
    async fn join_search_list(&self) -> Result<(), KeystoreError> {
        let mut list = self.security.search_list().await?;
        if list.contains(&self.path) {
            return Ok(());
        }
        // The list of every user names at least the login keychain. Whoever writes one that was read as empty takes that away.
        if list.is_empty() {
            return Err(strange("the user's list of keychains is read as empty, and is left alone; is the user logged in?".into()));
        }
        list.push(self.path.clone());
        self.security.set_search_list(&list).await?;
        if self.security.search_list().await? == list {
            Ok(())
        } else {
            Err(strange("the user's list of keychains is not what was written".into()))
        }
    }

    async fn listed(&self) -> Result<BTreeMap<Sha256, Listed>, KeystoreError> {
        if self.is_made()? { self.security.certificates(&self.path).await } else { Ok(BTreeMap::new()) }
    }

    /// The certificates that have their key with them.
    async fn with_key(&self, listed: &BTreeMap<Sha256, Listed>) -> Result<BTreeSet<Sha256>, KeystoreError> {
        let identities = self.security.identities(&self.path).await?;
        let has_key = |(fingerprint, one): (&Sha256, &Listed)| identities.contains(&one.sha1).then_some(*fingerprint);
        Ok(listed.iter().filter_map(has_key).collect())
    }

    fn temporary_folder(&self) -> Result<TempDir, KeystoreError> {
        Ok(tempfile::tempdir_in(&self.temporary).map_err(failing("make a folder in", &self.temporary))?)
    }

    /// Puts in the certificate with its key. The file is never there longer than `security` needs it.
    async fn import(&self, pair: &Pair, label: &str) -> Result<(), KeystoreError> {
        let (folder, password) = (self.temporary_folder()?, crate::chance::password());
        let key = PrivateKey::from_pkcs8(pair.pkcs8()?)?;
        let bundle = pkcs12::write(self.flavor, &key, &pair.chain[..1], &readable(label), &password)?;
        let file = folder.path().join("bundle.p12");
        disk::write(&file, &bundle, Readers::Owner)?;
        let imported = self.security.import(&self.path, &file, &password).await;
        disk::wipe(&file)?;
        imported
    }

    /// Puts in the intermediates: a browser offers a certificate only if it leads up to an authority that the site names.
    async fn import_above(&self, pair: &Pair, listed: &BTreeMap<Sha256, Listed>) -> Result<(), KeystoreError> {
        let folder = self.temporary_folder()?;
        for above in pair.chain[1..].iter().filter(|above| !listed.contains_key(&sha256(above))) {
            let file = folder.path().join("above.cer");
            disk::write(&file, above, Readers::Owner)?;
            self.security.add_certificate(&self.path, &file).await?;
        }
        Ok(())
    }

    /// True if another certificate of the keychain belongs to the same key, as after a renewal that kept it.
    async fn shares_its_key(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        let ders = self.security.ders(&self.path).await?;
        let read: Vec<_> = ders.iter().filter_map(|der| certificate::read(der).ok()).collect();
        let own = read.iter().find(|one| one.fingerprint == fingerprint).ok_or(KeystoreError::Absent(fingerprint, NAME))?;
        Ok(read.iter().any(|one| one.fingerprint != fingerprint && one.public_key == own.public_key))
    }
}

#[async_trait(?Send)]
impl Keystore for Keychain {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_ready(&self) -> bool {
        self.security.is_there()
    }

    async fn wake(&self) -> Result<(), KeystoreError> {
        if self.is_made()? { self.unlock().await.map(drop) } else { Ok(()) }
    }

    async fn install(&self, _slot: &SlotId, pair: &Pair, label: &str) -> Result<(), KeystoreError> {
        let own = pair.fingerprint().ok_or_else(|| strange("there is no certificate".into()))?;
        let password = self.prepare().await?;
        let listed = self.listed().await?;
        let is_there = listed.contains_key(&own);
        let has_key = is_there && self.with_key(&listed).await?.contains(&own);
        if is_there && !has_key {
            // Somebody has deleted its key, and `security` would find it there already.
            self.security.delete_certificate(&self.path, own).await?;
        }
        if !has_key {
            self.import(pair, label).await?;
        }
        self.import_above(pair, &listed).await?;
        // At every install, also of what is there: a crash may have come between the two.
        self.security.allow(&self.path, &password, PARTITIONS).await?;
        let listed = self.listed().await?;
        let is_complete = pair.chain.iter().all(|one| listed.contains_key(&sha256(one)));
        if is_complete && self.with_key(&listed).await?.contains(&own) {
            Ok(())
        } else {
            Err(strange(format!("security says that {own} was imported, but it is not there with its key and all above it")))
        }
    }

    async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError> {
        Ok(self.listed().await?.into_keys().collect())
    }

    async fn open(&self, fingerprint: Sha256) -> Result<Pair, KeystoreError> {
        let absent = || KeystoreError::Absent(fingerprint, NAME);
        let listed = self.listed().await?;
        if !listed.contains_key(&fingerprint) || !self.with_key(&listed).await?.contains(&fingerprint) {
            return Err(absent());
        }
        self.unlock().await?;
        let others = self.security.ders(&self.path).await?;
        let (folder, password) = (self.temporary_folder()?, crate::chance::password());
        let file = folder.path().join("bundle.p12");
        let exported = self.security.export(&self.path, &file, &password).await;
        let bytes = disk::read_secret(&file)?.unwrap_or_default();
        disk::wipe(&file)?;
        exported?;
        let bundle = pkcs12::read_one(&bytes, &password, fingerprint, &others).map_err(|problem| strange(problem.to_string()))?;
        bundle.map(|bundle| Pair { chain: bundle.chain, key: bundle.key.into() }).ok_or_else(absent)
    }

    async fn remove(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        if !self.listed().await?.contains_key(&fingerprint) {
            return Ok(false);
        }
        self.unlock().await?;
        if self.shares_its_key(fingerprint).await? {
            self.security.delete_certificate(&self.path, fingerprint).await?;
        } else {
            self.security.delete_identity(&self.path, fingerprint).await?;
        }
        if self.listed().await?.contains_key(&fingerprint) {
            return Err(strange(format!("security says that {fingerprint} was removed, but it is still there")));
        }
        Ok(true)
    }
}

/// What an administrator runs once so that browsers trust the sites whose certificates come from the roots in `file`. The agent does not:
/// macOS would ask the user for a password.
pub fn trust_command(file: &Path) -> String {
    let quoted = file.display().to_string().replace('\'', r"'\''");
    format!("sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain '{quoted}'")
}

fn readable(label: &str) -> String {
    label.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LABEL_MAX).collect()
}

fn strange(problem: String) -> KeystoreError {
    KeystoreError::Unreadable(NAME, problem)
}
