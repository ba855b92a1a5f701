//! Part of a folder: so many names in their order, however many there are in it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;

use super::super::os;
use super::Budget;

/// The next names of a folder.
pub(super) struct Piece {
    pub(super) entries: BTreeMap<OsString, os::Entry>,
    /// True if there are names behind these.
    pub(super) has_more: bool,
}

impl Piece {
    /// The first names behind `after`, as many as may still be looked at. Systems tell names in no order, so the whole folder is gone through
    /// for each piece; never more of it is kept than the piece.
    pub(super) fn read(folder: &os::Folder, after: &OsStr, budget: &Budget) -> io::Result<Self> {
        let mut piece = Self { entries: BTreeMap::new(), has_more: false };
        let most = usize::try_from(budget.names).unwrap_or(usize::MAX);
        for (number, entry) in folder.entries()?.enumerate() {
            budget.rest_while_reading(number);
            let entry = entry?;
            if *entry.name <= *after {
                continue;
            }
            let is_behind = |last: &OsString| *last < entry.name;
            if piece.entries.len() >= most && piece.entries.last_key_value().is_none_or(|(last, _)| is_behind(last)) {
                piece.has_more = true;
                continue;
            }
            piece.entries.insert(entry.name.clone(), entry);
            if piece.entries.len() > most {
                piece.entries.pop_last();
                piece.has_more = true;
            }
        }
        Ok(piece)
    }
}
