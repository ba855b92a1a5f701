//! Proofs of RFC 6962, sections 2.1.1 and 2.1.2: that an entry is in a tree, and that a tree begins with a smaller one.
//!
//! [`Inclusion::root`] and [`Consistency::holds`] check it (RFC 9162, section 2.1.3.2 and 2.1.4.2); which hashes it consists of is said by
//! [`gather`](crate::gather). Each hash of a proof stands for a range of entries that is a complete subtree, or, at the right edge, for
//! several that come together.

use crate::merkle::{Hash, node};

/// A claim that an entry is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// Which entry, from 0.
    pub index: u64,
    /// Of how many.
    pub size: u64,
    /// From the entry upwards.
    pub path: Vec<Hash>,
}

impl Inclusion {
    /// The root of the only tree that has this entry there; none if the proof is not one of this size.
    pub fn root(&self, leaf: Hash) -> Option<Hash> {
        if self.index >= self.size {
            return None;
        }
        let (mut at, mut last, mut hash) = (self.index, self.size - 1, leaf);
        for step in &self.path {
            if last == 0 {
                return None;
            }
            if at % 2 == 1 || at == last {
                hash = node(*step, hash);
                while at % 2 == 0 && at != 0 {
                    (at, last) = (at / 2, last / 2);
                }
            } else {
                hash = node(hash, *step);
            }
            (at, last) = (at / 2, last / 2);
        }
        (last == 0).then_some(hash)
    }
}

/// A claim that a tree begins with a smaller one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// Entries of the smaller one.
    pub old: u64,
    /// Entries of the larger one.
    pub new: u64,
    /// From the end of the smaller one upwards.
    pub path: Vec<Hash>,
}

impl Consistency {
    /// True if nothing of the tree with the root `old` was changed in that with the root `new`.
    pub fn holds(&self, old: Hash, new: Hash) -> bool {
        if self.old == self.new {
            return self.path.is_empty() && old == new;
        }
        if self.old == 0 || self.old > self.new {
            return false;
        }
        let mut path = self.path.iter().copied();
        // A smaller tree that is one complete subtree begins the path itself.
        let first = if self.old.is_power_of_two() { Some(old) } else { path.next() };
        first.is_some_and(|first| self.roots(first, path) == Some((old, new)))
    }

    fn roots(&self, first: Hash, path: impl Iterator<Item = Hash>) -> Option<(Hash, Hash)> {
        let zeros = (self.old - 1).trailing_ones();
        let (mut at, mut last) = ((self.old - 1) >> zeros, (self.new - 1) >> zeros);
        let (mut old, mut new) = (first, first);
        for step in path {
            if last == 0 {
                return None;
            }
            if at % 2 == 1 || at == last {
                (old, new) = (node(step, old), node(step, new));
                while at % 2 == 0 && at != 0 {
                    (at, last) = (at / 2, last / 2);
                }
            } else {
                new = node(new, step);
            }
            (at, last) = (at / 2, last / 2);
        }
        (last == 0).then_some((old, new))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::gather::{Part, collect, consistency, inclusion};
    use crate::merkle::Place;
    use crate::merkle::tests::{leaves, root_by_definition};

    const MOST: u64 = 40;

    fn of(parts: Option<Vec<Part>>, leaves: &[Hash]) -> Vec<Hash> {
        let hash = |place: Place| -> Result<Hash, Infallible> {
            Ok(root_by_definition(&leaves[(place.index << place.level) as usize..place.end() as usize]))
        };
        collect(parts.unwrap(), hash).unwrap()
    }

    #[test]
    fn every_entry_of_every_tree_is_proven_and_no_other_root_is() {
        let leaves = leaves(MOST);
        for size in 1..=MOST {
            let root = root_by_definition(&leaves[..size as usize]);
            for index in 0..size {
                let proof = Inclusion { index, size, path: of(inclusion(index, size), &leaves) };
                assert_eq!(proof.root(leaves[index as usize]), Some(root), "{index} of {size}");
                for other in (0..size).filter(|other| *other != index) {
                    assert_ne!(proof.root(leaves[other as usize]), Some(root));
                    assert_ne!(Inclusion { index: other, ..proof.clone() }.root(leaves[index as usize]), Some(root));
                }
            }
        }
    }

    #[test]
    fn every_tree_begins_with_every_smaller_one_and_with_no_other() {
        let leaves = leaves(MOST);
        let root = |size: u64| root_by_definition(&leaves[..size as usize]);
        for new in 1..=MOST {
            for old in 1..=new {
                let proof = Consistency { old, new, path: of(consistency(old, new), &leaves) };
                assert!(proof.holds(root(old), root(new)), "{old} of {new}");
                assert!(!proof.holds(leaves[39], root(new)) || old == new && new == 40, "{old} of {new}");
                assert!(!proof.holds(root(old), leaves[39]), "{old} of {new}");
            }
        }
    }

    #[test]
    fn what_is_not_in_a_tree_has_no_proof() {
        assert_eq!(inclusion(3, 3), None);
        assert_eq!(consistency(4, 3), None);
        assert_eq!(consistency(0, 3), None);
        assert_eq!(consistency(3, 3), Some(vec![]));
    }

    proptest! {
        /// Lengthened, shortened, changed or moved: a proof holds as it is, or not at all.
        #[test]
        fn a_changed_proof_proves_nothing(old in 1..MOST, more in 1..MOST, what in 0..4_u8, at in any::<prop::sample::Index>(), bit in 0..256_usize) {
            let (new, leaves) = (old + more, leaves(old + more));
            let (before, after) = (root_by_definition(&leaves[..old as usize]), root_by_definition(&leaves));
            let mut path = of(consistency(old, new), &leaves);
            match what {
                0 => path.push(leaves[0]),
                1 => drop(path.remove(at.index(path.len()))),
                2 => { let at = at.index(path.len()); path[at].0[bit / 8] ^= 1 << (bit % 8) },
                _ => path.insert(at.index(path.len()), leaves[0]),
            }
            let changed = Consistency { old, new, path };
            prop_assert!(!changed.holds(before, after));
        }

        #[test]
        fn no_proof_of_a_hostile_peer_panics(old: u64, new: u64, count in 0..70_u64) {
            let leaf = leaves(1)[0];
            let path = leaves(count);
            let _ = Consistency { old, new, path: path.clone() }.holds(leaf, leaf);
            let _ = Inclusion { index: old, size: new, path }.root(leaf);
        }
    }
}
