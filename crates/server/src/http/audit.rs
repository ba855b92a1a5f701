//! What auditors ask: records by what they are about, and who could open what on a day. That they asked is a record too.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::json;
use tegata_api::v1::audit::{AsOf, EraseRequest, Erasure, Retention, Stage};
use tegata_core::access::Right;
use tegata_core::name::ClinicName;
use tegata_core::retention::YEARS_MIN;
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::clock::Clock;
use crate::erasure;
use crate::history::{self, Reader};
use crate::http::access::Caller;
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body as Sent, Route, get, post};
use crate::retention;
use crate::store::audit::Entry;
use crate::store::audit::filter::Filter;

/// The longest text in a question: longer than any name.
const TEXT_MAX: usize = 400;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Person;
    vec![
        get(Person(Right::ReadAudit), "/v1/tenants/{tenant}/audit/query", query).long().notes_reads(),
        get(Person(Right::ReadAudit), "/v1/tenants/{tenant}/audit/as-of", as_of).long().notes_reads().by_handler(),
        get(Person(Right::ReadAudit), "/v1/tenants/{tenant}/audit/personal", personal).long().notes_reads(),
        get(Person(Right::ReadAudit), "/v1/tenants/{tenant}/audit/retention", retention).long().notes_reads(),
        post(Person(Right::EraseTexts), "/v1/tenants/{tenant}/audit/erase", erase).long(),
    ]
}

#[derive(Deserialize)]
struct Asked {
    object: Option<String>,
    clinic: Option<String>,
    device: Option<String>,
    certificate: Option<String>,
    account: Option<String>,
    actor: Option<String>,
    policy: Option<String>,
    kind: Option<String>,
    stage: Option<Stage>,
    since: Option<i64>,
    until: Option<i64>,
    #[serde(default)]
    after: u64,
    limit: Option<u64>,
    /// Records with the texts that they commit to, instead of their exact bytes.
    #[serde(default)]
    texts: bool,
}

impl Asked {
    /// What was asked for, as its own record says it.
    fn said(&self) -> Result<serde_json::Value, Refusal> {
        let texts = [&self.object, &self.clinic, &self.device, &self.certificate, &self.account, &self.actor, &self.policy, &self.kind];
        if texts.into_iter().flatten().any(|text| text.len() > TEXT_MAX) {
            return Err(Refusal::malformed("nothing that records are asked for by is longer than 400 bytes"));
        }
        let said = json!({
            "object": self.object, "clinic": self.clinic, "device": self.device, "certificate": self.certificate, "account": self.account,
            "actor": self.actor, "policy": self.policy, "kind": self.kind, "stage": self.stage, "since": self.since, "until": self.until,
            "after": self.after, "limit": self.limit,
        });
        let given = said.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        Ok(given.map(|(name, value)| (name.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into())
    }

    fn filter(&self, certificates: BTreeSet<String>) -> Filter {
        Filter {
            object: self.object.as_ref().map(|object| object.trim_end_matches('/').to_owned()),
            clinic: self.clinic.clone(),
            device: self.device.clone(),
            certificates,
            account: self.account.clone(),
            actor: self.actor.clone(),
            policy: self.policy.clone(),
            kinds: self.kind.iter().cloned().collect(),
            stage: self.stage,
            since: self.since.map(Timestamp::from_unix),
            until: self.until.map(Timestamp::from_unix),
        }
    }
}

/// Records as they are kept, or as they are shown, one on each line, as many as there were when it was asked.
async fn query(
    caller: Caller,
    asked: Result<Query<Asked>, QueryRejection>,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<impl IntoResponse, Refusal> {
    let Query(asked) = asked?;
    let said = asked.said()?;
    let through = ledger.store().newest(caller.tenant()).await?;
    let certificates = match &asked.certificate {
        Some(name) => history::names(&ledger, caller.tenant(), name, through).await?,
        None => BTreeSet::new(),
    };
    history::note_read(&ledger, caller.tenant(), caller.actor(), "query", said, clock.now()).await?;
    let filter = asked.filter(certificates);
    let reader = Reader { tenant: caller.tenant().clone(), after: asked.after, through, left: asked.limit.unwrap_or(u64::MAX), filter };
    let line = move |entry: Entry| if asked.texts { json!(entry.record).to_string() } else { entry.bytes } + "\n";
    let lines = reader.pages(ledger).map_ok(move |page| page.into_iter().map(&line).collect::<String>());
    Ok((LINES, Body::from_stream(lines)))
}

const LINES: [(HeaderName, &str); 2] = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];

#[derive(Deserialize)]
struct Span {
    #[serde(default)]
    after: u64,
    through: Option<u64>,
}

/// The texts behind commitments that are still there, one on each line, by the numbers of their records.
async fn personal(
    caller: Caller,
    asked: Result<Query<Span>, QueryRejection>,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<impl IntoResponse, Refusal> {
    let Query(Span { after, through }) = asked?;
    let newest = ledger.store().newest(caller.tenant()).await?;
    history::note_read(&ledger, caller.tenant(), caller.actor(), "personal", json!({ "after": after, "through": through }), clock.now())
        .await?;
    let through = through.unwrap_or(newest).min(newest);
    let pages = erasure::pages(ledger, caller.tenant().clone(), after, through);
    let lines = pages.map_ok(|page| page.iter().map(|disclosure| json!(disclosure).to_string() + "\n").collect::<String>());
    Ok((LINES, Body::from_stream(lines)))
}

#[derive(Deserialize)]
struct Years {
    #[serde(default = "shortest")]
    years: u32,
}

fn shortest() -> u32 {
    YEARS_MIN
}

/// How long the log has to be provable.
async fn retention(
    caller: Caller,
    asked: Result<Query<Years>, QueryRejection>,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<Json<Retention>, Refusal> {
    let (Query(Years { years }), now) = (asked?, clock.now());
    history::note_read(&ledger, caller.tenant(), caller.actor(), "retention", json!({ "years": years }), now).await?;
    let planned = retention::plan(&ledger, caller.tenant(), (years, now), |_| {}).await?;
    planned.map(Json).ok_or_else(|| Refusal::malformed(erasure::TOO_SHORT))
}

/// Erases texts, or says which ones it would be.
async fn erase(
    caller: Caller,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    Sent(request): Sent<EraseRequest>,
) -> Result<Json<Erasure>, Refusal> {
    Ok(Json(erasure::erase(&ledger, caller.tenant(), &request, (caller.actor(), clock.now())).await?))
}

#[derive(Deserialize)]
struct When {
    clinic: Option<String>,
    /// Seconds since 1970; now, if it is left out.
    at: Option<i64>,
}

async fn as_of(
    caller: Caller,
    asked: Result<Query<When>, QueryRejection>,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
) -> Result<Json<AsOf>, Refusal> {
    let Query(When { clinic, at }) = asked?;
    let clinic: Option<ClinicName> = clinic.map(|name| name.parse()).transpose().map_err(|_| Refusal::not_found())?;
    caller.expect_part(clinic.as_ref())?;
    let moment = at.map_or_else(|| clock.now(), Timestamp::from_unix);
    let said = json!({ "clinic": clinic.as_ref().map(ClinicName::as_str), "at": moment.unix() });
    history::note_read(&ledger, caller.tenant(), caller.actor(), "as-of", said, clock.now()).await?;
    Ok(Json(history::as_of(&ledger, caller.tenant(), clinic.as_ref(), moment).await?))
}
