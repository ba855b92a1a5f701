//! What people ask for devices that cannot ask themselves.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tegata_api::v1::offline::{AnswerTaken, Refused, SignedAnswer, SignedBundle};
use tegata_core::access::Right;
use tegata_core::name::OrderId;

use crate::http::access::Caller;
use crate::http::refuse::Refusal;
use crate::http::{Audience, Body, Route, post};
use crate::issuers::order::Issuance;
use crate::offline::{self, Heard};
use crate::serve::certificate::ServerCertificate;

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    use Audience::Person;
    vec![
        post(Person(Right::Enroll), "/v1/tenants/{tenant}/devices/{clinic}/{device}/bundle", export),
        post(Person(Right::Enroll), "/v1/tenants/{tenant}/bundles/answers", accept),
    ]
}

async fn export(
    caller: Caller,
    State(issuance): State<Issuance>,
    State(certificate): State<Arc<ServerCertificate>>,
) -> Result<Json<SignedBundle>, Refusal> {
    let device = caller.device()?;
    Ok(Json(offline::export(&issuance, &certificate, caller.tenant(), &device, caller.actor()).await?))
}

async fn accept(caller: Caller, State(issuance): State<Issuance>, Body(answer): Body<SignedAnswer>) -> Result<Json<AnswerTaken>, Refusal> {
    Ok(Json(taken(offline::accept(&issuance, caller.tenant(), &answer, caller.actor()).await?)))
}

fn taken(heard: Heard) -> AnswerTaken {
    let texts = |orders: Vec<OrderId>| orders.iter().map(ToString::to_string).collect();
    let refused = heard.refused.into_iter();
    AnswerTaken {
        device: heard.device.to_string(),
        up_to: heard.up_to,
        last_receipt: heard.last_receipt,
        issued: texts(heard.issued),
        taken: texts(heard.taken),
        refused: refused
            .map(|(order, why)| Refused { order: order.map(|order| order.to_string()), problem: Refusal::from(why).into_problem() })
            .collect(),
    }
}
