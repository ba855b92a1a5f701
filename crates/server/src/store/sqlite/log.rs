//! Tiles and checkpoints.

use serde_json::json;
use sqlx::query;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use tegata_core::name::TenantName;
use tegata_tlog::merkle::Hash;
use tegata_tlog::tile::Tile;

use super::changes::{Applied, guard};
use super::rows::{Columns, number};
use super::{all, hex, one};
use crate::store::StoreError;
use crate::store::log::{Grown, HeadRow};

pub(super) async fn grow(db: &mut SqliteConnection, grown: &Grown) -> Applied {
    let head = "INSERT INTO log_heads (tenant, size, note, at) SELECT $1, $3, $4, $5 WHERE $2 = 0 OR EXISTS (SELECT 1 FROM log_heads WHERE tenant = $1)
        ON CONFLICT (tenant) DO UPDATE SET size = excluded.size, note = excluded.note, at = excluded.at WHERE log_heads.size = $2";
    let head = query(head).bind(grown.tenant.to_string()).bind(number(grown.from)).bind(number(grown.head.size));
    let head = head.bind(grown.head.note.clone()).bind(grown.head.at.unix());
    guard(head.execute(&mut *db).await?, "the log has grown already")?;
    let row = |(tile, hashes): &(Tile, Vec<Hash>)| {
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
        (tile.level, tile.index, hex(&bytes))
    };
    let rows: Vec<_> = grown.tiles.iter().map(row).collect();
    let keep = "INSERT OR REPLACE INTO log_tiles (tenant, level, number, hashes)
        SELECT ?, json_extract(value, '$[0]'), json_extract(value, '$[1]'), unhex(json_extract(value, '$[2]')) FROM json_each(?)";
    query(keep).bind(grown.tenant.as_str()).bind(json!(rows).to_string()).execute(db).await?;
    Ok(())
}

pub(super) async fn head(db: &SqlitePool, tenant: &TenantName) -> Result<Option<HeadRow>, StoreError> {
    let read = |row: &Columns| Ok(HeadRow { size: row.count("size")?, note: row.raw("note")?, at: row.moment("at")? });
    one(db, "log_heads", query("SELECT * FROM log_heads WHERE tenant = ?").bind(tenant.as_str()), read).await
}

/// Goes from one tenant to the next by the index of the records: work for each tenant, not for each record.
pub(super) async fn behind(db: &SqlitePool) -> Result<Vec<TenantName>, StoreError> {
    let find = "WITH RECURSIVE known (tenant) AS (
            SELECT min(tenant) FROM audit
            UNION ALL SELECT (SELECT min(tenant) FROM audit WHERE tenant > known.tenant) FROM known WHERE known.tenant IS NOT NULL)
        SELECT known.tenant FROM known LEFT JOIN log_heads USING (tenant) WHERE known.tenant IS NOT NULL
            AND (SELECT max(sequence) FROM audit WHERE audit.tenant = known.tenant) > coalesce(log_heads.size, 0)";
    all(db, "audit", query(find), Columns::tenant).await
}

pub(super) async fn tile(db: &SqlitePool, tenant: &TenantName, tile: Tile) -> Result<Vec<Hash>, StoreError> {
    let find = "SELECT hashes FROM log_tiles WHERE tenant = ? AND level = ? AND number = ?";
    let find = query(find).bind(tenant.as_str()).bind(tile.level).bind(number(tile.index));
    let read = |row: &Columns| Ok(row.raw::<&[u8]>("hashes")?.as_chunks::<32>().0.iter().map(|hash| Hash(*hash)).collect());
    Ok(one(db, "log_tiles", find, read).await?.unwrap_or_default())
}

pub(super) async fn entries(db: &SqlitePool, tenant: &TenantName, after: u64, limit: u32) -> Result<Vec<String>, StoreError> {
    let find = "SELECT record FROM audit WHERE tenant = ? AND sequence > ? ORDER BY sequence LIMIT ?";
    let find = query(find).bind(tenant.as_str()).bind(number(after)).bind(limit);
    all(db, "audit", find, |row| row.raw("record")).await
}
