//! Tiles (C2SP tlog-tiles): the hashes of a tree, cut into pieces of 256 that never change once they are full.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use thiserror::Error;

use crate::merkle::{Frontier, Hash, Place, node, peaks};

/// Levels of the tree from one row of tiles to the next.
const HEIGHT: u8 = 8;
/// Rows of a tree with as many entries as can be counted.
const ROWS: u8 = 8;
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
    pub fn of(place: Place) -> (Self, Range<usize>) {
        let (level, above) = (place.level / HEIGHT, place.level % HEIGHT);
        let first = place.index << above;
        let begin = (first % WIDTH) as usize;
        (Self { level, index: first / WIDTH }, begin..begin + (1 << above))
    }

    /// How many hashes of it a tree of `size` entries has.
    pub fn width(self, size: u64) -> u64 {
        row_length(self.level, size).saturating_sub(self.index.saturating_mul(WIDTH)).min(WIDTH)
    }
}

/// What a client asks for below `tile/`: `0/x001/067`, `0/273.p/112`, `entries/001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resource {
    /// Which tile; where entries are meant, the one of their hashes.
    pub tile: Tile,
    /// True if it is the entries that are meant, not their hashes.
    pub is_entries: bool,
    /// How many of them.
    pub width: u64,
}

impl Resource {
    /// The hashes of a tile in a tree of `size` entries.
    pub fn hashes(tile: Tile, size: u64) -> Self {
        Self { tile, is_entries: false, width: tile.width(size) }
    }

    /// The entries from 256 × `index` on, in a tree of `size` entries.
    pub fn entries(index: u64, size: u64) -> Self {
        let tile = Tile { level: 0, index };
        Self { tile, is_entries: true, width: tile.width(size) }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, width) = (self.tile.index, self.width);
        if self.is_entries {
            write!(f, "entries/")?
        } else {
            write!(f, "{}/", self.tile.level)?
        }
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

impl FromStr for Resource {
    type Err = NotAResource;

    /// Reads a path in the one way in which it is written.
    fn from_str(path: &str) -> Result<Self, NotAResource> {
        let (row, rest) = path.split_once('/').ok_or(NotAResource)?;
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok().filter(|width| (1..WIDTH).contains(width)).ok_or(NotAResource)?),
            None => (rest, WIDTH),
        };
        let digits = number.replace("/", "").replace('x', "");
        let tile = Tile {
            level: if row == "entries" { 0 } else { row.parse().ok().filter(|level| *level < ROWS).ok_or(NotAResource)? },
            index: digits.parse().map_err(|_| NotAResource)?,
        };
        let read = Self { tile, is_entries: row == "entries", width };
        if read.to_string() == path { Ok(read) } else { Err(NotAResource) }
    }
}

/// A path that names nothing of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a log has nothing at this path")]
pub struct NotAResource;

/// The hash of a subtree, from the hashes of the tile that [`Tile::of`] names; none if they are too few.
pub fn subtree(hashes: &[Hash], range: Range<usize>) -> Option<Hash> {
    let mut row = hashes.get(range)?.to_vec();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| node(pair[0], pair[1])).collect();
    }
    row.pop()
}

/// The right edge of a tree that is kept in tiles: all that it takes to add entries to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    tree: Frontier,
    /// The last tile of each row, as long as it is not full.
    open: Vec<Vec<Hash>>,
    full: Vec<(Tile, Vec<Hash>)>,
}

impl Edge {
    /// The tiles that [`Edge::new`] wants for a tree of `size` entries: the last one of each row that is not full.
    pub fn wanted(size: u64) -> Vec<Tile> {
        let row = |level: u8| Tile { level, index: row_length(level, size) / WIDTH };
        (0..ROWS).map(row).filter(|tile| tile.width(size) > 0).collect()
    }

    /// Of a tree of `size` entries, with the hashes of the tiles that are [`Edge::wanted`]; none if they are not those.
    pub fn new(size: u64, tiles: Vec<Vec<Hash>>) -> Option<Self> {
        let wanted = Self::wanted(size);
        let fits = wanted.len() == tiles.len() && wanted.iter().zip(&tiles).all(|(tile, hashes)| tile.width(size) == hashes.len() as u64);
        if !fits {
            return None;
        }
        let mut open = vec![Vec::new(); ROWS.into()];
        for (tile, hashes) in wanted.iter().zip(tiles) {
            open[usize::from(tile.level)] = hashes;
        }
        let peak = |place: Place| subtree(&open[usize::from(Tile::of(place).0.level)], Tile::of(place).1);
        let tree = Frontier::new(size, peaks(size).into_iter().map(peak).collect::<Option<_>>()?)?;
        Some(Self { tree, open, full: Vec::new() })
    }

    /// What it comes to.
    pub fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// Adds an entry by its hash.
    pub fn push(&mut self, leaf: Hash) {
        for (place, hash) in self.tree.push(leaf).into_iter().filter(|(place, _)| place.level % HEIGHT == 0) {
            let tile = Tile::of(place).0;
            let row = &mut self.open[usize::from(tile.level)];
            row.push(hash);
            if row.len() as u64 == WIDTH {
                self.full.push((tile, std::mem::take(row)));
            }
        }
    }

    /// Every tile that is not as it was when the edge was made, and those that are not full.
    pub fn into_tiles(self) -> Vec<(Tile, Vec<Hash>)> {
        let size = self.tree.size();
        let open = Self::wanted(size).into_iter().zip(self.open.into_iter().filter(|hashes| !hashes.is_empty()));
        self.full.into_iter().chain(open).collect()
    }
}

fn row_length(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(HEIGHT) * u32::from(level)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::merkle::tests::leaves;

    #[test]
    fn paths_are_those_of_the_specification() {
        let hashes = |level, index, size| Resource::hashes(Tile { level, index }, size).to_string();
        assert_eq!(hashes(0, 1_234_067, u64::MAX), "0/x001/x234/067");
        assert_eq!(hashes(0, 273, 70_000), "0/273.p/112");
        assert_eq!(hashes(1, 1, 70_000), "1/001.p/17");
        assert_eq!(hashes(2, 0, 70_000), "2/000.p/1");
        assert_eq!(Resource::entries(273, 70_000).to_string(), "entries/273.p/112");
        for path in ["0/x001/x234/067", "0/273.p/112", "entries/000", "7/000.p/1"] {
            assert_eq!(path.parse::<Resource>().unwrap().to_string(), path);
        }
        for path in
            ["0/1", "0/x000/001", "0/001.p/0", "0/001.p/256", "0/001.p/07", "8/001", "entries", "-1/001", "0/001/", "00/001", "0/x/001"]
        {
            assert_eq!(path.parse::<Resource>(), Err(NotAResource), "{path}");
        }
    }

    /// Everything that is in the tiles of a tree that grew in steps.
    fn grown(steps: &[u64]) -> (Frontier, HashMap<Tile, Vec<Hash>>) {
        let (mut kept, mut size) = (HashMap::<Tile, Vec<Hash>>::new(), 0);
        let mut tree = Frontier::default();
        for step in steps {
            let tiles = Edge::wanted(size).iter().map(|tile| kept[tile].clone()).collect();
            let mut edge = Edge::new(size, tiles).unwrap();
            leaves(size + step).into_iter().skip(size as usize).for_each(|leaf| edge.push(leaf));
            size += step;
            tree = edge.tree().clone();
            kept.extend(edge.into_tiles());
        }
        (tree, kept)
    }

    #[test]
    fn however_a_tree_grows_every_subtree_is_found_in_its_tiles() {
        let mut tree = Frontier::default();
        let complete: Vec<_> = leaves(66_000).into_iter().flat_map(|leaf| tree.push(leaf)).collect();
        for steps in [vec![66_000], vec![1, 255, 1, 65_279, 464], vec![256, 256, 65_488]] {
            let (grown, tiles) = grown(&steps);
            assert_eq!(grown, tree, "{steps:?}");
            assert!(tiles.iter().all(|(tile, hashes)| tile.width(66_000) == hashes.len() as u64), "{steps:?}");
            for (place, hash) in &complete {
                let (tile, range) = Tile::of(*place);
                assert_eq!(subtree(&tiles[&tile], range), Some(*hash), "{steps:?} {place:?}");
            }
        }
    }

    #[test]
    fn an_edge_with_tiles_of_another_size_is_none() {
        assert_eq!(Edge::new(3, vec![leaves(2)]), None);
        assert_eq!(Edge::new(257, vec![leaves(1)]), None);
        assert_eq!(Edge::new(0, vec![leaves(1)]), None);
    }

    proptest! {
        #[test]
        fn no_path_of_a_hostile_peer_panics(path in "(entries|[0-9]{1,3})?/?[x0-9/.p]{0,40}") {
            let _ = path.parse::<Resource>();
        }
    }
}
