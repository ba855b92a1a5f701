//! A stretch of a log to take away: from some entry to another, with what shows that they stand in the log there, and that none is missing.
//!
//! What lies before it is stood for by the peaks of its tree, what lies behind it by a consistency proof (RFC 6962, section 2.1.2). Only the right peaks, the
//! right entries in their order and the right proof come to the root of the checkpoint.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use crate::checkpoint::Checkpoint;
use crate::merkle::{Frontier, Hash, leaf};
use crate::note::NoteError;
use crate::proof::Consistency;
use crate::verify::Fault;

const HEADER: &str = "tegata.dev/log-period@v1";

/// Which stretch it is, and the hashes of what lies around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// Its first entry, from 0.
    pub first: u64,
    /// How many entries it has.
    pub count: u64,
    /// The [`peaks`] of the tree before it, largest first.
    pub before: Vec<Hash>,
    /// The proof that the log of the checkpoint begins with the log as far as this stretch goes.
    pub after: Vec<Hash>,
}

impl Period {
    /// All of a log of `size`.
    pub fn whole(size: u64) -> Self {
        Self { first: 0, count: size, before: vec![], after: vec![] }
    }

    /// The first entry that does not belong to it any more.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.count)
    }

    /// True if a checkpoint of the same log says something of this stretch: it ends in it, or is the one that the stretch leads to. Of any other it
    /// is not known that the stretch goes with it.
    pub fn is_bound_by(&self, checkpoint: &Checkpoint, now: &Checkpoint) -> bool {
        checkpoint.size == now.size || (self.first.max(1)..=self.end()).contains(&checkpoint.size)
    }

    /// Begins to check its entries against the log's checkpoint, and against those that somebody kept of the same log.
    ///
    /// # Errors
    /// [`Fault::Changed`]: the stretch and this checkpoint do not go together.
    pub fn against(self, now: Checkpoint, kept: Vec<Checkpoint>) -> Result<Stretch, Fault> {
        let tree = Frontier::new(self.first, self.before).ok_or(Fault::Changed { size: self.first })?;
        let (first, end) = (self.first, self.first.checked_add(self.count).ok_or(Fault::Changed { size: now.size })?);
        let mut kept: Vec<_> = kept.into_iter().filter(|kept| (first.max(1)..=end).contains(&kept.size)).collect();
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.size));
        Ok(Stretch { tree, end, proof: Consistency { old: end, new: now.size, path: self.after }, now, kept })
    }
}

/// The entries of a stretch while they are checked.
#[derive(Debug)]
pub struct Stretch {
    tree: Frontier,
    end: u64,
    proof: Consistency,
    now: Checkpoint,
    /// What is not reached yet, longest first.
    kept: Vec<Checkpoint>,
}

impl Stretch {
    /// Takes the next one.
    ///
    /// # Errors
    /// [`Fault::Size`], [`Fault::Changed`]: something is wrong with this one or one before.
    pub fn push(&mut self, entry: &[u8]) -> Result<(), Fault> {
        self.reached()?;
        if self.tree.size() == self.end {
            return Err(Fault::Size { have: self.end.saturating_add(1), size: self.end });
        }
        self.tree.push(leaf(entry));
        Ok(())
    }

    /// Says that there are no more.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(mut self) -> Result<(), Fault> {
        self.reached()?;
        if self.tree.size() != self.end {
            return Err(Fault::Size { have: self.tree.size(), size: self.end });
        }
        let is_nothing = self.end == 0 && self.proof.path.is_empty();
        let holds = is_nothing || self.proof.holds(self.tree.root(), self.now.root);
        if holds { Ok(()) } else { Err(Fault::Changed { size: self.now.size }) }
    }

    fn reached(&mut self) -> Result<(), Fault> {
        let size = self.tree.size();
        while let Some(kept) = self.kept.pop_if(|kept| kept.size == size) {
            if kept.root != self.tree.root() {
                return Err(Fault::Changed { size });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nfirst {}\ncount {}", self.first, self.count)?;
        self.before.iter().try_for_each(|hash| writeln!(f, "before {hash}"))?;
        self.after.iter().try_for_each(|hash| writeln!(f, "after {hash}"))
    }
}

impl FromStr for Period {
    type Err = NoteError;

    /// Reads it in the one way in which it is written.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.lines();
        let mut number = |name: &str| lines.next().and_then(|line| line.strip_prefix(name)).ok_or(NoteError::Form);
        number(HEADER)?;
        let (first, count) = (number("first ")?, number("count ")?);
        let (first, count) = (first.parse().map_err(|_| NoteError::Form)?, count.parse().map_err(|_| NoteError::Form)?);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for line in lines {
            let (name, hash) = line.split_once(' ').ok_or(NoteError::Form)?;
            let hash = BASE64.decode(hash.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).map(Hash).ok_or(NoteError::Form)?;
            if name == "before" { before.push(hash) } else { after.push(hash) }
        }
        let read = Self { first, count, before, after };
        if read.to_string() == text { Ok(read) } else { Err(NoteError::Form) }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::gather::{after, before, collect};
    use crate::merkle::Place;
    use crate::merkle::tests::{leaves, root_by_definition};

    fn entries(count: u64) -> Vec<Vec<u8>> {
        (0..count).map(|number| number.to_string().into_bytes()).collect()
    }

    fn tree(entries: &[Vec<u8>]) -> Checkpoint {
        let root = entries.iter().map(|entry| &entry[..]).collect::<Frontier>().root();
        Checkpoint { origin: "tegata/00/aozora".into(), size: entries.len() as u64, root }
    }

    fn period(first: u64, end: u64, log: &[Vec<u8>]) -> Period {
        let leaves: Vec<_> = log.iter().map(|entry| leaf(entry)).collect();
        let hash = |place: Place| -> Result<Hash, Infallible> {
            Ok(root_by_definition(&leaves[(place.index << place.level) as usize..place.end() as usize]))
        };
        let before = collect(before(first), hash).unwrap();
        let after = collect(after(end, log.len() as u64).unwrap(), hash).unwrap();
        Period { first, count: end - first, before, after }
    }

    fn check(period: Period, entries: &[Vec<u8>], now: &Checkpoint, kept: &[Checkpoint]) -> Result<(), Fault> {
        let mut stretch = period.against(now.clone(), kept.to_vec())?;
        entries.iter().try_for_each(|entry| stretch.push(entry))?;
        stretch.finish()
    }

    #[test]
    fn every_stretch_of_every_log_holds_and_is_read_as_it_was_written() {
        for size in 0..24 {
            let log = entries(size);
            let (now, kept) = (tree(&log), (0..=size).map(|size| tree(&log[..size as usize])).collect::<Vec<_>>());
            for first in 0..=size {
                for end in first..=size {
                    let period = period(first, end, &log);
                    assert_eq!(period.to_string().parse(), Ok(period.clone()));
                    assert_eq!(check(period, &log[first as usize..end as usize], &now, &kept), Ok(()), "{first}..{end} of {size}");
                }
            }
        }
    }

    /// Whatever is done to a stretch, also by somebody who calls it another one, it does not come to the signed root.
    #[test]
    fn nothing_can_be_done_to_a_stretch() {
        let log = entries(21);
        let (now, (first, end)) = (tree(&log), (6, 17));
        let (whole, own) = (period(first, end, &log), &log[6..17]);
        let edited: Vec<_> = own.iter().map(|entry| if entry == b"9" { b"x".to_vec() } else { entry.clone() }).collect();
        let mut moved = own.to_vec();
        moved.swap(2, 3);
        let twice = [&own[..4], &own[3..]].concat();
        for (what, entries) in [
            ("edited", &edited[..]),
            ("reordered", &moved),
            ("truncated", &own[..10]),
            ("beginning later", &own[1..]),
            ("duplicated", &twice),
            ("of somewhere else", &log[5..16]),
        ] {
            assert!(check(whole.clone(), entries, &now, &[]).is_err(), "{what}");
            let renamed = Period { count: entries.len() as u64, ..whole.clone() };
            assert!(check(renamed, entries, &now, &[]).is_err(), "{what}, and counted anew");
        }
        assert!(check(Period { first: 5, count: 12, ..whole.clone() }, own, &now, &[]).is_err(), "moved forward");
        let fork = Checkpoint { root: leaves(1)[0], ..now.clone() };
        assert!(check(whole.clone(), own, &fork, &[]).is_err(), "a checkpoint of another history");
        let kept = Checkpoint { root: leaves(1)[0], ..tree(&log[..9]) };
        assert_eq!(check(whole, own, &now, &[kept]), Err(Fault::Changed { size: 9 }), "another history was seen before");
    }

    /// Who vouches for a beginning of the log vouches for no part that comes later, and nothing shows that a part goes with a checkpoint beyond it.
    #[test]
    fn a_stretch_is_bound_by_what_ends_in_it_or_by_what_it_leads_to() {
        let log = entries(9);
        let bound = |size: usize| period(3, 6, &log).is_bound_by(&tree(&log[..size]), &tree(&log));
        assert_eq!((0..=9).filter(|size| bound(*size)).collect::<Vec<_>>(), [3, 4, 5, 6, 9]);
    }

    proptest! {
        #[test]
        fn no_stretch_of_a_hostile_peer_panics(first: u64, count: u64, before in 0..70_u64, after in 0..70_u64, size: u64) {
            let (before, after) = (leaves(before), leaves(after));
            let hostile = Period { first, count, before, after };
            let now = Checkpoint { origin: "a".into(), size, root: leaves(1)[0] };
            let _ = check(hostile, &entries(3), &now, std::slice::from_ref(&now));
        }

        #[test]
        fn no_text_panics(text in "(tegata.dev/log-period@v1\nfirst )?(?s).{0,200}") {
            let _ = text.parse::<Period>();
        }
    }
}
