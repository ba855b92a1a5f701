//! Where programs on macOS keep files. macOS asks the user before an agent sees some of them; what it keeps back is told as not looked at.

use std::fs;
use std::path::{Path, PathBuf};

/// Where Apple Mail and Outlook put attachments that were opened or saved, below the home.
pub(in crate::sweep) const MAIL: &[&str] = &[
    "Library/Mail Downloads",
    "Library/Containers/com.apple.mail/Data/Library/Mail Downloads",
    "Library/Containers/com.microsoft.Outlook/Data/tmp/Outlook Temp",
];

/// What is kept in a cloud too, below the home.
pub(in crate::sweep) const CLOUD: &[&str] = &["Library/Mobile Documents/com~apple~CloudDocs", "Library/CloudStorage/*", "Dropbox*"];

/// Those that lie elsewhere are none that macOS knows.
pub(in crate::sweep) fn clouds(_: &Path) -> Vec<PathBuf> {
    vec![]
}

/// The user's own folder for temporary files.
pub(in crate::sweep) fn temporary(_: &Path) -> Vec<PathBuf> {
    fs::canonicalize(std::env::temp_dir()).into_iter().collect()
}

/// The trash of the home.
pub(in crate::sweep) fn trash(_: &Path) -> Vec<PathBuf> {
    vec![".Trash".into()]
}

/// What is mounted beside the drive that the system starts from, which is there as a link.
pub(in crate::sweep) fn removable() -> Vec<PathBuf> {
    let volumes = fs::read_dir("/Volumes").into_iter().flatten().filter_map(Result::ok);
    volumes.filter(|volume| volume.file_type().is_ok_and(|kind| kind.is_dir())).map(|volume| volume.path()).collect()
}

/// macOS calls these folders by their usual names whatever the language.
pub(in crate::sweep) fn own_folder(_: &Path, _: &str) -> Option<PathBuf> {
    None
}
