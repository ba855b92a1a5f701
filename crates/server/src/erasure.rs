//! Texts that may name a person, given to who may read the log, and erased. What is erased is gone: the log keeps its commitments, its root and every
//! proof, and says who has erased what of which record, and why.

use futures::Stream;
use serde_json::json;
use tegata_api::v1::audit::{Disclosure, EraseRequest, Erased, Erasure, Stage};
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;

use crate::asks::AskError;
use crate::audit::Ledger;
use crate::retention;
use crate::store::audit::personal::{Erase, Mark, Which};
use crate::store::{Batch, Change, NewRecord, Personal, StoreError};

/// How many texts are erased at once at most: as many as one record can name.
const AT_ONCE: u32 = 1_000;
/// The longest text that is asked for, in bytes: longer than any path.
const TEXT_MAX: usize = 32 << 10;
/// The longest reason, in characters.
const WHY_MAX: usize = 500;
/// What is refused as unclear.
const MEANT: &str = "say which texts are meant: by the numbers of their records, as a whole text, or those that are due";
/// What is refused as too short.
pub(crate) const TOO_SHORT: &str = "the period is 7 to 100 years: no record would tell later that it had been longer than a shorter one";
/// How many texts are read at once.
const PAGE: u32 = 1_000;

/// Erases texts, or says which ones it would be. At most a thousand at once: the same request goes on with the rest.
///
/// # Errors
/// [`AskError::Malformed`].
pub async fn erase(
    ledger: &Ledger,
    tenant: &TenantName,
    request: &EraseRequest,
    (actor, now): (&str, Timestamp),
) -> Result<Erasure, AskError> {
    let which = match which(request)? {
        Some(which) => which,
        None => Which::OfRecords(due(ledger, tenant, request.due, now).await?),
    };
    let mut texts = ledger.store().erasable(tenant, &which, AT_ONCE + 1).await?;
    let more = texts.len() > AT_ONCE as usize;
    texts.truncate(AT_ONCE as usize);
    if request.sure {
        let named = texts.iter().map(|text| (text.sequence, text.commitment.clone())).collect();
        let erase = Change::Erase(Erase { tenant: tenant.clone(), texts: named });
        let records = said(tenant, request, &texts, (actor, now)).into_iter().collect();
        // Also of nothing: a process that ended in the middle may have left a copy in the database's log.
        ledger.note(Batch { records, changes: vec![erase] }).await?;
    }
    Ok(Erasure { texts, more })
}

/// The record of it: the transaction is the deed. Of nothing there is none.
fn said(tenant: &TenantName, request: &EraseRequest, texts: &[Erased], (actor, at): (&str, Timestamp)) -> Option<NewRecord> {
    let mut records: Vec<u64> = texts.iter().map(|text| text.sequence).collect();
    records.dedup();
    let details = json!({ "records": records, "texts": texts.len(), "why": Personal(request.why.trim()) });
    let (actor, object) = (actor.to_owned(), "audit".to_owned());
    let record = NewRecord { tenant: tenant.clone(), at, stage: Stage::Done, actor, action: "audit.erase", object, details };
    (!texts.is_empty()).then_some(record)
}

/// Records whose time is over and whose texts are still there: the first thousand.
async fn due(ledger: &Ledger, tenant: &TenantName, years: Option<u32>, now: Timestamp) -> Result<Vec<u64>, AskError> {
    let mut found = Vec::new();
    let take = |sequence| {
        if found.len() <= AT_ONCE as usize {
            found.push(sequence);
        }
    };
    let planned = retention::plan(ledger, tenant, (years.unwrap_or_default(), now), take).await?;
    planned.map(|_| found).ok_or(AskError::Malformed(TOO_SHORT))
}

/// What is meant; nothing if it is what is due.
fn which(request: &EraseRequest) -> Result<Option<Which>, AskError> {
    let why = request.why.trim();
    if request.sure && (why.is_empty() || why.chars().count() > WHY_MAX) {
        return Err(AskError::Malformed("say in 1 to 500 characters why the texts are erased"));
    }
    if request.due.is_some() && request.text.is_none() && request.records.is_empty() {
        return Ok(None);
    }
    match (&request.text, &request.records[..]) {
        _ if request.due.is_some() => Err(AskError::Malformed(MEANT)),
        (Some(text), []) if text.is_empty() || text.len() > TEXT_MAX => {
            Err(AskError::Malformed("the text is empty, or longer than any that is kept"))
        }
        (Some(text), []) if why.contains(text.as_str()) => Err(AskError::Malformed("the reason repeats what is to be erased")),
        (Some(text), []) => Ok(Some(Which::Saying(text.clone()))),
        (None, []) | (Some(_), _) => Err(AskError::Malformed(MEANT)),
        (None, records) if records.len() > AT_ONCE as usize => Err(AskError::Malformed("more than 1,000 records at once")),
        (None, records) => Ok(Some(Which::OfRecords(records.to_vec()))),
    }
}

/// The texts of a tenant's records after `after`, up to `through`, each page when it is wanted.
pub fn pages(ledger: Ledger, tenant: TenantName, after: u64, through: u64) -> impl Stream<Item = Result<Vec<Disclosure>, StoreError>> {
    let from = Mark { sequence: after, number: i64::MAX };
    futures::stream::try_unfold((ledger, tenant, from), move |(ledger, tenant, from)| async move {
        let page = ledger.store().disclosures(&tenant, from, through, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        let next = (ledger, tenant, *last);
        Ok(Some((page.into_iter().map(|(_, disclosure)| disclosure).collect(), next)))
    })
}

#[cfg(test)]
mod tests;
