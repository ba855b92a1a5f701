//! What anyone may ask: whether the server is there, and what to trust.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use tegata_core::name::{IssuerName, TenantName};

use crate::http::refuse::Refusal;
use crate::http::{Audience, Route, get};
use crate::issuers::authorities::Authorities;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Anyone;
    vec![get(Anyone, "/healthz", health), get(Anyone, "/ca/{tenant}/{file}", authorities)]
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

/// The issuer whose name is that of a file.
pub(super) fn issuer(tenant: &str, file: &str, ending: &str) -> Result<(TenantName, IssuerName), Refusal> {
    let name = file.strip_suffix(ending).ok_or_else(Refusal::not_found)?;
    Ok((tenant.parse().map_err(|_| Refusal::not_found())?, name.parse().map_err(|_| Refusal::not_found())?))
}
