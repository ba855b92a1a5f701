//! What people ask about backups, and what devices send.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tegata_api::v1::backup::{ApproveRequest, Approved, Backup, DrillReport, FetchRequest, Fetched, KeepRequest};
use tegata_core::access::Right;

use crate::approvals;
use crate::audit::Ledger;
use crate::backup::target::Access;
use crate::backup::{approval, drill, fetch, view};
use crate::bells::Bells;
use crate::clock::Clock;
use crate::http::access::{Caller, Only};
use crate::http::agent::{KnownCaller, Said};
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body, Route, get, post};

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::{Device, Person};
    vec![
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/backups", backups).by_handler(),
        post(Person(Right::ReadSealed), "/v1/tenants/{tenant}/backups/{clinic}/{device}/{profile}/fetch", hand_out),
        post(Person(Right::ReadSealed), "/v1/tenants/{tenant}/backups/{clinic}/{device}/{profile}/drill", drilled),
        post(Person(Right::Approve), "/v1/tenants/{tenant}/backup-approvals", approve),
        post(Device, "/v1/agent/backups", keep),
    ]
}

async fn backups(
    caller: Caller,
    only: Only,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<Json<Vec<Backup>>, Refusal> {
    let mut found = Vec::new();
    for clinic in only.of(&ledger, &caller).await? {
        found.extend(view::backups(&ledger, caller.tenant(), clinic.as_ref(), clock.now()).await?);
    }
    Ok(Json(found))
}

async fn hand_out(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(access): State<Access>,
    State(clock): State<Clock>,
    Body(request): Body<FetchRequest>,
) -> Result<Json<Fetched>, Refusal> {
    let (by, slot) = ((caller.actor(), clock.now()), caller.slot()?);
    let release = approval::expect(&ledger, caller.tenant(), &slot, &request, by).await?;
    Ok(Json(fetch::fetch(&ledger, &access, (caller.tenant(), &slot), &request, release, by).await?))
}

async fn drilled(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Body(report): Body<DrillReport>,
) -> Result<StatusCode, Refusal> {
    drill::note(&ledger, &bells, caller.tenant(), &caller.slot()?, &report, (caller.actor(), clock.now())).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn approve(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(request): Body<ApproveRequest>,
) -> Result<Json<Approved>, Refusal> {
    let row = approvals::approve(&ledger, caller.tenant(), &request.id, (caller.actor(), clock.now())).await?;
    Ok(Json(Approved { slot: row.object }))
}

async fn keep(
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Said(caller, request): Said<KnownCaller, KeepRequest>,
) -> Result<StatusCode, Refusal> {
    fetch::taken_from(&ledger, &bells, caller.row(), &request, clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
