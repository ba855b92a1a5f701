//! Files of the other machine, by SFTP.

use std::io::{self, Read, Write};
use std::path::Path;

use ssh2::{ErrorCode, OpenFlags, OpenType, Sftp};

use crate::trouble::FX_OP_UNSUPPORTED;
use crate::{Address, SshError, Trouble};

/// The files of the other machine.
pub struct Files {
    sftp: Sftp,
    place: Address,
}

impl Files {
    pub(crate) fn new(sftp: Sftp, place: Address) -> Self {
        Self { sftp, place }
    }

    /// True for a folder, false for anything else that is there.
    ///
    /// # Errors
    /// [`Trouble::Missing`] if nothing is.
    pub fn is_folder(&self, path: &Path) -> Result<bool, SshError> {
        let found = self.sftp.stat(path).map_err(|error| SshError::ssh(self.doing("looking for", path), error))?;
        Ok(found.is_dir())
    }

    /// Makes a folder, unless it is there.
    ///
    /// # Errors
    /// [`SshError`], if it is not there afterwards.
    pub fn make_folder(&self, path: &Path, mode: i32) -> Result<(), SshError> {
        let made = self.sftp.mkdir(path, mode);
        // SFTP 3 has no code for "it is there already" (draft-ietf-secsh-filexfer-02, section 7).
        if self.sftp.stat(path).is_ok_and(|found| found.is_dir()) {
            return Ok(());
        }
        made.map_err(|error| SshError::not_taken(self.doing("making", path), error))
    }

    /// Writes a file and has it carried to the disk.
    ///
    /// # Errors
    /// [`Trouble::Full`] if a server that still answers takes no more.
    pub fn write(&self, path: &Path, bytes: &[u8], mode: i32) -> Result<(), SshError> {
        let doing = || self.doing("writing", path);
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let mut file = self.sftp.open_mode(path, flags, mode, OpenType::File).map_err(|error| SshError::not_taken(doing(), error))?;
        file.write_all(bytes).map_err(|error| self.interrupted(path, doing(), error))?;
        match file.fsync() {
            // Not every server can be asked for it.
            Err(error) if error.code() == ErrorCode::SFTP(FX_OP_UNSUPPORTED) => {}
            other => other.map_err(|error| SshError::not_taken(doing(), error))?,
        }
        file.close().map_err(|error| SshError::not_taken(doing(), error))
    }

    /// A write that failed: is it the connection, or does a server that answers take no more?
    fn interrupted(&self, path: &Path, doing: String, error: io::Error) -> SshError {
        let trouble = match error.kind() {
            io::ErrorKind::TimedOut => Trouble::Slow,
            _ if self.sftp.stat(path).is_ok() => Trouble::Full,
            _ => Trouble::Unreachable,
        };
        SshError::because(trouble, doing, error)
    }

    /// Reads a file, and one byte more than `max` of a longer one.
    ///
    /// # Errors
    /// [`SshError`].
    pub fn read(&self, path: &Path, max: usize) -> Result<Vec<u8>, SshError> {
        let doing = || self.doing("reading", path);
        let file = self.sftp.open(path).map_err(|error| SshError::ssh(doing(), error))?;
        let mut bytes = Vec::new();
        let read = file.take(max as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| {
            let trouble = if error.kind() == io::ErrorKind::TimedOut { Trouble::Slow } else { Trouble::Broken };
            SshError::because(trouble, doing(), error)
        })?;
        Ok(bytes)
    }

    /// Gives a file another name. SFTP 3 renames nothing over something.
    ///
    /// # Errors
    /// [`SshError`].
    pub fn rename(&self, from: &Path, to: &Path) -> Result<(), SshError> {
        self.sftp.rename(from, to, None).map_err(|error| SshError::ssh(self.doing("putting", to), error))
    }

    /// Removes a file. One that is not there is no error.
    ///
    /// # Errors
    /// [`SshError`].
    pub fn remove(&self, path: &Path) -> Result<(), SshError> {
        match self.sftp.unlink(path).map_err(|error| SshError::ssh(self.doing("removing", path), error)) {
            Err(error) if error.trouble == Trouble::Missing => Ok(()),
            other => other,
        }
    }

    fn doing(&self, verb: &str, path: &Path) -> String {
        format!("{verb} {} on {}", path.display(), self.place)
    }
}
