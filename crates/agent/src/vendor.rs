//! Asks a vendor for the successor of a certificate: ORCAMO's renewal call, as the client monsiaj makes it.
//!
//! `POST {url}/api/cert` with the body `{}`, shown the current certificate, answers `{"uri", "pass"}`; what stands at the URI is a PKCS#12
//! file under that password (monsiaj 2.0.29, `CertificateManager`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HOST};
use reqwest::{Method, Response, StatusCode, Url};
use rustls::ClientConfig;
use rustls::sign::SingleCertAndKey;
use serde::Deserialize;
use tegata_pki::certificate;
use tegata_pki::pkcs12::SIZE_MAX;
use zeroize::Zeroizing;

use crate::keystore::Pair;
use crate::probe;
use crate::settings::Resolve;
use crate::state::State;

mod refusal;
#[cfg(test)]
pub(crate) mod tests;

pub use refusal::Refusal;

/// How long the vendor may take to answer. Making a certificate takes it some seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer that is read where no file is expected, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

/// Where the vendor has put the successor. The certificate exists from then on, whether it is fetched or not.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// Where the file is.
    pub uri: String,
    /// Its password.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Offer")
    }
}

/// A vendor whose certificates renew themselves.
#[async_trait(?Send)]
pub trait Vendor {
    /// Has a successor made. Asked twice, the vendor may make two, or refuse.
    async fn offer(&self, url: &str, current: &Pair) -> Result<Offer, Refusal>;
    /// Fetches it. `uri` must be on the host of `url`.
    async fn fetch(&self, url: &str, uri: &str, current: &Pair) -> Result<Zeroizing<Vec<u8>>, Refusal>;
}

/// The real one.
pub struct Online {
    state: State,
    resolve: Vec<Resolve>,
}

/// The vendor's answer as it is written.
#[derive(Deserialize)]
struct Answer {
    uri: String,
    pass: String,
}

impl Online {
    /// Trusts the operating system's roots and those given at enrolment, as probes do.
    pub fn new(state: &State, resolve: &[Resolve]) -> Self {
        Self { state: state.clone(), resolve: resolve.to_owned() }
    }

    fn config(&self, current: &Pair) -> Result<ClientConfig, Refusal> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(setup)?;
        let roots = probe::roots(&self.state).map_err(|problem| Refusal::Setup(crate::told(&problem)))?;
        let current = SingleCertAndKey::from(current.for_tls().map_err(setup)?);
        Ok(config.with_root_certificates(roots).with_client_cert_resolver(Arc::new(current)))
    }

    async fn ask(&self, method: Method, mut page: Url, current: &Pair) -> Result<Response, Refusal> {
        let host = host_of(&page).ok_or(Refusal::Address)?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.config(current)?)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .https_only(true);
        let client = probe::reached(client, &mut page, &self.resolve).ok_or(Refusal::Address)?;
        let client = client.build().map_err(|problem| Refusal::Setup(problem.to_string()))?;
        let mut request = client.request(method.clone(), page).header(HOST, host);
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/json").body("{}");
        }
        request.send().await.map_err(|problem| unanswered(problem, current))
    }
}

#[async_trait(?Send)]
impl Vendor for Online {
    async fn offer(&self, url: &str, current: &Pair) -> Result<Offer, Refusal> {
        let page = Url::parse(&format!("{}/api/cert", url.trim_end_matches('/'))).map_err(|_| Refusal::Address)?;
        let response = self.ask(Method::POST, page, current).await?;
        let status = response.status();
        let body = bounded(response, ANSWER_MAX, current).await?;
        if status != StatusCode::OK {
            return Err(refused(status.as_u16(), &body, current));
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| Refusal::Nonsense)?;
        Ok(Offer { uri: answer.uri, password: Zeroizing::new(answer.pass) })
    }

    async fn fetch(&self, url: &str, uri: &str, current: &Pair) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let response = self.ask(Method::GET, on_the_same_host(url, uri)?, current).await?;
        match response.status() {
            StatusCode::OK => bounded(response, SIZE_MAX, current).await,
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(Refusal::OfferOver),
            status => {
                let body = bounded(response, ANSWER_MAX, current).await?;
                Err(refused(status.as_u16(), &body, current))
            }
        }
    }
}

/// The file's address, if it is where the offer came from: whoever else is named would be shown the certificate.
fn on_the_same_host(url: &str, uri: &str) -> Result<Url, Refusal> {
    let asked = Url::parse(url).map_err(|_| Refusal::Address)?;
    let named = asked.join(uri).map_err(|_| Refusal::Nonsense)?;
    let is_bare = named.username().is_empty() && named.password().is_none();
    if is_bare && named.origin() == asked.origin() { Ok(named) } else { Err(Refusal::OtherHost) }
}

fn host_of(page: &Url) -> Option<String> {
    let host = page.host_str().filter(|_| page.scheme() == "https")?;
    Some(page.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Reads an answer to its end, if that comes soon enough.
async fn bounded(mut response: Response, most: usize, current: &Pair) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|problem| unanswered(problem, current))? {
        if body.len() + chunk.len() > most {
            return Err(Refusal::TooMuch);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a vendor says that lets everybody in and then looks. If the certificate is over, it need not say so.
fn refused(status: u16, body: &[u8], current: &Pair) -> Refusal {
    match Refusal::of(status, &String::from_utf8_lossy(body)) {
        Refusal::NotPermitted | Refusal::Status(_) if is_over(current) => Refusal::Expired,
        refusal => refusal,
    }
}

/// A handshake that fails does not say why. If the certificate is over, that is the likeliest reason, and worth telling.
fn unanswered(problem: reqwest::Error, current: &Pair) -> Refusal {
    if is_over(current) { Refusal::Expired } else { Refusal::Unanswered(crate::told(&problem.without_url())) }
}

/// True if the certificate has expired by this PC's clock.
fn is_over(current: &Pair) -> bool {
    let own = current.chain.first().and_then(|der| certificate::read(der).ok());
    own.is_some_and(|own| own.not_after.unix() < crate::wall_clock())
}

#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn setup(problem: rustls::Error) -> Refusal {
    Refusal::Setup(problem.to_string())
}
