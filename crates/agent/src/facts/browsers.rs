//! The browsers that the user has run, and their versions.

use std::io;
use std::path::Path;

use tegata_api::v1::device::BrowserSeen;

use crate::browser::USER_DATA;
use crate::home::Home;

/// What Chromium and its kin write at every start (Chromium, `chrome/browser/downgrade/downgrade_utils.cc`): the version that ran.
const VERSION: &str = "Last Version";
/// A version is much shorter, such as `141.0.7390.65`.
const VERSION_MAX: u64 = 64;

/// Each with the version that ran last; `None` if that cannot be looked at.
pub(super) fn seen(home: &Path) -> Option<Vec<BrowserSeen>> {
    let home = Home::open(home).ok()?;
    let seen: io::Result<Vec<_>> = USER_DATA.iter().map(|folder| one(&home, folder)).collect();
    Some(seen.ok()?.into_iter().flatten().collect())
}

fn one(home: &Home, folder: &str) -> io::Result<Option<BrowserSeen>> {
    let Some(bytes) = home.read(&Path::new(folder).join(VERSION), VERSION_MAX)? else { return Ok(None) };
    let version = String::from_utf8_lossy(&bytes).chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    Ok(Some(BrowserSeen { name: name(folder), version }))
}

/// `google-chrome` of `.config/google-chrome`, `Google/Chrome` of `AppData/Local/Google/Chrome/User Data`.
fn name(folder: &str) -> String {
    let above = [".config/", "snap/chromium/common/", "AppData/Local/", "Library/Application Support/"];
    let below = above.iter().find_map(|above| folder.strip_prefix(above)).unwrap_or(folder);
    below.trim_end_matches("/User Data").to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_browser_is_known_by_the_version_that_ran_last_and_what_cannot_be_read_is_not_known() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(seen(home.path()), Some(vec![]));
        let data = home.path().join(USER_DATA[1]);
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join(VERSION), "141.0.7390.65\n").unwrap();
        assert_eq!(seen(home.path()), Some(vec![BrowserSeen { name: name(USER_DATA[1]), version: "141.0.7390.65".into() }]));
        fs::write(data.join(VERSION), "9".repeat(65)).unwrap();
        assert_eq!(seen(home.path()), None);
        assert_eq!(seen(&home.path().join("nowhere")), None);
    }

    #[test]
    fn browsers_are_called_by_their_folders() {
        let names = [".config/google-chrome", "AppData/Local/Microsoft/Edge/User Data", "Library/Application Support/Google/Chrome Beta"];
        assert_eq!(names.map(name), ["google-chrome", "Microsoft/Edge", "Google/Chrome Beta"]);
        for folder in USER_DATA {
            assert!(name(folder).len() < folder.len(), "{folder}");
        }
    }
}
