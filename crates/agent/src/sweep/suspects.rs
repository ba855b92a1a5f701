//! What gives installer files away: notes of passwords beside them, told by their names alone, and passwords of monsiaj that others may read.
//!
//! Nothing of what these files contain is read, and none is ever touched.

use std::ffi::OsStr;
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;

/// What people write notes with.
const ENDINGS: [&str; 8] = ["txt", "docx", "doc", "rtf", "odt", "xlsx", "xls", "md"];
/// What the name of such a note holds, and its words, in small letters.
const PARTS: [&str; 6] = ["password", "passwd", "passphrase", "パスワード", "暗証", "証明書"];
const WORDS: [&str; 5] = ["pass", "pw", "pin", "p12", "pfx"];

/// True for a text whose name speaks of a password or of the certificate.
pub(super) fn is_note(name: &OsStr) -> bool {
    let path = Path::new(name);
    let is_text = path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let has_word = || stem.split(|c: char| !c.is_alphanumeric()).any(|word| WORDS.contains(&word));
    is_text && (PARTS.iter().any(|part| stem.contains(part)) || has_word())
}

/// The passwords of monsiaj that others than the user may read.
#[cfg(unix)]
pub(super) fn open_passwords(home: &Path) -> Vec<PathBuf> {
    use crate::home::Home;
    use rustix::fs::{AtFlags, Mode, statat};
    let place = Path::new(".monsiaj/certificates");
    let Ok(folder) = Home::open(home).and_then(|home| home.folder(place)) else { return vec![] };
    let names = crate::home::entries(&folder).unwrap_or_default().into_iter().map(|(name, _)| name);
    let is_open = |name: &std::ffi::OsString| {
        let stat = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW);
        let others = Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        Path::new(name).extension().is_some_and(|ending| ending == "pass")
            && stat.is_ok_and(|stat| Mode::from_raw_mode(stat.st_mode).intersects(others))
    };
    let mut open: Vec<PathBuf> = names.filter(is_open).map(|name| place.join(name)).collect();
    open.sort();
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_known_by_its_name_alone() {
        for name in ["パスワード.txt", "client_cert PASS.docx", "pin-1234.rtf", "証明書の暗証番号.xlsx", "Password (1).TXT", "p12.md"]
        {
            assert!(is_note(OsStr::new(name)), "{name}");
        }
        for name in ["shopping.txt", "compass.txt", "password.png", "password", "紹介状.docx", ".txt", ""] {
            assert!(!is_note(OsStr::new(name)), "{name}");
        }
    }
}
