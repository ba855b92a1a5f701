//! The port to places for backups: put, get, remove. Blocking: whoever calls it has a thread to spare.
//!
//! What is put is there whole or not at all, and survives a power cut of the target if the target keeps its promises; that it did is
//! found out by reading it back, which is not done here.

pub mod busy;
mod credentials;
mod directory;
mod s3;
mod sftp;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use tegata_core::backup::Trouble;
use tegata_core::name::{BackupId, ClinicName, TenantName};
use tegata_core::policy::BackupPlace;
use tegata_ssh::Address;

use self::busy::Busy;
use self::directory::Directory;
use self::s3::S3;
use self::sftp::Sftp;

/// The largest object that is read, in bytes: more than any sealed backup.
pub const OBJECT_MAX: usize = 4 << 20;

/// A place for backups. Removing what is not there is no error.
pub trait Target: Send {
    /// Puts an object there, in place of one of the same name.
    fn put(&mut self, name: &ObjectName, bytes: &[u8]) -> Result<(), TargetError>;
    /// Reads an object.
    fn get(&mut self, name: &ObjectName) -> Result<Vec<u8>, TargetError>;
    /// Removes an object.
    fn remove(&mut self, name: &ObjectName) -> Result<(), TargetError>;
}

/// What the server was started with, to get into targets. Policy never holds it.
#[derive(Debug, Clone)]
pub struct Access {
    /// The private key for SFTP, as `ssh-keygen` writes it, without a passphrase.
    pub key: Option<PathBuf>,
    /// The keys for S3, as Amazon's tools keep them.
    pub credentials: Option<PathBuf>,
    /// The longest silence of a target.
    pub patience: Duration,
    /// Who is working with which target.
    pub busy: Busy,
}

/// Whether the server has worked with a place before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It has not: a folder gets a mark.
    First,
    /// It has: a folder without its mark is another one.
    Again,
    /// Nothing is written there.
    Reading,
}

/// Begins to work with a place.
///
/// # Errors
/// [`TargetError`], if nobody is there, or it is not who policy says it is.
pub fn open(place: &BackupPlace, access: &Access, before: Use) -> Result<Box<dyn Target>, TargetError> {
    match place {
        BackupPlace::Directory { path, marker } => Ok(Box::new(Directory::at(path.into(), marker.as_deref(), before)?)),
        BackupPlace::Sftp { host, port, user, host_key, path } => {
            let place = Address { host: host.clone(), port: *port };
            Ok(Box::new(Sftp::connect(&place, user, host_key, path, access)?))
        }
        BackupPlace::S3(bucket) => Ok(Box::new(S3::at(bucket, access)?)),
    }
}

/// What an object is called: made of names that were checked and a number that we chose, so it leads nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// Whose.
    pub tenant: TenantName,
    /// The clinic.
    pub clinic: ClinicName,
    /// The backup.
    pub id: BackupId,
    /// Which of its two objects.
    pub part: Part,
}

/// The objects of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The age file.
    Sealed,
    /// What lies beside it.
    Manifest,
}

impl ObjectName {
    /// The folders that lead to it, outermost first.
    fn folders(&self) -> [&str; 2] {
        [self.tenant.as_str(), self.clinic.as_str()]
    }

    fn file(&self) -> String {
        let ending = match self.part {
            Part::Sealed => "age",
            Part::Manifest => "json",
        };
        format!("{}.{ending}", self.id)
    }

    /// What it is called until it is whole. Always the same, so that what a crash left is written over.
    fn unfinished(&self) -> String {
        format!("{}.part", self.file())
    }
}

/// A place that does not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct TargetError {
    /// In one word.
    pub trouble: Trouble,
    /// What was being done, or what is wrong.
    doing: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl TargetError {
    /// With nothing but words.
    pub fn new(trouble: Trouble, doing: impl Into<String>) -> Self {
        Self { trouble, doing: doing.into(), source: None }
    }

    fn because(trouble: Trouble, doing: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Self {
        Self { trouble, doing: doing.into(), source: Some(Box::new(source)) }
    }
}
