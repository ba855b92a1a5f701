//! The index of the audit log: kept a little behind the records, and helped out by reading what it does not cover yet.

use serde_json::json;
use tegata_api::v1::audit::Record;
use tegata_core::name::TenantName;

use super::changes::{Applied, guard};
use super::db::{Db, Pool, Statement, query};
use super::rows::{Columns, number};
use super::{all, database, one};
use crate::store::audit::filter::Filter;
use crate::store::audit::keys::VERSION;
use crate::store::audit::{Entry, Indexed, Search, day};
use crate::store::{Part, StoreError};

/// How many records are read at once while those are looked for that fit.
const PAGE: u32 = 1_000;
/// The same when only a few are asked for.
const PAGE_MIN: u32 = 64;

/// Adds what some more records are about.
pub(super) async fn grow(db: &mut Db, gained: &Indexed) -> Applied {
    let head = "INSERT INTO audit_indexed (tenant, version, through)
            SELECT $1, $2, $4 WHERE $3 = 0 OR EXISTS (SELECT 1 FROM audit_indexed WHERE tenant = $1)
        ON CONFLICT (tenant) DO UPDATE SET through = excluded.through WHERE audit_indexed.through = $3";
    let head = query(head).bind(gained.tenant.to_string()).bind(VERSION).bind(number(gained.from)).bind(number(gained.through));
    guard(head.execute(&mut *db).await?, "the index has grown already")?;
    let keys = "INSERT INTO audit_index (key, sequence) SELECT CAST(value ->> 0 AS BIGINT), CAST(value ->> 1 AS BIGINT) FROM json_each($1)
        WHERE true ON CONFLICT DO NOTHING";
    query(keys).bind(json!(gained.keys).to_string()).execute(&mut *db).await?;
    let days = "INSERT INTO audit_days (tenant, day, first, last)
        SELECT $1, CAST(value ->> 0 AS BIGINT), CAST(value ->> 1 AS BIGINT), CAST(value ->> 2 AS BIGINT) FROM json_each($2) WHERE true
        ON CONFLICT (tenant, day) DO UPDATE
            SET first = min(audit_days.first, excluded.first), last = max(audit_days.last, excluded.last)";
    let rows: Vec<_> = gained.days.iter().map(|(day, (first, last))| (day, first, last)).collect();
    query(days).bind(gained.tenant.to_string()).bind(json!(rows).to_string()).execute(db).await?;
    Ok(())
}

/// Drops an index that another version has made: nothing is lost, it is made anew.
pub(super) async fn forget_others(db: &mut Db) -> Result<(), StoreError> {
    let others = query("SELECT 1 FROM audit_indexed WHERE version <> $1").bind(VERSION).fetch_optional(&mut *db).await.map_err(database)?;
    if others.is_some() { forget(db).await } else { Ok(()) }
}

/// Drops the index: it is made anew from the records.
pub(super) async fn forget(db: &mut Db) -> Result<(), StoreError> {
    for table in ["DELETE FROM audit_index", "DELETE FROM audit_days", "DELETE FROM audit_indexed"] {
        query(table).execute(&mut *db).await.map_err(database)?;
    }
    Ok(())
}

/// Goes from one tenant to the next: work for each tenant, not for each record.
pub(super) async fn behind(db: &Pool) -> Result<Vec<(TenantName, u64)>, StoreError> {
    let find = "WITH RECURSIVE known (tenant) AS (
            SELECT min(tenant) FROM audit
            UNION ALL SELECT (SELECT min(tenant) FROM audit WHERE tenant > known.tenant) FROM known WHERE known.tenant IS NOT NULL)
        SELECT known.tenant, coalesce(through, 0) AS through FROM known LEFT JOIN audit_indexed USING (tenant) WHERE known.tenant IS NOT NULL
            AND (SELECT max(sequence) FROM audit WHERE audit.tenant = known.tenant) > coalesce(through, 0)";
    all(db, "audit_indexed", query(find), |row| Ok((row.tenant()?, row.count("through")?))).await
}

/// The records that are asked for, oldest first.
pub(super) async fn search(db: &Pool, tenant: &TenantName, search: &Search) -> Result<Vec<Entry>, StoreError> {
    let covered = query("SELECT through FROM audit_indexed WHERE tenant = $1").bind(tenant.as_str());
    let covered = one(db, "audit_indexed", covered, |row| row.count("through")).await?.unwrap_or_default().min(search.through);
    let (after, is_newest) = match search.part {
        Part::After(after) => (after, false),
        Part::Newest => (0, true),
    };
    let (first, last) = bounds(db, tenant, &search.filter).await?;
    let indexed = Stretch { after: after.max(first.saturating_sub(1)), last: covered.min(last), keys: search.filter.keys(tenant) };
    let rest = Stretch { after: after.max(covered), last: search.through, keys: vec![] };
    let stretches = if is_newest { [rest, indexed] } else { [indexed, rest] };
    let mut found = Vec::new();
    for stretch in stretches {
        stretch.read(db, tenant, search, is_newest, &mut found).await?;
    }
    if is_newest {
        found.reverse();
    }
    Ok(found)
}

/// The first and last number that the index knows of the days that are asked for.
async fn bounds(db: &Pool, tenant: &TenantName, filter: &Filter) -> Result<(u64, u64), StoreError> {
    if filter.since.is_none() && filter.until.is_none() {
        return Ok((0, u64::MAX));
    }
    let find = "SELECT coalesce(min(first), 1) AS first, coalesce(max(last), 0) AS last FROM audit_days
        WHERE tenant = $1 AND ($2 IS NULL OR day >= $2) AND ($3 IS NULL OR day <= $3)";
    let find = query(find).bind(tenant.to_string()).bind(filter.since.map(day)).bind(filter.until.map(day));
    let found = one(db, "audit_days", find, |row| Ok((row.count("first")?, row.count("last")?))).await?;
    Ok(found.unwrap_or((1, 0)))
}

/// A part of the log that is read in one way.
struct Stretch {
    after: u64,
    last: u64,
    /// What the index is asked; nothing if every record is to be looked at.
    keys: Vec<Vec<i64>>,
}

impl Stretch {
    /// Reads until there are enough.
    async fn read(
        mut self,
        db: &Pool,
        tenant: &TenantName,
        search: &Search,
        is_newest: bool,
        found: &mut Vec<Entry>,
    ) -> Result<(), StoreError> {
        let wanted = search.limit as usize;
        let everything = search.filter == Filter::default();
        while found.len() < wanted && self.after < self.last {
            let left = u32::try_from(wanted - found.len()).unwrap_or(u32::MAX);
            let page = if everything { left } else { left.clamp(PAGE_MIN, PAGE) };
            let rows = all(db, "audit", self.page(tenant, is_newest, page), entry).await?;
            let Some(end) = rows.last().map(|(number, _)| *number) else { break };
            let is_last = rows.len() < page as usize;
            let fitting = rows.into_iter().map(|(_, entry)| entry).filter(|entry| search.filter.takes(&entry.record));
            found.extend(fitting.take(wanted - found.len()));
            if is_last {
                break;
            }
            if is_newest { self.last = end - 1 } else { self.after = end }
        }
        Ok(())
    }

    fn page(&self, tenant: &TenantName, is_newest: bool, limit: u32) -> Statement {
        let order = if is_newest { "DESC" } else { "ASC" };
        let sql = match self.keys.split_first() {
            None => format!(
                "SELECT sequence, record FROM audit WHERE tenant = $1 AND sequence > $2 AND sequence <= $3 ORDER BY sequence {order} LIMIT $4"
            ),
            Some((first, others)) => {
                let (one, also) = (source(first), others.iter().map(|group| also(group)).collect::<String>());
                format!(
                    "SELECT one.sequence AS sequence, record FROM {one} AS one CROSS JOIN audit
                    WHERE audit.tenant = $1 AND audit.sequence = one.sequence AND one.sequence > $2 AND one.sequence <= $3 {also} ORDER BY one.sequence {order} LIMIT $4"
                )
            }
        };
        let find = query(sql).persistent(false).bind(tenant.to_string()).bind(number(self.after));
        find.bind(number(self.last)).bind(limit)
    }
}

/// Where the numbers come from, in order: one key is walked along, of several the union is made.
fn source(group: &[i64]) -> String {
    match group {
        [key] => format!("(SELECT sequence FROM audit_index WHERE key = {key})"),
        keys => format!("(SELECT DISTINCT sequence FROM audit_index WHERE key IN ({}))", list(keys)),
    }
}

fn also(group: &[i64]) -> String {
    format!(" AND EXISTS (SELECT 1 FROM audit_index AS other WHERE other.key IN ({}) AND other.sequence = one.sequence)", list(group))
}

/// Numbers only: nothing that anybody has typed.
fn list(keys: &[i64]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn entry(row: &Columns) -> Result<(u64, Entry), StoreError> {
    let record: Record = row.json("record")?;
    Ok((row.count("sequence")?, Entry { bytes: row.raw("record")?, record }))
}
