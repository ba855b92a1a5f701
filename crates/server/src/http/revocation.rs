//! What is revoked, for anyone: lists (RFC 5280, section 4.2.1.13), and answers about single certificates (RFC 6960, appendix A).

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use data_encoding::{BASE64, BASE64_NOPAD};
use futures::StreamExt;
use tegata_core::name::{IssuerName, TenantName};

use crate::http::public::issuer;
use crate::http::refuse::Refusal;
use crate::http::{Audience, Route, get, post};
use crate::issuers::ocsp::Responders;
use crate::issuers::publication::Part;
use crate::issuers::revocation::Lists;

/// How long a cache may give an answer to others: RFC 5019, section 6.2, asks that it ends before the answer does.
const ANSWER_KEPT: &str = "max-age=60, public, no-transform, must-revalidate";

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Anyone;
    vec![
        get(Anyone, "/crl/{tenant}/{file}", whole),
        get(Anyone, "/crl/{tenant}/{issuer}/{file}", part),
        post(Anyone, "/ocsp/{tenant}/{issuer}", ask),
        get(Anyone, "/ocsp/{tenant}/{issuer}/{*request}", ask_by_path),
    ]
}

/// `portal.crl` is everything that an issuer has revoked, DER. `portal.pem` is all lists of the issuer and its root: what nginx takes.
async fn whole(Path((tenant, file)): Path<(String, String)>, State(lists): State<Arc<Lists>>) -> Result<Response, Refusal> {
    if file.ends_with(".pem") {
        let (tenant, issuer) = issuer(&tenant, &file, ".pem")?;
        return bundle(tenant, issuer, lists).await;
    }
    let (tenant, issuer) = issuer(&tenant, &file, ".crl")?;
    Ok(list(lists.newest(&tenant, &issuer, Part::Whole).await?))
}

async fn part(Path((tenant, issuer, file)): Path<(String, String, String)>, State(lists): State<Arc<Lists>>) -> Result<Response, Refusal> {
    let (tenant, issuer) = named(&tenant, &issuer)?;
    let part = file.parse().map_err(|_| Refusal::not_found())?;
    Ok(list(lists.newest(&tenant, &issuer, part).await?))
}

fn list(list: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/pkix-crl"), (CACHE_CONTROL, "no-cache")], list).into_response()
}

/// Made while it is sent: however many lists there are, one at a time is held for it.
async fn bundle(tenant: TenantName, issuer: IssuerName, lists: Arc<Lists>) -> Result<Response, Refusal> {
    let parts = lists.parts(&tenant, &issuer).await?;
    let written = futures::stream::iter(parts).then(move |part| {
        let (tenant, issuer, lists) = (tenant.clone(), issuer.clone(), lists.clone());
        async move { lists.newest(&tenant, &issuer, part).await.map(|list| Bytes::from(tegata_pki::crl::to_pem(&list))) }
    });
    Ok(([(CONTENT_TYPE, "application/x-pem-file"), (CACHE_CONTROL, "no-cache")], Body::from_stream(written)).into_response())
}

async fn ask(
    Path((tenant, issuer)): Path<(String, String)>,
    State(responders): State<Arc<Responders>>,
    request: Bytes,
) -> Result<Response, Refusal> {
    let (tenant, issuer) = named(&tenant, &issuer)?;
    let answer = responders.answer(&tenant, &issuer, &request).await?;
    Ok(answered(answer.response, "no-store"))
}

/// The request is written in base64; a cache on the way may answer the next one who asks the same.
async fn ask_by_path(
    Path((tenant, issuer, request)): Path<(String, String, String)>,
    State(responders): State<Arc<Responders>>,
) -> Result<Response, Refusal> {
    let (tenant, issuer) = named(&tenant, &issuer)?;
    let decoded = BASE64.decode(request.as_bytes()).or_else(|_| BASE64_NOPAD.decode(request.as_bytes()));
    // What is not base64 is no request either.
    let answer = responders.answer(&tenant, &issuer, &decoded.unwrap_or_default()).await?;
    Ok(answered(answer.response, if answer.is_for_everybody { ANSWER_KEPT } else { "no-store" }))
}

fn answered(response: Vec<u8>, kept: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/ocsp-response")), (CACHE_CONTROL, HeaderValue::from_static(kept))];
    (headers, response).into_response()
}

fn named(tenant: &str, issuer: &str) -> Result<(TenantName, IssuerName), Refusal> {
    Ok((tenant.parse().map_err(|_| Refusal::not_found())?, issuer.parse().map_err(|_| Refusal::not_found())?))
}
