//! Where everything lies in the agent's own folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tegata_core::name::{OrderId, SlotId};

use crate::disk::{self, DiskError};

/// The agent's own folder. Nobody else may look into it (0700).
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
}

impl State {
    /// Makes what is missing of the folder, and closes it to everybody else. A folder that is somebody else's, or has had another use so
    /// far, is left as it is: it is closed and emptied by whoever works in it, and a wrong `--state` may name the user's home.
    pub fn make(root: &Path) -> Result<Self, DiskError> {
        let state = Self::at(root);
        state.refuse_what_is_not_ours().map_err(disk::failing("work in", root))?;
        disk::make_folder(root)?;
        disk::close_folder(root)?;
        // The mark before anything else, or a folder that was half made would not be known again.
        let lock = state.lock();
        File::options().append(true).create(true).open(&lock).map_err(disk::failing("make", &lock))?;
        state.folders().iter().try_for_each(|folder| disk::make_folder(folder))?;
        Ok(state)
    }

    fn refuse_what_is_not_ours(&self) -> io::Result<()> {
        let there = match fs::symlink_metadata(&self.root) {
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(()),
            there => there?,
        };
        let is_file = |path: PathBuf| fs::symlink_metadata(path).is_ok_and(|there| there.is_file());
        let is_marked = || is_file(self.settings()) || is_file(self.lock());
        if !there.is_dir() {
            Err(io::Error::other("it is a link or a file, not a folder"))
        } else if !disk::is_own(&self.root).map_err(|problem| problem.source)? {
            Err(io::Error::other("it belongs to another user"))
        } else if !is_marked() && fs::read_dir(&self.root)?.next().is_some() {
            Err(io::Error::other("it holds other files and no agent.json; an empty folder is needed"))
        } else {
            Ok(())
        }
    }

    /// Clears away what a crash may have left half written. Only for the one process that holds the lock: it may be another's work.
    /// Follows no link: what it leads to is not ours.
    pub fn clear(&self) -> Result<(), DiskError> {
        if let Some(link) = self.folders().iter().find(|folder| folder.is_symlink()) {
            return Err(disk::failing("clear", link)(io::Error::other("it is a link")));
        }
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

    fn folders(&self) -> [PathBuf; 6] {
        [self.root.clone(), self.journal(), self.receipts(), self.store(), self.temporary(), self.quarantine()]
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What `enroll` was told.
    pub fn settings(&self) -> PathBuf {
        self.root.join("agent.json")
    }

    /// What an agent writes that starts by itself.
    pub fn log(&self) -> PathBuf {
        self.root.join("agent.log")
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

    /// The key that vendors' files are sealed to, age's own text.
    pub fn bundle_key(&self) -> PathBuf {
        self.root.join("bundle.key")
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

    /// Files that were moved out of the way.
    pub fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// Where each of them lay.
    pub fn quarantine_index(&self) -> PathBuf {
        self.root.join("quarantine.json")
    }

    /// Held by whoever moves one.
    pub fn quarantine_lock(&self) -> PathBuf {
        self.root.join("quarantine.lock")
    }

    /// Which clinic people work for, if they chose one.
    pub fn active_clinic(&self) -> PathBuf {
        self.root.join("active-clinic.json")
    }

    /// Waits until no other process tells browsers anything. None does until what is given is dropped, or this process ends.
    pub fn hold_browsers(&self) -> Result<File, DiskError> {
        let path = self.root.join("browsers.lock");
        let file = File::create(&path).map_err(disk::failing("open", &path))?;
        file.lock().map_err(disk::failing("lock", &path))?;
        Ok(file)
    }

    /// Browsers that still hold an old decision.
    pub fn browsers(&self) -> PathBuf {
        self.root.join("browsers.json")
    }

    /// What we wrote into policies that others write into as well.
    pub fn browser_policies(&self) -> PathBuf {
        self.root.join("browser-policies.json")
    }

    /// What was sealed and sent of programs' own files.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots.json")
    }

    /// How far the audit log goes, as far as this PC has seen it.
    pub fn audit_log(&self) -> PathBuf {
        self.root.join("audit-log.json")
    }

    /// Up to which epoch of the server it was said what is installed here.
    pub fn epoch(&self) -> PathBuf {
        self.root.join("epoch.json")
    }

    /// Whether the server was reached last time, for `status`.
    pub fn contact(&self) -> PathBuf {
        self.root.join("contact.json")
    }

    /// Which bundle was applied last, for `status`.
    pub fn carried(&self) -> PathBuf {
        self.root.join("carried.json")
    }

    /// Roots that programs were made to trust.
    pub fn roots(&self) -> PathBuf {
        self.root.join("roots.json")
    }

    /// What the doctor found last.
    pub fn diagnosis(&self) -> PathBuf {
        self.root.join("doctor.json")
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

    /// What a vendor made for a slot and the server has not heard of: another order may come meanwhile, another certificate may not.
    pub fn renewed_of(&self, slot: &SlotId) -> PathBuf {
        self.root.join("renewed").join(slot.to_string().replace('/', "+"))
    }

    /// Receipts that the server does not have yet.
    pub fn receipts(&self) -> PathBuf {
        self.root.join("receipts")
    }

    /// The keystore of files.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// The agent's own keychain, on macOS.
    pub fn keychain(&self) -> PathBuf {
        self.root.join("tegata.keychain-db")
    }

    /// Its password.
    pub fn keychain_password(&self) -> PathBuf {
        self.root.join("keychain.password")
    }

    /// Files that live only as long as one command; emptied at start, so its name is one that nobody else would choose.
    pub fn temporary(&self) -> PathBuf {
        self.root.join("tegata-agent-temporary")
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

    /// A folder with files in it that are not the agent's.
    #[cfg(unix)]
    fn foreign() -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for path in ["tmp", "tegata-agent-temporary"] {
            disk::make_folder(&folder.path().join(path)).unwrap();
            fs::write(folder.path().join(path).join("letter"), "to whom it may concern").unwrap();
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    #[cfg(unix)]
    fn is_untouched(folder: &Path) -> bool {
        use std::os::unix::fs::PermissionsExt;
        let letter = |name| fs::read_to_string(folder.join(name).join("letter")).unwrap_or_default();
        let is_open = fs::metadata(folder).unwrap().permissions().mode() & 0o777 == 0o755;
        is_open && ["tmp", "tegata-agent-temporary"].into_iter().all(|name| letter(name) == "to whom it may concern")
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_of_another_use_is_left_as_it_is() {
        let folder = foreign();
        let problem = crate::told(&State::make(folder.path()).unwrap_err());
        assert!(problem.contains("it holds other files"), "{problem}");
        // As /var has it.
        std::os::unix::fs::symlink("/run/lock", folder.path().join("lock")).unwrap();
        State::make(folder.path()).unwrap_err();
        assert!(is_untouched(folder.path()) && disk::entries(folder.path()).unwrap().len() == 3);
        fs::remove_file(folder.path().join("lock")).unwrap();
        fs::write(folder.path().join("agent.json"), "{}").unwrap();
        State::make(folder.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_another_users_folder_are_not_worked_in() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let link = elsewhere.path().join("state");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        State::make(&link).unwrap_err();
        assert!(disk::entries(folder.path()).unwrap().is_empty());
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(folder.path(), Some(12_345), None).unwrap();
            State::make(folder.path()).unwrap_err();
        }
    }

    #[test]
    fn a_folder_that_was_half_made_is_made_whole() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::make(folder.path()).unwrap();
        fs::remove_dir(state.store()).unwrap();
        State::make(folder.path()).unwrap();
        assert!(state.store().is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn clearing_follows_no_link() {
        let (folder, foreign) = (tempfile::tempdir().unwrap(), foreign());
        let state = State::make(folder.path()).unwrap();
        let link = |place: PathBuf| std::os::unix::fs::symlink(foreign.path().join("tmp"), place).unwrap();
        link(state.temporary().join("inside"));
        state.clear().unwrap();
        assert!(is_untouched(foreign.path()) && disk::entries(&state.temporary()).unwrap().is_empty());
        for place in [state.temporary(), state.journal()] {
            fs::remove_dir(&place).unwrap();
            link(place.clone());
            state.clear().unwrap_err();
            assert!(is_untouched(foreign.path()));
            fs::remove_file(&place).unwrap();
            disk::make_folder(&place).unwrap();
        }
        link(state.staged());
        disk::wipe_folder(&state.staged()).unwrap();
        assert!(is_untouched(foreign.path()) && !state.staged().is_symlink());
    }
}
