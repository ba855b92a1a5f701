//! Where everything lies in the agent's own folder.

use std::path::{Path, PathBuf};

use tegata_core::name::{OrderId, SlotId};

use crate::disk::{self, DiskError};

/// The agent's own folder. Nobody else may look into it (0700).
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
}

impl State {
    /// Makes what is missing of the folder, and closes it to everybody else.
    pub fn make(root: &Path) -> Result<Self, DiskError> {
        let state = Self::at(root);
        state.folders().iter().try_for_each(|folder| disk::make_folder(folder))?;
        disk::close_folder(root)?;
        Ok(state)
    }

    /// Clears away what a crash may have left half written. Only for the one process that holds the lock: it may be another's work.
    pub fn clear(&self) -> Result<(), DiskError> {
        self.folders().iter().try_for_each(|folder| disk::clear_temporary(folder))?;
        for left in disk::entries(&self.temporary())? {
            if left.is_dir() {
                disk::wipe_folder(&left)?;
            } else {
                disk::wipe(&left)?;
            }
        }
        Ok(())
    }

    /// Names the folder without touching it: for those who only read.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn folders(&self) -> [PathBuf; 5] {
        [self.root.clone(), self.journal(), self.receipts(), self.store(), self.temporary()]
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What `enroll` was told.
    pub fn settings(&self) -> PathBuf {
        self.root.join("agent.json")
    }

    /// The device's own key, PKCS#8.
    pub fn identity_key(&self) -> PathBuf {
        self.root.join("identity.key")
    }

    /// The key of an enrolment that was not answered yet.
    pub fn enrolling_key(&self) -> PathBuf {
        self.root.join("enrolling.key")
    }

    /// The device's identity certificate and its intermediates.
    pub fn identity_chain(&self) -> PathBuf {
        self.root.join("identity.pem")
    }

    /// The authorities that the server's certificate may come from.
    pub fn authorities(&self) -> PathBuf {
        self.root.join("authorities.pem")
    }

    /// Further roots for probing.
    pub fn probe_roots(&self) -> PathBuf {
        self.root.join("probe-roots.pem")
    }

    /// The manifest that was accepted last.
    pub fn manifest(&self) -> PathBuf {
        self.root.join("manifest.json")
    }

    /// Fingerprints of the certificates that this agent installed.
    pub fn inventory(&self) -> PathBuf {
        self.root.join("inventory.json")
    }

    /// When certificates were removed, for the local limit.
    pub fn removals(&self) -> PathBuf {
        self.root.join("removals.json")
    }

    /// When installer files were removed, for the local limit.
    pub fn installer_removals(&self) -> PathBuf {
        self.root.join("installer-removals.json")
    }

    /// Installer files whose removal has begun.
    pub fn sweeping(&self) -> PathBuf {
        self.root.join("sweeping.json")
    }

    /// Browsers that still hold an old decision.
    pub fn browsers(&self) -> PathBuf {
        self.root.join("browsers.json")
    }

    /// Whether the server was reached last time, for `status`.
    pub fn contact(&self) -> PathBuf {
        self.root.join("contact.json")
    }

    /// Held by the one process that works in this folder.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// One file per slot.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The file of one slot. `+` occurs in no name.
    pub fn journal_of(&self, slot: &SlotId) -> PathBuf {
        self.journal().join(format!("{}.json", slot.to_string().replace('/', "+")))
    }

    /// Key and certificate of an order until they are proven.
    pub fn staged(&self) -> PathBuf {
        self.root.join("staged")
    }

    /// The same for one order.
    pub fn staged_of(&self, order: OrderId) -> PathBuf {
        self.staged().join(order.to_string())
    }

    /// Receipts that the server does not have yet.
    pub fn receipts(&self) -> PathBuf {
        self.root.join("receipts")
    }

    /// The keystore of files.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Files that live only as long as one command; emptied at start.
    pub fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_in_the_temporary_folder_is_wiped_before_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::make(folder.path()).unwrap();
        disk::make_folder(&state.temporary().join("bundle")).unwrap();
        for left in ["bundle/secret", "loose"] {
            std::fs::write(state.temporary().join(left), "secret").unwrap();
        }
        std::fs::write(state.journal().join(".tegata-half"), "half").unwrap();
        state.clear().unwrap();
        assert!(disk::entries(&state.temporary()).unwrap().is_empty() && disk::entries(&state.journal()).unwrap().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_was_open_to_others_is_closed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        State::make(folder.path()).unwrap();
        assert_eq!(std::fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
