//! What auditors ask: records by what they are about, and who could open what on a day. That they asked is a record too.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::json;
use tegata_api::v1::audit::{AsOf, Stage};
use tegata_core::access::Right;
use tegata_core::name::ClinicName;
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::clock::Clock;
use crate::history::{self, Reader};
use crate::http::access::Caller;
use crate::http::refuse::Refusal;
use crate::http::{Audience, Route, get};
use crate::store::audit::filter::Filter;

/// The longest text in a question: longer than any name.
const TEXT_MAX: usize = 400;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Person;
    vec![
        get(Person(Right::ReadAudit), "/v1/tenants/{tenant}/audit/query", query).long().notes_reads(),
        get(Person(Right::ReadAudit), "/v1/tenants/{tenant}/audit/as-of", as_of).long().notes_reads().by_handler(),
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

/// Records as they are kept, one on each line, as many as there were when it was asked.
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
    let lines = reader.pages(ledger).map_ok(|page| page.into_iter().map(|entry| entry.bytes + "\n").collect::<String>());
    Ok(([(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")], Body::from_stream(lines)))
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
