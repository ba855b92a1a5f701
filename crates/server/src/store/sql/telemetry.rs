//! Measuring.

use async_trait::async_trait;
use tegata_core::name::TenantName;

use super::Database;
use super::changes::{Applied, guard};
use super::db::{Db, query};
use super::rows::{Columns, number};
use crate::store::StoreError;
use crate::store::telemetry::{ClinicMark, Exported, LogRow, TelemetryQueries, Unfinished, UnfinishedRow};

/// Goes from one tenant to the next by the index of the records: work for each tenant, not for each record.
const LOGS: &str = "WITH RECURSIVE known (tenant) AS (
        SELECT min(tenant) FROM audit
        UNION ALL SELECT (SELECT min(tenant) FROM audit WHERE tenant > known.tenant) FROM known WHERE known.tenant IS NOT NULL)
    SELECT known.tenant, (SELECT max(sequence) FROM audit WHERE audit.tenant = known.tenant) AS records,
        coalesce(size, 0) AS covered, at FROM known LEFT JOIN log_heads USING (tenant) WHERE known.tenant IS NOT NULL";

/// Each part reads what a partial index holds, and nothing else.
const UNFINISHED: &str =
    "SELECT 'issuance' AS what, tenant, count(*) AS count, min(opened_at) AS oldest FROM orders WHERE state = 0 GROUP BY tenant
    UNION ALL
    SELECT 'signature', tenant, count(*), min(at) FROM (
        SELECT tenant, opened_at AS at FROM orders WHERE state = 0 AND draft_serial IS NOT NULL
        UNION ALL SELECT tenant, applied_at FROM portal_certificates WHERE der IS NULL) AS unsigned GROUP BY tenant
    UNION ALL
    SELECT 'letter', tenant, count(*), min(letters.at) FROM deliveries JOIN letters ON letters.id = letter WHERE state = 0 GROUP BY tenant";

const BEHIND: &str = "WITH RECURSIVE known (tenant) AS (
        SELECT min(tenant) FROM audit
        UNION ALL SELECT (SELECT min(tenant) FROM audit WHERE tenant > known.tenant) FROM known WHERE known.tenant IS NOT NULL)
    SELECT known.tenant, coalesce(through, 0) AS through FROM known
        LEFT JOIN audit_exported ON audit_exported.tenant = known.tenant AND sink = $1 WHERE known.tenant IS NOT NULL
        AND (SELECT max(sequence) FROM audit WHERE audit.tenant = known.tenant) > coalesce(through, 0)";

/// Notes that records were taken.
pub(super) async fn export(db: &mut Db, exported: &Exported) -> Applied {
    let note = "INSERT INTO audit_exported (sink, tenant, through, at)
            SELECT $1, $2, $4, $5 WHERE $3 = 0 OR EXISTS (SELECT 1 FROM audit_exported WHERE sink = $1 AND tenant = $2)
        ON CONFLICT (sink, tenant) DO UPDATE SET through = excluded.through, at = excluded.at WHERE audit_exported.through = $3";
    let note = query(note).bind(exported.sink.clone()).bind(exported.tenant.to_string()).bind(number(exported.from));
    let note = note.bind(number(exported.through)).bind(exported.at.unix());
    guard(note.execute(db).await?, "the records were exported already")
}

#[async_trait]
impl TelemetryQueries for Database {
    async fn clinic_marks(&self) -> Result<Vec<ClinicMark>, StoreError> {
        let read = |row: &Columns| {
            Ok(ClinicMark { clinic: row.clinic()?, nudges: row.count("nudges")?, wake_at: row.optional_moment("wake_at")? })
        };
        self.all("clinics", query("SELECT tenant, clinic, nudges, wake_at FROM clinics ORDER BY tenant, clinic"), read).await
    }

    async fn logs(&self) -> Result<Vec<LogRow>, StoreError> {
        let read = |row: &Columns| {
            let (records, covered) = (row.count("records")?, row.count("covered")?);
            Ok(LogRow { tenant: row.tenant()?, records, covered, signed_at: row.optional_moment("at")? })
        };
        self.all("audit", query(LOGS), read).await
    }

    async fn unfinished(&self) -> Result<Vec<UnfinishedRow>, StoreError> {
        let read = |row: &Columns| {
            let (what, count) = (row.word("what", read_unfinished)?, row.count("count")?);
            Ok(UnfinishedRow { tenant: row.tenant()?, what, count, oldest: row.moment("oldest")? })
        };
        self.all("orders", query(UNFINISHED), read).await
    }

    async fn exported(&self, sink: &str) -> Result<Vec<(TenantName, u64)>, StoreError> {
        let find = query("SELECT tenant, through FROM audit_exported WHERE sink = $1").bind(sink.to_owned());
        self.all("audit_exported", find, |row| Ok((row.tenant()?, row.count("through")?))).await
    }

    async fn exports_behind(&self, sink: &str) -> Result<Vec<(TenantName, u64)>, StoreError> {
        self.all("audit_exported", query(BEHIND).bind(sink.to_owned()), |row| Ok((row.tenant()?, row.count("through")?))).await
    }
}

fn read_unfinished(word: &str) -> Option<Unfinished> {
    [Unfinished::Issuance, Unfinished::Signature, Unfinished::Letter].into_iter().find(|what| what.word() == word)
}
