//! Sessions of people who have signed in: bearer tokens that live for some hours and for one tenant. Only digests are kept.
//!
//! A session says who somebody is, and in which groups they were when they signed in. What they may do, bindings say at each request.

use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};
use tegata_api::v1::audit::Stage;
use tegata_core::access::Login;
use tegata_core::name::{Sha256, TenantName};
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::key::{random, same, sha256};
use zeroize::Zeroizing;

use crate::audit::Ledger;
use crate::store::sessions::{SessionChange, SessionRow};
use crate::store::{Batch, Change, NewRecord, StoreError};

/// What the token of every session begins with: `tgs1\.[0-9a-f]{16}\.[A-Za-z0-9_-]{43}`.
pub const PREFIX: &str = "tgs1.";

/// The action of a record that says that somebody signed in.
pub const BEGIN: &str = "session.begin";
/// The action of a record that says that a session was ended before its time.
pub const END: &str = "session.end";
/// The action of a record that says that somebody was not let in.
pub const REFUSE: &str = "session.refuse";

/// The longest that a session lives, whatever anybody says.
pub const LIFE_MAX: Duration = DAY;
/// For how long a session is listed after it was over.
const REMEMBERED: Duration = DAY;

/// Begins a session. This is the only time that its token can be read.
///
/// # Errors
/// If the database fails, or gives nothing out.
pub async fn begin(
    ledger: &Ledger,
    (tenant, login): (&TenantName, Login),
    life: Duration,
    details: Value,
    now: Timestamp,
) -> Result<(SessionRow, Zeroizing<String>), StoreError> {
    let id = HEXLOWER.encode(&random::<8>());
    let secret = Zeroizing::new(random::<32>());
    let token = Zeroizing::new(format!("{PREFIX}{id}.{}", BASE64URL_NOPAD.encode(secret.as_slice())));
    let row = SessionRow {
        id,
        digest: digest(&token),
        tenant: tenant.clone(),
        login,
        created_at: now,
        expires_at: now.after(life.min(LIFE_MAX)),
        ended_at: None,
    };
    let record = said(&row, BEGIN, details, (&row.login.actor(), now));
    let begun = SessionChange::Begin { row: Box::new(row.clone()), forget: now.before(REMEMBERED) };
    ledger.record((), Batch { records: vec![record], changes: vec![Change::Session(begun)] }).await?;
    Ok((row, token))
}

/// Finds whose session a token is of. One that is over is nobody's, and so is every one while nothing is given out: it may have been ended in a
/// past that was lost.
///
/// # Errors
/// If the database fails.
pub async fn holder(ledger: &Ledger, token: &str, now: Timestamp) -> Result<Option<SessionRow>, StoreError> {
    let Some(rest) = token.strip_prefix(PREFIX) else { return Ok(None) };
    if ledger.history().is_open {
        return Ok(None);
    }
    let id = rest.split_once('.').map_or(rest, |(id, _)| id);
    let found = ledger.store().session(id).await?;
    Ok(found.filter(|row| same(&row.digest.0, &digest(token).0) && row.is_in_force(now)))
}

/// Ends a session that is in force.
///
/// # Errors
/// If the database fails, or it has ended already.
pub async fn end(ledger: &Ledger, row: &SessionRow, by: (&str, Timestamp)) -> Result<(), StoreError> {
    let ended = Change::Session(SessionChange::End { id: row.id.clone(), at: by.1 });
    ledger.record((), Batch { records: vec![said(row, END, json!({}), by)], changes: vec![ended] }).await?;
    Ok(())
}

fn said(row: &SessionRow, action: &'static str, mut details: Value, (by, at): (&str, Timestamp)) -> NewRecord {
    details["id"] = json!(row.id);
    details["issuer"] = json!(row.login.issuer);
    details["subject"] = json!(row.login.subject);
    details["expiresAt"] = json!(row.expires_at.unix());
    let (tenant, actor, object) = (row.tenant.clone(), by.to_owned(), "session".to_owned());
    NewRecord { tenant, at, stage: Stage::Done, actor, action, object, details }
}

/// The token has 256 random bits, so a plain hash of it gives nothing away.
fn digest(token: &str) -> Sha256 {
    sha256(token.as_bytes())
}
