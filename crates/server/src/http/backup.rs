//! What people ask about backups, and what devices send.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tegata_api::v1::backup::{Backup, FetchRequest, Fetched, KeepRequest};

use crate::audit::Ledger;
use crate::backup::target::Access;
use crate::backup::{fetch, view};
use crate::bells::Bells;
use crate::clock::Clock;
use crate::http::agent::{KnownCaller, Said};
use crate::http::people::{Caller, Only};
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body, Route, get, post};

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::{Device, Person};
    vec![
        get(Person, "/v1/tenants/{tenant}/backups", backups),
        post(Person, "/v1/tenants/{tenant}/backups/{clinic}/{device}/{profile}/fetch", hand_out),
        post(Device, "/v1/agent/backups", keep),
    ]
}

async fn backups(
    caller: Caller,
    only: Only,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<Json<Vec<Backup>>, Refusal> {
    let clinic = only.known(&ledger, caller.tenant()).await?;
    Ok(Json(view::backups(&ledger, caller.tenant(), clinic.as_ref(), clock.now()).await?))
}

async fn hand_out(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(access): State<Access>,
    State(clock): State<Clock>,
    Body(request): Body<FetchRequest>,
) -> Result<Json<Fetched>, Refusal> {
    let by = (caller.actor(), clock.now());
    Ok(Json(fetch::fetch(&ledger, &access, caller.tenant(), &caller.slot()?, &request, by).await?))
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
