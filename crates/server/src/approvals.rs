//! Two people for one act: one asks, another agrees, and within the hour the first may do exactly that, once.
//!
//! Backups are read so where a clinic's policy asks for it, and whoever an `AccessBinding` lets reach so many devices alone (`alone`) reaches more so.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::name::TenantName;
use tegata_core::time::{MINUTE, Timestamp};
use tegata_pki::key::random;

use crate::audit::Ledger;
use crate::store::approvals::{ApprovalChange, ApprovalRow, What};
use crate::store::{Batch, Change, NewRecord, StoreError};

#[cfg(test)]
mod tests;

/// How long somebody else has to agree, and the first to act.
const OPEN_FOR: Duration = MINUTE.saturating_mul(60);

/// Why an act is not let through, or not agreed to.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// Somebody else has to agree to this request first.
    #[error("somebody else has to agree to {0}")]
    Needed(String),
    /// Nobody of this tenant has asked for it, or the hour is over.
    #[error("there is no such request")]
    NotFound,
    /// It takes two people.
    #[error("another account than the one that asked has to agree")]
    SamePerson,
    /// The database failed, or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Somebody wants to do something that takes two people.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// In which tenant.
    pub tenant: &'a TenantName,
    /// What.
    pub what: What,
    /// To what, exactly: a word for this is no word for anything else.
    pub object: &'a str,
    /// How many devices it reaches, where that is why it takes two.
    pub devices: u64,
}

/// Lets an act through, or asks for somebody else's word first. Gives what is committed with the act: the word is used up by an act, not by
/// a try.
///
/// # Errors
/// [`ApprovalError::Needed`], and the database's.
pub async fn expect(ledger: &Ledger, act: Act<'_>, (actor, now): (&str, Timestamp)) -> Result<Batch, ApprovalError> {
    let open = ledger.store().approvals_open(act.tenant, now).await?;
    let is_this = |row: &ApprovalRow| row.what == act.what && row.object == act.object && row.asked_by == actor && row.is_open(now);
    match open.into_iter().find(is_this) {
        Some(row) if row.approved_by.is_some() => {
            let record = said(&row, Stage::Done, actor, Step::Release, now);
            let used = Change::Approval(ApprovalChange::Use { id: row.id, at: now });
            Ok(Batch { records: vec![record], changes: vec![used] })
        }
        Some(row) => Err(ApprovalError::Needed(row.id)),
        None => Err(ask(ledger, act, (actor, now)).await?),
    }
}

/// Puts on record what is asked for; gives what whoever asks is told.
async fn ask(ledger: &Ledger, act: Act<'_>, (actor, now): (&str, Timestamp)) -> Result<ApprovalError, StoreError> {
    let row = ApprovalRow {
        id: BASE32_NOPAD.encode(&random::<5>()),
        tenant: act.tenant.clone(),
        what: act.what,
        object: act.object.to_owned(),
        devices: act.devices,
        asked_by: actor.to_owned(),
        expires_at: now.after(OPEN_FOR),
        approved_by: None,
        used_at: None,
    };
    let record = said(&row, Stage::Intended, actor, Step::Ask, now);
    let asked = Change::Approval(ApprovalChange::Ask(row.clone()));
    ledger.record((), Batch { records: vec![record], changes: vec![asked] }).await?;
    Ok(ApprovalError::Needed(row.id))
}

/// Agrees to what somebody else has asked for. Doing it again changes nothing.
///
/// # Errors
/// [`ApprovalError::NotFound`], [`ApprovalError::SamePerson`], and the database's.
pub async fn approve(
    ledger: &Ledger,
    tenant: &TenantName,
    id: &str,
    (actor, now): (&str, Timestamp),
) -> Result<ApprovalRow, ApprovalError> {
    let row = ledger.store().approval(tenant, id).await?.filter(|row| row.is_open(now)).ok_or(ApprovalError::NotFound)?;
    if row.asked_by == actor {
        return Err(ApprovalError::SamePerson);
    }
    if row.approved_by.is_none() {
        let record = said(&row, Stage::Done, actor, Step::Approve, now);
        let approved = Change::Approval(ApprovalChange::Approve { id: row.id.clone(), by: actor.to_owned() });
        ledger.record((), Batch { records: vec![record], changes: vec![approved] }).await?;
    }
    Ok(row)
}

/// One of the three records of an act that takes two people.
#[derive(Clone, Copy)]
enum Step {
    Ask,
    Approve,
    Release,
}

/// What a step is called in the log. Reads of backups keep the words that they had.
fn action(what: What, step: Step) -> &'static str {
    match (what, step) {
        (What::ReadBackup, Step::Ask) => "backup.ask",
        (What::ReadBackup, Step::Approve) => "backup.approve",
        (What::ReadBackup, Step::Release) => "backup.release",
        (What::Apply | What::RevokeMany | What::MakeToken, Step::Ask) => "act.ask",
        (What::Apply | What::RevokeMany | What::MakeToken, Step::Approve) => "act.approve",
        (What::Apply | What::RevokeMany | What::MakeToken, Step::Release) => "act.release",
    }
}

fn said(row: &ApprovalRow, stage: Stage, actor: &str, step: Step, at: Timestamp) -> NewRecord {
    let details = json!({
        "request": row.id, "askedBy": row.asked_by, "expiresAt": row.expires_at.unix(), "what": crate::words::act(row.what),
        "devices": row.devices,
    });
    let (action, object) = (action(row.what, step), row.object.clone());
    NewRecord { tenant: row.tenant.clone(), at, stage, actor: actor.to_owned(), action, object, details }
}
