//! The listening side: takes connections, checks who comes, answers one page each.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::server::Acceptor;
use tegata_pki::certificate::{self, Certificate};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::Site;
use super::door::Doors;
use super::page;

/// How long one visit may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody came to the door.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The host name that was asked for.
    pub host: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a visit.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The page was shown; subject and serial number of the certificate.
    Answered(String),
    /// 403: the certificate is another clinic's.
    Forbidden(String),
    /// There was no handshake.
    Refused(String),
}

impl fmt::Display for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Answered(who) => write!(f, "{} 200 {who}", self.host),
            Outcome::Forbidden(who) => write!(f, "{} 403 {who}", self.host),
            Outcome::Refused(why) => write!(f, "{} refused: {why}", self.host),
        }
    }
}

type Visited = Arc<dyn Fn(&Visit) + Send + Sync>;

/// The listener and everything that it started. It all ends when this is dropped.
pub struct Front {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Front {
    /// Listens, and keeps the doors current.
    pub async fn listen(listen: SocketAddr, doors: Doors, visited: Visited) -> Result<Self> {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        let watched = doors.clone();
        tasks.spawn(async move { watched.watch().await });
        tasks.spawn(accept(listener, doors, visited));
        Ok(Self { address, _tasks: tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, doors: Doors, visited: Visited) {
    let mut visits = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let (doors, visited) = (doors.clone(), visited.clone());
                visits.spawn(async move {
                    // Whoever is slower than this has gone.
                    let _ = tokio::time::timeout(PATIENCE, visit(stream, &doors, &visited)).await;
                });
            }
            Some(_) = visits.join_next() => {}
        }
    }
}

async fn visit(stream: TcpStream, doors: &Doors, visited: &Visited) {
    let Ok(hello) = LazyConfigAcceptor::new(Acceptor::default(), stream).await else { return };
    let host = hello.client_hello().server_name().unwrap_or_default().to_owned();
    let tell = |outcome| visited(&Visit { host: host.clone(), outcome });
    let Some((sites, config)) = doors.at(&host) else { return tell(Outcome::Refused("no such host".into())) };
    let stream = match hello.into_stream(config).await {
        Ok(stream) => stream,
        Err(error) => return tell(Outcome::Refused(error.to_string())),
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|leaf| certificate::read(leaf));
    match shown {
        Some(Ok(certificate)) => {
            let site = chart_of(sites, &certificate);
            tell(judge(site.is_ok(), &certificate));
            serve(stream, site, certificate).await;
        }
        _ => tell(Outcome::Refused("the certificate cannot be read".into())),
    }
}

fn judge(is_let_in: bool, certificate: &Certificate) -> Outcome {
    let who = page::Subject::of(certificate).to_string();
    if is_let_in { Outcome::Answered(who) } else { Outcome::Forbidden(who) }
}

/// The chart of the clinic that the certificate, which is valid, belongs to; or a chart of this host that it does not open.
fn chart_of<'a>(sites: &'a [Site], certificate: &Certificate) -> Result<&'a Site, &'a Site> {
    let own = sites.iter().find(|site| certificate.organization.as_deref() == Some(&site.organization));
    own.ok_or(&sites[0])
}

/// Answers one request, whatever it asks for, and closes: the next visit is checked anew.
async fn serve(stream: TlsStream<TcpStream>, site: Result<&Site, &Site>, certificate: Certificate) {
    let (status, page) = match site {
        Ok(own) => (StatusCode::OK, page::chart(own, &certificate)),
        Err(other) => (StatusCode::FORBIDDEN, page::forbidden(other, &certificate)),
    };
    let answer = service_fn(move |_| {
        let mut response = Response::new(page.clone());
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        async { Ok::<_, std::convert::Infallible>(response) }
    });
    // A browser that leaves in the middle is no news.
    let _ = hyper::server::conn::http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), answer).await;
}
