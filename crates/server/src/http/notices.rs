//! What people ask about what expires and who was told of it, by bearer token.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use tegata_api::v1::notice::{Expiring, Notice, SecretAnswer, SecretRequest};
use tegata_core::access::Right;
use tegata_core::time::DAY;

use crate::audit::Ledger;
use crate::clock::Clock;
use crate::http::access::{Caller, Only};
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body, Route, get, post};
use crate::notify::answers;
use crate::notify::keys::WebhookKeys;

/// How far ahead is looked, if the caller does not say: as far as vendors warn.
const WITHIN: Duration = DAY.saturating_mul(90);
/// Rows in one answer, if the caller does not say.
const ROWS: u32 = 1_000;
/// Rows in one answer at most.
const ROWS_MAX: u32 = 5_000;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Person;
    vec![
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/expiring", expiring).by_handler(),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/notices", notices).by_handler(),
        post(Person(Right::ReadKeys), "/v1/tenants/{tenant}/webhooks/{clinic}/secret", secret),
    ]
}

#[derive(Deserialize)]
struct Bounds {
    /// Seconds from now.
    within: Option<u64>,
    limit: Option<u32>,
}

impl Bounds {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(ROWS).clamp(1, ROWS_MAX)
    }
}

async fn expiring(
    caller: Caller,
    only: Only,
    bounds: Result<Query<Bounds>, QueryRejection>,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<Json<Vec<Expiring>>, Refusal> {
    let Query(bounds) = bounds?;
    let (now, within) = (clock.now(), bounds.within.map_or(WITHIN, Duration::from_secs));
    let mut found = Vec::new();
    for clinic in only.of(&ledger, &caller).await? {
        found.extend(answers::expiring(&ledger, caller.tenant(), clinic.as_ref(), now.after(within), bounds.limit(), now).await?);
    }
    Ok(Json(found))
}

async fn notices(
    caller: Caller,
    only: Only,
    bounds: Result<Query<Bounds>, QueryRejection>,
    State(ledger): State<Ledger>,
) -> Result<Json<Vec<Notice>>, Refusal> {
    let Query(bounds) = bounds?;
    let mut found = Vec::new();
    for clinic in only.of(&ledger, &caller).await? {
        found.extend(answers::told(&ledger, caller.tenant(), clinic.as_ref(), bounds.limit()).await?);
    }
    Ok(Json(found))
}

async fn secret(
    caller: Caller,
    State(keys): State<Arc<WebhookKeys>>,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(asked): Body<SecretRequest>,
) -> Result<Json<SecretAnswer>, Refusal> {
    Ok(Json(keys.show(&ledger, &caller.clinic()?, &asked, caller.actor(), clock.now()).await?))
}
