//! `tegata backup`: gets back what was sealed.

mod approve;
mod drill;
mod found;
mod keys;

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use data_encoding::BASE64;
use serde::Serialize;
use tegata_api::v1::backup::{FetchRequest, Fetched, Manifest};
use tegata_core::name::{SlotId, TargetName};
use tegata_core::vendor::BundleFault;
use tegata_pki::bundle::folder::{self, File};
use tegata_pki::bundle::quorum::QuorumError;
use tegata_pki::bundle::{self, Content, DeviceKey, SealError};
use tegata_pki::key::{KeyError, PrivateKey, sha256};
use tegata_pki::pkcs12::{self, Flavor};
use zeroize::Zeroizing;

use crate::certificate::import;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// The longest identity file that is read, in bytes.
const IDENTITY_MAX: u64 = 64 * 1024;

/// Get back what was sealed to a clinic's backup keys
#[derive(Args)]
pub struct Backup {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Restore(Restore),
    Drill(drill::Drill),
    Approve(approve::Approve),
}

/// Fetch the newest backup of a slot, open it here, and give the vendor's file back
///
/// --out writes it under its own name, --to under a new password that is shown once, and --install seals it to the PC that has the slot now,
/// which installs it by itself. The server hands out what it cannot open, and puts that on record. With --from no server is asked: a copy of
/// a target's folder is enough. The file is compared with its manifest, and its key with its certificate, before anything is written;
/// nothing is written over.
#[derive(Args)]
#[command(
    group(ArgGroup::new("where").required(true).args(["out", "to", "install"])),
    after_help = "Examples:\n  $ tegata backup restore --slot sakura-naika/uketsuke-1/weborca --identity key.txt --out restored\n  $ tegata backup restore --slot sakura-naika/uketsuke-1/weborca --identity key.txt --install\n  $ tegata backup restore --slot sakura-naika/uketsuke-1/weborca --identity director.txt --identity office.txt --out restored\n  $ tegata backup restore --slot sakura-naika/uketsuke-1/weborca --identity key.txt --from /mnt/nas/tegata --out restored"
)]
struct Restore {
    /// The slot, `clinic/device/profile`
    #[arg(long)]
    slot: SlotId,
    /// The secret half of one of the clinic's backup keys: a file as age-keygen writes it. Say it again for each key where it takes several
    #[arg(long = "identity", value_name = "FILE", required = true)]
    identities: Vec<PathBuf>,
    /// Take it from this target, and not from what the server itself keeps
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    target: Option<TargetName>,
    /// An older one than the newest, as the records of the audit log name it
    #[arg(long, value_name = "ID", conflicts_with = "from")]
    id: Option<String>,
    /// Ask no server: look in a copy of a target's folder
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// The folder that the files go into; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write key and certificates into this new file, under a password that is made here and shown once
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Seal it to the PC that has the slot now, and have that install it
    #[arg(long, conflicts_with_all = ["from", "show_password"])]
    install: bool,
    /// What was backed up: the vendor's file, or what monsiaj keeps on the PC
    #[arg(long, value_enum, default_value_t = Kind::File)]
    kind: Kind,
    /// Show the file's password too: whoever sees it can use the file
    #[arg(long)]
    show_password: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The file as the vendor made it
    File,
    /// monsiaj's certificates, passwords and settings: what belongs into the folder .monsiaj
    Monsiaj,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Monsiaj => "monsiaj",
        }
    }
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The identity file holds no age key.
    #[error("{} holds no secret age key (AGE-SECRET-KEY-1…)", .0.display())]
    NoIdentity(PathBuf),
    /// The folder holds no backup of the slot.
    #[error("there is no backup of {slot} in {}", .folder.display())]
    NotThere {
        /// Of which slot.
        slot: SlotId,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The folder holds backups of several tenants that have such a slot.
    #[error("several tenants have a backup of that slot there: {}", .0.join(", "))]
    Ambiguous(Vec<String>),
    /// The age file is not the one that its manifest describes.
    #[error("the backup is damaged: it is not what its manifest says")]
    Altered,
    /// None of the identities opens it.
    #[error("the backup cannot be opened with this identity")]
    Closed(#[source] SealError),
    /// It takes several keys, and those that are there do not open it.
    #[error("the backup cannot be opened: {0}")]
    Quorum(QuorumError),
    /// monsiaj's files are no certificate.
    #[error("what monsiaj kept goes into a folder only")]
    OnlyInto,
    /// The key in it cannot be written into another file.
    #[error("the key cannot be put into a new file")]
    Unusable(#[source] KeyError),
    /// What is inside belongs to another certificate.
    #[error("the file inside holds another certificate than its manifest says")]
    OtherCertificate,
}

impl RestoreError {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoIdentity(_) => "name the file that age-keygen wrote",
            Self::NotThere { .. } => "name the folder of the target itself, or leave out --from to ask the server",
            Self::Ambiguous(_) => "name the folder of one of them: DIR/TENANT",
            Self::Altered | Self::OtherCertificate => "take it from another target: `tegata get backups` shows them",
            Self::OnlyInto => "name it with --out DIR",
            Self::Unusable(_) => "take the vendor's own file, with --out DIR",
            Self::Quorum(QuorumError::Missing { .. }) => "say --identity once for each of so many of its keepers, on one machine",
            Self::Quorum(_) => "take it from another target, or import the vendor's file again",
            Self::Closed(_) => "use the identity of one of the recipients in the manifest (ID.json beside the backup)",
        }
    }
}

/// What was restored.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Restored {
    slot: String,
    files: Vec<PathBuf>,
    fingerprint: String,
    not_after: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

impl Backup {
    /// Does what was typed.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        match self.what {
            What::Restore(verb) => verb.run(global).await,
            What::Drill(verb) => verb.run(global).await,
            What::Approve(verb) => verb.run(global).await,
        }
    }
}

impl Restore {
    async fn run(self, global: &Global) -> Result<Exit, Failure> {
        // First of all, so that nothing is handed out in vain.
        let identities = identities(&self.identities)?;
        let (manifest, sealed) = self.fetch(global).await?;
        if sha256(&sealed).to_string() != manifest.sha256 {
            return Err(RestoreError::Altered.into());
        }
        if manifest.slot != self.slot.to_string() || manifest.kind != self.kind.word() {
            return Err(RestoreError::OtherCertificate.into());
        }
        let content = match self.kind {
            Kind::File => Some(vendors_file(&sealed, &identities, &manifest)?),
            Kind::Monsiaj => None,
        };
        let (written, password) = match (content, &self.out, &self.to) {
            (Some(content), None, Some(to)) => (vec![to.clone()], Some(under_new_password(&content, to)?)),
            (Some(content), None, None) => return import::install(global, &self.slot, content).await,
            (Some(content), Some(out), _) => {
                let file = File { name: content.name_on_disk().to_owned(), bytes: content.file.clone() };
                (write_all(out, &[file])?, self.show_password.then(|| content.password.to_string()))
            }
            (None, Some(out), _) => (write_all(out, &keys::opened(&sealed, &identities, |key| folder::unseal(&sealed, key))?)?, None),
            (None, None, _) => return Err(RestoreError::OnlyInto.into()),
        };
        let (slot, fingerprint, not_after) = (manifest.slot, manifest.fingerprint, manifest.not_after);
        let restored = Restored { slot, files: written, fingerprint, not_after, password };
        output::show(global, &restored, |_| restored.tell(self.kind))?;
        Ok(Exit::Fine)
    }

    async fn fetch(&self, global: &Global) -> Result<(Manifest, Vec<u8>), Failure> {
        if let Some(folder) = &self.from {
            return found::newest(folder, &self.slot, self.kind.word());
        }
        let request = FetchRequest {
            target: self.target.as_ref().map(ToString::to_string),
            kind: Some(self.kind.word().to_owned()),
            id: self.id.clone(),
        };
        let fetched: Fetched = Session::open(global)?.post(&format!("{}/fetch", path_of(&self.slot)), &request).await?;
        let sealed = BASE64.decode(fetched.sealed.as_bytes()).map_err(|_| RestoreError::Altered)?;
        Ok((fetched.manifest, sealed))
    }
}

/// The file as the vendor made it.
fn vendors_file(sealed: &[u8], identities: &[DeviceKey], manifest: &Manifest) -> Result<Content, Failure> {
    let content = keys::opened(sealed, identities, |key| bundle::unseal(sealed, key))?;
    check(&content, manifest)?;
    Ok(content)
}

/// Writes what is in the vendor's file under a password that nothing else has. Gives the password.
fn under_new_password(content: &Content, to: &Path) -> Result<String, Failure> {
    let (bundle, facts) = content.open().map_err(|fault| Failure::Bundle { path: to.to_owned(), faults: vec![fault] })?;
    let key = PrivateKey::from_pkcs8(&bundle.key).map_err(RestoreError::Unusable)?;
    let (name, password) = (bundle.friendly_name.or(facts.common_name).unwrap_or_default(), pkcs12::new_password());
    let file = pkcs12::write(Flavor::Modern, &key, &bundle.chain, &name, &password).map_err(RestoreError::Unusable)?;
    write_new(to, &file).map_err(|source| Failure::Keep { path: to.to_owned(), source })?;
    Ok(password.to_string())
}

/// The key has to be the certificate's, and the certificate the one that was backed up.
fn check(content: &Content, manifest: &Manifest) -> Result<(), Failure> {
    let fault = |fault: BundleFault| Failure::Bundle { path: content.file_name.clone().into(), faults: vec![fault] };
    let (_, facts) = content.open().map_err(fault)?;
    if facts.fingerprint.to_string() == manifest.fingerprint { Ok(()) } else { Err(RestoreError::OtherCertificate.into()) }
}

impl Restored {
    fn tell(&self, kind: Kind) -> String {
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        if kind == Kind::Monsiaj {
            return format!("{}\nare what monsiaj kept for {}. They belong into the user's folder .monsiaj.", files.join("\n"), self.slot);
        }
        let file = format!("{} is the file of {}; its key is the certificate's own.", files.join(", "), self.slot);
        let password = match &self.password {
            Some(password) => format!("Its password: {password}"),
            None => "It needs its password: say --show-password to see that too, where nobody else does.".to_owned(),
        };
        format!("{file}\n{password}\nRemove it as soon as it is installed.")
    }
}

/// Where the server has the backups of a slot.
fn path_of(slot: &SlotId) -> String {
    let home = if slot.device.clinic == slot.clinic { String::new() } else { format!("@{}", slot.device.clinic) };
    format!("backups/{}/{}{home}/{}", slot.clinic, slot.device.device, slot.profile)
}

/// The secret keys in files of `age-keygen`, whose other lines are comments.
fn identities(paths: &[PathBuf]) -> Result<Vec<DeviceKey>, Failure> {
    let read = |path: &PathBuf| identity_lines(path, |line| DeviceKey::from_secret(line).ok());
    Ok(paths.iter().map(read).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The same, as whatever they are to be used for.
pub fn identity_lines<Key>(path: &Path, read: impl Fn(&str) -> Option<Key>) -> Result<Vec<Key>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let file = fs::File::open(path).map_err(|source| Failure::Read { path: path.to_owned(), source })?;
    file.take(IDENTITY_MAX).read_to_string(&mut text).map_err(|source| Failure::Read { path: path.to_owned(), source })?;
    let keys: Vec<Key> = text.lines().filter_map(read).collect();
    if keys.is_empty() { Err(RestoreError::NoIdentity(path.to_owned()).into()) } else { Ok(keys) }
}

/// Writes files that only their owner can read, and nothing over anything. Their names were checked when they were opened.
fn write_all(out: &Path, files: &[File]) -> Result<Vec<PathBuf>, Failure> {
    let paths: Vec<PathBuf> = files.iter().map(|file| out.join(&file.name)).collect();
    let taken = paths.iter().find(|path| path.exists());
    if let Some(path) = taken {
        return Err(Failure::Keep { path: path.clone(), source: io::ErrorKind::AlreadyExists.into() });
    }
    for (path, file) in paths.iter().zip(files) {
        write_new(path, &file.bytes).map_err(|source| Failure::Keep { path: path.clone(), source })?;
    }
    Ok(paths)
}

/// Writes a file that nobody else may read, and that was not there before.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut folders = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
    folders.recursive(true).create(path.parent().unwrap_or(Path::new(".")))?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_file_is_as_age_keygen_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("key.txt"), DeviceKey::generate());
        fs::write(&path, format!("# created: 2026-11-27\n# public key: {}\n{}\n", key.recipient(), *key.to_secret())).unwrap();
        assert_eq!(
            identities(std::slice::from_ref(&path)).unwrap().iter().map(DeviceKey::recipient).collect::<Vec<_>>(),
            [key.recipient()]
        );
        fs::write(&path, key.recipient()).unwrap();
        assert!(matches!(identities(&[path]), Err(Failure::Restore(RestoreError::NoIdentity(_)))), "the public half opens nothing");
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let file = |name: &str, bytes: &[u8]| File { name: name.into(), bytes: Zeroizing::new(bytes.to_vec()) };
        let written = write_all(&out, &[file("certificates/a.p12", b"one")]).unwrap();
        assert!(write_all(&out, &[file("b", b"two"), file("certificates/a.p12", b"two")]).is_err());
        assert_eq!((fs::read(&written[0]).unwrap(), out.join("b").exists()), (b"one".to_vec(), false), "all or nothing");
    }
}
