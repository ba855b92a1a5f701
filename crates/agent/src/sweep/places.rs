//! What the manifest's words for places mean on this PC.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::os;

/// How deep is looked below a place that is not just a folder, if nobody says otherwise.
const DEPTH: u32 = 4;
/// Below a folder that policy names with `/**`.
const NAMED_DEPTH: u32 = 8;
/// How many folders one pattern may mean.
const MEANT_MAX: usize = 200;

/// A folder that is looked into.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Below the user's home, or absolute.
    pub(crate) path: PathBuf,
    /// How many folders below it are looked into.
    pub(crate) depth: u32,
}

impl Place {
    /// True if a look into this place comes to that folder.
    pub(crate) fn covers(&self, folder: &Path) -> bool {
        let rest = folder.strip_prefix(&self.path).map(|rest| rest.components().count());
        rest.is_ok_and(|depth| u32::try_from(depth).is_ok_and(|depth| depth <= self.depth))
    }
}

/// The folders that the manifest's words mean for this user, and the words that this agent does not know.
pub(crate) fn of(home: &Path, words: &BTreeSet<String>) -> (BTreeSet<Place>, Vec<String>) {
    let (mut places, mut unknown) = (BTreeSet::new(), Vec::new());
    for word in words {
        match meaning(home, word) {
            Some(meant) => places.extend(meant),
            None => unknown.push(word.clone()),
        }
    }
    (places, unknown)
}

/// True for the folder of a program that signs in with what lies there: those files are at work, and not left over.
pub(super) fn is_in_use(folder: &Path) -> bool {
    folder.iter().any(|part| part.eq_ignore_ascii_case(crate::keystore::monsiaj::FOLDER))
}

/// The user's own folder of this name, under the usual name and wherever else the user has it (`ダウンロード`).
pub(crate) fn own(home: &Path, usual: &str) -> BTreeSet<PathBuf> {
    [usual.into()].into_iter().chain(os::own_folder(home, usual)).collect()
}

fn meaning(home: &Path, word: &str) -> Option<Vec<Place>> {
    let all = |depth, patterns: &[&str]| patterns.iter().flat_map(|pattern| matching(home, pattern, depth)).collect();
    Some(match word {
        "downloads" => flat(own(home, "Downloads")),
        "desktop" => flat(own(home, "Desktop")),
        "documents" => flat(own(home, "Documents")),
        "temp" => os::temporary(home).into_iter().map(|path| Place { path, depth: 2 }).collect(),
        "mail" => all(DEPTH, os::MAIL),
        "cloud" => all(DEPTH, os::CLOUD),
        "trash" => os::trash(home).into_iter().map(|path| Place { path, depth: 2 }).collect(),
        "removable" => os::removable().into_iter().map(|path| Place { path, depth: 3 }).collect(),
        named => match named.strip_prefix("~/")?.strip_suffix("/**") {
            Some(pattern) => matching(home, pattern, NAMED_DEPTH),
            None => matching(home, named.strip_prefix("~/")?, 0),
        },
    })
}

fn flat(paths: BTreeSet<PathBuf>) -> Vec<Place> {
    paths.into_iter().map(|path| Place { path, depth: 0 }).collect()
}

/// The folders below the home that a pattern means now. Whether they may be looked into is decided when they are opened, step by step.
fn matching(home: &Path, pattern: &str, depth: u32) -> Vec<Place> {
    let mut paths = vec![PathBuf::new()];
    for part in pattern.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return vec![];
        }
        paths = match part.split_once('*') {
            None => paths.into_iter().map(|path| path.join(part)).collect(),
            Some((start, end)) => paths.iter().flat_map(|path| children(home, path, start, end)).take(MEANT_MAX).collect(),
        };
    }
    paths.into_iter().map(|path| Place { path, depth }).collect()
}

fn children(home: &Path, path: &Path, start: &str, end: &str) -> Vec<PathBuf> {
    let entries = match fs::read_dir(home.join(path)) {
        Ok(entries) => entries,
        Err(problem) if matches!(problem.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return vec![],
        // Whoever opens it is told why it cannot be looked into.
        Err(_) => return vec![path.to_owned()],
    };
    let folders = entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<_> = folders.map(|entry| entry.file_name()).filter(|name| fits(name, start, end)).collect();
    names.sort();
    names.into_iter().map(|name| path.join(name)).collect()
}

/// `end` may hold further `*`.
fn fits(name: &OsStr, start: &str, end: &str) -> bool {
    let name = name.to_string_lossy();
    let Some(mut rest) = name.strip_prefix(start) else { return false };
    let mut parts = end.split('*').collect::<Vec<_>>();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(place) = rest.find(part) else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_folders_below_the_home_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        for folder in ["share/east/keys", "share/west/keys", "share/west/other", "OneDrive - Clinic", "OneDrive"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        fs::write(home.path().join("share/a file"), "").unwrap();
        let meant = |words: &[&str]| -> Vec<(String, u32)> {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let (places, unknown) = of(home.path(), &words);
            let told = places.into_iter().map(|place| (place.path.to_string_lossy().replace('\\', "/"), place.depth));
            told.chain(unknown.into_iter().map(|word| (word, 99))).collect()
        };
        assert_eq!(meant(&["~/share/*/keys"]), [("share/east/keys".into(), 0), ("share/west/keys".into(), 0)]);
        assert_eq!(meant(&["~/OneDrive*/**"]), [("OneDrive".into(), 8), ("OneDrive - Clinic".into(), 8)]);
        assert_eq!(meant(&["~/s*r*/w*t"]), [("share/west".into(), 0)]);
        assert_eq!(meant(&["~/missing"]), [("missing".into(), 0)], "it may come to be");
        assert!(meant(&["~/../etc", "~/", "~//etc", "~/share/../.."]).is_empty());
        assert_eq!(meant(&["moon"]), [("moon".into(), 99)]);
        assert!(fits(OsStr::new("abc"), "a", "c") && !fits(OsStr::new("ab"), "ab", "b"));
    }
}
