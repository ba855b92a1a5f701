//! What is derived from a tenant's records, so that nobody has to trust the server about them: tiles of hashes, and the newest checkpoint.

use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;
use tegata_tlog::merkle::Hash;
use tegata_tlog::tile::Tile;

/// The newest checkpoint of a tenant's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRow {
    /// How many records it covers: those with sequence numbers from 1 to this.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// When it was signed.
    pub at: Timestamp,
}

/// A tree that has grown.
#[derive(Debug, Clone)]
pub struct Grown {
    /// Whose.
    pub tenant: TenantName,
    /// How many records it covered before.
    pub from: u64,
    /// Every tile that is new or longer than before, whole.
    pub tiles: Vec<(Tile, Vec<Hash>)>,
    /// The checkpoint over it.
    pub head: HeadRow,
}
