//! What anyone may ask: whether the server is there, what to trust, and what is revoked.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use tegata_core::name::{IssuerName, TenantName};

use crate::http::refuse::Refusal;
use crate::http::{Audience, Route, get};
use crate::issuers::authorities::Authorities;
use crate::issuers::revocation::Lists;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Anyone;
    vec![get(Anyone, "/healthz", health), get(Anyone, "/ca/{tenant}/{file}", authorities), get(Anyone, "/crl/{tenant}/{file}", list)]
}

async fn health() -> &'static str {
    "ok\n"
}

/// The issuing authority and its root, PEM: what a site has to trust.
async fn authorities(
    Path((tenant, file)): Path<(String, String)>,
    State(authorities): State<Arc<Authorities>>,
) -> Result<impl IntoResponse, Refusal> {
    let (tenant, issuer) = issuer(&tenant, &file, ".pem")?;
    let issuing = authorities.issuer(&tenant, &issuer).await?;
    Ok(([(CONTENT_TYPE, "application/pem-certificate-chain")], issuing.bundle()))
}

/// An issuer's revocation list, DER (RFC 5280, section 4.2.1.13).
async fn list(Path((tenant, file)): Path<(String, String)>, State(lists): State<Arc<Lists>>) -> Result<impl IntoResponse, Refusal> {
    let (tenant, issuer) = issuer(&tenant, &file, ".crl")?;
    let list = lists.newest(&tenant, &issuer).await?;
    Ok(([(CONTENT_TYPE, "application/pkix-crl"), (CACHE_CONTROL, "no-cache")], list))
}

fn issuer(tenant: &str, file: &str, ending: &str) -> Result<(TenantName, IssuerName), Refusal> {
    let name = file.strip_suffix(ending).ok_or_else(Refusal::not_found)?;
    Ok((tenant.parse().map_err(|_| Refusal::not_found())?, name.parse().map_err(|_| Refusal::not_found())?))
}
