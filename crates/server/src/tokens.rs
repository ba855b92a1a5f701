//! Bearer tokens: how people and their programs are known. Only digests are kept.
//!
//! A token is `tgt2.<id>.<secret>`: it is found by its public id, and compared by its digest in constant time. What its holder may do, the
//! tenant's bindings say; a token of the installation's own tenant is an owner's, who may do everything.

use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::name::{Sha256, TenantName, TokenName};
use tegata_core::time::{DAY, HOUR, Timestamp};
use tegata_pki::key::{random, same, sha256};
use zeroize::Zeroizing;

use crate::audit::Ledger;
use crate::issuers::authorities::instance;
use crate::store::access::{TokenChange, TokenRow};
use crate::store::{Batch, Change, NewRecord, StoreError};

#[cfg(test)]
mod tests;

/// What every token begins with, so that scanners of repositories and logs can find one that was left there:
/// `tgt2\.[0-9a-f]{16}\.[A-Za-z0-9_-]{43}`.
const PREFIX: &str = "tgt2.";
/// What tokens began with before they had an id. They are found by their digest, and work as before.
const OLD_PREFIX: &str = "tgt1.";

/// The shortest life of a token that somebody asks for.
const LIFE_MIN: Duration = HOUR;
/// The longest.
const LIFE_MAX: Duration = DAY.saturating_mul(366);

/// Why a token was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is none of that name or id.
    #[error("there is no such token")]
    NotFound,
    /// An owner of the installation and somebody of a tenant would have the same name in the log.
    #[error("the name {0} is taken")]
    Taken(TokenName),
    /// It would live too short or too long.
    #[error("a token lives for an hour at least and for 366 days at most")]
    Life,
    /// The database failed, or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who makes a token for whom.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What its holder is called.
    pub name: &'a TokenName,
    /// Whose; `None` for an owner of the installation.
    pub tenant: Option<&'a TenantName>,
    /// How long it lives; `None`: until it is revoked.
    pub life: Option<Duration>,
    /// Who makes it.
    pub by: &'a str,
    /// When.
    pub now: Timestamp,
}

/// Makes a token and keeps its digest. This is the only time that it can be read.
///
/// # Errors
/// [`TokenError`].
pub async fn make(ledger: &Ledger, wanted: Wanted<'_>) -> Result<(TokenRow, Zeroizing<String>), TokenError> {
    make_with(ledger, wanted, Batch::default()).await
}

/// The same, with what is committed beside it.
///
/// # Errors
/// [`TokenError`].
pub async fn make_with(ledger: &Ledger, wanted: Wanted<'_>, mut with: Batch) -> Result<(TokenRow, Zeroizing<String>), TokenError> {
    if wanted.life.is_some_and(|life| !(LIFE_MIN..=LIFE_MAX).contains(&life)) {
        return Err(TokenError::Life);
    }
    let id = HEXLOWER.encode(&random::<8>());
    let secret = Zeroizing::new(random::<32>());
    let token = Zeroizing::new(format!("{PREFIX}{id}.{}", BASE64URL_NOPAD.encode(secret.as_slice())));
    let row = TokenRow {
        id,
        digest: digest(&token),
        name: wanted.name.clone(),
        tenant: wanted.tenant.cloned(),
        created_at: wanted.now,
        created_by: wanted.by.to_owned(),
        expires_at: wanted.life.map(|life| wanted.now.after(life)),
        revoked_at: None,
    };
    with.records.push(said(&row, "token.create", (wanted.by, wanted.now)));
    with.changes.push(Change::Token(TokenChange::Put(Box::new(row.clone()))));
    match ledger.record((), with).await {
        Ok(_) => Ok((row, token)),
        Err(StoreError::Conflict(_)) => Err(TokenError::Taken(row.name)),
        Err(error) => Err(error.into()),
    }
}

/// Finds whom a token belongs to. One that has ended, or was revoked, belongs to nobody.
///
/// # Errors
/// If the database fails.
pub async fn holder(ledger: &Ledger, token: &str, now: Timestamp) -> Result<Option<TokenRow>, StoreError> {
    let found = if let Some(rest) = token.strip_prefix(PREFIX) {
        let id = rest.split_once('.').map_or(rest, |(id, _)| id);
        ledger.store().token(id).await?
    } else if token.starts_with(OLD_PREFIX) {
        ledger.store().token_by_digest(&digest(token)).await?
    } else {
        None
    };
    Ok(found.filter(|row| same(&row.digest.0, &digest(token).0) && row.is_in_force(now)))
}

/// Ends tokens: the one with this id, or all that are in force under this name. Gives them.
///
/// # Errors
/// [`TokenError::NotFound`], and the database's.
pub async fn revoke(
    ledger: &Ledger,
    tenant: Option<&TenantName>,
    name_or_id: &str,
    (by, now): (&str, Timestamp),
) -> Result<Vec<TokenRow>, TokenError> {
    let mut rows = ledger.store().tokens(tenant).await?;
    rows.retain(|row| row.is_in_force(now) && (row.id == name_or_id || row.name.as_str() == name_or_id));
    if rows.is_empty() {
        return Err(TokenError::NotFound);
    }
    let records = rows.iter().map(|row| said(row, "token.revoke", (by, now))).collect();
    let changes = rows.iter().map(|row| Change::Token(TokenChange::Revoke { id: row.id.clone(), at: now })).collect();
    ledger.record((), Batch { records, changes }).await?;
    Ok(rows)
}

fn said(row: &TokenRow, action: &'static str, (by, at): (&str, Timestamp)) -> NewRecord {
    NewRecord {
        tenant: row.tenant.clone().unwrap_or_else(instance),
        at,
        stage: Stage::Done,
        actor: by.to_owned(),
        action,
        object: row.name.to_string(),
        details: json!({ "id": row.id, "tenant": row.tenant.as_ref().map(ToString::to_string), "expiresAt": row.expires_at.map(Timestamp::unix) }),
    }
}

/// The token has 256 random bits, so a plain hash of it gives nothing away.
fn digest(token: &str) -> Sha256 {
    sha256(token.as_bytes())
}
