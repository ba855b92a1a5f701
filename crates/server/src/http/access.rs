//! The door for people: who asks, whether they have the right that the route names, and how far it reaches.
//!
//! A route of [`Audience::Person`](super::Audience::Person) is not answered before it was passed. Whoever is of another tenant, or asks for a
//! clinic that they may not see, gets the same 404 as for a name that was made up; whoever lacks the right is told so.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query, RawPathParams, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tegata_api::v1::access::{Approval, Binding, Token, TokenMade, TokenRequest};
use tegata_api::v1::backup::ApproveRequest;
use tegata_core::access::{Reach, Right, Scope};
use tegata_core::name::{ClinicId, ClinicName, DeviceId, Serial, SlotId, TenantName, TokenName};
use tegata_core::time::Timestamp;
use tegata_tlog::policy::Policy;

use crate::access::{self, AccessError, Holder, Told};
use crate::approvals::{self, Act};
use crate::audit::Ledger;
use crate::clock::Clock;
use crate::fleet;
use crate::http::refuse::Refusal;
use crate::http::{App, Audience, Body, Route, get, post};
use crate::issuers::authorities::INSTANCE;
use crate::log::witnesses;
use crate::sign_in::SignIn;
use crate::store::access::TokenRow;
use crate::store::approvals::{ApprovalRow, What};
use crate::store::{Batch, StoreError};
use crate::tokens::{self, Wanted};
use crate::words;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Person;
    vec![
        get(Person(Right::ReadPolicy), "/v1/tenants/{tenant}/access", bindings),
        get(Person(Right::ManageTokens), "/v1/tenants/{tenant}/tokens", list),
        post(Person(Right::ManageTokens), "/v1/tenants/{tenant}/tokens", create),
        post(Person(Right::ManageTokens), "/v1/tenants/{tenant}/tokens/{token}/revoke", revoke),
        get(Person(Right::Approve), "/v1/tenants/{tenant}/approvals", asked),
        post(Person(Right::Approve), "/v1/tenants/{tenant}/approvals", approve),
    ]
}

/// How a route keeps to the clinics that somebody may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Narrowing {
    /// It is about the whole tenant: somebody who may see some clinics only has no use of it.
    Tenant,
    /// The door does, by the clinic or the serial number in the path.
    Path,
    /// The handler does, by [`Only::of`] or [`Caller::expect`].
    Handler,
}

/// Who asks, for which tenant, about what, and how far they may go.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(super) tenant: TenantName,
    pub(super) actor: String,
    scope: Scope,
    alone: Option<u32>,
    path: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Refusal::unauthorized)
    }
}

/// What the door of one route knows.
#[derive(Clone)]
pub struct Door {
    ledger: Ledger,
    clock: Clock,
    told: Told,
    witnesses: Option<Arc<Policy>>,
    sign_in: Arc<SignIn>,
    right: Right,
    narrowing: Narrowing,
    rests_after: Option<Duration>,
    /// What is put on record of an auditor's read; `None` where the handler does it.
    noted: Option<&'static str>,
}

impl Door {
    /// The door of a route.
    pub(super) fn new(app: &App, right: Right, route: &Route) -> Self {
        let (narrowing, rests_after) = (route.narrowing, route.rests_after);
        let noted = Some(route.path).filter(|_| !route.notes_reads);
        let (ledger, clock, told, witnesses) = (app.ledger.clone(), app.clock.clone(), app.told.clone(), app.witnesses.clone());
        Self { ledger, clock, told, sign_in: app.sign_in.clone(), witnesses, right, narrowing, rests_after, noted }
    }

    /// Who asks, if they may.
    async fn admit(&self, parts: &mut Parts) -> Result<Caller, Refusal> {
        let now = self.clock.now();
        let token = bearer(&parts.headers).ok_or_else(Refusal::unauthorized)?;
        let holder = Holder::of(&self.ledger, &self.sign_in, token, now).await?.ok_or_else(Refusal::unauthorized)?;
        let path = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| Refusal::not_found())?;
        let path: Vec<(String, String)> = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let tenant: TenantName = named(&path, "tenant")?;
        let actor = holder.actor();
        let reach = self.reach(&holder, (&tenant, &actor), now).await?;
        self.expect_witnesses(&tenant, now).await?;
        let caller = Caller { tenant, actor, scope: reach.scope, alone: reach.alone, path };
        self.narrow(&caller).await?;
        if let (true, Some(noted)) = (reach.as_auditor, self.noted) {
            let what = if noted.contains("{*path}") { noted } else { parts.uri.path_and_query().map_or(noted, |path| path.as_str()) };
            self.told.read(&self.ledger, (&caller.tenant, &caller.actor), clipped(what), now).await?;
        }
        Ok(caller)
    }

    async fn reach(&self, holder: &Holder, who: (&TenantName, &str), now: Timestamp) -> Result<Reach, Refusal> {
        match holder.reach(&self.ledger, who.0, self.right, now).await {
            Ok(reach) => Ok(reach),
            Err(AccessError::Elsewhere) => Err(Refusal::not_found()),
            Err(AccessError::Policy(error)) => Err(error.into()),
            Err(AccessError::Denied(denied)) => {
                self.told.refused(&self.ledger, who, self.right, now).await?;
                Err(Refusal::no_right(self.right, &denied))
            }
        }
    }

    /// What cannot be taken back waits for those who would vouch that it is on record.
    async fn expect_witnesses(&self, tenant: &TenantName, now: Timestamp) -> Result<(), Refusal> {
        let Some(most) = self.rests_after else { return Ok(()) };
        let missed = witnesses::missed_for(&self.ledger, self.witnesses.as_deref(), tenant, (most, now)).await?;
        missed.map_or(Ok(()), |since| Err(Refusal::unwitnessed(since)))
    }

    async fn narrow(&self, caller: &Caller) -> Result<(), Refusal> {
        let Scope::Clinics(clinics) = &caller.scope else { return Ok(()) };
        match self.narrowing {
            Narrowing::Handler => Ok(()),
            Narrowing::Tenant => Err(Refusal::too_narrow(self.right, clinics)),
            Narrowing::Path => {
                let clinic = match caller.given("serial") {
                    Some(_) => self.clinic_of(caller).await?,
                    None => named(&caller.path, "clinic").ok(),
                };
                if clinic.is_some_and(|clinic| clinics.contains(&clinic)) { Ok(()) } else { Err(Refusal::not_found()) }
            }
        }
    }

    /// The clinic of the certificate that the path names, if this tenant has it.
    async fn clinic_of(&self, caller: &Caller) -> Result<Option<ClinicName>, StoreError> {
        let Ok(serial) = caller.serial() else { return Ok(None) };
        let store = self.ledger.store();
        if let Some(row) = store.certificate(&serial).await?.filter(|row| row.tenant == caller.tenant) {
            return Ok(Some(row.slot.clinic));
        }
        let handed_out = store.portal_certificate(&serial).await?;
        Ok(handed_out.filter(|row| row.draft.account.tenant == caller.tenant).map(|row| row.draft.account.clinic))
    }
}

/// Lets a request through, with its [`Caller`], or refuses it before its body is read.
pub async fn pass(State(door): State<Door>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match door.admit(&mut parts).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// The longest text that the record of a read quotes, in bytes.
const QUOTED_MAX: usize = 300;

fn clipped(text: &str) -> &str {
    &text[..text.floor_char_boundary(QUOTED_MAX)]
}

impl Caller {
    /// For which tenant.
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// Who, as the log calls it.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// Who, and how many devices they may reach without somebody else's word.
    pub(super) fn within(&self) -> (&str, Option<u32>) {
        (&self.actor, self.alone)
    }

    /// The clinic that the path names.
    pub fn clinic(&self) -> Result<ClinicId, Refusal> {
        Ok(ClinicId { tenant: self.tenant.clone(), clinic: self.named("clinic")? })
    }

    pub(super) fn device(&self) -> Result<DeviceId, Refusal> {
        Ok(DeviceId { clinic: self.named("clinic")?, device: self.named("device")? })
    }

    pub(super) fn slot(&self) -> Result<SlotId, Refusal> {
        let part = |name| self.given(name).unwrap_or_default();
        format!("{}/{}/{}", part("clinic"), part("device"), part("profile")).parse().map_err(|_| Refusal::not_found())
    }

    pub(super) fn serial(&self) -> Result<Serial, Refusal> {
        self.named("serial")
    }

    /// What stands in the path for a name.
    pub(super) fn given(&self, part: &str) -> Option<&str> {
        self.path.iter().find(|(name, _)| *name == part).map(|(_, text)| text.as_str())
    }

    /// A part of the path. What is no name at all is answered like a name that nothing has.
    pub(super) fn named<T: FromStr>(&self, part: &str) -> Result<T, Refusal> {
        named(&self.path, part)
    }

    /// Refuses a clinic that the caller may not see, as if it were not there.
    pub(super) fn expect(&self, clinic: &ClinicName) -> Result<(), Refusal> {
        if self.scope.holds(clinic) { Ok(()) } else { Err(Refusal::not_found()) }
    }

    /// The same for a part of the tenant: one clinic, or `None` for all of it.
    pub(super) fn expect_part(&self, clinic: Option<&ClinicName>) -> Result<(), Refusal> {
        match (clinic, &self.scope) {
            (Some(clinic), _) => self.expect(clinic),
            (None, Scope::Tenant) => Ok(()),
            (None, Scope::Clinics(clinics)) => Err(Refusal::too_narrow(Right::ReadAudit, clinics)),
        }
    }

    /// The same for the slot that a body names. What is no slot at all is for whoever reads it to say.
    pub(super) fn expect_slot(&self, slot: &str) -> Result<(), Refusal> {
        slot.parse::<SlotId>().map_or(Ok(()), |slot| self.expect(&slot.clinic))
    }

    /// Documents go to any tenant but the installation's own.
    pub(super) fn takes_documents(&self) -> Result<(), Refusal> {
        if self.tenant.as_str() == INSTANCE { Err(Refusal::reserved(INSTANCE)) } else { Ok(()) }
    }

    /// Whose tokens these are: those of the installation's own tenant are its owners'.
    fn whose_tokens(&self) -> Option<&TenantName> {
        Some(&self.tenant).filter(|tenant| tenant.as_str() != INSTANCE)
    }
}

/// The token of `Authorization: Bearer <token>` (RFC 6750, section 2.1; the scheme's case does not matter).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn named<T: FromStr>(path: &[(String, String)], part: &str) -> Result<T, Refusal> {
    let text = path.iter().find(|(name, _)| *name == part).map(|(_, text)| text);
    text.and_then(|text| text.parse().ok()).ok_or_else(Refusal::not_found)
}

#[derive(Deserialize)]
struct Narrow {
    clinic: Option<String>,
}

/// `?clinic=`, if it is there.
pub struct Only(Option<ClinicName>);

impl<S: Send + Sync> FromRequestParts<S> for Only {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let read: Result<Query<Narrow>, QueryRejection> = Query::from_request_parts(parts, state).await;
        let Query(Narrow { clinic }) = read?;
        let clinic = clinic.map(|name| name.parse()).transpose();
        clinic.map(Self).map_err(|error| Refusal::malformed(format!("'clinic' in the query: {error}")))
    }
}

impl Only {
    /// The parts of the tenant that are meant and may be seen: one clinic, each of several, or `None` for all of it at once. A clinic that was
    /// never there, or that the caller may not see, is answered like any other name that nothing has.
    pub async fn of(self, ledger: &Ledger, caller: &Caller) -> Result<Vec<Option<ClinicName>>, Refusal> {
        let clinics = match (self.0, &caller.scope) {
            (Some(clinic), _) => {
                caller.expect(&clinic)?;
                if !fleet::knows(ledger, &caller.tenant, &clinic).await? {
                    return Err(Refusal::not_found());
                }
                vec![clinic]
            }
            (None, Scope::Tenant) => return Ok(vec![None]),
            (None, Scope::Clinics(clinics)) => clinics.iter().cloned().collect(),
        };
        Ok(clinics.into_iter().map(Some).collect())
    }
}

async fn bindings(caller: Caller, State(ledger): State<Ledger>, State(clock): State<Clock>) -> Result<Json<Vec<Binding>>, Refusal> {
    Ok(Json(access::bindings(&ledger, &caller.tenant, clock.now()).await?))
}

async fn list(caller: Caller, State(ledger): State<Ledger>, State(clock): State<Clock>) -> Result<Json<Vec<Token>>, Refusal> {
    let (rows, now) = (ledger.store().tokens(caller.whose_tokens()).await?, clock.now());
    Ok(Json(rows.into_iter().map(|row| about(row, now)).collect()))
}

async fn create(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(request): Body<TokenRequest>,
) -> Result<Json<TokenMade>, Refusal> {
    let name: TokenName = request.name.parse().map_err(|error| Refusal::malformed(format!("'name': {error}")))?;
    let (life, now) = (Some(Duration::from_secs(request.life)), clock.now());
    let wanted = Wanted { name: &name, tenant: caller.whose_tokens(), life, by: caller.actor(), now };
    let release = match caller.alone {
        None => Batch::default(),
        Some(_) => {
            let (object, tenant) = (format!("{name} for {} s", request.life), caller.tenant());
            let act = Act { tenant, what: What::MakeToken, object: &object, devices: 0 };
            approvals::expect(&ledger, act, (caller.actor(), now)).await?
        }
    };
    let (row, token) = tokens::make_with(&ledger, wanted, release).await?;
    Ok(Json(TokenMade { about: about(row, now), token: token.to_string() }))
}

async fn revoke(caller: Caller, State(ledger): State<Ledger>, State(clock): State<Clock>) -> Result<Json<Vec<Token>>, Refusal> {
    let (which, now) = (caller.given("token").unwrap_or_default(), clock.now());
    let revoked = tokens::revoke(&ledger, caller.whose_tokens(), which, (caller.actor(), now)).await?;
    let revoked = revoked.into_iter().map(|row| about(TokenRow { revoked_at: Some(now), ..row }, now));
    Ok(Json(revoked.collect()))
}

async fn asked(caller: Caller, State(ledger): State<Ledger>, State(clock): State<Clock>) -> Result<Json<Vec<Approval>>, Refusal> {
    let rows = ledger.store().approvals_open(&caller.tenant, clock.now()).await?;
    Ok(Json(rows.into_iter().map(approval).collect()))
}

async fn approve(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Body(request): Body<ApproveRequest>,
) -> Result<Json<Approval>, Refusal> {
    let (by, tenant) = ((caller.actor(), clock.now()), caller.tenant());
    let row = approvals::approve(&ledger, tenant, &request.id, by).await?;
    Ok(Json(Approval { approved_by: row.approved_by.clone().or(Some(caller.actor.clone())), ..approval(row) }))
}

fn approval(row: ApprovalRow) -> Approval {
    Approval {
        id: row.id,
        what: words::act(row.what).to_owned(),
        object: row.object,
        devices: row.devices,
        asked_by: row.asked_by,
        expires_at: row.expires_at.unix(),
        approved_by: row.approved_by,
    }
}

fn about(row: TokenRow, now: Timestamp) -> Token {
    let state = match (row.revoked_at, row.is_in_force(now)) {
        (Some(_), _) => "revoked",
        (None, true) => "in-force",
        (None, false) => "expired",
    };
    Token {
        id: row.id,
        name: row.name.to_string(),
        created_at: row.created_at.unix(),
        created_by: row.created_by,
        expires_at: row.expires_at.map(Timestamp::unix),
        state: state.to_owned(),
    }
}
