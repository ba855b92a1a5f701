//! Acts that take two people.

use async_trait::async_trait;
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;

use super::Database;
use super::changes::{Applied, guard};
use super::db::{Db, query};
use super::rows::{Columns, number};
use crate::store::StoreError;
use crate::store::approvals::{ApprovalChange, ApprovalQueries, ApprovalRow};
use crate::words;

pub(super) async fn apply(db: &mut Db, change: &ApprovalChange) -> Applied {
    match change {
        ApprovalChange::Ask(row) => ask(db, row).await,
        ApprovalChange::Approve { id, by } => {
            let approve = query("UPDATE approvals SET approved_by = $1 WHERE id = $2 AND approved_by IS NULL AND used_at IS NULL");
            guard(approve.bind(by.as_str()).bind(id.as_str()).execute(db).await?, "it was agreed to already")
        }
        ApprovalChange::Use { id, at } => {
            let used = query("UPDATE approvals SET used_at = $1 WHERE id = $2 AND approved_by IS NOT NULL AND used_at IS NULL");
            guard(used.bind(at.unix()).bind(id.as_str()).execute(db).await?, "it was done already")
        }
    }
}

async fn ask(db: &mut Db, row: &ApprovalRow) -> Applied {
    let ask = "INSERT INTO approvals (id, tenant, what, object, devices, asked_by, expires_at, approved_by, used_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let ask = query(ask).bind(&row.id[..]).bind(row.tenant.as_str()).bind(words::act(row.what)).bind(&row.object[..]);
    let ask = ask.bind(number(row.devices)).bind(&row.asked_by[..]).bind(row.expires_at.unix());
    ask.bind(row.approved_by.as_deref()).bind(row.used_at.map(Timestamp::unix)).execute(db).await?;
    Ok(())
}

#[async_trait]
impl ApprovalQueries for Database {
    async fn approval(&self, tenant: &TenantName, id: &str) -> Result<Option<ApprovalRow>, StoreError> {
        let find = query("SELECT * FROM approvals WHERE tenant = $1 AND id = $2").bind(tenant.to_string()).bind(id.to_owned());
        self.one("approvals", find, approval).await
    }

    async fn approvals_open(&self, tenant: &TenantName, now: Timestamp) -> Result<Vec<ApprovalRow>, StoreError> {
        let find = "SELECT * FROM approvals WHERE tenant = $1 AND used_at IS NULL AND expires_at >= $2 ORDER BY expires_at, id";
        self.all("approvals", query(find).bind(tenant.to_string()).bind(now.unix()), approval).await
    }
}

fn approval(row: &Columns) -> Result<ApprovalRow, StoreError> {
    Ok(ApprovalRow {
        id: row.raw("id")?,
        tenant: row.tenant()?,
        what: row.word("what", words::read_act)?,
        object: row.raw("object")?,
        devices: row.count("devices")?,
        asked_by: row.raw("asked_by")?,
        expires_at: row.moment("expires_at")?,
        approved_by: row.raw("approved_by")?,
        used_at: row.optional_moment("used_at")?,
    })
}
