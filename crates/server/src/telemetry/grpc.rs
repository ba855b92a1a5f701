//! gRPC's unary call over the client that is there: a POST by HTTP/2 whose message stands behind five bytes, and whose outcome is in the trailers
//! (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). OTLP needs nothing else of gRPC: no second client, no second TLS.

use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE};
use reqwest::{Body, Client, Response, Url};

use super::collector::{ANSWER_MAX, Answer, left_alone, taken};
use crate::web::told;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Not compressed, and how long the message is: before each message.
const PREFIX: usize = 5;

/// Statuses that ask for the same again (opentelemetry.io/docs/specs/otlp, section "Failures"): cancelled, deadline exceeded, aborted, out of
/// range, unavailable, data loss.
const LATER: [u16; 6] = [1, 4, 10, 11, 14, 15];
/// A resource is exhausted: for a while, if it says for how long; else because there is too much in the message.
const EXHAUSTED: u16 = 8;

/// Sends one message, once.
pub(super) async fn send(client: &Client, url: Url, headers: HeaderMap, message: &[u8]) -> Answer {
    let Ok(length) = u32::try_from(message.len()) else { return Answer::Refused("it is longer than a message of gRPC can be".into()) };
    let framed = [&[0], &length.to_be_bytes()[..], message].concat();
    let request = client.post(url).headers(headers).header(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
    match request.header(TE, HeaderValue::from_static("trailers")).body(framed).send().await {
        Ok(response) => judge(response).await,
        Err(error) => Answer::Later { after: std::time::Duration::ZERO, problem: told(&error) },
    }
}

async fn judge(response: Response) -> Answer {
    let (status, after) = (response.status(), left_alone(response.headers()));
    let early = response.headers().clone();
    let body = Limited::new(Body::from(response), ANSWER_MAX);
    let whole = match body.collect().await {
        Ok(whole) => whole,
        Err(error) => return Answer::Later { after, problem: format!("its answer was cut off: {error}") },
    };
    // An answer without a message has everything in its headers.
    let ending = whole.trailers().cloned().unwrap_or(early);
    let Some(outcome) = ending.get(STATUS).and_then(|value| value.to_str().ok()?.parse::<u16>().ok()) else {
        return Answer::of_http(status, after);
    };
    let problem = || {
        let said = ending.get(MESSAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        format!("it answered with status {outcome} of gRPC: {}", percent_decode_str(said).decode_utf8_lossy())
    };
    match outcome {
        0 => whole.to_bytes().get(PREFIX..).map_or(Answer::Taken, |message| taken(message, false)),
        EXHAUSTED if ending.contains_key(DETAILS) => Answer::Later { after, problem: problem() },
        outcome if LATER.contains(&outcome) => Answer::Later { after, problem: problem() },
        _ => Answer::Refused(problem()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of an answer without a message: all of it is in the headers.
    async fn of(headers: &[(&str, &str)]) -> Answer {
        let answer = headers.iter().fold(axum::http::Response::builder(), |answer, (name, value)| answer.header(*name, *value));
        judge(answer.body(Vec::new()).unwrap().into()).await
    }

    #[tokio::test]
    async fn what_is_over_soon_is_sent_again_and_nothing_else_is() {
        assert_eq!(of(&[("grpc-status", "0")]).await, Answer::Taken);
        for status in ["1", "4", "10", "11", "14", "15"] {
            assert!(matches!(of(&[("grpc-status", status)]).await, Answer::Later { .. }), "{status}");
        }
        for status in ["2", "3", "5", "6", "7", "8", "9", "12", "13", "16", "99"] {
            assert!(matches!(of(&[("grpc-status", status)]).await, Answer::Refused(_)), "{status}");
        }
        assert!(matches!(of(&[("grpc-status", "8"), ("grpc-status-details-bin", "CAg")]).await, Answer::Later { .. }));
        assert_eq!(of(&[]).await, Answer::Refused("it answered 200 OK".into()), "no outcome is no success");
        let told = of(&[("grpc-status", "3"), ("grpc-message", "not%20so")]).await;
        assert_eq!(told, Answer::Refused("it answered with status 3 of gRPC: not so".into()));
    }
}
