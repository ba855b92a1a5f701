//! Where programs on Windows keep files.

use std::path::{Path, PathBuf};

use crate::windows::access;
use crate::windows::system::{self, Folder};

use super::is_same;

/// Where Outlook, the new Outlook and Mail put attachments that were opened, below the home; Thunderbird opens them from the folder for
/// temporary files.
pub(in crate::sweep) const MAIL: &[&str] = &[
    "AppData/Local/Microsoft/Windows/INetCache/Content.Outlook",
    "AppData/Local/Microsoft/Olk/Attachments",
    "AppData/Local/Packages/microsoft.windowscommunicationsapps_*/LocalState/Files",
];

/// What is kept in a cloud too, below the home.
pub(in crate::sweep) const CLOUD: &[&str] = &["OneDrive*", "iCloudDrive", "Dropbox*", "Google Drive*", "My Drive*"];

/// The user's own folder for temporary files.
pub(in crate::sweep) fn temporary(_: &Path) -> Vec<PathBuf> {
    vec![["AppData", "Local", "Temp"].iter().collect()]
}

/// The user's own recycle bin on the drive of the home; those on other drives are found with the drives.
pub(in crate::sweep) fn trash(home: &Path) -> Vec<PathBuf> {
    let drive = home.ancestors().last().map(|drive| drive.join("$Recycle.Bin"));
    drive.zip(access::user().ok()).map(|(bin, user)| bin.join(user)).into_iter().collect()
}

/// Drives that Windows calls removable.
pub(in crate::sweep) fn removable() -> Vec<PathBuf> {
    system::removable_drives()
}

/// Where the user has this folder: below the home, or wherever it was moved to.
pub(in crate::sweep) fn own_folder(home: &Path, usual: &str) -> Option<PathBuf> {
    let folder = match usual {
        "Downloads" => Folder::Downloads,
        "Desktop" => Folder::Desktop,
        _ => Folder::Documents,
    };
    // Windows speaks of the user that the agent runs as, who may look after another folder: a home that was named.
    let is_theirs = system::folder(Folder::Profile).is_some_and(|profile| is_same(&profile, home));
    let place = system::folder(folder).filter(|_| is_theirs)?;
    Some(below(home, &place).unwrap_or(place))
}

/// The rest of a path below the home, if it lies there.
fn below(home: &Path, place: &Path) -> Option<PathBuf> {
    let mut parts = place.components();
    let starts = home.components().all(|part| parts.next().is_some_and(|other| part.as_os_str().eq_ignore_ascii_case(other.as_os_str())));
    (starts && parts.clone().next().is_some()).then(|| parts.collect())
}
