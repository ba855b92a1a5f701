//! Proves a certificate the only way that counts: a real handshake with the site it is for.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::HOST;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::disk::{self, DiskError};
use crate::keystore::Pair;
use crate::settings::Resolve;
use crate::state::State;

/// How long a site may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks a page, showing a certificate.
#[async_trait(?Send)]
pub trait Prober {
    /// Gives the HTTP status that the page answered, if that means that the certificate was accepted.
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

    fn config(&self, pair: &Pair) -> Result<ClientConfig, ProbeError> {
        let chain = pair.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let key = PrivatePkcs8KeyDer::from(pair.key.to_vec()).into();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let unusable = |problem: rustls::Error| ProbeError::Unusable(problem.to_string());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(chain, key)
            .map_err(unusable)
    }

    /// Loaded for each probe: probes are rare, and the roots would be a large part of an idle agent's memory.
    fn roots(&self) -> Result<RootCertStore, ProbeError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let further = disk::read_text(&self.state.probe_roots())?.unwrap_or_default();
        let further = tegata_pki::certificate::read_pem(&further).unwrap_or_default();
        roots.add_parsable_certificates(further.into_iter().map(|root| CertificateDer::from(root.der)));
        Ok(roots)
    }
}

#[async_trait(?Send)]
impl Prober for Online {
    async fn ask(&self, url: &str, pair: &Pair) -> Result<u16, ProbeError> {
        let wrong = || ProbeError::Address(url.to_owned());
        let mut page = Url::parse(url).map_err(|_| wrong())?;
        let site = page.host_str().filter(|_| page.scheme() == "https").map(str::to_owned).ok_or_else(wrong)?;
        let port = page.port_or_known_default().ok_or_else(wrong)?;
        let host = page.port().map_or_else(|| site.clone(), |port| format!("{site}:{port}"));
        let mut client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.config(pair)?)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .https_only(true);
        if let Some(elsewhere) = self.resolve.iter().find(|resolve| resolve.host == site && resolve.port == port) {
            client = client.resolve(&site, elsewhere.address);
            page.set_port(Some(elsewhere.address.port())).map_err(|()| wrong())?;
        }
        let unanswered = |source: reqwest::Error| ProbeError::Unanswered { site: url.to_owned(), source: source.without_url() };
        let request = client.build().map_err(unanswered)?.get(page).header(HOST, host);
        let status = request.send().await.map_err(unanswered)?.status().as_u16();
        let accepted = status < 500 && !REFUSALS.contains(&status);
        if accepted { Ok(status) } else { Err(ProbeError::Refused { site: url.to_owned(), status }) }
    }
}

#[cfg(test)]
mod tests;
