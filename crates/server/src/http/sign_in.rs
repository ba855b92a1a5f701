//! Where people sign in and out, and where an admin sees who is signed in.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use tegata_api::v1::sign_in::{Begin, Begun, Finish, Session, SignedIn};
use tegata_core::access::Right;
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::clock::Clock;
use crate::enroll::Enrolment;
use crate::http::access::{Caller, bearer};
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body, Route, get, post};
use crate::sessions;
use crate::sign_in::{SignIn, SignInError};
use crate::store::sessions::SessionRow;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::{Anyone, Person};
    vec![
        post(Anyone, "/v1/tenants/{tenant}/sign-in", begin),
        post(Anyone, "/v1/tenants/{tenant}/sign-in/finish", finish),
        post(Anyone, "/v1/tenants/{tenant}/sign-out", sign_out),
        get(Person(Right::ManageTokens), "/v1/tenants/{tenant}/sessions", list),
        post(Person(Right::ManageTokens), "/v1/tenants/{tenant}/sessions/{session}/revoke", revoke),
    ]
}

async fn begin(
    Path(tenant): Path<String>,
    State(sign_in): State<Arc<SignIn>>,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(request): Body<Begin>,
) -> Result<Json<Begun>, Refusal> {
    Ok(Json(sign_in.begin(&ledger, &known(&tenant)?, &request, clock.now()).await?))
}

async fn finish(
    Path(tenant): Path<String>,
    State(sign_in): State<Arc<SignIn>>,
    State(enrolment): State<Arc<Enrolment>>,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(request): Body<Finish>,
) -> Result<Json<SignedIn>, Refusal> {
    let now = clock.now();
    let (row, token) = sign_in.finish(&ledger, &known(&tenant)?, &request, now).await?;
    Ok(Json(SignedIn { session: about(&row, now), token: token.to_string(), authority: enrolment.server_authority().to_owned() }))
}

/// Whoever has the token of a session may end it, whatever else they may do.
async fn sign_out(
    Path(tenant): Path<String>,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let (tenant, now) = (known(&tenant)?, clock.now());
    let token = bearer(&headers).ok_or_else(Refusal::unauthorized)?;
    let row = sessions::holder(&ledger, token, now).await?.filter(|row| row.tenant == tenant).ok_or_else(Refusal::unauthorized)?;
    sessions::end(&ledger, &row, (&row.login.actor(), now)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list(caller: Caller, State(ledger): State<Ledger>, State(clock): State<Clock>) -> Result<Json<Vec<Session>>, Refusal> {
    let (rows, now) = (ledger.store().sessions(caller.tenant()).await?, clock.now());
    Ok(Json(rows.iter().map(|row| about(row, now)).collect()))
}

async fn revoke(caller: Caller, State(ledger): State<Ledger>, State(clock): State<Clock>) -> Result<Json<Session>, Refusal> {
    let (id, now) = (caller.given("session").unwrap_or_default(), clock.now());
    let found = ledger.store().session(id).await?.filter(|row| row.tenant == *caller.tenant() && row.is_in_force(now));
    let row = found.ok_or_else(Refusal::not_found)?;
    sessions::end(&ledger, &row, (caller.actor(), now)).await?;
    Ok(Json(about(&SessionRow { ended_at: Some(now), ..row }, now)))
}

/// What is no name at all is answered like a tenant without a provider.
fn known(tenant: &str) -> Result<TenantName, SignInError> {
    tenant.parse().map_err(|_| SignInError::NotFound)
}

fn about(row: &SessionRow, now: Timestamp) -> Session {
    let state = match (row.ended_at, row.is_in_force(now)) {
        (Some(_), _) => "ended",
        (None, true) => "in-force",
        (None, false) => "expired",
    };
    Session {
        id: row.id.clone(),
        issuer: row.login.issuer.clone(),
        subject: row.login.subject.clone(),
        created_at: row.created_at.unix(),
        expires_at: row.expires_at.unix(),
        state: state.to_owned(),
    }
}
