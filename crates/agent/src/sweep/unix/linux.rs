//! Where programs on Linux keep files.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where mail programs put attachments that were opened, below the home; Thunderbird opens them from the folder for temporary files.
pub(in crate::sweep) const MAIL: &[&str] = &[".cache/evolution/tmp", ".cache/thunderbird", ".thunderbird/*/Attachments"];

/// What is kept in a cloud too, below the home.
pub(in crate::sweep) const CLOUD: &[&str] = &["OneDrive*", "Dropbox*", "Nextcloud", "Google Drive", "GoogleDrive"];

/// No service for it keeps its folder elsewhere in a way that is the same everywhere.
pub(in crate::sweep) fn clouds(_: &Path) -> Vec<PathBuf> {
    vec![]
}

/// Everybody's folders for temporary files: only those of the user's own in it are looked at.
pub(in crate::sweep) fn temporary(_: &Path) -> Vec<PathBuf> {
    let Surroundings { root, .. } = surroundings();
    ["tmp", "var/tmp"].into_iter().filter_map(|path| fs::canonicalize(root.join(path)).ok()).collect()
}

/// The trash of the home (freedesktop.org trash specification 1.0); those on other drives are found with the drives.
pub(in crate::sweep) fn trash(_: &Path) -> Vec<PathBuf> {
    vec![".local/share/Trash/files".into()]
}

/// The drives that the desktop has mounted for this user (udisks2).
pub(in crate::sweep) fn removable() -> Vec<PathBuf> {
    let Surroundings { root, user } = surroundings();
    let is_name = !user.is_empty() && Path::new(&user).components().all(|part| matches!(part, Component::Normal(_)));
    let folders = ["media", "run/media"].map(|folder| root.join(folder).join(&user));
    let drives = folders.into_iter().filter(|_| is_name).filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    drives.filter_map(|drive| fs::canonicalize(drive.ok()?.path()).ok()).collect()
}

/// What lies outside the home, and whose.
#[derive(Clone)]
pub(in crate::sweep) struct Surroundings {
    pub(in crate::sweep) root: PathBuf,
    /// What the user is called; empty if nobody says so.
    pub(in crate::sweep) user: String,
}

fn surroundings() -> Surroundings {
    #[cfg(test)]
    if let Some(pretended) = pretend::surroundings() {
        return pretended;
    }
    Surroundings { root: "/".into(), user: std::env::var("USER").unwrap_or_default() }
}

/// Where the user has this folder, if the settings of the desktop say so.
pub(in crate::sweep) fn own_folder(home: &Path, usual: &str) -> Option<PathBuf> {
    let own = fs::read_to_string(home.join(".config/user-dirs.dirs")).unwrap_or_default();
    let key = match usual {
        "Downloads" => "XDG_DOWNLOAD_DIR",
        "Desktop" => "XDG_DESKTOP_DIR",
        _ => "XDG_DOCUMENTS_DIR",
    };
    own.lines().filter_map(|line| user_folder(line, key, home)).next_back()
}

/// Reads `XDG_DOWNLOAD_DIR="$HOME/ダウンロード"` (xdg-user-dirs). A folder outside the home, or the home itself, is not looked into.
fn user_folder(line: &str, key: &str, home: &Path) -> Option<PathBuf> {
    let value = line.trim().strip_prefix(key)?.strip_prefix('=')?.trim_matches('"');
    let below = match value.strip_prefix("$HOME/") {
        Some(below) => Path::new(below),
        None => Path::new(value).strip_prefix(home).ok()?,
    };
    let plain = below.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && below.components().next().is_some()).then(|| below.components().collect())
}

/// Another folder in the place of the whole file system, for the test that runs in this thread.
#[cfg(test)]
pub(in crate::sweep) mod pretend {
    use std::cell::RefCell;

    pub(in crate::sweep) use super::Surroundings;

    thread_local!(static PRETENDED: RefCell<Option<Surroundings>> = const { RefCell::new(None) });

    pub(super) fn surroundings() -> Option<Surroundings> {
        PRETENDED.with_borrow(Option::clone)
    }

    pub(in crate::sweep) fn pretend(surroundings: Surroundings) {
        PRETENDED.replace(Some(surroundings));
    }
}
