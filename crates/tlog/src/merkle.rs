//! The tree of RFC 6962, section 2.1: hashes of entries, and what they come together to.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::BASE64;

/// A SHA-256 of an entry or of two hashes below.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of an entry. The byte before it tells it from a node, so that nobody can pass one for the other.
pub fn leaf(entry: &[u8]) -> Hash {
    hash(&[&[0], entry])
}

/// The hash of what is above two hashes.
pub fn node(left: Hash, right: Hash) -> Hash {
    hash(&[&[1], &left.0, &right.0])
}

pub(crate) fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    Hash(context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

/// Where a complete subtree is: 2^`level` entries, beginning at `index` times as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// How many levels above the entries, at most 63.
    pub level: u8,
    /// Which one of this level, from 0.
    pub index: u64,
}

impl Place {
    /// Of one entry.
    pub fn of_entry(index: u64) -> Self {
        Self { level: 0, index }
    }

    /// The first entry that does not belong to it any more.
    #[cfg(test)]
    pub(crate) fn end(self) -> u64 {
        (self.index + 1) << self.level
    }
}

/// The complete subtrees that a tree of `size` entries consists of, largest first: one for each bit of its size.
pub fn peaks(size: u64) -> Vec<Place> {
    cover(0, size)
}

/// The complete subtrees that the entries from `begin` until before `end` consist of. `begin` is where a subtree begins that is at least as
/// large as this range.
pub(crate) fn cover(begin: u64, end: u64) -> Vec<Place> {
    let mut places = Vec::new();
    let mut at = begin;
    while at < end {
        let level = (end - at).ilog2() as u8;
        places.push(Place { level, index: at >> level });
        at += 1 << level;
    }
    places
}

/// What hashes of subtrees that follow each other, each smaller than the one before, come together to.
pub fn fold(hashes: impl DoubleEndedIterator<Item = Hash>) -> Option<Hash> {
    hashes.rev().reduce(|right, left| node(left, right))
}

/// A tree as far as it takes to add entries: the hash of each of its [`peaks`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The tree of `size` entries whose [`peaks`] have these hashes; none if there are too many or too few of them.
    pub fn new(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What stands for all entries and their order.
    pub fn root(&self) -> Hash {
        fold(self.peaks.iter().copied()).unwrap_or_else(|| hash(&[]))
    }

    /// Adds an entry by its hash. Gives every subtree that it makes complete, the entry first.
    pub fn push(&mut self, leaf: Hash) -> Vec<(Place, Hash)> {
        let mut place = Place::of_entry(self.size);
        let mut complete = vec![(place, leaf)];
        let mut hash = leaf;
        while place.index % 2 == 1 {
            let left = self.peaks.pop().expect("an odd place has a neighbour to its left");
            hash = node(left, hash);
            place = Place { level: place.level + 1, index: place.index / 2 };
            complete.push((place, hash));
        }
        self.peaks.push(hash);
        self.size += 1;
        complete
    }
}

/// The tree over these entries.
impl<'a> FromIterator<&'a [u8]> for Frontier {
    fn from_iter<T: IntoIterator<Item = &'a [u8]>>(entries: T) -> Self {
        let mut tree = Self::default();
        for entry in entries {
            tree.push(leaf(entry));
        }
        tree
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The definition of RFC 6962, word by word.
    pub fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash(&[]),
            [one] => *one,
            _ => {
                let split = 1 << (leaves.len() - 1).ilog2();
                node(root_by_definition(&leaves[..split]), root_by_definition(&leaves[split..]))
            }
        }
    }

    pub fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|entry| leaf(&entry.to_be_bytes())).collect()
    }

    #[test]
    fn the_root_is_that_of_the_definition_at_every_size() {
        let leaves = leaves(300);
        let mut tree = Frontier::default();
        for (size, leaf) in leaves.iter().enumerate() {
            assert_eq!(tree.root(), root_by_definition(&leaves[..size]), "{size}");
            assert_eq!(Some(tree.clone()), Frontier::new(size as u64, tree.peaks.clone()));
            tree.push(*leaf);
        }
    }

    #[test]
    fn every_complete_subtree_is_told_once_with_its_hash() {
        let leaves = leaves(64);
        let mut tree = Frontier::default();
        let told: Vec<(Place, Hash)> = leaves.iter().flat_map(|leaf| tree.push(*leaf)).collect();
        assert_eq!(told.len(), 127);
        for (place, hash) in told {
            let begin = (place.index << place.level) as usize;
            assert_eq!(hash, root_by_definition(&leaves[begin..place.end() as usize]), "{place:?}");
        }
    }

    #[test]
    fn the_empty_tree_and_one_entry_are_those_of_others() {
        // The SHA-256 of nothing, and of a zero byte.
        assert_eq!(Frontier::default().root().to_string(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(Frontier::from_iter([b"".as_slice()]).root().to_string(), "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=");
    }

    #[test]
    fn a_frontier_of_another_size_is_none() {
        assert_eq!(Frontier::new(3, leaves(1)), None);
        assert_eq!(Frontier::new(4, leaves(2)), None);
    }
}
