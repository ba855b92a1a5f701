//! Texts that may name a person, beside the records that hold commitments to them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::json;
use tegata_api::v1::audit::{Disclosure, Erased, Record, commitments, reveal};
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;

use super::changes::{Applied, Refusal};
use super::db::{Db, Pool, Statement, query};
use super::rows::{Columns, number};
use super::{Database, all, hex};
use crate::store::StoreError;
use crate::store::audit::Entry;
use crate::store::audit::personal::{Erase, Kept, Mark, PersonalQueries, Which};

#[async_trait]
impl PersonalQueries for Database {
    async fn disclosures_of(&self, tenant: &TenantName, records: &[u64]) -> Result<Vec<Disclosure>, StoreError> {
        of_records(&self.readers, tenant, records).await
    }

    async fn disclosures(&self, tenant: &TenantName, after: Mark, through: u64, limit: u32) -> Result<Vec<(Mark, Disclosure)>, StoreError> {
        let find = "SELECT * FROM audit_personal WHERE tenant = $1 AND (sequence, number) > ($2, $3) AND sequence <= $4 AND erased = 0
            ORDER BY sequence, number LIMIT $5";
        let find = query(find).bind(tenant.to_string()).bind(number(after.sequence)).bind(after.number).bind(number(through)).bind(limit);
        let read = |row: &Columns| Ok((Mark { sequence: row.count("sequence")?, number: row.raw("number")? }, disclosure(row)?));
        self.all("audit_personal", find, read).await
    }

    async fn texts(&self, tenant: &TenantName, after: u64, through: u64) -> Result<BTreeMap<u64, u64>, StoreError> {
        let find =
            "SELECT sequence, count(*) AS texts FROM audit_personal WHERE tenant = $1 AND sequence > $2 AND sequence <= $3 AND erased = 0
            GROUP BY sequence";
        let find = query(find).bind(tenant.to_string()).bind(number(after)).bind(number(through));
        let found = self.all("audit_personal", find, |row| Ok((row.count("sequence")?, row.count("texts")?))).await?;
        Ok(found.into_iter().collect())
    }

    async fn certificate_ends(&self, tenant: &TenantName, names: &BTreeSet<String>) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let find = query(ENDS).bind(rows_of(names)).bind(tenant.to_string());
        let found = self.all("certificates", find, |row| Ok((row.raw::<String>("name")?, row.moment("not_after")?))).await?;
        // A vendor's certificate may be on several devices: it is the same one.
        Ok(found.into_iter().collect())
    }

    async fn erasable(&self, tenant: &TenantName, which: &Which, limit: u32) -> Result<Vec<Erased>, StoreError> {
        let find = match which {
            Which::OfRecords(records) => query(OF_RECORDS).bind(tenant.to_string()).bind(rows_of(records)),
            Which::Saying(text) => query(SAYING).bind(tenant.to_string()).bind(text.clone().into_bytes()),
        };
        self.all("audit_personal", find.bind(limit), erased).await
    }
}

const ENDS: &str = "WITH asked (name) AS MATERIALIZED (SELECT unhex(value ->> 0) FROM json_each($1))
    SELECT lower(hex(name)) AS name, not_after FROM asked CROSS JOIN certificates WHERE serial = name AND tenant = $2
    UNION ALL SELECT lower(hex(name)), not_after FROM asked CROSS JOIN certificates WHERE fingerprint = name AND tenant = $2
    UNION ALL SELECT lower(hex(name)), not_after FROM asked CROSS JOIN certificates WHERE order_id = name AND tenant = $2
    UNION ALL SELECT lower(hex(name)), not_after FROM asked CROSS JOIN portal_certificates WHERE serial = name AND tenant = $2
    UNION ALL SELECT lower(hex(name)), not_after FROM asked CROSS JOIN portal_certificates WHERE fingerprint = name AND tenant = $2";
const OF_RECORDS: &str = "SELECT sequence, lower(hex(commitment)) AS commitment, record FROM audit_personal JOIN audit USING (tenant, sequence)
    WHERE tenant = $1 AND erased = 0 AND sequence IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each($2)) ORDER BY sequence, number LIMIT $3";
const SAYING: &str = "SELECT sequence, lower(hex(commitment)) AS commitment, record FROM audit_personal JOIN audit USING (tenant, sequence)
    WHERE tenant = $1 AND erased = 0 AND text = $2 ORDER BY sequence, number LIMIT $3";

/// Keeps the texts of records that have just been written.
pub(super) async fn keep(db: &mut Db, kept: Vec<(String, u64, Kept)>) -> Result<(), sqlx::Error> {
    if kept.is_empty() {
        return Ok(());
    }
    let row = |(tenant, sequence, kept): (String, u64, Kept)| {
        (tenant, sequence, hex(&kept.commitment), hex(&kept.salt), hex(kept.text.as_bytes()))
    };
    let rows: Vec<_> = kept.into_iter().map(row).collect();
    let keep = "INSERT INTO audit_personal (tenant, sequence, commitment, salt, text)
        SELECT value ->> 0, CAST(value ->> 1 AS BIGINT), unhex(value ->> 2), unhex(value ->> 3), unhex(value ->> 4) FROM json_each($1)";
    query(keep).bind(json!(rows).to_string()).execute(db).await.map(drop)
}

/// Overwrites texts and salts where they lie. The writer then empties the database's log of what was there before.
pub(super) async fn erase(db: &mut Db, erase: &Erase) -> Applied {
    // As long as before, or the row would be written elsewhere and leave what it was behind.
    let overwrite = "UPDATE audit_personal SET erased = 1, salt = zeroblob(32), text = zeroblob(length(text))
        WHERE erased = 0 AND tenant = $1 AND (sequence, commitment) IN (SELECT CAST(value ->> 0 AS BIGINT), unhex(value ->> 1) FROM json_each($2))
            AND sequence IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each($2))";
    let overwrite = query(overwrite).bind(erase.tenant.to_string()).bind(json!(erase.texts).to_string());
    let done = overwrite.execute(db).await?;
    if done == erase.texts.len() as u64 { Ok(()) } else { Err(Refusal::Conflict("one of the texts is gone already")) }
}

/// Shows the texts of what was found, as far as they are still there.
pub(super) async fn show(db: &Pool, tenant: &TenantName, found: &mut [Entry]) -> Result<(), StoreError> {
    let with_texts = found.iter().filter(|entry| !commitments(&entry.record.details).is_empty());
    let records: Vec<u64> = with_texts.map(|entry| entry.record.sequence).collect();
    if records.is_empty() {
        return Ok(());
    }
    let disclosed = of_records(db, tenant, &records).await?;
    let texts = disclosed.into_iter().map(|disclosure| (disclosure.commitment, disclosure.text)).collect();
    found.iter_mut().for_each(|entry| reveal(&mut entry.record.details, &texts));
    Ok(())
}

async fn of_records(db: &Pool, tenant: &TenantName, records: &[u64]) -> Result<Vec<Disclosure>, StoreError> {
    let find = "SELECT * FROM audit_personal WHERE tenant = $1 AND sequence IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each($2)) AND erased = 0
        ORDER BY sequence, number";
    let find: Statement = query(find).bind(tenant.to_string()).bind(rows_of(records));
    all(db, "audit_personal", find, disclosure).await
}

fn disclosure(row: &Columns) -> Result<Disclosure, StoreError> {
    let text = String::from_utf8_lossy(row.raw("text")?).into_owned();
    Ok(Disclosure { sequence: row.count("sequence")?, commitment: hex(row.raw("commitment")?), salt: hex(row.raw("salt")?), text })
}

fn erased(row: &Columns) -> Result<Erased, StoreError> {
    let Record { sequence, at, action, object, .. } = row.json("record")?;
    Ok(Erased { sequence, commitment: row.raw("commitment")?, at, action, object })
}

/// A list, as statements take it: a row for each.
fn rows_of<T: serde::Serialize>(values: impl IntoIterator<Item = T>) -> String {
    json!(values.into_iter().map(|value| [value]).collect::<Vec<_>>()).to_string()
}

#[cfg(test)]
mod tests;
