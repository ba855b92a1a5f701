//! Where programs on Windows keep files.

use std::path::{Path, PathBuf};

use windows_registry::{CURRENT_USER, Key, LOCAL_MACHINE};

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

/// Where programs for clouds keep what they do elsewhere than their own settings say: one key for each folder of each account, with the
/// user's path in it (Cloud Files API, "Integrate a cloud storage provider").
const SYNC_ROOTS: &str = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\SyncRootManager";
/// Accounts of OneDrive, each with its folder.
const ONEDRIVE: &str = r"Software\Microsoft\OneDrive\Accounts";

/// Clouds of this user wherever their folders lie, on another drive say.
pub(in crate::sweep) fn clouds(home: &Path) -> Vec<PathBuf> {
    if !is_theirs(home) {
        return vec![];
    }
    let user = access::user().unwrap_or_default();
    let roots = texts_below(LOCAL_MACHINE, SYNC_ROOTS, |provider| provider.open("UserSyncRoots")?.get_string(&user));
    let accounts = texts_below(CURRENT_USER, ONEDRIVE, |account| account.get_string("UserFolder"));
    roots.chain(accounts).filter_map(|told| place(home, &told)).collect()
}

/// A text of each key that lies below this one.
fn texts_below(root: &Key, path: &str, text: impl Fn(&Key) -> windows_registry::Result<String>) -> impl Iterator<Item = String> {
    let all = root.open(path).ok();
    let names: Vec<String> = all.as_ref().and_then(|all| all.keys().ok()).into_iter().flatten().collect();
    names.into_iter().filter_map(move |name| text(&all.as_ref()?.open(name).ok()?).ok())
}

/// The user's own folder for temporary files: the usual one, and where the user's environment is going to have it from the next logon on.
pub(in crate::sweep) fn temporary(home: &Path) -> Vec<PathBuf> {
    let moved = |name: &str| -> Option<PathBuf> {
        let told = CURRENT_USER.open("Environment").ok().filter(|_| is_theirs(home))?.get_string(name).ok()?;
        place(home, &told)
    };
    let mut all: Vec<PathBuf> =
        [Some(["AppData", "Local", "Temp"].iter().collect()), moved("TEMP"), moved("TMP")].into_iter().flatten().collect();
    all.dedup();
    all
}

/// A folder as the registry names it, where `%USERPROFILE%` may stand for the home. No whole drive.
fn place(home: &Path, told: &str) -> Option<PathBuf> {
    const HOME: &str = "%USERPROFILE%";
    let rest = told.get(..HOME.len()).filter(|start| start.eq_ignore_ascii_case(HOME)).map(|_| &told[HOME.len()..]);
    let path = rest.map_or_else(|| PathBuf::from(told), |rest| home.join(rest.trim_start_matches('\\')));
    let is_folder = path.is_absolute() && path.file_name().is_some() && !rest.unwrap_or(told).contains('%');
    is_folder.then(|| below(home, &path).unwrap_or(path))
}

/// Windows speaks of the user that the agent runs as, who may look after another folder: a home that was named.
fn is_theirs(home: &Path) -> bool {
    system::folder(Folder::Profile).is_some_and(|profile| is_same(&profile, home))
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
    let place = system::folder(folder).filter(|_| is_theirs(home))?;
    Some(below(home, &place).unwrap_or(place))
}

/// The rest of a path below the home, if it lies there.
fn below(home: &Path, place: &Path) -> Option<PathBuf> {
    let mut parts = place.components();
    let starts = home.components().all(|part| parts.next().is_some_and(|other| part.as_os_str().eq_ignore_ascii_case(other.as_os_str())));
    (starts && parts.clone().next().is_some()).then(|| parts.collect())
}
