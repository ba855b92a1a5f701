//! Looks through folders, a bounded number of names at a time, and remembers where it has been.
//!
//! A folder that has not changed is not listed again; what cannot be looked at now is looked at next time, where it stopped. What was not
//! looked at is said, and what was found there before goes on being told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tegata_api::v1::device::FileHash;

use super::inside::{Glances, OPENED_MAX};
use super::places::{self, Place};
use super::suspects::is_note;
use super::{Found, Unread, is_installer_name, is_worth_reading, os};

/// Even what seems unchanged is looked at again after this time: a file that is written to does not change its folder.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// How many notes of one folder are told.
const NOTES_MAX: usize = 10;

/// How many folders are remembered, some 200 bytes each; more are listed at each look.
const FOLDERS_MAX: usize = 50_000;

/// How fast one look goes, and how far.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How many names are looked at; the next look goes on from there.
    pub names_max: u32,
    /// How long is rested after every [`TOGETHER`] names.
    pub rest: Duration,
}

/// So many names are looked at without a rest.
const TOGETHER: u32 = 64;

impl Default for Pace {
    /// Two thousand names a second at most, for ten seconds.
    fn default() -> Self {
        Self { names_max: 20_000, rest: Duration::from_millis(32) }
    }
}

/// What is known of one folder.
#[derive(Default)]
struct Known {
    /// What it was like when it was last listed to its end.
    stamp: Option<os::Stamp>,
    /// Files in it that were worth telling. Each is read again before it is told again.
    names: BTreeSet<OsString>,
    /// Texts in it that may hold passwords, at most [`NOTES_MAX`].
    notes: BTreeSet<OsString>,
    /// Folders in it.
    below: BTreeSet<OsString>,
    /// The name at which listing it was cut off.
    resume: Option<OsString>,
}

/// A folder that is to be looked at.
#[derive(Clone)]
struct Visit {
    folder: PathBuf,
    /// How many folders below it are looked at too.
    depth: u32,
    /// The drive on which the look began; it does not go on to others.
    drive: Option<os::Drive>,
}

/// What earlier looks have seen.
pub struct Memory {
    wanted: BTreeSet<FileHash>,
    places: BTreeSet<Place>,
    folders: BTreeMap<PathBuf, Known>,
    glances: Glances,
    /// What is left of this round through all places.
    left: VecDeque<Visit>,
    since: Instant,
}

impl Default for Memory {
    fn default() -> Self {
        let (wanted, places, folders, glances, left) = Default::default();
        Self { wanted, places, folders, glances, left, since: Instant::now() }
    }
}

/// What a look has brought.
#[derive(Default)]
pub struct Looked {
    /// The files worth telling, those too that an earlier look found and that are still there.
    pub(super) found: Vec<Found>,
    /// Texts beside them that may hold passwords.
    pub(super) notes: Vec<PathBuf>,
    /// What could not be looked into.
    pub(super) unread: Vec<Unread>,
    /// Where the look has not come to yet.
    pub(super) left: Vec<PathBuf>,
}

impl Memory {
    /// Looks at what changed in `places`, for files that are `wanted` or are called like installers.
    pub(super) fn look(&mut self, home: &Path, places: BTreeSet<Place>, wanted: BTreeSet<FileHash>, pace: Pace) -> io::Result<Looked> {
        os::check(home)?;
        self.begin(places, wanted);
        let (mut budget, mut unread) = (Budget { left: pace.names_max, pace }, Vec::new());
        while let Some(visit) = self.left.pop_front() {
            match self.visit(home, &visit, &mut budget, &mut unread) {
                Ok(true) => {}
                Ok(false) => {
                    self.left.push_front(visit);
                    break;
                }
                Err(problem) => {
                    self.folders.remove(&visit.folder);
                    if !os::is_nobodys_trouble(&problem) {
                        unread.push((visit.folder, problem));
                    }
                }
            }
        }
        let left = self.left.iter().map(|visit| visit.folder.clone()).collect();
        let found = self.found(home, &mut unread);
        // What was met while its folder was listed is told once.
        unread.sort_by(|(one, _), (other, _)| one.cmp(other));
        unread.dedup_by(|(one, _), (other, _)| one == other);
        Ok(Looked { found, notes: self.notes(), unread, left })
    }

    /// Goes on with the round that was cut off, or begins another.
    fn begin(&mut self, places: BTreeSet<Place>, wanted: BTreeSet<FileHash>) {
        if places != self.places {
            self.folders.retain(|path, _| places.iter().any(|place| place.covers(path)));
            self.left.clear();
            self.places = places;
        }
        if wanted != self.wanted || self.since.elapsed() >= FORGET_AFTER {
            self.folders.values_mut().for_each(|known| known.stamp = None);
            (self.wanted, self.since) = (wanted, Instant::now());
        }
        if self.left.is_empty() {
            let visit = |place: &Place| Visit { folder: place.path.clone(), depth: place.depth, drive: None };
            self.left = self.places.iter().map(visit).collect();
        }
    }

    /// Looks at one folder; false if that has to go on next time.
    fn visit(&mut self, home: &Path, visit: &Visit, budget: &mut Budget, unread: &mut Vec<Unread>) -> io::Result<bool> {
        let folder = os::Folder::open(home, &visit.folder)?;
        let stamp = folder.stamp()?;
        if visit.drive.is_some_and(|drive| drive != stamp.drive()) {
            return Ok(true);
        }
        let is_remembered = self.folders.len() < FOLDERS_MAX;
        let known = self.folders.entry(visit.folder.clone()).or_default();
        if known.stamp != Some(stamp) {
            known.stamp = None;
            let before = unread.len();
            if !known.list(&folder, visit, &self.wanted, budget, unread)? {
                return Ok(false);
            }
            // What could not be read is looked at again, however long the folder stays as it is.
            known.stamp = Some(stamp).filter(|stamp| stamp.is_settled() && unread.len() == before);
        } else if !budget.take() {
            return Ok(false);
        }
        if let Some(depth) = visit.depth.checked_sub(1) {
            let below = |name: &OsString| Visit { folder: visit.folder.join(name), depth, drive: Some(stamp.drive()) };
            let below: Vec<Visit> = known.below.iter().map(below).collect();
            below.into_iter().rev().for_each(|visit| self.left.push_front(visit));
        }
        if !is_remembered {
            self.forget_if_empty(&visit.folder);
        }
        Ok(true)
    }

    fn notes(&self) -> Vec<PathBuf> {
        let beside = self.folders.iter().filter(|(_, known)| !known.names.is_empty());
        beside.flat_map(|(path, known)| known.notes.iter().map(|name| path.join(name))).collect()
    }

    fn forget_if_empty(&mut self, folder: &Path) {
        if self.folders.get(folder).is_some_and(|known| known.names.is_empty()) {
            self.folders.remove(folder);
        }
    }

    /// What was found, as it is now. What cannot be read just now is told, and not forgotten.
    fn found(&mut self, home: &Path, unread: &mut Vec<Unread>) -> Vec<Found> {
        let (mut found, mut left) = (Vec::new(), OPENED_MAX);
        for (path, known) in self.folders.iter_mut().filter(|(_, known)| !known.names.is_empty()) {
            let folder = match os::Folder::open(home, path) {
                Ok(folder) => folder,
                Err(problem) if os::is_nobodys_trouble(&problem) => {
                    known.names.clear();
                    continue;
                }
                Err(problem) => {
                    unread.push((path.clone(), problem));
                    continue;
                }
            };
            known.names.retain(|name| match folder.candidate(name, &self.wanted) {
                Ok(Some(bundle)) => {
                    // What is on record by its hash needs no other sign, and what a program works with is no left-over.
                    let is_told = !self.wanted.contains(&bundle.file) && !places::is_in_use(path);
                    let inside = is_told.then(|| self.glances.of(&bundle, &mut left)).flatten();
                    found.push(Found { folder: path.clone(), name: name.clone(), file: bundle.file, inside });
                    true
                }
                Ok(None) => false,
                Err(problem) if os::is_nobodys_trouble(&problem) => false,
                Err(problem) => {
                    unread.push((path.join(name), problem));
                    true
                }
            });
        }
        self.glances.keep(&found.iter().map(|found| &found.file).collect());
        found.sort();
        found
    }
}

impl Known {
    /// Lists a folder from where that was cut off; false if it was cut off again.
    fn list(
        &mut self,
        folder: &os::Folder,
        visit: &Visit,
        wanted: &BTreeSet<FileHash>,
        budget: &mut Budget,
        unread: &mut Vec<Unread>,
    ) -> io::Result<bool> {
        let after = self.resume.take();
        if after.is_none() {
            (self.below, self.notes) = Default::default();
        }
        let mut entries = folder.entries()?;
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let mut before = after.clone();
        for entry in entries.into_iter().filter(|entry| after.as_ref().is_none_or(|after| entry.name > *after)) {
            if !budget.take() {
                self.resume = before.or(Some(OsString::new()));
                return Ok(false);
            }
            if entry.is_folder {
                self.below.insert(entry.name.clone());
            } else if entry.size.is_none_or(|size| is_worth_reading(&entry.name, size, wanted)) {
                match folder.candidate(&entry.name, wanted) {
                    Ok(Some(_)) => drop(self.names.insert(entry.name.clone())),
                    Err(problem) if is_told_of(&entry.name) => unread.push((visit.folder.join(&entry.name), problem)),
                    _ => {}
                }
            }
            if !entry.is_folder && self.notes.len() < NOTES_MAX && is_note(&entry.name) {
                self.notes.insert(entry.name.clone());
            }
            before = Some(entry.name);
        }
        Ok(true)
    }
}

/// Windows may keep a file from being read that is nobody else's; Unix does not.
fn is_told_of(name: &OsStr) -> bool {
    cfg!(windows) && is_installer_name(name)
}

/// How many names may still be looked at.
struct Budget {
    left: u32,
    pace: Pace,
}

impl Budget {
    fn take(&mut self) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        if left.is_multiple_of(TOGETHER) && !self.pace.rest.is_zero() {
            std::thread::sleep(self.pace.rest);
        }
        true
    }
}
