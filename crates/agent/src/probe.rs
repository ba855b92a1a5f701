//! Proves a certificate the only way that counts: a real handshake with the site it is for, in which the site asked for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HOST;
use reqwest::{ClientBuilder, RequestBuilder, Url};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;

use crate::disk::{self, DiskError};
use crate::keystore::Pair;
use crate::settings::Resolve;
use crate::state::State;
use crate::trust;

mod witness;

use witness::{Asked, Witness};

/// How long a site may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks a page, showing a certificate.
#[async_trait(?Send)]
pub trait Prober {
    /// Gives the HTTP status that the page answered, if the site asked for the certificate and the status means that it was accepted.
    async fn ask(&self, url: &str, pair: &Pair) -> Result<u16, ProbeError>;
}

/// Why a certificate is not proven.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The profile names a page that is none.
    #[error("the probe page '{0}' is not an https address")]
    Address(String),
    /// The certificate or its key cannot be used for TLS.
    #[error("the certificate cannot be used for a connection: {0}")]
    Unusable(String),
    /// No roots to check the site with.
    #[error("the roots to check the site with cannot be read")]
    Roots(#[from] DiskError),
    /// The site was not reached, or refused the certificate in the handshake.
    #[error("{site} did not answer over a handshake with this certificate")]
    Unanswered {
        /// The page.
        site: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// The site answers everybody: that it answers us says nothing about the certificate.
    #[error(
        "{site} did not ask for a client certificate, so nothing is proven and the old certificate stays; \
         the profile's probe must name a page that opens only with a certificate, or the site must ask for one again"
    )]
    NotAsked {
        /// The page.
        site: String,
    },
    /// The site names the authorities that it trusts, and the certificate's is not among them.
    #[error("{site} asks for certificates of other authorities, so browsers do not offer this one; the site must also name this issuer")]
    OtherIssuers {
        /// The page.
        site: String,
    },
    /// The site takes no signature that the key can make.
    #[error("{site} does not take this kind of key; the profile must ask for another")]
    OtherKeys {
        /// The page.
        site: String,
    },
    /// The site answered that it does not accept the certificate, or that it is in trouble itself.
    #[error("{site} answered with status {status}")]
    Refused {
        /// The page.
        site: String,
        /// The HTTP status.
        status: u16,
    },
}

/// Statuses that mean "not with this certificate": 400 is what nginx answers to a missing, revoked or foreign certificate after
/// a complete handshake; 495 and 496 are its own names for the same.
const REFUSALS: [u16; 5] = [400, 401, 403, 495, 496];

/// True for a status that means "not with this certificate".
pub(crate) fn is_refusal(status: u16) -> bool {
    REFUSALS.contains(&status)
}

/// The real one.
pub struct Online {
    state: State,
    resolve: Vec<Resolve>,
}

impl Online {
    /// Trusts the operating system's roots and those given at enrolment.
    pub fn new(state: &State, resolve: &[Resolve]) -> Self {
        Self { state: state.clone(), resolve: resolve.to_owned() }
    }

    fn config(&self, witness: &Arc<Witness>) -> Result<ClientConfig, ProbeError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(unusable)?;
        Ok(config.with_root_certificates(roots(&self.state)?).with_client_cert_resolver(Arc::clone(witness) as _))
    }

    /// The question, at whichever address the site is reached.
    fn question(&self, url: &str, witness: &Arc<Witness>) -> Result<RequestBuilder, ProbeError> {
        let wrong = || ProbeError::Address(url.to_owned());
        let mut page = Url::parse(url).map_err(|_| wrong())?;
        let site = page.host_str().filter(|_| page.scheme() == "https").map(str::to_owned).ok_or_else(wrong)?;
        let host = page.port().map_or_else(|| site.clone(), |port| format!("{site}:{port}"));
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.config(witness)?)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .https_only(true);
        let client = reached(client, &mut page, &self.resolve).ok_or_else(wrong)?;
        Ok(client.build().map_err(unanswered(url))?.get(page).header(HOST, host))
    }
}

#[async_trait(?Send)]
impl Prober for Online {
    async fn ask(&self, url: &str, pair: &Pair) -> Result<u16, ProbeError> {
        let witness = Arc::new(Witness::of(pair).map_err(unusable)?);
        let answer = self.question(url, &witness)?.send().await.map_err(unanswered(url));
        let site = url.to_owned();
        match (witness.asked(), answer) {
            (Asked::ForOtherIssuers, _) => Err(ProbeError::OtherIssuers { site }),
            (Asked::ForOtherKeys, _) => Err(ProbeError::OtherKeys { site }),
            (_, Err(problem)) => Err(problem),
            (Asked::Nothing, Ok(_)) => Err(ProbeError::NotAsked { site }),
            (Asked::ForThis, Ok(answer)) => match answer.status().as_u16() {
                status if status < 500 && !is_refusal(status) => Ok(status),
                status => Err(ProbeError::Refused { site, status }),
            },
        }
    }
}

/// The roots that sites are checked with. Loaded for each question: questions are rare, and the roots would be a large part of an idle
/// agent's memory.
pub(crate) fn roots(state: &State) -> Result<RootCertStore, DiskError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let further = disk::read_text(&state.probe_roots())?.unwrap_or_default();
    let further = tegata_pki::certificate::read_pem(&further).unwrap_or_default();
    roots.add_parsable_certificates(further.into_iter().map(|root| CertificateDer::from(root.der)));
    roots.add_parsable_certificates(trust::added(state)?.into_iter().map(CertificateDer::from));
    Ok(roots)
}

/// Turns a client, and the page it is to ask for, to wherever this PC reaches the page's host.
pub(crate) fn reached(client: ClientBuilder, page: &mut Url, resolve: &[Resolve]) -> Option<ClientBuilder> {
    let (host, port) = (page.host_str()?.to_owned(), page.port_or_known_default()?);
    let Some(elsewhere) = resolve.iter().find(|resolve| resolve.host == host && resolve.port == port) else { return Some(client) };
    page.set_port(Some(elsewhere.address.port())).ok()?;
    Some(client.resolve(&host, elsewhere.address))
}

fn unusable(problem: rustls::Error) -> ProbeError {
    ProbeError::Unusable(problem.to_string())
}

fn unanswered(url: &str) -> impl Fn(reqwest::Error) -> ProbeError {
    move |source| ProbeError::Unanswered { site: url.to_owned(), source: source.without_url() }
}

#[cfg(test)]
pub(crate) mod tests;
