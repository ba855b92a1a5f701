//! The policies of one browser in the registry: for everybody at this PC, or for the user that the agent runs as.

use std::io;

use windows_registry::{CURRENT_USER, Key, LOCAL_MACHINE};

use crate::browser::numbered::{Change, List};
use crate::disk::{DiskError, failing};

/// The policy that selects certificates: a key with a numbered text for each element.
pub(super) const SELECT: &str = "AutoSelectCertificateForUrls";
/// The policy that lets a browser go on without a window, and remember what it had decided.
const BACKGROUND: &str = "BackgroundModeEnabled";

/// The two halves of the registry that browsers read. Of a policy that is in both, that for everybody counts and the user's is passed over,
/// lists too (Chromium, `policy_map.cc`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Machine,
    User,
}

/// One half of one browser's policies.
#[derive(Debug, Clone)]
pub(super) struct Policies {
    pub(super) root: Root,
    /// Below the root, such as `SOFTWARE\Policies\Google\Chrome`.
    path: String,
}

impl Policies {
    pub(super) fn at(root: Root, path: &str) -> Self {
        Self { root, path: path.to_owned() }
    }

    /// The whole name of the key with the list.
    pub(super) fn name(&self) -> String {
        let root = if self.root == Root::Machine { "HKEY_LOCAL_MACHINE" } else { "HKEY_CURRENT_USER" };
        format!("{root}\\{}", self.list_path())
    }

    fn list_path(&self) -> String {
        format!("{}\\{SELECT}", self.path)
    }

    /// The list as it is; empty if it is not there.
    pub(super) fn list(&self) -> Result<List, DiskError> {
        let Some(key) = self.present("read", self.key().open(self.list_path()))? else { return Ok(List::new()) };
        let values = key.values().map_err(|error| self.failed("read", error))?;
        Ok(values.map(|(name, value)| (name, String::try_from(value).ok())).collect())
    }

    /// True if values could be put into the list, which is not made for that.
    pub(super) fn is_open(&self) -> Result<bool, DiskError> {
        self.may_write(&self.list_path())
    }

    /// The same for whether browsers may go on in the background.
    pub(super) fn is_background_open(&self) -> Result<bool, DiskError> {
        self.may_write(&self.path)
    }

    /// Asks the nearest key that is there.
    fn may_write(&self, path: &str) -> Result<bool, DiskError> {
        match self.key().options().read().write().open(path).map_err(|error| self.failed("write into", error)) {
            Ok(_) => Ok(true),
            Err(problem) if is_closed(&problem) => Ok(false),
            Err(problem) => match path.rsplit_once('\\') {
                Some((above, _)) if problem.source.kind() == io::ErrorKind::NotFound => self.may_write(above),
                _ => Err(problem),
            },
        }
    }

    /// What is said where the list is not open.
    pub(super) fn closed(&self) -> DiskError {
        failing("write into", self.name().as_ref())(io::ErrorKind::PermissionDenied.into())
    }

    /// Carries a change out, what comes before what goes.
    pub(super) fn carry_out(&self, change: &Change) -> Result<(), DiskError> {
        if change.is_none() {
            return Ok(());
        }
        let failed = |error| self.failed("write into", error);
        let key = self.key().options().read().write().create().open(self.list_path()).map_err(failed)?;
        for (name, text) in &change.write {
            crash_point();
            key.set_string(name, text).map_err(failed)?;
        }
        for name in &change.remove {
            crash_point();
            self.present("write into", key.remove_value(name))?;
        }
        crash_point();
        Ok(())
    }

    /// Removes the list if nothing is in it: an empty one for everybody would overrule the user's. Where its removal is not allowed, it stays.
    pub(super) fn remove_empty_list(&self) -> Result<(), DiskError> {
        let Some(key) = self.present("read", self.key().open(self.list_path()))? else { return Ok(()) };
        let count = |error| self.failed("read", error);
        let is_empty = key.values().map_err(count)?.next().is_none() && key.keys().map_err(count)?.next().is_none();
        drop(key);
        if !is_empty {
            return Ok(());
        }
        match self.present("remove", self.key().remove_tree(self.list_path())) {
            Err(problem) if !is_closed(&problem) => Err(problem),
            _ => Ok(()),
        }
    }

    /// What is said about going on in the background: some number, or `Some(None)` for something else.
    pub(super) fn background(&self) -> Result<Option<Option<u32>>, DiskError> {
        let Some(key) = self.present("read", self.key().open(&self.path))? else { return Ok(None) };
        let value = self.present("read", key.get_value(BACKGROUND))?;
        Ok(value.map(|value| u32::try_from(value).ok()))
    }

    /// Says that browsers must end with their last window, or takes that back.
    pub(super) fn forbid_background(&self, forbid: bool) -> Result<(), DiskError> {
        let failed = |error| self.failed("write into", error);
        let key = self.key().options().read().write().create().open(&self.path).map_err(failed)?;
        crash_point();
        if forbid { key.set_u32(BACKGROUND, 0).map_err(failed) } else { self.present("write into", key.remove_value(BACKGROUND)).map(drop) }
    }

    fn key(&self) -> &'static Key {
        match self.root {
            Root::Machine => LOCAL_MACHINE,
            Root::User => CURRENT_USER,
        }
    }

    fn present<T>(&self, operation: &'static str, result: windows_registry::Result<T>) -> Result<Option<T>, DiskError> {
        match result.map_err(|error| self.failed(operation, error)) {
            Ok(value) => Ok(Some(value)),
            Err(problem) if problem.source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// The crate's errors are HRESULTs, which carry the system's own number in their lower half.
    fn failed<E: Into<io::Error>>(&self, operation: &'static str, error: E) -> DiskError {
        let error: io::Error = error.into();
        let own = error.raw_os_error().map_or(error, |number| io::Error::from_raw_os_error(number & 0xFFFF));
        failing(operation, self.name().as_ref())(own)
    }
}

/// True if the agent has no right to do it, and an administrator has.
pub(super) fn is_closed(problem: &DiskError) -> bool {
    problem.source.kind() == io::ErrorKind::PermissionDenied
}

fn crash_point() {
    #[cfg(test)]
    crate::crash::point();
}
