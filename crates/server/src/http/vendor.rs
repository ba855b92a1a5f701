//! What people ask about certificates that vendors issue.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tegata_api::v1::vendor::{AdoptRequest, ConfirmRequest, ImportAnswer, ImportRequest, Recipients, RecipientsRequest, TryRequest};
use tegata_core::access::Right;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::http::access::Caller;
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body, Route, post};
use crate::vendor;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Person;
    vec![
        post(Person(Right::Import), "/v1/tenants/{tenant}/bundles/recipients", recipients).by_handler(),
        post(Person(Right::Import), "/v1/tenants/{tenant}/bundles/tries", spend_try).by_handler(),
        post(Person(Right::Import), "/v1/tenants/{tenant}/bundles", import).by_handler(),
        post(Person(Right::Import), "/v1/tenants/{tenant}/adopt", adopt).by_handler(),
        post(Person(Right::Import), "/v1/tenants/{tenant}/certificates/{serial}/confirm", confirm),
    ]
}

async fn recipients(
    caller: Caller,
    State(ledger): State<Ledger>,
    Body(which): Body<RecipientsRequest>,
) -> Result<Json<Recipients>, Refusal> {
    caller.expect_slot(&which.slot)?;
    Ok(Json(vendor::recipients(&ledger, &caller.tenant, &which.slot).await?))
}

async fn spend_try(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(request): Body<TryRequest>,
) -> Result<StatusCode, Refusal> {
    caller.expect_slot(&request.slot)?;
    vendor::spend_try(&ledger, &caller.tenant, &request, &caller.actor, clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn import(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Body(request): Body<ImportRequest>,
) -> Result<Json<ImportAnswer>, Refusal> {
    caller.expect_slot(&request.slot)?;
    Ok(Json(vendor::import(&ledger, &bells, &caller.tenant, &request, &caller.actor, clock.now()).await?))
}

async fn adopt(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Body(request): Body<AdoptRequest>,
) -> Result<StatusCode, Refusal> {
    caller.expect_slot(&request.slot)?;
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
