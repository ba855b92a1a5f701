//! What people ask about certificates that vendors issue.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tegata_api::v1::vendor::{AdoptRequest, ConfirmRequest, ImportAnswer, ImportRequest, Recipients, RecipientsRequest, TryRequest};

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::http::people::Caller;
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body, Route, post};
use crate::vendor;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Person;
    vec![
        post(Person, "/v1/tenants/{tenant}/bundles/recipients", recipients),
        post(Person, "/v1/tenants/{tenant}/bundles/tries", spend_try),
        post(Person, "/v1/tenants/{tenant}/bundles", import),
        post(Person, "/v1/tenants/{tenant}/adopt", adopt),
        post(Person, "/v1/tenants/{tenant}/certificates/{serial}/confirm", confirm),
    ]
}

async fn recipients(
    caller: Caller,
    State(ledger): State<Ledger>,
    Body(which): Body<RecipientsRequest>,
) -> Result<Json<Recipients>, Refusal> {
    Ok(Json(vendor::recipients(&ledger, &caller.tenant, &which.slot).await?))
}

async fn spend_try(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(request): Body<TryRequest>,
) -> Result<StatusCode, Refusal> {
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
