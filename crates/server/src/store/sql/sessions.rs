//! Sessions of people.

use std::collections::BTreeSet;

use async_trait::async_trait;
use tegata_core::access::Login;
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;

use super::Database;
use super::changes::{Applied, guard};
use super::db::{Db, query};
use super::rows::Columns;
use crate::store::StoreError;
use crate::store::sessions::{SessionChange, SessionQueries, SessionRow};

pub(super) async fn apply(db: &mut Db, change: &SessionChange) -> Applied {
    match change {
        SessionChange::Begin { row, forget } => begin(db, row, *forget).await,
        SessionChange::End { id, at } => {
            let end = query("UPDATE sessions SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL");
            guard(end.bind(at.unix()).bind(id.as_str()).execute(db).await?, "the session has ended already")
        }
    }
}

async fn begin(db: &mut Db, row: &SessionRow, forget: Timestamp) -> Applied {
    query("DELETE FROM sessions WHERE expires_at < $1").bind(forget.unix()).execute(&mut *db).await?;
    let put = "INSERT INTO sessions (id, digest, tenant, issuer, subject, groups, created_at, expires_at, ended_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let groups = serde_json::to_string(&row.login.groups).expect("a list of texts");
    let put = query(put).bind(&row.id[..]).bind(&row.digest.0[..]).bind(row.tenant.as_str());
    let put = put.bind(&row.login.issuer[..]).bind(&row.login.subject[..]).bind(groups);
    let put = put.bind(row.created_at.unix()).bind(row.expires_at.unix()).bind(row.ended_at.map(Timestamp::unix));
    put.execute(db).await?;
    Ok(())
}

#[async_trait]
impl SessionQueries for Database {
    async fn session(&self, id: &str) -> Result<Option<SessionRow>, StoreError> {
        self.one("sessions", query("SELECT * FROM sessions WHERE id = $1").bind(id.to_owned()), session).await
    }

    async fn sessions(&self, tenant: &TenantName) -> Result<Vec<SessionRow>, StoreError> {
        let find = query("SELECT * FROM sessions WHERE tenant = $1 ORDER BY created_at, id");
        self.all("sessions", find.bind(tenant.to_string()), session).await
    }
}

fn session(row: &Columns) -> Result<SessionRow, StoreError> {
    let groups: BTreeSet<String> = row.json("groups")?;
    Ok(SessionRow {
        id: row.raw("id")?,
        digest: row.sha256("digest")?,
        tenant: row.text("tenant")?,
        login: Login { issuer: row.raw("issuer")?, subject: row.raw("subject")?, groups },
        created_at: row.moment("created_at")?,
        expires_at: row.moment("expires_at")?,
        ended_at: row.optional_moment("ended_at")?,
    })
}
