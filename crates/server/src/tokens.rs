//! Bearer tokens: how people and their programs are known. Only digests are kept.

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::name::{Sha256, TenantName};
use tegata_core::time::Timestamp;
use tegata_pki::key::{random, sha256};
use zeroize::Zeroizing;

use crate::audit::Ledger;
use crate::issuers::authorities::instance;
use crate::store::{Batch, Change, NewRecord, StoreError, TokenRow};

/// What every token begins with, so that scanners of repositories and logs can find one that was left there.
const PREFIX: &str = "tgt1.";

/// Makes a token and keeps its digest. `None` is for every tenant. This is the only time that it can be read.
///
/// # Errors
/// If the database fails.
pub async fn make(ledger: &Ledger, name: &str, tenant: Option<&TenantName>, now: Timestamp) -> Result<Zeroizing<String>, StoreError> {
    let token = Zeroizing::new(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(Zeroizing::new(random::<32>()).as_slice())));
    let row = TokenRow { digest: digest(&token), name: name.to_owned(), tenant: tenant.cloned() };
    let record = NewRecord {
        tenant: tenant.cloned().unwrap_or_else(instance),
        at: now,
        stage: Stage::Done,
        actor: "tegata".into(),
        action: "token.create",
        object: name.to_owned(),
        details: json!({ "tenant": tenant.map(ToString::to_string) }),
    };
    ledger.record((), Batch { records: vec![record], changes: vec![Change::PutToken(row)] }).await?;
    Ok(token)
}

/// Finds whom a token belongs to.
///
/// # Errors
/// If the database fails.
pub async fn holder(ledger: &Ledger, token: &str) -> Result<Option<TokenRow>, StoreError> {
    if !token.starts_with(PREFIX) {
        return Ok(None);
    }
    ledger.store().token(&digest(token)).await
}

/// The token has 256 random bits, so a plain hash of it gives nothing away and a lookup by it needs no constant time.
fn digest(token: &str) -> Sha256 {
    sha256(token.as_bytes())
}
