//! The figures, for Prometheus: on a listener of their own, because they name the clinics of all tenants.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::http::refuse::Refusal;
use crate::telemetry::Telemetry;

/// What is answered there, and nothing else.
pub fn router(telemetry: Arc<Telemetry>) -> Router {
    let router = Router::new().route("/metrics", get(metrics));
    router
        .fallback(|| async { Refusal::not_found() })
        .method_not_allowed_fallback(|| async { Refusal::wrong_method() })
        .with_state(telemetry)
}

async fn metrics(State(telemetry): State<Arc<Telemetry>>) -> Result<impl IntoResponse, Refusal> {
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry.scrape().await?))
}
