//! Tiles (C2SP tlog-tiles): the hashes of a tree, cut into pieces of 256 that never change once they are full.

use std::fmt;

use crate::merkle::{Hash, Place, fold, node};

/// Levels of the tree from one row of tiles to the next.
const HEIGHT: u8 = 8;
/// Hashes in a full tile.
pub const WIDTH: u64 = 1 << HEIGHT;

/// One tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// Row: its hashes are of the tree's level 8 × `level`.
    pub level: u8,
    /// Which of its row, from 0.
    pub index: u64,
}

impl Tile {
    /// The tile from which the hash of a subtree is got, and the range of its hashes that come together to it.
    pub fn of(place: Place) -> (Self, std::ops::Range<usize>) {
        let (level, above) = (place.level / HEIGHT, place.level % HEIGHT);
        let first = place.index << above;
        let begin = (first % WIDTH) as usize;
        (Self { level, index: first / WIDTH }, begin..begin + (1 << above))
    }

    /// How many hashes of it a tree of `size` entries has.
    pub fn width(self, size: u64) -> u64 {
        let all = size.checked_shr(u32::from(HEIGHT) * u32::from(self.level)).unwrap_or(0);
        all.saturating_sub(self.index.saturating_mul(WIDTH)).min(WIDTH)
    }

    /// Where a client asks for it in a tree of `size` entries: `tile/0/x001/067.p/112`.
    pub fn path(self, size: u64) -> String {
        format!("tile/{}/{}", self.level, Numbered(self.index, self.width(size)))
    }
}

/// The path of the entries from 256 × `index` on, in a tree of `size` entries.
pub fn entries_path(index: u64, size: u64) -> String {
    format!("tile/entries/{}", Numbered(index, Tile { level: 0, index }.width(size)))
}

/// A number in groups of three, each but the last with an `x`, and the width of a tile that is not full.
struct Numbered(u64, u64);

impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, width) = *self;
        let mut groups = vec![format!("{:03}", number % 1_000)];
        let mut rest = number / 1_000;
        while rest > 0 {
            groups.push(format!("x{:03}", rest % 1_000));
            rest /= 1_000;
        }
        groups.reverse();
        write!(f, "{}", groups.join("/"))?;
        if width < WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

/// The hash of a subtree, from the hashes of the tile that [`Tile::of`] names; none if they are too few.
pub fn subtree(hashes: &[Hash], range: std::ops::Range<usize>) -> Option<Hash> {
    let mut row = hashes.get(range)?.to_vec();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| node(pair[0], pair[1])).collect();
    }
    fold(row.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::Frontier;
    use crate::merkle::tests::leaves;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(Tile { level: 0, index: 1_234_067 }.path(u64::MAX), "tile/0/x001/x234/067");
        assert_eq!(Tile { level: 0, index: 273 }.path(70_000), "tile/0/273.p/112");
        assert_eq!(Tile { level: 1, index: 1 }.path(70_000), "tile/1/001.p/17");
        assert_eq!(Tile { level: 2, index: 0 }.path(70_000), "tile/2/000.p/1");
        assert_eq!(entries_path(273, 70_000), "tile/entries/273.p/112");
    }

    #[test]
    fn every_subtree_is_found_in_a_tile() {
        let mut tree = Frontier::default();
        let mut tiles = std::collections::HashMap::<Tile, Vec<Hash>>::new();
        let complete: Vec<_> = leaves(70_000).into_iter().flat_map(|leaf| tree.push(leaf)).collect();
        for (place, hash) in complete.iter().filter(|(place, _)| place.level % HEIGHT == 0) {
            let (tile, range) = Tile::of(*place);
            let hashes = tiles.entry(tile).or_default();
            assert_eq!(hashes.len(), range.start, "hashes come in order");
            hashes.push(*hash);
        }
        for (tile, hashes) in &tiles {
            assert_eq!(tile.width(70_000), hashes.len() as u64);
        }
        for (place, hash) in complete {
            let (tile, range) = Tile::of(place);
            assert_eq!(subtree(&tiles[&tile], range), Some(hash), "{place:?}");
        }
    }
}
