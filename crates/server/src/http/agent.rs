//! What devices ask: known by the certificate of their connection, and looked up anew for every request.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tegata_api::v1::device::{
    CertificateRequest, EnrollRequest, Enrolled, HOLD_SECONDS, IssuedCertificate, Manifest, ReceiptsAnswer, Report, ReportAnswer,
    SealedBundle, SignedReceipt, TakenCertificate,
};
use tegata_core::name::OrderId;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::enroll::Enrolment;
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body, Route, get, post};
use crate::issuers::order::Issuance;
use crate::log::keys::LogKeys;
use crate::store::DeviceRow;
use crate::tls::{Identity, Peer};
use crate::{log, receipts, recovery, reports, vendor};

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::{Anyone, Device};
    vec![
        post(Anyone, "/v1/enroll", enroll),
        get(Device, "/v1/agent/manifest", manifest).held(),
        post(Device, "/v1/agent/orders/{order}/certificate", certificate),
        get(Device, "/v1/agent/orders/{order}/bundle", bundle),
        post(Device, "/v1/agent/orders/{order}/taken", taken),
        post(Device, "/v1/agent/report", report),
        post(Device, "/v1/agent/receipts", receipts),
        post(Device, "/v1/agent/identity", identity),
        get(Device, "/v1/agent/log", audit_log),
    ]
}

/// The identity that was shown in the handshake. Whether it is in force is for the handler to find out.
struct Shown(Arc<Identity>);

/// The device that asks, and all that is on record about it.
pub struct KnownCaller {
    /// Boxed, because a request that is held keeps the place of everything that it was ever asked with.
    row: Box<DeviceRow>,
    identity: Arc<Identity>,
}

impl KnownCaller {
    pub(super) fn row(&self) -> &DeviceRow {
        &self.row
    }

    async fn by(identity: Arc<Identity>, ledger: &Ledger, clock: &Clock) -> Result<Self, Refusal> {
        let row = ledger.store().device_by_identity(&identity.key).await?.ok_or_else(Refusal::unauthorized)?;
        if !identity.is_in_force(&row.tenant, row.revoked_at, clock.now()) {
            return Err(Refusal::unauthorized());
        }
        Ok(Self { row: row.into(), identity })
    }
}

fn shown(extensions: &Extensions) -> Result<Arc<Identity>, Refusal> {
    extensions.get::<Peer>().and_then(Peer::identity).ok_or_else(Refusal::unauthorized)
}

impl<S: Send + Sync> FromRequestParts<S> for Shown {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        Ok(Self(shown(&parts.extensions)?))
    }
}

impl<S> FromRequestParts<S> for KnownCaller
where
    S: Send + Sync,
    Ledger: FromRef<S>,
    Clock: FromRef<S>,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        Self::by(shown(&parts.extensions)?, &Ledger::from_ref(state), &Clock::from_ref(state)).await
    }
}

/// What a device says, and who it is when it has said it: a device that was revoked while its body was on the way is nobody.
pub(super) struct Said<C, T>(pub(super) C, pub(super) T);

impl<S, C, T> FromRequest<S> for Said<C, T>
where
    S: Send + Sync,
    C: FromRequestParts<S, Rejection = Refusal>,
    T: Send,
    Body<T>: FromRequest<S, Rejection = Refusal>,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        // Whoever shows no identity is not listened to.
        shown(request.extensions())?;
        let (mut parts, body) = request.into_parts();
        let said = Body::from_request(Request::from_parts(parts.clone(), body), state).await;
        let caller = C::from_request_parts(&mut parts, state).await?;
        Ok(Self(caller, said?.0))
    }
}

async fn enroll(State(enrolment): State<Arc<Enrolment>>, Body(request): Body<EnrollRequest>) -> Result<Json<Enrolled>, Refusal> {
    Ok(Json(enrolment.redeem(request).await?))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

/// How far the audit log goes, and that it goes on from what the device has seen of it; 204 before its first checkpoint.
async fn audit_log(
    caller: KnownCaller,
    State(ledger): State<Ledger>,
    State(keys): State<Arc<LogKeys>>,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(After { after }) = query?;
    let shown = log::shown(&ledger, &keys, &caller.row().tenant, after).await?;
    Ok(shown.map_or_else(|| StatusCode::NO_CONTENT.into_response(), |shown| Json(shown).into_response()))
}

/// Answers as soon as the manifest is newer than what the device has; 204 if it stays as it is.
async fn manifest(
    caller: KnownCaller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    State(stopping): State<CancellationToken>,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Response, Refusal> {
    let (Query(After { after }), KnownCaller { row, identity }) = (query?, caller);
    Box::pin(reports::heard(&ledger, &bells, &row, clock.now())).await?;
    if after > row.manifest.generation {
        Box::pin(recovery::ahead(&ledger, &bells, &row, after, clock.now())).await?;
    }
    let until = Instant::now() + Duration::from_secs(HOLD_SECONDS);
    // Listens before it reads: what changes in between is heard.
    let mut bell = bells.listen_device(&row.tenant, &row.device);
    // Too large to be kept by every waiting request.
    drop(row);
    loop {
        // Looked up anew each time: the device may have been revoked.
        if let Some(newer) = newer_manifest(&identity, &ledger, &clock, after).await? {
            return Ok(Json(newer).into_response());
        }
        tokio::select! {
            () = bell.heard() => {}
            () = sleep_until(until) => return Ok(StatusCode::NO_CONTENT.into_response()),
            () = stopping.cancelled() => return Ok(StatusCode::NO_CONTENT.into_response()),
        }
    }
}

async fn newer_manifest(identity: &Arc<Identity>, ledger: &Ledger, clock: &Clock, after: u64) -> Result<Option<Manifest>, Refusal> {
    let manifest = KnownCaller::by(identity.clone(), ledger, clock).await?.row.manifest;
    // What the device was told since the backup may be newer than this.
    Ok((manifest.generation > after && !ledger.history().is_open).then_some(manifest))
}

async fn certificate(
    State(issuance): State<Issuance>,
    Path(order): Path<String>,
    Said(Shown(identity), request): Said<Shown, CertificateRequest>,
) -> Result<Json<IssuedCertificate>, Refusal> {
    let order: OrderId = order.parse().map_err(|_| Refusal::not_found())?;
    Ok(Json(issuance.issue(&identity, &order, &request.csr).await?))
}

async fn bundle(caller: KnownCaller, State(ledger): State<Ledger>, Path(order): Path<String>) -> Result<Json<SealedBundle>, Refusal> {
    let order: OrderId = order.parse().map_err(|_| Refusal::not_found())?;
    Ok(Json(vendor::sealed_bundle(&ledger, &caller.row, &order).await?))
}

async fn taken(
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Path(order): Path<String>,
    Said(caller, certificate): Said<KnownCaller, TakenCertificate>,
) -> Result<StatusCode, Refusal> {
    let order: OrderId = order.parse().map_err(|_| Refusal::not_found())?;
    vendor::taken(&ledger, &bells, &caller.row, &order, &certificate, clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn report(
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Said(caller, report): Said<KnownCaller, Report>,
) -> Result<Json<ReportAnswer>, Refusal> {
    let now = clock.now();
    reports::report(&ledger, &bells, &caller.row, report, now).await?;
    Ok(Json(ReportAnswer { clock: now.unix() }))
}

async fn receipts(
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Said(caller, receipts): Said<KnownCaller, Vec<SignedReceipt>>,
) -> Result<Json<ReceiptsAnswer>, Refusal> {
    Ok(Json(receipts::accept(&ledger, &bells, &caller.row, receipts, clock.now()).await?))
}

async fn identity(
    State(enrolment): State<Arc<Enrolment>>,
    Said(caller, request): Said<KnownCaller, CertificateRequest>,
) -> Result<Json<IssuedCertificate>, Refusal> {
    Ok(Json(enrolment.renew(&caller.row, &request.csr).await?))
}
