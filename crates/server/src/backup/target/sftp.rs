//! A server reached by SFTP, known by the one host key that policy pins.

use std::path::PathBuf;

use tegata_core::backup::Trouble;
use tegata_ssh::{self as ssh, Address, Credential, Files, Identity, SshError};

use super::{Access, OBJECT_MAX, ObjectName, Target, TargetError};

/// A session that has proven both ends to each other.
pub(super) struct Sftp {
    files: Files,
    root: PathBuf,
}

impl Sftp {
    /// Connects, compares the host key before anything is sent, and signs in.
    pub(super) fn connect(place: &Address, user: &str, host_key: &str, root: &str, access: &Access) -> Result<Self, TargetError> {
        let key =
            access.key.as_ref().ok_or_else(|| TargetError::new(Trouble::NoCredentials, "the server was started without --backup-key"))?;
        let credential = Credential::Key { file: key.clone(), passphrase: None };
        // A key that cannot be read is nobody's.
        let pinned = Identity::Keys(host_key.parse().into_iter().collect());
        let session = ssh::greet(place, &pinned, access.patience, None)?.trust(&pinned)?.sign_in(user, &credential)?;
        let (files, root) = (session.files()?, PathBuf::from(root));
        match files.is_folder(&root) {
            Ok(true) => Ok(Self { files, root }),
            Ok(false) => Err(TargetError::new(Trouble::Unreachable, format!("{} on {place} is not a folder", root.display()))),
            // A folder that is made would hide that a disk is not mounted.
            Err(error) if error.trouble == ssh::Trouble::Missing => Err(TargetError { trouble: Trouble::Unreachable, ..error.into() }),
            Err(error) => Err(error.into()),
        }
    }

    fn folder(&self, name: &ObjectName) -> PathBuf {
        name.folders().iter().fold(self.root.clone(), |path, folder| path.join(folder))
    }

    fn make_folder(&self, name: &ObjectName) -> Result<PathBuf, SshError> {
        let mut path = self.root.clone();
        for folder in name.folders() {
            path.push(folder);
            self.files.make_folder(&path, 0o700)?;
        }
        Ok(path)
    }
}

impl Target for Sftp {
    /// SFTP 3 renames nothing over something: what was there goes first, and a crash in between is found as missing and put again.
    fn put(&mut self, name: &ObjectName, bytes: &[u8]) -> Result<(), TargetError> {
        let folder = self.make_folder(name)?;
        let (unfinished, whole) = (folder.join(name.unfinished()), folder.join(name.file()));
        if let Err(error) = self.files.write(&unfinished, bytes, 0o600) {
            let _ = self.files.remove(&unfinished);
            return Err(error.into());
        }
        self.files.remove(&whole)?;
        Ok(self.files.rename(&unfinished, &whole)?)
    }

    fn get(&mut self, name: &ObjectName) -> Result<Vec<u8>, TargetError> {
        Ok(self.files.read(&self.folder(name).join(name.file()), OBJECT_MAX)?)
    }

    fn remove(&mut self, name: &ObjectName) -> Result<(), TargetError> {
        let folder = self.folder(name);
        self.files.remove(&folder.join(name.unfinished()))?;
        Ok(self.files.remove(&folder.join(name.file()))?)
    }
}

impl From<SshError> for TargetError {
    fn from(error: SshError) -> Self {
        let trouble = match error.trouble {
            ssh::Trouble::Unreachable => Trouble::Unreachable,
            ssh::Trouble::Slow => Trouble::Slow,
            ssh::Trouble::WrongHostKey => Trouble::WrongHostKey,
            ssh::Trouble::NoCredentials => Trouble::NoCredentials,
            ssh::Trouble::SignIn => Trouble::SignIn,
            ssh::Trouble::Forbidden => Trouble::Forbidden,
            ssh::Trouble::Full => Trouble::Full,
            ssh::Trouble::Missing => Trouble::Missing,
            ssh::Trouble::Broken => Trouble::Broken,
        };
        Self { trouble, doing: error.doing, source: error.source }
    }
}
