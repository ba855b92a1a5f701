//! Tokens.

use async_trait::async_trait;
use tegata_core::name::{Sha256, TenantName};
use tegata_core::time::Timestamp;

use super::Database;
use super::changes::{Applied, guard};
use super::db::{Db, query};
use super::rows::Columns;
use crate::store::StoreError;
use crate::store::access::{TokenChange, TokenQueries, TokenRow};

pub(super) async fn apply(db: &mut Db, change: &TokenChange) -> Applied {
    match change {
        TokenChange::Put(row) => put(db, row).await,
        TokenChange::Revoke { id, at } => {
            let revoke = query("UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL");
            guard(revoke.bind(at.unix()).bind(id.as_str()).execute(db).await?, "the token is revoked already")
        }
    }
}

async fn put(db: &mut Db, row: &TokenRow) -> Applied {
    let put = "INSERT INTO tokens (digest, name, tenant, id, created_at, created_by, expires_at, revoked_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8
        WHERE NOT EXISTS (SELECT 1 FROM tokens WHERE name = $2 AND (tenant IS NULL) <> ($3 IS NULL))";
    let put = query(put).bind(&row.digest.0[..]).bind(row.name.as_str()).bind(row.tenant.as_ref().map(TenantName::as_str));
    let put = put.bind(&row.id[..]).bind(row.created_at.unix()).bind(&row.created_by[..]);
    let put = put.bind(row.expires_at.map(Timestamp::unix)).bind(row.revoked_at.map(Timestamp::unix));
    guard(put.execute(db).await?, "the name is taken")
}

#[async_trait]
impl TokenQueries for Database {
    async fn token(&self, id: &str) -> Result<Option<TokenRow>, StoreError> {
        self.one("tokens", query("SELECT * FROM tokens WHERE id = $1").bind(id.to_owned()), token).await
    }

    async fn token_by_digest(&self, digest: &Sha256) -> Result<Option<TokenRow>, StoreError> {
        self.one("tokens", query("SELECT * FROM tokens WHERE digest = $1").bind(digest.0.to_vec()), token).await
    }

    async fn tokens(&self, tenant: Option<&TenantName>) -> Result<Vec<TokenRow>, StoreError> {
        let find = query("SELECT * FROM tokens WHERE tenant IS NOT DISTINCT FROM $1 ORDER BY name, created_at, id");
        self.all("tokens", find.bind(tenant.map(ToString::to_string)), token).await
    }
}

fn token(row: &Columns) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        id: row.raw("id")?,
        digest: row.sha256("digest")?,
        name: row.text("name")?,
        tenant: row.optional_text("tenant")?,
        created_at: row.moment("created_at")?,
        created_by: row.raw("created_by")?,
        expires_at: row.optional_moment("expires_at")?,
        revoked_at: row.optional_moment("revoked_at")?,
    })
}
