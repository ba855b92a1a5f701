//! Ends the pause after a backup was put back. Only whoever may see the installation's own log can do that.

use axum::Json;
use axum::extract::State;
use tegata_api::v1::recovery::{RecoverRequest, Recovered};
use tegata_core::access::Right;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::http::access::Caller;
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body, Route, post};
use crate::issuers::authorities::INSTANCE;
use crate::recovery;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![post(Audience::Person(Right::Recover), "/v1/tenants/{tenant}/recovery", recover)]
}

async fn recover(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Body(request): Body<RecoverRequest>,
) -> Result<Json<Recovered>, Refusal> {
    if caller.tenant().as_str() != INSTANCE {
        return Err(Refusal::not_found());
    }
    Ok(Json(recovery::recover(&ledger, &bells, &request, (caller.actor(), clock.now())).await?))
}
