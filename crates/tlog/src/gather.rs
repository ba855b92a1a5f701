//! Which hashes a proof consists of: for whoever makes one. Nobody has to believe it: what is gathered wrongly proves nothing.

use crate::merkle::{Hash, Place, cover, fold, peaks};

/// A hash of a proof: that of these subtrees together, largest first.
pub type Part = Vec<Place>;

/// What a proof needs that the entry `index` is in a tree of `size`; nothing if it is not in it.
pub fn inclusion(index: u64, size: u64) -> Option<Vec<Part>> {
    if index >= size {
        return None;
    }
    let (mut begin, mut end, mut parts) = (0, size, Vec::new());
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            parts.push(cover(middle, end));
            end = middle;
        } else {
            parts.push(cover(begin, middle));
            begin = middle;
        }
    }
    parts.reverse();
    Some(parts)
}

/// What a proof needs that a tree of `new` entries begins with one of `old`; nothing if that one is empty or larger.
pub fn consistency(old: u64, new: u64) -> Option<Vec<Part>> {
    if old == 0 || old > new {
        return None;
    }
    let (mut begin, mut end, mut parts) = (0, new, Vec::new());
    while end != old {
        let middle = begin + split(end - begin);
        if old <= middle {
            parts.push(cover(middle, end));
            end = middle;
        } else {
            parts.push(cover(begin, middle));
            begin = middle;
        }
    }
    // The old tree itself is known to whoever checks, unless it goes on to the left.
    if begin != 0 {
        parts.push(cover(begin, end));
    }
    parts.reverse();
    Some(parts)
}

/// The largest power of two that is smaller than `size`, which is 2 or more.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The hashes of a proof's parts; nothing if one is not known.
pub fn collect<E>(parts: Vec<Part>, mut hash: impl FnMut(Place) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
    let together = |part: Part| {
        let hashes = part.into_iter().map(&mut hash).collect::<Result<Vec<_>, E>>()?;
        Ok(fold(hashes.into_iter()).expect("a part is never empty"))
    };
    parts.into_iter().map(together).collect()
}

/// What stands for all that lies before a stretch that begins at `first` ([`Period::before`](crate::period::Period::before)).
pub fn before(first: u64) -> Vec<Part> {
    peaks(first).into_iter().map(|place: Place| vec![place]).collect()
}

/// What shows that a log of `size` goes on from a stretch that ends before `end` ([`Period::after`](crate::period::Period::after)); nothing if it
/// does not go so far.
pub fn after(end: u64, size: u64) -> Option<Vec<Part>> {
    // Every log begins with nothing.
    if end == 0 { Some(vec![]) } else { consistency(end, size) }
}
