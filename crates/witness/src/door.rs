//! The door: HTTP without TLS, because whoever could change what goes over it would need the log's key or the witness's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tegata_tlog::witness::Refusal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::WitnessError;
use crate::cosigner::{CosignError, Cosigner};

/// How many come in at once. Logs are few, and each asks every ten seconds at most.
const VISITORS_MAX: usize = 64;
/// How long one may stay: whoever comes again says who they are again, so that nothing is lost by ending it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a request may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);
/// The longest request, in bytes: a note of 64 KiB and 63 hashes.
const REQUEST_MAX: usize = 72 << 10;

/// Listens.
pub struct Door {
    listener: TcpListener,
    cosigner: Arc<Cosigner>,
}

impl Door {
    /// Listens; port 0 takes a free one.
    ///
    /// # Errors
    /// [`WitnessError::Listen`].
    pub async fn listen(address: SocketAddr, cosigner: Cosigner) -> Result<Self, WitnessError> {
        let listener = TcpListener::bind(address).await.map_err(|source| WitnessError::Listen { address, source })?;
        Ok(Self { listener, cosigner: Arc::new(cosigner) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is dropped. What was begun is ended then; what is remembered is whole at every moment.
    pub async fn open(self) {
        let places = Arc::new(Semaphore::new(VISITORS_MAX));
        let mut visits = JoinSet::new();
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "nobody can come in");
                    // Too many open files, most likely: those who are in will leave.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            while visits.try_join_next().is_some() {}
            let cosigner = self.cosigner.clone();
            visits.spawn(async move {
                let _ = tokio::time::timeout(PATIENCE, visit(stream, cosigner)).await;
                drop(place);
            });
        }
    }
}

async fn visit(stream: TcpStream, cosigner: Arc<Cosigner>) {
    let answer = service_fn(move |request| {
        let cosigner = cosigner.clone();
        async move { Ok::<_, Infallible>(answer(request, cosigner).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(ARRIVAL);
    // A log that leaves in the middle asks again.
    let _ = http.serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(request: Request<Incoming>, cosigner: Arc<Cosigner>) -> Response<String> {
    if request.uri().path() != "/add-checkpoint" {
        return said(StatusCode::NOT_FOUND, "there is nothing here");
    }
    if request.method() != Method::POST {
        return said(StatusCode::METHOD_NOT_ALLOWED, "a checkpoint is posted");
    }
    let Ok(Ok(body)) = tokio::time::timeout(ARRIVAL, Limited::new(request.into_body(), REQUEST_MAX).collect()).await else {
        return refused(Refusal::Malformed);
    };
    let text = String::from_utf8(body.to_bytes().to_vec()).ok();
    let Some(request) = text.and_then(|text| text.parse().ok()) else { return refused(Refusal::Malformed) };
    match tokio::task::spawn_blocking(move || cosigner.cosign(&request)).await {
        Ok(Ok(lines)) => with(StatusCode::OK, "text/plain; charset=utf-8", lines),
        Ok(Err(CosignError::Refused(refusal))) => refused(refusal),
        Ok(Err(CosignError::Folder(error))) => {
            tracing::error!(error = &error as &dyn std::error::Error, "nothing was cosigned");
            said(StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot remember, so it does not sign")
        }
        Err(_) => said(StatusCode::INTERNAL_SERVER_ERROR, "the witness failed"),
    }
}

fn refused(refusal: Refusal) -> Response<String> {
    let status = match refusal {
        Refusal::Malformed => StatusCode::BAD_REQUEST,
        Refusal::UnknownLog => StatusCode::NOT_FOUND,
        Refusal::Unsigned => StatusCode::FORBIDDEN,
        Refusal::OtherSize(size) => return with(StatusCode::CONFLICT, "text/x.tlog.size", format!("{size}\n")),
        Refusal::Forked => StatusCode::CONFLICT,
        Refusal::Inconsistent => StatusCode::UNPROCESSABLE_ENTITY,
    };
    said(status, &refusal.to_string())
}

fn said(status: StatusCode, text: &str) -> Response<String> {
    with(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

fn with(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
