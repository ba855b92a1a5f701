//! Backups of the server's own state: made while it works, proven by opening them, and put back into an empty folder.
//!
//! A backup is a folder: `tegata.db`, `manifest.json`, and, only if its maker named somebody to seal it to, `seal.key.age`. The database
//! holds every CA key sealed, so that the folder opens nothing by itself.

mod files;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tegata_core::name::Sha256;
use tegata_core::time::Timestamp;
use tegata_pki::authority::Authority;
use tegata_pki::key::{KeyError, PrivateKey, Seal};
use tegata_pki::sealed::{SealedError, seal_to};
use zeroize::Zeroizing;

use self::files::Whole;
use crate::serve::folder::{Folder, FolderError};
use crate::store::StoreError;
use crate::store::sql::moving::{self, MoveError, Moved};
use crate::store::sql::postgres::Address;
use crate::store::sql::sqlite::archive::{self, Found};

const DATABASE: &str = "tegata.db";
const SEAL: &str = "seal.key";
const SEALED_SEAL: &str = "seal.key.age";
const MANIFEST: &str = "manifest.json";
/// Of the layout of the folder. Only what it says is read.
const VERSION: u32 = 1;

/// Why a backup was not made, not proven or not put back. Nothing is half-done then.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Reading or writing failed.
    #[error("cannot use {}; check that it exists, that there is room, and that you may write there", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// Nothing is written over.
    #[error("{} is there already, and nothing is written over; name another place", .0.display())]
    AlreadyThere(PathBuf),
    /// Another run makes the same folder.
    #[error("another run is making {}; wait for it, or name another place", .0.display())]
    InUse(PathBuf),
    /// There is no state to be backed up.
    #[error("{} holds no state of a server; name the folder that `tegata serve --state` uses", .0.display())]
    NoState(PathBuf),
    /// There is no database.
    #[error("{} is no file; name the tegata.db in the folder that `tegata serve --state` uses", .0.display())]
    NoDatabase(PathBuf),
    /// The state folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The folder is no backup, or one of a newer version.
    #[error("{} is no whole backup that this version can read; name the folder that `tegata state backup` made", .0.display())]
    NotABackup(PathBuf),
    /// A file is not what the manifest says.
    #[error("{} is not what was backed up: its size or its SHA-256 differs from manifest.json; take another backup", .0.display())]
    Altered(PathBuf),
    /// The database is damaged.
    #[error("the database in the backup is damaged: {}; take another backup", .0.join("; "))]
    Damaged(Vec<String>),
    /// Records of an audit log are missing.
    #[error("the audit log of '{0}' in the backup is not whole; take another backup")]
    BrokenLog(String),
    /// The seal is not the one that the CA keys are sealed with.
    #[error("this is not the seal of that backup: it is {found}, and the CA keys are sealed to {wanted}")]
    OtherSeal {
        /// Its public half.
        found: String,
        /// That of the right one.
        wanted: String,
    },
    /// The seal cannot be had.
    #[error("the seal cannot be opened; name with --identity the secret half of one of {}, or with --seal a copy of seal.key", shown(.0))]
    Sealed(Vec<String>),
    /// The backup holds no seal, and none was named.
    #[error("the backup holds no seal; name a copy of seal.key with --seal")]
    NoSeal,
    /// An authority's key cannot be opened, or is not that of its certificate.
    #[error("the key of authority {name} is not the one of its certificate; take another backup")]
    OtherKey {
        /// Which one.
        name: String,
        /// What is wrong.
        #[source]
        source: KeyError,
    },
    /// The seal cannot be sealed to somebody.
    #[error("the seal cannot be sealed; name recipients as age1…")]
    Recipient(#[from] SealedError),
    /// A database cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database was not moved.
    #[error(transparent)]
    Move(#[from] MoveError),
}

fn shown(recipients: &[String]) -> String {
    if recipients.is_empty() { "its recipients".to_owned() } else { recipients.join(", ") }
}

/// What a backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    version: u32,
    /// The version of Tegata that made it.
    pub tegata: String,
    /// When, seconds since the Unix epoch.
    pub made_at: i64,
    /// The public half of the seal that its CA keys are sealed with.
    pub seal: String,
    /// Who can open `seal.key.age`, if it is there: age recipients.
    pub recipients: Vec<String>,
    /// The number of the last audit record of each tenant.
    pub records: BTreeMap<String, u64>,
    /// Every other file.
    files: BTreeMap<String, FileFacts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileFacts {
    sha256: String,
    size: u64,
}

/// What was proven of a backup.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// When it was made, seconds since the Unix epoch.
    pub made_at: i64,
    /// The version of Tegata that made it.
    pub tegata: String,
    /// How many audit records it holds.
    pub records: u64,
    /// How many authorities it holds.
    pub authorities: u64,
    /// True if every one of their keys was opened and is that of its certificate; false if no seal was there to do it with.
    pub keys_opened: bool,
}

/// Backs up the state folder of a server, which may work meanwhile. With recipients the seal goes along, sealed to them.
///
/// # Errors
/// [`StateError`]. Then `out` is not there.
pub async fn back_up(state: &Path, out: &Path, recipients: &[String], now: Timestamp) -> Result<Manifest, StateError> {
    let from = state.join(DATABASE);
    if !from.is_file() {
        return Err(StateError::NoState(state.to_owned()));
    }
    let seal = Folder::read_seal(state)?;
    let sealed = if recipients.is_empty() { None } else { Some(seal_to(seal.text().as_bytes(), recipients)?) };
    let whole = Whole::begin(out)?;
    let database = whole.folder().join(DATABASE);
    archive::copy(&from, &database).await?;
    let mut files = BTreeMap::from([(DATABASE.to_owned(), files::settle(&database)?)]);
    if let Some(sealed) = sealed {
        files.insert(SEALED_SEAL.to_owned(), files::write(&whole.folder().join(SEALED_SEAL), sealed.as_bytes())?);
    }
    let found = archive::look_through(&database).await?;
    let records = found.logs.iter().map(|log| (log.tenant.to_string(), log.last)).collect();
    let (tegata, recipients) = (env!("CARGO_PKG_VERSION").to_owned(), recipients.to_vec());
    let manifest = Manifest { version: VERSION, tegata, made_at: now.unix(), seal: seal.recipient(), recipients, records, files };
    // A copy that is no good is told now, and not on the day that it is needed.
    prove(&manifest, &found, Some(&seal))?;
    let text = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data with text keys");
    files::write(&whole.folder().join(MANIFEST), &text)?;
    whole.finish()?;
    Ok(manifest)
}

/// Moves the database of a server that does not run into an empty PostgreSQL database.
///
/// # Errors
/// [`StateError`]. Nothing was moved then.
pub async fn move_to_server(from: &Path, to: &Address, now: Timestamp) -> Result<Moved, StateError> {
    if !from.is_file() {
        return Err(StateError::NoDatabase(from.to_owned()));
    }
    let folder = from.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _taken = Folder::take(folder)?;
    Ok(moving::move_to_server(from, to, now).await?)
}

/// Where the seal comes from.
#[derive(Default)]
pub struct Keys {
    /// Secret halves of keys to whom it may have been sealed.
    pub identities: Vec<Seal>,
    /// A copy of `seal.key`.
    pub seal: Option<Seal>,
}

/// Copies a backup into `scratch`, which is empty, opens it there, and says what is proven by that.
///
/// # Errors
/// [`StateError`]: whatever keeps it from being put back.
pub async fn drill(backup: &Path, scratch: &Path, keys: &Keys) -> Result<Proof, StateError> {
    let manifest = copy_checked(backup, scratch)?;
    let seal = find_seal(&manifest, scratch, keys)?;
    let found = archive::look_through(&scratch.join(DATABASE)).await?;
    prove(&manifest, &found, seal.as_ref())
}

/// Puts a backup back into a folder that is not there yet, or empty. Whoever serves from it gives nothing out until that is on record.
///
/// # Errors
/// [`StateError`]. Then nothing is there.
pub async fn restore(backup: &Path, state: &Path, keys: &Keys, now: Timestamp) -> Result<Proof, StateError> {
    let whole = Whole::begin(state)?;
    let manifest = copy_checked(backup, whole.folder())?;
    let seal = find_seal(&manifest, whole.folder(), keys)?.ok_or(StateError::NoSeal)?;
    let database = whole.folder().join(DATABASE);
    let proof = prove(&manifest, &archive::look_through(&database).await?, Some(&seal))?;
    files::remove(&whole.folder().join(SEALED_SEAL))?;
    files::write(&whole.folder().join(SEAL), seal.text().as_bytes())?;
    archive::begin_epoch(&database, Timestamp::from_unix(manifest.made_at), now).await?;
    files::settle(&database)?;
    whole.finish()?;
    Ok(proof)
}

/// Copies every file of a backup, and compares it with what the manifest says.
fn copy_checked(backup: &Path, to: &Path) -> Result<Manifest, StateError> {
    let manifest: Option<Manifest> = serde_json::from_slice(&files::read(&backup.join(MANIFEST))?).ok();
    let known = |manifest: &Manifest| {
        manifest.version == VERSION
            && manifest.files.contains_key(DATABASE)
            && manifest.files.keys().all(|name| [DATABASE, SEALED_SEAL].contains(&name.as_str()))
    };
    let manifest = manifest.filter(known).ok_or_else(|| StateError::NotABackup(backup.to_owned()))?;
    for (name, facts) in &manifest.files {
        if files::copy(&backup.join(name), &to.join(name))? != *facts {
            return Err(StateError::Altered(backup.join(name)));
        }
    }
    Ok(manifest)
}

/// The seal of a backup, if there is any way to it. One that is named and does not open is an error.
fn find_seal(manifest: &Manifest, folder: &Path, keys: &Keys) -> Result<Option<Seal>, StateError> {
    let sealed = folder.join(SEALED_SEAL);
    let seal = match (&keys.seal, keys.identities.is_empty()) {
        (Some(seal), _) => Seal::from_text(&seal.text()).ok(),
        (None, true) => return Ok(None),
        (None, false) if !sealed.is_file() => return Err(StateError::NoSeal),
        (None, false) => {
            let sealed = files::read(&sealed)?;
            let text = keys.identities.iter().find_map(|identity| identity.open(&sealed).ok());
            let text = text.and_then(|text| String::from_utf8(text.to_vec()).ok()).map(Zeroizing::new);
            text.and_then(|text| Seal::from_text(&text).ok())
        }
    };
    let seal = seal.ok_or_else(|| StateError::Sealed(manifest.recipients.clone()))?;
    if seal.recipient() == manifest.seal {
        return Ok(Some(seal));
    }
    Err(StateError::OtherSeal { found: seal.recipient(), wanted: manifest.seal.clone() })
}

fn prove(manifest: &Manifest, found: &Found, seal: Option<&Seal>) -> Result<Proof, StateError> {
    if !found.damages.is_empty() {
        return Err(StateError::Damaged(found.damages.clone()));
    }
    if let Some(broken) = found.logs.iter().find(|log| !log.is_whole) {
        return Err(StateError::BrokenLog(broken.tenant.to_string()));
    }
    let records: BTreeMap<String, u64> = found.logs.iter().map(|log| (log.tenant.to_string(), log.last)).collect();
    if let Some((tenant, _)) = manifest.records.iter().find(|(tenant, last)| records.get(*tenant) != Some(last)) {
        return Err(StateError::BrokenLog(tenant.clone()));
    }
    for row in seal.map(|seal| found.authorities.iter().map(move |row| (seal, row))).into_iter().flatten() {
        let (seal, row) = row;
        let opened = seal.open(&row.sealed_key).and_then(|key| PrivateKey::from_pkcs8(&key));
        let loaded = opened.and_then(|key| Authority::load(&row.certificate, key));
        loaded.map_err(|source| StateError::OtherKey { name: row.name.clone(), source })?;
    }
    Ok(Proof {
        made_at: manifest.made_at,
        tegata: manifest.tegata.clone(),
        records: records.values().sum(),
        authorities: found.authorities.len() as u64,
        keys_opened: seal.is_some(),
    })
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StateError + use<> {
    let path = path.to_owned();
    move |source| StateError::Io { path, source }
}

fn digest(sha256: Sha256, size: u64) -> FileFacts {
    FileFacts { sha256: sha256.to_string(), size }
}

/// Reads a copy of `seal.key`.
///
/// # Errors
/// [`StateError`].
pub fn read_seal(path: &Path) -> Result<Seal, StateError> {
    let text = fs::read_to_string(path).map(Zeroizing::new).map_err(at(path))?;
    Seal::from_text(text.trim()).map_err(|source| FolderError::SealUnreadable { path: path.to_owned(), source }.into())
}
