//! The store for programs that read PEM files: `store/<slot>/current/{certificate,key}.pem`.
//!
//! Each certificate has a folder of its own, named by its fingerprint; `current` means the one that was proven last and moves in
//! one step: programs never get one that the site may refuse while they have one that works. An older one stays until it is removed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use data_encoding::BASE64;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use tegata_core::name::{Sha256, SlotId};
use tegata_pki::certificate;
use zeroize::Zeroizing;

use super::{Keystore, KeystoreError, Pair};
use crate::disk::{self, DiskError, Readers};

const NAME: &str = "file";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
const CURRENT: &str = "current";

/// The store.
pub struct FileStore {
    root: PathBuf,
}

impl FileStore {
    /// Keeps everything below `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn slot_folder(&self, slot: &SlotId) -> PathBuf {
        self.root.join(slot.to_string())
    }

    /// Every folder that holds, or began to hold, a certificate: `clinic/device/profile/<fingerprint>`.
    fn folders(&self) -> Result<Vec<(Sha256, PathBuf)>, DiskError> {
        let mut level = vec![self.root.clone()];
        for _ in 0..4 {
            level = level.iter().map(|folder| subfolders(folder)).collect::<Result<Vec<_>, _>>()?.concat();
        }
        let named = |path: PathBuf| Some((path.file_name()?.to_str()?.parse().ok()?, path));
        Ok(level.into_iter().filter_map(named).collect())
    }

    fn folder_of(&self, fingerprint: Sha256) -> Result<Option<PathBuf>, DiskError> {
        Ok(self.folders()?.into_iter().find(|(found, _)| *found == fingerprint).map(|(_, folder)| folder))
    }

    fn remove_empty_above(&self, folder: &Path) -> Result<(), DiskError> {
        for above in folder.ancestors().skip(1).take_while(|above| *above != self.root) {
            disk::remove_empty_folder(above)?;
        }
        Ok(())
    }
}

fn subfolders(folder: &Path) -> Result<Vec<PathBuf>, DiskError> {
    Ok(disk::entries(folder)?.into_iter().filter(|path| path.is_dir() && !path.is_symlink()).collect())
}

fn is_complete(folder: &Path) -> bool {
    [CERTIFICATE, KEY].iter().all(|name| folder.join(name).is_file())
}

/// True if programs find something in this slot.
fn is_any_current(slot_folder: &Path) -> Result<bool, DiskError> {
    let current = disk::pointed_at(&slot_folder.join(CURRENT))?;
    Ok(current.is_some_and(|name| is_complete(&slot_folder.join(name))))
}

fn is_current(folder: &Path) -> Result<bool, DiskError> {
    let current = disk::pointed_at(&folder.with_file_name(CURRENT))?;
    Ok(current.is_some_and(|name| folder.file_name() == Some(name.as_ref())))
}

fn point_current_to(folder: &Path) -> Result<(), DiskError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    disk::point_to(&folder.with_file_name(CURRENT), &name)
}

/// The certificate of the same slot that was issued last, other than the one in `folder`.
fn newest_beside(folder: &Path) -> Result<Option<PathBuf>, DiskError> {
    let mut newest = None;
    let all = subfolders(folder.parent().unwrap_or(folder))?;
    for other in all.into_iter().filter(|other| other != folder && is_complete(other)) {
        let chain = disk::read_text(&other.join(CERTIFICATE))?.unwrap_or_default();
        let issued = certificate::read_pem(&chain).ok().and_then(|chain| Some(chain.first()?.not_before));
        newest = newest.max(issued.map(|issued| (issued, other)));
    }
    Ok(newest.map(|(_, other)| other))
}

#[async_trait(?Send)]
impl Keystore for FileStore {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn install(&self, slot: &SlotId, pair: &Pair, _label: &str) -> Result<(), KeystoreError> {
        let fingerprint = pair.fingerprint().ok_or_else(|| KeystoreError::Unreadable(NAME, "there is no certificate".into()))?;
        let folder = self.slot_folder(slot).join(fingerprint.to_string());
        disk::make_folder(&folder)?;
        disk::clear_temporary(&folder)?;
        disk::clear_temporary(&self.slot_folder(slot))?;
        disk::write(&folder.join(KEY), key_pem(pair.pkcs8()?).as_bytes(), Readers::Owner)?;
        let chain: String = pair.chain.iter().map(|der| certificate::to_pem(der)).collect();
        disk::write(&folder.join(CERTIFICATE), chain.as_bytes(), Readers::Owner)?;
        if !is_any_current(&self.slot_folder(slot))? {
            point_current_to(&folder)?;
        }
        Ok(())
    }

    async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError> {
        Ok(self
            .folders()?
            .into_iter()
            .filter(|(_, folder)| folder.join(CERTIFICATE).is_file())
            .map(|(fingerprint, _)| fingerprint)
            .collect())
    }

    async fn open(&self, fingerprint: Sha256) -> Result<Pair, KeystoreError> {
        let absent = || KeystoreError::Absent(fingerprint, NAME);
        let unreadable = |problem: &dyn std::fmt::Display| KeystoreError::Unreadable(NAME, problem.to_string());
        let folder = self.folder_of(fingerprint)?.ok_or_else(absent)?;
        let chain = disk::read_text(&folder.join(CERTIFICATE))?.ok_or_else(absent)?;
        let key = disk::read_secret(&folder.join(KEY))?.ok_or_else(absent)?;
        let chain = certificate::read_pem(&chain).map_err(|problem| unreadable(&problem))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(&key).map_err(|problem| unreadable(&problem))?;
        let pair =
            Pair { chain: chain.into_iter().map(|one| one.der).collect(), key: Zeroizing::new(key.secret_pkcs8_der().to_vec()).into() };
        if pair.fingerprint() == Some(fingerprint) { Ok(pair) } else { Err(absent()) }
    }

    async fn prefer(&self, fingerprint: Sha256, _previous: &BTreeSet<Sha256>) -> Result<(), KeystoreError> {
        let folder = self.folder_of(fingerprint)?.filter(|folder| is_complete(folder));
        let folder = folder.ok_or(KeystoreError::Absent(fingerprint, NAME))?;
        if !is_current(&folder)? {
            point_current_to(&folder)?;
        }
        Ok(())
    }

    async fn remove(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        let Some(folder) = self.folder_of(fingerprint)? else { return Ok(false) };
        if is_current(&folder)? {
            match newest_beside(&folder)? {
                Some(other) => point_current_to(&other)?,
                None => drop(disk::remove(&folder.with_file_name(CURRENT))?),
            }
        }
        disk::wipe(&folder.join(KEY))?;
        disk::remove(&folder.join(CERTIFICATE))?;
        disk::wipe_folder(&folder)?;
        self.remove_empty_above(&folder)?;
        Ok(true)
    }
}

/// PKCS#8 as PEM (RFC 7468, section 10).
fn key_pem(pkcs8: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(BASE64.encode(pkcs8));
    let mut pem = Zeroizing::new(String::with_capacity(base64.len() * 66 / 64 + 64));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    for start in (0..base64.len()).step_by(64) {
        pem.push_str(&base64[start..base64.len().min(start + 64)]);
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}
