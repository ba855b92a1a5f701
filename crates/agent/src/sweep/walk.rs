//! Looks through folders, a bounded number of names at a time, and remembers where it has been.
//!
//! A folder that has not changed is not listed again; what cannot be looked at now is looked at next time, where it stopped. What was not
//! looked at is said, and what was found there before goes on being told. However many files there are, only so much is kept in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tegata_api::v1::device::FileHash;

use super::inside::{Bundle, Glances, OPENED_MAX};
use super::places::{self, Place};
use super::suspects::is_note;
use super::{Found, Unread, is_installer_name, is_worth_reading, os};

mod piece;

use piece::Piece;

/// Even what seems unchanged is looked at again after this time: a file that is written to does not change its folder.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// How many notes of one folder are told.
const NOTES_MAX: usize = 10;

/// How fast one look goes, and how far.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How many names are looked at; the next look goes on from there.
    pub names_max: u32,
    /// How much is read of files, in bytes; one file more may be begun before.
    pub bytes_max: u64,
    /// How long is rested after every [`TOGETHER`] names.
    pub rest: Duration,
}

/// So many names are looked at without a rest.
const TOGETHER: u32 = 64;
/// So many names are merely listed without a rest, which takes as long.
const LISTED_TOGETHER: usize = 4_096;

impl Default for Pace {
    /// Two thousand names a second at most, for ten seconds.
    fn default() -> Self {
        Self { names_max: 20_000, bytes_max: 128 * 1024 * 1024, rest: Duration::from_millis(32) }
    }
}

/// How much is kept of what was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// How many folders are remembered, some 200 bytes each; more are listed in each round.
    pub(super) folders: usize,
    /// How many files are told that nobody looks for, and as many again of those that somebody does.
    pub(super) found: usize,
    /// How long it is believed that a folder is as it seems.
    pub(super) believed: Duration,
}

/// What is known of one folder.
#[derive(Default)]
struct Known {
    /// What it was like when it was last listed to its end.
    stamp: Option<os::Stamp>,
    /// How many folders below it were remembered then.
    depth: u32,
    /// Files in it that were worth telling. Each is read again before it is told again.
    names: BTreeMap<OsString, FileHash>,
    /// Texts in it that may hold passwords, at most [`NOTES_MAX`].
    notes: BTreeSet<OsString>,
}

/// A folder that is to be looked at.
struct Visit {
    folder: PathBuf,
    /// How many folders below it are looked at too.
    depth: u32,
    /// The drive on which the look began; it does not go on to others.
    drive: Option<os::Drive>,
    /// Where listing it was cut off.
    halfway: Option<Halfway>,
}

/// How far the listing of a folder has come.
struct Halfway {
    /// The last name that was looked at.
    after: OsString,
    /// What the folder was like at its first name: what changed since has to be looked at again.
    began: os::Stamp,
    /// False if something before it could not be read or kept.
    is_whole: bool,
}

/// What earlier looks have seen.
pub struct Memory {
    pub(super) room: Room,
    wanted: BTreeSet<FileHash>,
    places: BTreeSet<Place>,
    /// Of each folder that was listed, those in it are here too.
    folders: BTreeMap<PathBuf, Known>,
    glances: Glances,
    /// What is left of this round through all places.
    left: VecDeque<Visit>,
    since: Instant,
}

impl Default for Memory {
    fn default() -> Self {
        let (wanted, places, folders, glances, left) = Default::default();
        let room = Room { folders: 50_000, found: 250, believed: FORGET_AFTER };
        Self { room, wanted, places, folders, glances, left, since: Instant::now() }
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
    /// Where the look has not come to yet, and where there was more than is kept.
    pub(super) left: Vec<PathBuf>,
    /// What policy names by itself and is not there.
    pub(super) absent: Vec<String>,
    /// True if the next look goes on where this one stopped.
    pub(super) goes_on: bool,
    /// How many names were looked at.
    pub names: u32,
    /// How much was read of files, in bytes.
    pub bytes: u64,
}

impl Looked {
    /// The files worth telling.
    pub fn found(&self) -> &[Found] {
        &self.found
    }

    /// True if all places were looked at to their end.
    pub fn is_whole(&self) -> bool {
        self.left.is_empty() && self.unread.is_empty()
    }
}

impl Memory {
    /// Looks at what changed in `places`, for files that are `wanted` or are called like installers.
    pub(super) fn look(&mut self, home: &Path, places: BTreeSet<Place>, wanted: BTreeSet<FileHash>, pace: Pace) -> io::Result<Looked> {
        os::check(home)?;
        self.begin(places, wanted);
        let held = self.folders.values().map(|known| known.names.len()).sum();
        let (mut budget, mut looked) = (Budget { names: pace.names_max, read: 0, held, pace }, Looked::default());
        while !budget.is_spent()
            && let Some(visit) = self.left.pop_front()
        {
            let folder = visit.folder.clone();
            match self.visit(home, visit, &mut budget, &mut looked) {
                Ok(()) => {}
                Err(problem) if os::is_nobodys_trouble(&problem) => self.forget(&folder),
                Err(problem) => {
                    budget.take();
                    if let Some(known) = self.folders.get_mut(&folder) {
                        known.stamp = None;
                    }
                    looked.unread.push((folder, problem));
                }
            }
        }
        looked.goes_on = !self.left.is_empty();
        looked.left.extend(self.left.iter().map(|visit| visit.folder.clone()));
        looked.found = self.found(home, &mut budget, &mut looked.unread);
        looked.notes = self.notes();
        // What was met while its folder was listed is told once.
        looked.unread.sort_by(|(one, _), (other, _)| one.cmp(other));
        looked.unread.dedup_by(|(one, _), (other, _)| one == other);
        (looked.names, looked.bytes) = (pace.names_max - budget.names, budget.read);
        Ok(looked)
    }

    /// Goes on with the round that was cut off, or begins another.
    fn begin(&mut self, places: BTreeSet<Place>, wanted: BTreeSet<FileHash>) {
        if places != self.places {
            self.folders.retain(|path, _| places.iter().any(|place| place.covers(path)));
            self.left.clear();
            self.places = places;
        }
        if wanted != self.wanted {
            // Where this round has been already, something else was looked for.
            self.left.clear();
            self.believe_nothing();
            self.wanted = wanted;
        }
        if self.left.is_empty() {
            // Never before the end of a round: one through a million files may take longer.
            if self.since.elapsed() >= self.room.believed {
                self.believe_nothing();
            }
            let visit = |place: &Place| Visit { folder: place.path.clone(), depth: place.depth, drive: None, halfway: None };
            self.left = self.places.iter().map(visit).collect();
        }
    }

    fn believe_nothing(&mut self) {
        self.folders.values_mut().for_each(|known| known.stamp = None);
        self.since = Instant::now();
    }

    /// Looks at one folder, or at the next piece of it. What is below it comes next, and then the rest of it.
    fn visit(&mut self, home: &Path, visit: Visit, budget: &mut Budget, looked: &mut Looked) -> io::Result<()> {
        let folder = os::Folder::open(home, &visit.folder)?;
        let stamp = folder.stamp()?;
        if visit.drive.is_some_and(|drive| drive != stamp.drive()) {
            budget.take();
            return Ok(());
        }
        let (path, depth) = (visit.folder.clone(), visit.depth);
        let is_unchanged = |known: &Known| known.stamp == Some(stamp) && known.depth >= depth;
        let below = if visit.halfway.is_none() && self.folders.get(&path).is_some_and(is_unchanged) {
            budget.take();
            self.below(&path)
        } else {
            self.list(&folder, stamp, visit, budget, looked)?
        };
        if let Some(depth) = depth.checked_sub(1) {
            let visit = |name: OsString| Visit { folder: path.join(name), depth, drive: Some(stamp.drive()), halfway: None };
            below.into_iter().rev().for_each(|name| self.left.push_front(visit(name)));
        }
        Ok(())
    }

    /// Lists a folder from where that was cut off, until it is cut off again. Gives the folders in that piece of it.
    fn list(
        &mut self,
        folder: &os::Folder,
        stamp: os::Stamp,
        visit: Visit,
        budget: &mut Budget,
        looked: &mut Looked,
    ) -> io::Result<Vec<OsString>> {
        let Visit { folder: path, depth, drive, halfway } = visit;
        let is_first = halfway.is_none();
        let before = halfway.unwrap_or(Halfway { after: OsString::new(), began: stamp, is_whole: true });
        let piece = Piece::read(folder, &before.after, budget)?;
        let is_remembered = self.folders.contains_key(&path) || self.folders.len() < self.room.folders;
        let mut known = self.folders.remove(&path).unwrap_or_default();
        (known.stamp, known.depth) = (None, depth);
        if is_first {
            known.notes.clear();
        }
        let (mut below, mut last, mut is_whole, mut is_cut) = (Vec::new(), before.after.clone(), before.is_whole, piece.has_more);
        for (name, entry) in piece.entries {
            if !budget.take() {
                is_cut = true;
                break;
            }
            if folder.is_folder(&entry) {
                below.push(name.clone());
            } else {
                is_whole &= self.look_at(folder, &path, &entry, &mut known, budget, looked);
            }
            last = name;
        }
        if depth > 0 {
            let up_to = Some(&last).filter(|_| is_cut);
            let is_in_piece = |name: &OsString| *name > before.after && up_to.is_none_or(|last| name <= last);
            is_whole &= self.remember_below(&path, &below, is_in_piece);
        }
        // What could not be read or kept is looked at again, however long the folder stays as it is; so is what changed meanwhile.
        known.stamp = Some(stamp).filter(|stamp| !is_cut && is_whole && stamp.is_settled() && *stamp == before.began);
        if is_remembered || is_cut || !known.names.is_empty() {
            self.folders.insert(path.clone(), known);
        }
        if is_cut {
            let halfway = Some(Halfway { after: last, began: before.began, is_whole });
            self.left.push_front(Visit { folder: path, depth, drive, halfway });
        }
        Ok(below)
    }

    /// Looks at one file; false if it could not be read, or there are too many to keep it.
    fn look_at(
        &self,
        folder: &os::Folder,
        path: &Path,
        entry: &os::Entry,
        known: &mut Known,
        budget: &mut Budget,
        looked: &mut Looked,
    ) -> bool {
        if known.notes.len() < NOTES_MAX && is_note(&entry.name) {
            known.notes.insert(entry.name.clone());
        }
        if entry.size.is_some_and(|size| !is_worth_reading(&entry.name, size, &self.wanted)) {
            return true;
        }
        match folder.candidate(&entry.name, &self.wanted, &mut budget.read) {
            Ok(Some(Bundle { file, .. })) => {
                let most = if self.wanted.contains(&file) { 2 * self.room.found } else { self.room.found };
                let is_kept = budget.held < most || known.names.contains_key(&entry.name);
                if is_kept {
                    budget.held += usize::from(known.names.insert(entry.name.clone(), file).is_none());
                } else if looked.left.last().is_none_or(|last| last != path) {
                    looked.left.push(path.to_owned());
                }
                is_kept
            }
            Err(problem) if is_told_of(&entry.name) => {
                looked.unread.push((path.join(&entry.name), problem));
                false
            }
            _ => true,
        }
    }

    /// Remembers the folders of one piece of a folder, and forgets those that were there before. False if there is no room for them.
    fn remember_below(&mut self, path: &Path, below: &[OsString], is_in_piece: impl Fn(&OsString) -> bool) -> bool {
        for name in self.below(path).iter().filter(|name| is_in_piece(name) && below.binary_search(name).is_err()) {
            self.forget(&path.join(name));
        }
        below.iter().all(|name| {
            let folder = path.join(name);
            // The folder that it lies in is not among them just now.
            let has_room = self.folders.len() + 1 < self.room.folders || self.folders.contains_key(&folder);
            if has_room {
                self.folders.entry(folder).or_default();
            }
            has_room
        })
    }

    /// Forgets a folder and all that is below it.
    fn forget(&mut self, folder: &Path) {
        let all: Vec<PathBuf> = self.with_below(folder).cloned().collect();
        for path in all {
            self.folders.remove(&path);
        }
    }

    /// The folders in a folder, as they are remembered, in their order.
    fn below(&self, folder: &Path) -> Vec<OsString> {
        let inside = self.with_below(folder).filter(|path| path.parent() == Some(folder));
        inside.filter_map(|path| path.file_name()).map(OsStr::to_owned).collect()
    }

    fn with_below<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        let from = self.folders.range::<Path, _>((Bound::Included(folder), Bound::Unbounded)).map(|(path, _)| path);
        from.take_while(move |path| path.starts_with(folder))
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.folders.len()
    }

    fn notes(&self) -> Vec<PathBuf> {
        let beside = self.folders.iter().filter(|(_, known)| !known.names.is_empty());
        beside.flat_map(|(path, known)| known.notes.iter().map(|name| path.join(name))).collect()
    }

    /// What was found, as it is now. What cannot be read just now is told, and not forgotten; when enough was read, it is told as it was.
    fn found(&mut self, home: &Path, budget: &mut Budget, unread: &mut Vec<Unread>) -> Vec<Found> {
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
            known.names.retain(|name, file| {
                let now = if budget.has_read_enough() {
                    folder.has(name).map(|is_there| is_there.then(|| (file.clone(), self.glances.known(file))))
                } else {
                    folder.candidate(name, &self.wanted, &mut budget.read).map(|bundle| {
                        bundle.map(|bundle| {
                            // What is on record by its hash needs no other sign, and what a program works with is no left-over.
                            let is_told = !self.wanted.contains(&bundle.file) && !places::is_in_use(path);
                            let inside = is_told.then(|| self.glances.of(&bundle, &mut left)).flatten();
                            (bundle.file, inside)
                        })
                    })
                };
                match now {
                    Ok(Some((now, inside))) => {
                        *file = now.clone();
                        found.push(Found { folder: path.clone(), name: name.clone(), file: now, inside });
                        true
                    }
                    Ok(None) => false,
                    Err(problem) if os::is_nobodys_trouble(&problem) => false,
                    Err(problem) => {
                        unread.push((path.join(name), problem));
                        true
                    }
                }
            });
        }
        self.glances.keep(&found.iter().map(|found| &found.file).collect());
        found.sort();
        found
    }
}

/// Windows may keep a file from being read that is nobody else's; Unix does not.
fn is_told_of(name: &OsStr) -> bool {
    cfg!(windows) && is_installer_name(name)
}

/// How much may still be looked at.
struct Budget {
    names: u32,
    /// How much was read, in bytes.
    read: u64,
    /// How many files are told.
    held: usize,
    pace: Pace,
}

impl Budget {
    /// Takes one name; false if that is one too many.
    fn take(&mut self) -> bool {
        if self.is_spent() {
            return false;
        }
        self.names -= 1;
        if self.names.is_multiple_of(TOGETHER) {
            self.rest();
        }
        true
    }

    fn is_spent(&self) -> bool {
        self.names == 0 || self.has_read_enough()
    }

    fn has_read_enough(&self) -> bool {
        self.read >= self.pace.bytes_max
    }

    fn rest_while_reading(&self, number: usize) {
        if number % LISTED_TOGETHER == LISTED_TOGETHER - 1 {
            self.rest();
        }
    }

    fn rest(&self) {
        if !self.pace.rest.is_zero() {
            std::thread::sleep(self.pace.rest);
        }
    }
}
