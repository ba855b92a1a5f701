//! The log that nobody has to trust the server about: the records of each tenant as the entries of a tree, and its root signed.
//!
//! Records are there first, in the transaction of the act. The tree follows within seconds, from the very bytes that are kept: whatever is
//! changed in the database later does not fit the checkpoints that agents, witnesses and auditors hold. The checkpoints of all
//! tenants are records of the installation's own log in turn.

pub mod keys;
pub mod sequencer;
#[cfg(test)]
mod tests;
pub mod witnesses;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use data_encoding::BASE64;
use tegata_api::v1::device::LogShown;
use tegata_core::name::TenantName;
use tegata_tlog::entry;
use tegata_tlog::gather::{self, Part};
use tegata_tlog::merkle::{Hash, Place, fold, peaks};
use tegata_tlog::tile::{Resource, Tile, WIDTH, subtree};

use crate::audit::Ledger;
use crate::log::keys::LogKeys;
use crate::store::StoreError;

/// What is asked for of a tenant's tree, as bytes; nothing if it is not there, or not that much of it yet.
///
/// # Errors
/// The database failed.
pub async fn read(ledger: &Ledger, tenant: &TenantName, asked: Resource) -> Result<Option<Vec<u8>>, StoreError> {
    let size = ledger.store().log_head(tenant).await?.map_or(0, |head| head.size);
    if asked.width > asked.tile.width(size) {
        return Ok(None);
    }
    let width = usize::try_from(asked.width).unwrap_or(usize::MAX);
    if !asked.is_entries {
        let hashes = ledger.store().log_tile(tenant, asked.tile).await?;
        return Ok(hashes.get(..width).map(|hashes| hashes.iter().flat_map(|hash| hash.0).collect()));
    }
    let limit = u32::try_from(width).unwrap_or(u32::MAX);
    let records = ledger.store().log_entries(tenant, asked.tile.index * WIDTH, limit).await?;
    Ok((records.len() == width).then(|| entry::bundle(records.iter().map(|record| entry::of(record)))))
}

/// How far a tenant's log goes, for a device that knows its first `after` records; nothing before the first checkpoint.
///
/// # Errors
/// The database failed.
pub async fn shown(ledger: &Ledger, keys: &LogKeys, tenant: &TenantName, after: u64) -> Result<Option<LogShown>, StoreError> {
    let Some(head) = ledger.store().log_head(tenant).await? else { return Ok(None) };
    let parts = gather::consistency(after, head.size).unwrap_or_default();
    let path = path(ledger, tenant, parts).await?.unwrap_or_default();
    let consistency = path.into_iter().map(|hash| BASE64.encode(&hash.0)).collect();
    Ok(Some(LogShown { key: keys.signer(tenant).verifier().to_string(), checkpoint: head.note, consistency }))
}

/// The hashes of a proof, from what is kept; none if a tile lacks something.
async fn path(ledger: &Ledger, tenant: &TenantName, parts: Vec<Part>) -> Result<Option<Vec<Hash>>, StoreError> {
    let mut tiles: HashMap<Tile, Vec<Hash>> = HashMap::new();
    for (tile, _) in parts.iter().flatten().map(|place| Tile::of(*place)) {
        if let Entry::Vacant(place) = tiles.entry(tile) {
            place.insert(ledger.store().log_tile(tenant, tile).await?);
        }
    }
    let hash = |place: Place| {
        let (tile, range) = Tile::of(place);
        subtree(&tiles[&tile], range).ok_or(())
    };
    Ok(gather::collect(parts, hash).ok())
}

/// The root of a tree of `size` entries, from tiles alone; none if one of them lacks something.
fn root(size: u64, tile: impl Fn(Tile) -> Option<Vec<Hash>>) -> Option<Hash> {
    let peak = |place: Place| {
        let (of, range) = Tile::of(place);
        subtree(&tile(of)?, range)
    };
    let hashes = peaks(size).into_iter().map(peak).collect::<Option<Vec<_>>>()?;
    fold(hashes.into_iter())
}
