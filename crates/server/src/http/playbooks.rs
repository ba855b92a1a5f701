//! What people ask about playbooks.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tegata_api::v1::playbook::{BeginRun, EndRun, RunBegun, TrustKey, TrustedKey};
use tegata_core::access::Right;

use crate::audit::Ledger;
use crate::clock::Clock;
use crate::http::access::Caller;
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body, FOUR_HOURS, Route, get, post};
use crate::playbooks::{self, By};

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Person;
    vec![
        post(Person(Right::RunPlaybooks), "/v1/tenants/{tenant}/playbooks/runs", begin).rests_without_witnesses(FOUR_HOURS),
        post(Person(Right::RunPlaybooks), "/v1/tenants/{tenant}/playbooks/runs/{run}/end", end),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/playbooks/host-keys", trusted),
        post(Person(Right::RunPlaybooks), "/v1/tenants/{tenant}/playbooks/host-keys/{clinic}/{device}", trust),
    ]
}

async fn begin(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(run): Body<BeginRun>,
) -> Result<Json<RunBegun>, Refusal> {
    let by = By { tenant: caller.tenant(), actor: caller.actor(), now: clock.now() };
    Ok(Json(RunBegun { run: playbooks::begin(&ledger, by, &run).await? }))
}

async fn end(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(ended): Body<EndRun>,
) -> Result<StatusCode, Refusal> {
    let by = By { tenant: caller.tenant(), actor: caller.actor(), now: clock.now() };
    playbooks::end(&ledger, by, caller.given("run").unwrap_or_default(), &ended).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn trusted(caller: Caller, State(ledger): State<Ledger>) -> Result<Json<Vec<TrustedKey>>, Refusal> {
    Ok(Json(playbooks::trusted(&ledger, caller.tenant()).await?))
}

async fn trust(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(shown): Body<TrustKey>,
) -> Result<StatusCode, Refusal> {
    let by = By { tenant: caller.tenant(), actor: caller.actor(), now: clock.now() };
    playbooks::trust(&ledger, by, &caller.device()?, &shown).await?;
    Ok(StatusCode::NO_CONTENT)
}
