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

/// What one of the manifest's words means.
type Meaning = fn(&Path) -> Vec<Place>;

/// The words for places. Whatever else begins with `~/` is a folder that policy names by itself.
pub(super) const WORDS: [(&str, Meaning); 8] = [
    ("downloads", |home| flat(own(home, "Downloads"))),
    ("desktop", |home| flat(own(home, "Desktop"))),
    ("documents", |home| flat(own(home, "Documents"))),
    ("temp", |home| below(2, os::temporary(home))),
    ("mail", |home| all(home, os::MAIL)),
    ("cloud", |home| all(home, os::CLOUD).into_iter().chain(below(DEPTH, os::clouds(home))).collect()),
    ("trash", |home| below(2, os::trash(home))),
    ("removable", |_| below(3, os::removable())),
];

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

/// What the manifest's words mean for this user.
#[derive(Debug, Default)]
pub(crate) struct Meant {
    /// The folders.
    pub(crate) places: BTreeSet<Place>,
    /// Words that this agent does not know.
    pub(crate) unknown: Vec<String>,
    /// Folders that policy names by themselves, and of which there is none. The others come and go with programs, and are not missed.
    pub(crate) absent: Vec<String>,
}

/// What the words mean now.
pub(crate) fn of(home: &Path, words: &BTreeSet<String>) -> Meant {
    let mut all = Meant::default();
    for word in words {
        let Some(meant) = meaning(home, word) else {
            all.unknown.push(word.clone());
            continue;
        };
        if word.starts_with("~/") && !meant.iter().any(|place| is_there(&home.join(&place.path))) {
            all.absent.push(word.clone());
        }
        all.places.extend(meant);
    }
    all
}

/// False if there is no such folder, or something else in its place, such as a link, into which nobody looks.
fn is_there(folder: &Path) -> bool {
    match fs::symlink_metadata(folder) {
        Ok(there) => there.is_dir(),
        Err(problem) => !is_missing(&problem),
    }
}

fn is_missing(problem: &io::Error) -> bool {
    matches!(problem.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
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
    if let Some((_, meaning)) = WORDS.iter().find(|(known, _)| *known == word) {
        return Some(meaning(home));
    }
    let named = word.strip_prefix("~/")?;
    Some(match named.strip_suffix("/**") {
        Some(pattern) => matching(home, pattern, NAMED_DEPTH),
        None => matching(home, named, 0),
    })
}

fn flat(paths: BTreeSet<PathBuf>) -> Vec<Place> {
    below(0, paths)
}

fn below(depth: u32, paths: impl IntoIterator<Item = PathBuf>) -> Vec<Place> {
    paths.into_iter().map(|path| Place { path, depth }).collect()
}

fn all(home: &Path, patterns: &[&str]) -> Vec<Place> {
    patterns.iter().flat_map(|pattern| matching(home, pattern, DEPTH)).collect()
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
        Err(problem) if is_missing(&problem) => return vec![],
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
            let Meant { places, unknown, .. } = of(home.path(), &words);
            let told = places.into_iter().map(|place| (place.path.to_string_lossy().replace('\\', "/"), place.depth));
            told.chain(unknown.into_iter().map(|word| (word, 99))).collect()
        };
        assert_eq!(meant(&["~/share/*/keys"]), [("share/east/keys".into(), 0), ("share/west/keys".into(), 0)]);
        assert_eq!(meant(&["~/OneDrive*/**"]), [("OneDrive".into(), 8), ("OneDrive - Clinic".into(), 8)]);
        assert_eq!(meant(&["~/s*r*/w*t"]), [("share/west".into(), 0)]);
        assert_eq!(meant(&["~/missing"]), [("missing".into(), 0)], "it may come to be");
        assert!(meant(&["~/../etc", "~/", "~//etc", "~/share/../.."]).is_empty());
        assert_eq!(meant(&["moon"]), [("moon".into(), 99)]);
        let words = ["~/share/*/keys", "~/Wrok/**", "~/share/*/kyes", "~/share/a file", "mail"].map(str::to_owned).into();
        assert_eq!(of(home.path(), &words).absent, ["~/Wrok/**", "~/share/*/kyes", "~/share/a file"]);
        assert!(fits(OsStr::new("abc"), "a", "c") && !fits(OsStr::new("ab"), "ab", "b"));
    }
}
