//! What people ask about certificates that vendors issue.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tegata_api::v1::vendor::{AdoptRequest, ConfirmRequest, ImportAnswer, ImportRequest, Recipients};

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::http::people::Caller;
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body, Route, get, post};
use crate::vendor;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Person;
    vec![
        get(Person, "/v1/tenants/{tenant}/bundles/recipients", recipients),
        post(Person, "/v1/tenants/{tenant}/bundles", import),
        post(Person, "/v1/tenants/{tenant}/adopt", adopt),
        post(Person, "/v1/tenants/{tenant}/certificates/{serial}/confirm", confirm),
    ]
}

/// `?slot=`.
#[derive(Deserialize)]
struct Which {
    slot: String,
}

async fn recipients(
    caller: Caller,
    State(ledger): State<Ledger>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Recipients>, Refusal> {
    let Query(Which { slot }) = which?;
    Ok(Json(vendor::recipients(&ledger, &caller.tenant, &slot).await?))
}

async fn import(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Body(request): Body<ImportRequest>,
) -> Result<Json<ImportAnswer>, Refusal> {
    Ok(Json(vendor::import(&ledger, &bells, &caller.tenant, &request, &caller.actor, clock.now()).await?))
}

async fn adopt(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Body(request): Body<AdoptRequest>,
) -> Result<StatusCode, Refusal> {
    vendor::adopt(&ledger, &bells, &caller.tenant, &request, &caller.actor, clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn confirm(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Body(request): Body<ConfirmRequest>,
) -> Result<StatusCode, Refusal> {
    vendor::confirm(&ledger, &bells, &caller.tenant, &caller.serial()?, &request, &caller.actor, clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
