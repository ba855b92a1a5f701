//! The portal's pages, and renewal by showing a certificate.
//!
//! Pages are for browsers: a cookie that scripts cannot read says who somebody is, every form carries a token of that cookie, and no
//! page may be framed or load anything from elsewhere.

pub mod visit;

use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::collections::BTreeMap;
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;
use tokio_util::sync::CancellationToken;

use self::visit::{Filled, Page, Visit, bare};
use crate::http::refuse::{Refusal, maintenance, not_permitted};
use crate::http::{Audience, Route, get, post};
use crate::portal::issue::Application;
use crate::portal::renewal::RenewalError;
use crate::portal::sign_in::{Checked, Session};
use crate::portal::{Desk, PortalError, pages};
use crate::tls::Shown;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Anyone;
    vec![
        get(Anyone, "/portal/{tenant}/{clinic}", start),
        post(Anyone, "/portal/{tenant}/{clinic}/apply", apply),
        get(Anyone, "/portal/{tenant}/{clinic}/code", code),
        post(Anyone, "/portal/{tenant}/{clinic}/code", sign_in),
        post(Anyone, "/portal/{tenant}/{clinic}/sign-out", sign_out),
        get(Anyone, "/portal/{tenant}/{clinic}/certificates", list),
        get(Anyone, "/portal/{tenant}/{clinic}/certificates.zip", all_files),
        get(Anyone, "/portal/{tenant}/{clinic}/new", new),
        post(Anyone, "/portal/{tenant}/{clinic}/new", issue),
        get(Anyone, "/portal/{tenant}/{clinic}/certificates/{serial}/file", file),
        post(Anyone, "/portal/{tenant}/{clinic}/certificates/{serial}/remarks", remark),
        post(Anyone, "/portal/{tenant}/{clinic}/certificates/{serial}/renew", renew),
        get(Anyone, "/portal/{tenant}/{clinic}/certificates/{serial}/revoke", ask_revoke),
        post(Anyone, "/portal/{tenant}/{clinic}/certificates/{serial}/revoke", revoke),
        get(Anyone, "/portal-assets/{file}", asset),
        post(Anyone, "/api/cert", renew_shown),
        get(Anyone, "/api/cert/file", deliver),
    ]
}

async fn start(visit: Visit) -> Response {
    if visit.session.is_some() {
        return visit.go("/certificates");
    }
    let page = visit.page();
    visit.show(&page, "start.html", first(&visit, &page, ""))
}

/// What the first page is filled with.
fn first(visit: &Visit, page: &Page<'_>, mail: &str) -> serde_json::Value {
    let (place, now) = (&visit.place, visit.desk.clock.now());
    let checks = page.view.first_checks(place, &visit.agent, visit.desk.mailer.is_some());
    json!({ "mail": mail, "checks": checks, "now": now.unix(), "now_text": pages::moment(place, now, visit.lang) })
}

async fn apply(visit: Visit, form: Filled) -> Response {
    let checked = Checked { clock_offset: form.text("offset").parse().ok() };
    let mail = form.text("mail");
    let asked = match form.own_page() {
        Ok(()) => visit.desk.ask_for_code(&visit.place, mail, checked).await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(handle) => visit.go(&format!("/code?handle={handle}")),
        Err(error) => {
            let page = visit.troubled(&error);
            visit.show(&page, "start.html", first(&visit, &page, mail))
        }
    }
}

async fn code(visit: Visit) -> Response {
    let handle = visit.query.get("handle").cloned().unwrap_or_default();
    match visit.desk.code_ends(&visit.place, &handle).await {
        Ok(Some(ends)) => {
            let page = visit.page();
            visit.show(&page, "code.html", countdown(&visit, &handle, Some(ends)))
        }
        Ok(None) => visit.go(""),
        Err(error) => visit.problem(&error),
    }
}

fn countdown(visit: &Visit, handle: &str, ends: Option<Timestamp>) -> serde_json::Value {
    let now = visit.desk.clock.now();
    let left = ends.map_or(0, |ends| ends.since(now).as_secs());
    let until = ends.map(|ends| pages::moment(&visit.place, ends, visit.lang)).unwrap_or_default();
    json!({
        "handle": handle, "left": left, "left_text": format!("{}:{:02}", left / 60, left % 60),
        "life": visit.place.portal().code_life.as_secs(), "until": until,
    })
}

async fn sign_in(visit: Visit, form: Filled) -> Response {
    let handle = form.text("handle");
    let signed_in = match form.own_page() {
        Ok(()) => visit.desk.sign_in(&visit.place, handle, form.text("digits")).await,
        Err(error) => Err(error),
    };
    match signed_in {
        Ok(cookie) => visit.welcome(&cookie),
        Err(error) => {
            let ends = visit.desk.code_ends(&visit.place, handle).await.unwrap_or_default();
            let page = visit.troubled(&error);
            visit.show(&page, "code.html", countdown(&visit, handle, ends))
        }
    }
}

async fn sign_out(visit: Visit, form: Filled) -> Response {
    let ended = match visit.signed_in(Some(&form)) {
        Ok(session) => visit.desk.sign_out(session).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) | Err(PortalError::SignedOut) => visit.farewell(),
        Err(error) => visit.problem(&error),
    }
}

async fn list(visit: Visit) -> Response {
    listed(&visit, None).await
}

/// The list, and what went wrong with something in it.
async fn listed(visit: &Visit, trouble: Option<&PortalError>) -> Response {
    let session = match visit.signed_in(None) {
        Ok(session) => session,
        Err(error) => return visit.out(trouble.unwrap_or(&error)),
    };
    let now = visit.desk.clock.now();
    let holdings = match visit.desk.holdings(&visit.place, &session.account, now).await {
        Ok(holdings) => holdings,
        Err(error) => return visit.problem(&error.into()),
    };
    let page = trouble.map_or_else(|| visit.page(), |trouble| visit.troubled(trouble));
    let room = holdings.room;
    let data = json!({
        "rows": page.view.rows(&visit.place, &holdings, now),
        "room": { "used": room.used, "limit": room.limit, "high": room.limit * 4 / 5, "full": room.is_full() },
        "ca": format!("/ca/{}/{}.pem", visit.place.tenant(), visit.place.issuer),
    });
    visit.show(&page, "list.html", data)
}

async fn new(visit: Visit) -> Response {
    match visit.signed_in(None) {
        Ok(session) => form(&visit, session, ("", ""), None).await,
        Err(error) => visit.out(&error),
    }
}

/// The form, filled in as before, and what was wrong with it.
async fn form(visit: &Visit, session: &Session, (memo, label): (&str, &str), trouble: Option<&PortalError>) -> Response {
    let now = visit.desk.clock.now();
    let read = async {
        let room = visit.desk.room_left(&visit.place, &session.account, now).await?;
        Ok::<_, PortalError>((room, visit.desk.ledger.store().devices(visit.place.tenant()).await?))
    };
    let (room, devices) = match read.await {
        Ok(read) => read,
        Err(error) => return visit.problem(&error),
    };
    let page = trouble.map_or_else(|| visit.page(), |trouble| visit.troubled(trouble));
    let checks = page.view.account_checks(&visit.agent, room, pages::heard(&devices, &visit.place, now));
    let data = json!({
        "memo": memo, "label": label, "places": pages::memos(&visit.place), "checks": checks,
        "now": now.unix(), "now_text": pages::moment(&visit.place, now, visit.lang),
    });
    visit.show(&page, "new.html", data)
}

async fn issue(visit: Visit, filled: Filled) -> Response {
    let session = match visit.signed_in(Some(&filled)) {
        Ok(session) => session,
        Err(error) => return visit.out(&error),
    };
    let (memo, label) = (filled.text("memo"), filled.text("label"));
    let account = &session.account;
    let issued = match Application::read(memo, label) {
        Ok(wanted) => visit.desk.issue(&visit.place, account, &format!("account:{}/{}", account.clinic, account.account), &wanted).await,
        Err(error) => Err(error),
    };
    match issued {
        Ok(handed) => {
            let page = visit.page();
            visit.show(&page, "issued.html", page.view.handed(&visit.place, &handed, memo.trim()))
        }
        Err(error) => form(&visit, session, (memo, label), Some(&error)).await,
    }
}

async fn file(visit: Visit) -> Response {
    let fetched = async {
        let row = visit.own(None).await?;
        if !row.is_valid(visit.desk.clock.now()) {
            return Err(PortalError::NoCertificate);
        }
        Ok((visit.desk.file(&row).await?, row.draft.file_name))
    };
    match fetched.await {
        Ok((file, name)) => attachment(file, "application/x-pkcs12", &name),
        Err(error) => visit.out(&error),
    }
}

async fn all_files(visit: Visit) -> Response {
    let fetched = async { visit.desk.all_files(&visit.signed_in(None)?.account).await };
    match fetched.await {
        Ok(archive) => attachment(archive, "application/zip", "certificates.zip"),
        Err(error) => visit.out(&error),
    }
}

async fn remark(visit: Visit, form: Filled) -> Response {
    let remarked = async { visit.desk.remark(&visit.own(Some(&form)).await?, form.text("remarks")).await };
    match remarked.await {
        Ok(()) => visit.go("/certificates"),
        Err(error) => listed(&visit, Some(&error)).await,
    }
}

async fn renew(visit: Visit, form: Filled) -> Response {
    let renewed = async {
        let row = visit.own(Some(&form)).await?;
        let handed = visit.desk.renew(&visit.place, &row).await?;
        Ok((handed, row.draft.memo))
    };
    match renewed.await {
        Ok((handed, memo)) => {
            let page = visit.page();
            visit.show(&page, "issued.html", page.view.handed(&visit.place, &handed, &memo))
        }
        Err(error) => listed(&visit, Some(&error)).await,
    }
}

async fn ask_revoke(visit: Visit) -> Response {
    match visit.own(None).await {
        Ok(row) => {
            let page = visit.page();
            let data = json!({
                "memo": row.draft.memo, "common_name": row.draft.common_name, "organization": row.draft.organization,
                "until": pages::moment(&visit.place, row.draft.not_after, visit.lang), "remarks": row.draft.remarks,
                "serial": row.draft.serial.to_string(),
            });
            visit.show(&page, "revoke.html", data)
        }
        Err(error) => listed(&visit, Some(&error)).await,
    }
}

async fn revoke(visit: Visit, form: Filled) -> Response {
    let revoked = async {
        let row = visit.own(Some(&form)).await?;
        let account = &row.draft.account;
        visit.desk.revoke(&row, &format!("account:{}/{}", account.clinic, account.account), "asked", Cause::CessationOfOperation).await
    };
    match revoked.await {
        Ok(()) => visit.go("/certificates"),
        Err(error) => listed(&visit, Some(&error)).await,
    }
}

async fn asset(Path(file): Path<String>) -> Result<impl IntoResponse, Refusal> {
    let (kind, text) = match file.as_str() {
        "portal.css" => ("text/css; charset=utf-8", pages::STYLE),
        "portal.js" => ("text/javascript; charset=utf-8", pages::SCRIPT),
        _ => return Err(Refusal::not_found()),
    };
    Ok(bare(([(CONTENT_TYPE, kind)], text).into_response(), "no-cache"))
}

/// What ORCAMO's clients ask: `{"uri", "pass"}` for whoever shows a certificate that is about to end.
async fn renew_shown(State(desk): State<Desk>, State(stopping): State<CancellationToken>, shown: Shown) -> Response {
    if stopping.is_cancelled() {
        return maintenance();
    }
    match desk.renew_shown(shown.0).await {
        Ok(renewed) => {
            let uri = format!("{}/api/cert/file?token={}", desk.address, renewed.token.as_str());
            let answer = json!({ "uri": uri, "pass": renewed.password.as_str() }).to_string();
            bare(([(CONTENT_TYPE, "application/json")], answer).into_response(), "no-store")
        }
        Err(RenewalError::Denied(denial)) => not_permitted(denial),
        Err(RenewalError::Failed(error)) => {
            tracing::error!(%error, "a certificate could not be renewed");
            maintenance()
        }
    }
}

/// The token stands in the query, because paths are logged.
async fn deliver(State(desk): State<Desk>, Query(query): Query<BTreeMap<String, String>>, shown: Shown) -> Response {
    match desk.deliver(query.get("token").map(String::as_str).unwrap_or_default(), shown.0).await {
        Ok(Some(file)) => attachment(file, "application/x-pkcs12", "certificate.p12"),
        Ok(None) => Refusal::not_found().into_response(),
        Err(error) => {
            tracing::error!(%error, "a renewed certificate could not be fetched");
            maintenance()
        }
    }
}

/// File names hold half-width letters, digits, '.', '-' and '_' only: see `core::policy::Portal::names`.
fn attachment(bytes: Vec<u8>, kind: &'static str, name: &str) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    bare(([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, disposition)], bytes).into_response(), "no-store")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::StatusCode;
    use axum::http::header::RETRY_AFTER;
    use tegata_pki::key::Seal;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::clock::Clock;
    use crate::issuers::authorities::Authorities;
    use crate::issuers::publication::Publication;
    use crate::portal::PortalKey;
    use crate::pretend::World;

    fn desk(world: &World) -> Desk {
        let (seal, clock) = (Seal::generate(), Clock::fixed(world.now));
        Desk {
            ledger: world.ledger.clone(),
            bells: world.bells.clone(),
            clock: clock.clone(),
            key: PortalKey::of(&seal).into(),
            authorities: Arc::new(Authorities::new(world.ledger.clone(), clock, seal)),
            address: "https://tegata.example.jp".into(),
            publication: Publication::at("https://tegata.example.jp"),
            shards: Arc::default(),
            mailer: None,
            tasks: TaskTracker::new(),
        }
    }

    /// ORCAMO's clients try again after 503, and give up after 403: a server that stops must not say the latter.
    #[tokio::test]
    async fn a_server_that_stops_is_under_maintenance_and_denies_nobody() {
        let world = World::new().await;
        let stopping = CancellationToken::new();
        let ask = async || renew_shown(State(desk(&world)), State(stopping.clone()), Shown(None)).await;
        assert_eq!(ask().await.status(), StatusCode::FORBIDDEN);
        stopping.cancel();
        let answer = ask().await;
        assert!(answer.status() == StatusCode::SERVICE_UNAVAILABLE && answer.headers()[RETRY_AFTER] == "60", "{answer:?}");
        let text = axum::body::to_bytes(answer.into_body(), 1_000).await.unwrap();
        assert!(text.starts_with(b"MAINTENANCE\n") && !text.is_ascii(), "in Japanese too: {text:?}");
    }
}
