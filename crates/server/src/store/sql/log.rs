//! Tiles and checkpoints.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::json;
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;
use tegata_tlog::merkle::Hash;
use tegata_tlog::tile::Tile;

use super::changes::{Applied, guard};
use super::db::{Db, Pool, query};
use super::rows::{Columns, number};
use super::{Database, all, hex, one};
use crate::store::StoreError;
use crate::store::log::{Alarm, Asked, CosignedRow, Grown, HeadRow, LogQueries, UnseenRow, WitnessRow};

#[async_trait]
impl LogQueries for Database {
    async fn logs_behind(&self) -> Result<Vec<TenantName>, StoreError> {
        behind(&self.readers).await
    }

    async fn log_head(&self, tenant: &TenantName) -> Result<Option<HeadRow>, StoreError> {
        head(&self.readers, tenant).await
    }

    async fn log_tile(&self, tenant: &TenantName, tile: Tile) -> Result<Vec<Hash>, StoreError> {
        self::tile(&self.readers, tenant, tile).await
    }

    async fn log_entries(&self, tenant: &TenantName, after: u64, limit: u32) -> Result<Vec<String>, StoreError> {
        entries(&self.readers, tenant, after, limit).await
    }

    async fn logs_unseen(&self, before: Timestamp) -> Result<Vec<UnseenRow>, StoreError> {
        unseen(&self.readers, before).await
    }

    async fn log_cosigned(&self, tenant: &TenantName) -> Result<Option<CosignedRow>, StoreError> {
        cosigned(&self.readers, tenant).await
    }

    async fn log_alarms(&self) -> Result<BTreeMap<TenantName, Timestamp>, StoreError> {
        let read = |row: &Columns| Ok((row.tenant()?, row.moment("since")?));
        Ok(all(&self.readers, "log_alarms", query("SELECT * FROM log_alarms"), read).await?.into_iter().collect())
    }

    async fn log_witnesses(&self, tenant: &TenantName) -> Result<Vec<WitnessRow>, StoreError> {
        witnesses(&self.readers, tenant).await
    }
}

pub(super) async fn grow(db: &mut Db, grown: &Grown) -> Applied {
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
    let keep = "INSERT INTO log_tiles (tenant, level, number, hashes)
        SELECT $1, CAST(value ->> 0 AS BIGINT), CAST(value ->> 1 AS BIGINT), unhex(value ->> 2) FROM json_each($2) WHERE true
        ON CONFLICT (tenant, level, number) DO UPDATE SET hashes = excluded.hashes";
    query(keep).bind(grown.tenant.as_str()).bind(json!(rows).to_string()).execute(db).await?;
    Ok(())
}

pub(super) async fn witness(db: &mut Db, asked: &Asked) -> Applied {
    if let Some(cosigned) = &asked.cosigned {
        let keep = "INSERT INTO log_cosigned (tenant, size, note, seen) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant) DO UPDATE
            SET size = excluded.size, note = excluded.note, seen = excluded.seen WHERE log_cosigned.size <= excluded.size";
        let keep = query(keep).bind(asked.tenant.to_string()).bind(number(cosigned.size)).bind(cosigned.note.clone());
        keep.bind(cosigned.seen.unix()).execute(&mut *db).await?;
    }
    for told in &asked.told {
        let keep = "INSERT INTO log_witnesses (tenant, witness, size, seen, problem, problem_at) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (tenant, witness) DO UPDATE
            SET size = excluded.size, seen = excluded.seen, problem = excluded.problem, problem_at = excluded.problem_at";
        let keep = query(keep).bind(asked.tenant.to_string()).bind(told.witness.clone()).bind(number(told.size));
        let (problem, problem_at) = told.problem.clone().unzip();
        keep.bind(told.seen.map(Timestamp::unix)).bind(problem).bind(problem_at.map(Timestamp::unix)).execute(&mut *db).await?;
    }
    Ok(())
}

pub(super) async fn alarm(db: &mut Db, alarm: &Alarm) -> Applied {
    let change = match alarm.since {
        Some(since) => query("INSERT INTO log_alarms (tenant, since) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(alarm.tenant.to_string())
            .bind(since.unix()),
        None => query("DELETE FROM log_alarms WHERE tenant = $1").bind(alarm.tenant.to_string()),
    };
    change.execute(db).await?;
    Ok(())
}

async fn unseen(db: &Pool, before: Timestamp) -> Result<Vec<UnseenRow>, StoreError> {
    let find = "SELECT log_heads.*, log_cosigned.seen FROM log_heads LEFT JOIN log_cosigned USING (tenant)
        WHERE log_cosigned.size IS NULL OR substr(log_cosigned.note, 1, length(log_heads.note)) <> log_heads.note OR log_cosigned.seen < $1
        ORDER BY tenant";
    let read = |row: &Columns| Ok(UnseenRow { tenant: row.tenant()?, head: read_head(row)?, seen: row.optional_moment("seen")? });
    all(db, "log_heads", query(find).bind(before.unix()), read).await
}

async fn cosigned(db: &Pool, tenant: &TenantName) -> Result<Option<CosignedRow>, StoreError> {
    let find = query("SELECT * FROM log_cosigned WHERE tenant = $1").bind(tenant.as_str());
    let read = |row: &Columns| Ok(CosignedRow { size: row.count("size")?, note: row.raw("note")?, seen: row.moment("seen")? });
    one(db, "log_cosigned", find, read).await
}

async fn witnesses(db: &Pool, tenant: &TenantName) -> Result<Vec<WitnessRow>, StoreError> {
    let read = |row: &Columns| {
        let problem = row.raw::<Option<String>>("problem")?.zip(row.optional_moment("problem_at")?);
        Ok(WitnessRow { witness: row.raw("witness")?, size: row.count("size")?, seen: row.optional_moment("seen")?, problem })
    };
    all(db, "log_witnesses", query("SELECT * FROM log_witnesses WHERE tenant = $1").bind(tenant.as_str()), read).await
}

fn read_head(row: &Columns) -> Result<HeadRow, StoreError> {
    Ok(HeadRow { size: row.count("size")?, note: row.raw("note")?, at: row.moment("at")? })
}

async fn head(db: &Pool, tenant: &TenantName) -> Result<Option<HeadRow>, StoreError> {
    one(db, "log_heads", query("SELECT * FROM log_heads WHERE tenant = $1").bind(tenant.as_str()), read_head).await
}

/// Goes from one tenant to the next by the index of the records: work for each tenant, not for each record.
async fn behind(db: &Pool) -> Result<Vec<TenantName>, StoreError> {
    let find = "WITH RECURSIVE known (tenant) AS (
            SELECT min(tenant) FROM audit
            UNION ALL SELECT (SELECT min(tenant) FROM audit WHERE tenant > known.tenant) FROM known WHERE known.tenant IS NOT NULL)
        SELECT known.tenant FROM known LEFT JOIN log_heads USING (tenant) WHERE known.tenant IS NOT NULL
            AND (SELECT max(sequence) FROM audit WHERE audit.tenant = known.tenant) > coalesce(log_heads.size, 0)";
    all(db, "audit", query(find), Columns::tenant).await
}

async fn tile(db: &Pool, tenant: &TenantName, tile: Tile) -> Result<Vec<Hash>, StoreError> {
    let find = "SELECT hashes FROM log_tiles WHERE tenant = $1 AND level = $2 AND number = $3";
    let find = query(find).bind(tenant.as_str()).bind(tile.level).bind(number(tile.index));
    let read = |row: &Columns| Ok(row.raw::<&[u8]>("hashes")?.as_chunks::<32>().0.iter().map(|hash| Hash(*hash)).collect());
    Ok(one(db, "log_tiles", find, read).await?.unwrap_or_default())
}

async fn entries(db: &Pool, tenant: &TenantName, after: u64, limit: u32) -> Result<Vec<String>, StoreError> {
    let find = "SELECT record FROM audit WHERE tenant = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";
    let find = query(find).bind(tenant.as_str()).bind(number(after)).bind(limit);
    all(db, "audit", find, |row| row.raw("record")).await
}
