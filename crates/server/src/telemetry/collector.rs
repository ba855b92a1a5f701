//! One collector, and what it answers (opentelemetry.io/docs/specs/otlp, sections "OTLP/HTTP" and "OTLP/gRPC").

use std::fmt;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::runtime::Handle;

use super::grpc;
use super::settings::{Protocol, Target};
use crate::web::{self, told};

/// How long it may take to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How much of an answer is read.
pub(super) const ANSWER_MAX: usize = 64 << 10;
/// The longest that a collector may ask to be left alone.
const LEAVE_ALONE_MAX: Duration = Duration::from_secs(3_600);

/// Why a collector cannot be sent anything.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The file of its authorities cannot be used.
    #[error("OTEL_EXPORTER_OTLP_CERTIFICATE: {0} cannot be read as certificates in PEM")]
    Authority(String, #[source] io::Error),
    /// There is no client.
    #[error("the client for OTLP cannot be set up")]
    Client(#[from] reqwest::Error),
}

/// Who takes one signal.
#[derive(Clone)]
pub struct Collector {
    client: Client,
    target: Target,
}

/// What it said.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// It has taken everything.
    Taken,
    /// It is not there, or busy: the same again, not before `after`.
    Later { after: Duration, problem: String },
    /// It does not want this, or not all of it.
    Refused(String),
}

impl Collector {
    /// A client for a target: believes whom it is told to, follows nobody elsewhere.
    ///
    /// # Errors
    /// If the authorities cannot be read.
    pub fn new(target: Target) -> Result<Self, CollectorError> {
        let mut tls = web::tls(roots(&target)?);
        let client = match target.protocol {
            Protocol::Http => web::client(tls),
            Protocol::Grpc => {
                tls.alpn_protocols = vec![b"h2".to_vec()];
                web::client(tls).http2_prior_knowledge()
            }
        };
        let client = client
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(target.patience)
            .user_agent(concat!("tegata/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, target })
    }

    /// Where it is.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The same client, for OpenTelemetry's own exporters.
    pub(super) fn http(&self) -> OnRuntime {
        OnRuntime { collector: self.clone(), runtime: Handle::current() }
    }

    /// Sends one message, once.
    pub(super) async fn send(&self, message: Vec<u8>) -> Answer {
        let (url, headers) = (self.target.url.clone(), self.target.headers.clone());
        if self.target.protocol == Protocol::Grpc {
            return grpc::send(&self.client, url, headers, &message).await;
        }
        let request = self.client.post(url).headers(headers);
        match request.header(CONTENT_TYPE, "application/x-protobuf").body(message).send().await {
            Ok(response) => judge(response).await,
            Err(error) => Answer::Later { after: Duration::ZERO, problem: told(&error) },
        }
    }
}

fn roots(target: &Target) -> Result<RootCertStore, CollectorError> {
    let Some(path) = &target.authority else { return Ok(web::system_roots()) };
    let mut roots = RootCertStore::empty();
    let failed = |error| CollectorError::Authority(path.display().to_string(), error);
    let text = std::fs::read(path).map_err(failed)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let (added, ignored) = roots.add_parsable_certificates(read.map_err(|error| failed(io::Error::other(error.to_string())))?);
    if added == 0 || ignored > 0 { Err(failed(io::Error::other("no certificate, or one that is none"))) } else { Ok(roots) }
}

/// 429, 502, 503 and 504 ask for the same again, and so does a connection that fails; everything else says no for good.
async fn judge(mut response: Response) -> Answer {
    let (status, after) = (response.status(), left_alone(response.headers()));
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_MAX => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Answer::Refused(format!("it answered {status} and does not come to an end")),
            Ok(None) => break,
            Err(error) => return Answer::Later { after, problem: told(&error) },
        }
    }
    match status {
        StatusCode::OK => taken(&body, is_json),
        status => Answer::of_http(status, after),
    }
}

impl Answer {
    /// Of a status that is no success.
    pub(super) fn of_http(status: StatusCode, after: Duration) -> Self {
        let problem = format!("it answered {status}");
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Self::Later { after, problem }
            }
            _ => Self::Refused(problem),
        }
    }
}

/// A 200 that takes only a part is none. The field has the same place in the answers for all signals.
pub(super) fn taken(body: &[u8], is_json: bool) -> Answer {
    let (rejected, problem) = if is_json {
        let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else { return Answer::Refused("its answer is no JSON".into()) };
        let part = &answer["partialSuccess"];
        let number = &part["rejectedLogRecords"];
        // Protobuf's JSON writes 64-bit numbers as text.
        let rejected = number.as_i64().or_else(|| number.as_str()?.parse().ok()).unwrap_or_default();
        (rejected, part["errorMessage"].as_str().unwrap_or_default().to_owned())
    } else {
        let Ok(answer) = ExportLogsServiceResponse::decode(body) else { return Answer::Refused("its answer is no OTLP".into()) };
        let part = answer.partial_success.unwrap_or_default();
        (part.rejected_log_records, part.error_message)
    };
    if rejected == 0 { Answer::Taken } else { Answer::Refused(format!("it did not take {rejected} of them: {problem}")) }
}

/// `Retry-After`: seconds, or a moment (RFC 9110, section 10.2.3).
pub(super) fn left_alone(headers: &HeaderMap) -> Duration {
    let Some(text) = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()) else { return Duration::ZERO };
    let until = || -> Option<Duration> {
        let moment = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
        moment.duration_since(jiff::Timestamp::now()).try_into().ok()
    };
    let asked = text.trim().parse().ok().map(Duration::from_secs).or_else(until);
    asked.unwrap_or_default().min(LEAVE_ALONE_MAX)
}

/// OpenTelemetry's exporters work on threads of their own, where nothing drives a connection: requests are made on the server's runtime.
/// What it answers they hear as HTTP says it.
#[derive(Clone)]
pub(super) struct OnRuntime {
    collector: Collector,
    runtime: Handle,
}

impl fmt::Debug for OnRuntime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OnRuntime").field("target", &self.collector.target).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<opentelemetry_http::Response<Bytes>, HttpError> {
        let collector = self.collector.clone();
        let answer = self.runtime.spawn(async move { collector.send(request.into_body().into()).await }).await?;
        let (status, problem) = match answer {
            Answer::Taken => (StatusCode::OK, String::new()),
            Answer::Later { problem, .. } => (StatusCode::SERVICE_UNAVAILABLE, problem),
            Answer::Refused(problem) => (StatusCode::BAD_REQUEST, problem),
        };
        if !status.is_success() {
            tracing::debug!(problem, "telemetry was not taken");
        }
        Ok(opentelemetry_http::Response::builder().status(status).body(Bytes::new())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rejected: i64) -> Vec<u8> {
        let part = opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess {
            rejected_log_records: rejected,
            error_message: "too long".into(),
        };
        ExportLogsServiceResponse { partial_success: Some(part) }.encode_to_vec()
    }

    #[test]
    fn only_a_whole_success_is_one() {
        let refused = Answer::Refused("it did not take 2 of them: too long".into());
        assert_eq!((taken(b"", false), taken(&answer(0), false)), (Answer::Taken, Answer::Taken));
        assert_eq!(taken(&answer(2), false), refused);
        assert_eq!((taken(b"{}", true), taken(br#"{"partialSuccess":{}}"#, true)), (Answer::Taken, Answer::Taken));
        assert_eq!(taken(br#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too long"}}"#, true), refused);
        assert!(matches!(taken(b"fine", false), Answer::Refused(_)) && matches!(taken(b"fine", true), Answer::Refused(_)));
    }

    #[test]
    fn retry_after_is_read_both_ways_and_has_an_end() {
        let asked = |text: &str| left_alone(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!((asked("7"), asked("soon"), asked("99999999")), (Duration::from_secs(7), Duration::ZERO, LEAVE_ALONE_MAX));
        assert_eq!((asked("Sun, 06 Nov 1994 08:49:37 GMT"), left_alone(&HeaderMap::new())), (Duration::ZERO, Duration::ZERO));
        assert_eq!(asked("Sat, 06 Nov 2094 08:49:37 GMT"), LEAVE_ALONE_MAX);
    }
}
