//! A tenant's log as a tree (C2SP tlog-tiles): the checkpoint, the key that signed it, tiles of hashes, and the entries.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use tegata_api::v1::audit::Witnesses;
use tegata_core::access::Right;
use tegata_tlog::merkle::Frontier;
use tegata_tlog::policy::Policy;
use tegata_tlog::tile::{Resource, WIDTH};

use crate::audit::Ledger;
use crate::clock::Clock;
use crate::http::access::Caller;
use crate::http::refuse::Refusal;
use crate::http::{Audience, Route, get};
use crate::log;
use crate::log::keys::LogKeys;
use crate::log::witnesses;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Person;
    vec![
        get(Person(Right::ReadAudit), "/v1/tenants/{tenant}/log/checkpoint", checkpoint),
        get(Person(Right::ReadAudit), "/v1/tenants/{tenant}/log/key", key),
        get(Person(Right::ReadAudit), "/v1/tenants/{tenant}/log/tile/{*path}", tile),
        get(Person(Right::ReadAudit), "/v1/tenants/{tenant}/log/witnessed", witnessed),
        get(Person(Right::ReadAudit), "/v1/tenants/{tenant}/log/witnesses", told),
    ]
}

/// The newest checkpoint, a signed note.
async fn checkpoint(caller: Caller, State(ledger): State<Ledger>, State(keys): State<Arc<LogKeys>>) -> Result<impl IntoResponse, Refusal> {
    let head = ledger.store().log_head(caller.tenant()).await?;
    let note = head.map_or_else(|| keys.signed(caller.tenant(), 0, Frontier::default().root()), |head| head.note);
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")], note))
}

/// The newest checkpoint that a quorum of witnesses has cosigned, with their signatures; nothing if there is none.
async fn witnessed(caller: Caller, State(ledger): State<Ledger>) -> Result<impl IntoResponse, Refusal> {
    let note = ledger.store().log_cosigned(caller.tenant()).await?.map(|cosigned| cosigned.note).unwrap_or_default();
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")], note))
}

/// What each witness has said.
async fn told(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(keys): State<Arc<LogKeys>>,
    State(policy): State<Option<Arc<Policy>>>,
    State(clock): State<Clock>,
) -> Result<Json<Witnesses>, Refusal> {
    Ok(Json(witnesses::told(&ledger, &keys, policy.as_deref(), caller.tenant(), clock.now()).await?))
}

/// The key that checkpoints are checked with, as signed notes write it.
async fn key(caller: Caller, State(keys): State<Arc<LogKeys>>) -> Result<impl IntoResponse, Refusal> {
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{}\n", keys.signer(caller.tenant()).verifier())))
}

/// Hashes or entries. What is full never changes.
async fn tile(caller: Caller, Path((_, path)): Path<(String, String)>, State(ledger): State<Ledger>) -> Result<impl IntoResponse, Refusal> {
    let asked: Resource = path.parse().map_err(|_| Refusal::not_found())?;
    let bytes = log::read(&ledger, caller.tenant(), asked).await?.ok_or_else(Refusal::not_found)?;
    let kept = if asked.width == WIDTH { "private, max-age=31536000, immutable" } else { "no-store" };
    Ok(([(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, kept)], bytes))
}
