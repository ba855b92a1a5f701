//! What people and their programs ask, by bearer token: policy, the fleet, codes, revocations and the audit log.
//!
//! A token of one tenant sees nothing of another: whatever it names there answers the same 404 as a name that was made up.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tegata_api::v1::account::{Account, AccountDetail, SlotDetail};
use tegata_api::v1::application::{Application, KeepPin, RecordApplication, SealedPin};
use tegata_api::v1::audit::Record;
use tegata_api::v1::fleet::{
    Action, ApplyRequest, Certificate, Clinic, CodeAnswer, CodeRequest, Device, DeviceDetail, DocumentInForce, Documents, Installer,
    Preview, RecordInstaller, RevokeRequest, Slot,
};
use tegata_api::v1::revocation::{Blast, RevokeMany, RevokedMany, Selection};
use tegata_core::access::Right;
use tegata_core::time::DAY;

use crate::accounts;
use crate::applications;
use crate::asks;
use crate::audit::Ledger;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::enroll::Enrolment;
use crate::fleet;
use crate::http::access::{Caller, Only};
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body, FOUR_HOURS, Route, get, post};
use crate::installers;
use crate::policy;
use crate::revocations;
use crate::store::{AuditQuery, Part};

/// Records in one answer, if the caller does not say.
const PAGE: u32 = 100;
/// Records in one answer at most.
const PAGE_MAX: u32 = 1000;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Person;
    vec![
        post(Person(Right::ReadPolicy), "/v1/tenants/{tenant}/plan", plan),
        post(Person(Right::ChangePolicy), "/v1/tenants/{tenant}/apply", apply),
        get(Person(Right::ReadPolicy), "/v1/tenants/{tenant}/documents", documents),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/clinics", clinics).by_handler(),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/devices", devices).by_handler(),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/slots", slots).by_handler(),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/certificates", certificates).by_handler(),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/actions", actions).by_handler(),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/devices/{clinic}/{device}", device),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/quotas", quotas).by_handler(),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/accounts/{clinic}/{account}", account),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/slots/{clinic}/{device}/{profile}", slot),
        post(Person(Right::Enroll), "/v1/tenants/{tenant}/devices/{clinic}/{device}/code", code).rests_without_witnesses(DAY),
        post(Person(Right::Revoke), "/v1/tenants/{tenant}/devices/{clinic}/{device}/revoke", revoke_device),
        post(Person(Right::Revoke), "/v1/tenants/{tenant}/certificates/{serial}/revoke", revoke_certificate),
        post(Person(Right::Renew), "/v1/tenants/{tenant}/certificates/{serial}/renew", renew_certificate),
        post(Person(Right::ReadFleet), "/v1/tenants/{tenant}/revocations/preview", preview_revocations).long(),
        post(Person(Right::RevokeMany), "/v1/tenants/{tenant}/revocations", revoke_many).long().rests_without_witnesses(FOUR_HOURS),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/installers", list_installers).by_handler(),
        post(Person(Right::Import), "/v1/tenants/{tenant}/installers", record_installer),
        get(Person(Right::ReadFleet), "/v1/tenants/{tenant}/applications", list_applications).by_handler(),
        post(Person(Right::Import), "/v1/tenants/{tenant}/applications", record_application).by_handler(),
        post(Person(Right::Import), "/v1/tenants/{tenant}/applications/{clinic}/{device}/{profile}/close", close_application),
        post(Person(Right::Import), "/v1/tenants/{tenant}/applications/{clinic}/{device}/{profile}/pin", keep_pin),
        post(Person(Right::ReadSealed), "/v1/tenants/{tenant}/applications/{clinic}/{device}/{profile}/sealed-pin", sealed_pin),
        get(Person(Right::ReadAudit), "/v1/tenants/{tenant}/audit", audit),
    ]
}

async fn plan(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(documents): Body<Documents>,
) -> Result<Json<Preview>, Refusal> {
    caller.takes_documents()?;
    Ok(Json(policy::preview(&ledger, &caller.tenant, &documents, clock.now()).await?))
}

async fn apply(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Body(request): Body<ApplyRequest>,
) -> Result<Json<Preview>, Refusal> {
    caller.takes_documents()?;
    Ok(Json(policy::apply_within(&ledger, &bells, &caller.tenant, &request, caller.within(), clock.now()).await?))
}

async fn documents(caller: Caller, State(ledger): State<Ledger>) -> Result<Json<Vec<DocumentInForce>>, Refusal> {
    Ok(Json(fleet::documents(&ledger, &caller.tenant).await?))
}

async fn clinics(
    caller: Caller,
    only: Only,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<Json<Vec<Clinic>>, Refusal> {
    let mut found = Vec::new();
    for clinic in only.of(&ledger, &caller).await? {
        found.extend(fleet::clinics(&ledger, &caller.tenant, clinic.as_ref(), clock.now()).await?);
    }
    Ok(Json(found))
}

async fn devices(
    caller: Caller,
    only: Only,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<Json<Vec<Device>>, Refusal> {
    let mut found = Vec::new();
    for clinic in only.of(&ledger, &caller).await? {
        found.extend(fleet::devices(&ledger, &caller.tenant, clinic.as_ref(), clock.now()).await?);
    }
    Ok(Json(found))
}

async fn slots(caller: Caller, only: Only, State(ledger): State<Ledger>, State(clock): State<Clock>) -> Result<Json<Vec<Slot>>, Refusal> {
    let mut found = Vec::new();
    for clinic in only.of(&ledger, &caller).await? {
        found.extend(fleet::slots(&ledger, &caller.tenant, clinic.as_ref(), clock.now()).await?);
    }
    Ok(Json(found))
}

async fn certificates(caller: Caller, only: Only, State(ledger): State<Ledger>) -> Result<Json<Vec<Certificate>>, Refusal> {
    let mut found = Vec::new();
    for clinic in only.of(&ledger, &caller).await? {
        found.extend(fleet::certificates(&ledger, &caller.tenant, clinic.as_ref()).await?);
    }
    Ok(Json(found))
}

async fn actions(
    caller: Caller,
    only: Only,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<Json<Vec<Action>>, Refusal> {
    let mut found = Vec::new();
    for clinic in only.of(&ledger, &caller).await? {
        found.extend(fleet::actions(&ledger, &caller.tenant, clinic.as_ref(), clock.now()).await?);
    }
    Ok(Json(found))
}

async fn device(caller: Caller, State(ledger): State<Ledger>, State(clock): State<Clock>) -> Result<Json<DeviceDetail>, Refusal> {
    let detail = fleet::device_detail(&ledger, &caller.tenant, &caller.device()?, clock.now()).await?;
    detail.map(Json).ok_or_else(Refusal::not_found)
}

async fn quotas(
    caller: Caller,
    only: Only,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<Json<Vec<Account>>, Refusal> {
    let mut found = Vec::new();
    for clinic in only.of(&ledger, &caller).await? {
        found.extend(accounts::quotas(&ledger, &caller.tenant, clinic.as_ref(), clock.now()).await?);
    }
    Ok(Json(found))
}

async fn account(caller: Caller, State(ledger): State<Ledger>, State(clock): State<Clock>) -> Result<Json<AccountDetail>, Refusal> {
    let (clinic, account) = (caller.named("clinic")?, caller.named("account")?);
    let detail = accounts::detail(&ledger, &caller.tenant, &clinic, &account, clock.now()).await?;
    detail.map(Json).ok_or_else(Refusal::not_found)
}

async fn slot(caller: Caller, State(ledger): State<Ledger>, State(clock): State<Clock>) -> Result<Json<SlotDetail>, Refusal> {
    let detail = accounts::slot(&ledger, &caller.tenant, &caller.slot()?, clock.now()).await?;
    detail.map(Json).ok_or_else(Refusal::not_found)
}

async fn code(
    caller: Caller,
    State(enrolment): State<Arc<Enrolment>>,
    Body(request): Body<CodeRequest>,
) -> Result<Json<CodeAnswer>, Refusal> {
    Ok(Json(enrolment.create(&caller.tenant, &caller.device()?, request.kind, &caller.actor).await?))
}

async fn revoke_device(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
) -> Result<StatusCode, Refusal> {
    asks::revoke_device(&ledger, &bells, &caller.tenant, &caller.device()?, &caller.actor, clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke_certificate(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    // Nothing and `null` are no reason; anything else has to be one.
    let why: Option<RevokeRequest> = if body.is_empty() { None } else { read(&body)? };
    let why = why.unwrap_or_default();
    asks::revoke_certificate(&ledger, &bells, &caller.tenant, &caller.serial()?, &why, &caller.actor, clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn renew_certificate(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
) -> Result<StatusCode, Refusal> {
    asks::ask_renewal(&ledger, &bells, &caller.tenant, &caller.serial()?, &caller.actor, clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn preview_revocations(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(selection): Body<Selection>,
) -> Result<Json<Blast>, Refusal> {
    Ok(Json(revocations::preview(&ledger, &caller.tenant, &selection, clock.now()).await?))
}

/// Carried on even if who asked does not wait for it: what was begun is ended.
async fn revoke_many(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Body(wish): Body<RevokeMany>,
) -> Result<Json<RevokedMany>, Refusal> {
    let work = async move { revocations::carry_out_within(&ledger, &bells, caller.tenant(), &wish, caller.within(), clock.now()).await };
    Ok(Json(tokio::spawn(work).await.map_err(Refusal::internal)??))
}

async fn list_installers(
    caller: Caller,
    only: Only,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<Json<Vec<Installer>>, Refusal> {
    let mut found = Vec::new();
    for clinic in only.of(&ledger, &caller).await? {
        found.extend(installers::list(&ledger, &caller.tenant, clinic.as_ref(), clock.now()).await?);
    }
    Ok(Json(found))
}

async fn record_installer(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Body(installer): Body<RecordInstaller>,
) -> Result<StatusCode, Refusal> {
    asks::record_installer(&ledger, &bells, &caller.tenant, &installer, &caller.actor, clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_applications(
    caller: Caller,
    only: Only,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<Json<Vec<Application>>, Refusal> {
    let mut found = Vec::new();
    for clinic in only.of(&ledger, &caller).await? {
        found.extend(applications::list(&ledger, &caller.tenant, clinic.as_ref(), clock.now()).await?);
    }
    Ok(Json(found))
}

async fn record_application(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
    Body(asked): Body<RecordApplication>,
) -> Result<StatusCode, Refusal> {
    caller.expect_slot(&asked.slot)?;
    applications::record(&ledger, &bells, &caller.tenant, &asked, &caller.actor, clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn close_application(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(bells): State<Bells>,
    State(clock): State<Clock>,
) -> Result<StatusCode, Refusal> {
    applications::close(&ledger, &bells, &caller.tenant, &caller.slot()?, &caller.actor, clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn keep_pin(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(asked): Body<KeepPin>,
) -> Result<StatusCode, Refusal> {
    applications::keep_pin(&ledger, &caller.tenant, &caller.slot()?, &asked, &caller.actor, clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sealed_pin(caller: Caller, State(ledger): State<Ledger>, State(clock): State<Clock>) -> Result<Json<SealedPin>, Refusal> {
    Ok(Json(applications::sealed_pin(&ledger, &caller.tenant, &caller.slot()?, &caller.actor, clock.now()).await?))
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    after: u64,
    #[serde(default = "page")]
    limit: u32,
    /// The newest so many instead; `after` and `limit` do not count then.
    last: Option<u32>,
    /// Only those about this, or about a part of it.
    object: Option<String>,
}

impl Page {
    fn query(self) -> AuditQuery {
        let (part, limit) = self.last.map_or((Part::After(self.after), self.limit), |last| (Part::Newest, last));
        let object = self.object.map(|object| object.trim_end_matches('/').to_owned());
        AuditQuery { part, limit: limit.clamp(1, PAGE_MAX), object }
    }
}

fn page() -> u32 {
    PAGE
}

async fn audit(
    caller: Caller,
    State(ledger): State<Ledger>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Vec<Record>>, Refusal> {
    let Query(page) = page?;
    Ok(Json(ledger.store().records(&caller.tenant, &page.query()).await?))
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::malformed(error.to_string()))
}
