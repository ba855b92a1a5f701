//! Looks at a server without showing anything: what time it has, and who vouches for it.
//!
//! A clock that is far off makes every certificate look expired. So the server has to prove who it is, but not that its certificate is
//! valid today: the time is asked for to find that out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::DATE;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tegata_core::time::Timestamp;
use tegata_pki::certificate;

use super::Doctor;
use crate::probe;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom to believe.
pub(super) enum Trust {
    /// These authorities (PEM), and no others.
    Only(String),
    /// Those that probed sites may come from.
    Usual,
}

/// What was seen.
#[derive(Default)]
pub(super) struct Seen {
    /// What time it has, if it proved who it is.
    pub(super) date: Option<Timestamp>,
    /// The common name of the authority that vouches for it, whoever that is.
    pub(super) authority: Option<String>,
}

/// Looks at an `https` address. Nothing is seen of who does not answer.
pub(super) async fn at(doctor: &Doctor<'_>, address: &str, trust: Trust) -> Seen {
    let Some(eye) = eye(doctor, trust) else { return Seen::default() };
    let date = ask(doctor, address, &eye).await;
    let authority = eye.authority.lock().unwrap_or_else(PoisonError::into_inner).take();
    Seen { date, authority }
}

async fn ask(doctor: &Doctor<'_>, address: &str, eye: &Arc<Eye>) -> Option<Timestamp> {
    let mut page = Url::parse(address).ok().filter(|page| page.scheme() == "https")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::clone(eye) as _).with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .https_only(true);
    let client = probe::reached(client, &mut page, &doctor.settings.resolve)?.build().ok()?;
    // Whatever the answer is, its date is what was asked for.
    let answer = client.head(page).send().await.ok()?;
    moment(answer.headers().get(DATE)?.to_str().ok()?)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7), which is a date of RFC 2822 too.
fn moment(date: &str) -> Option<Timestamp> {
    let read = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(Timestamp::from_unix(read.timestamp().as_second()))
}

fn eye(doctor: &Doctor<'_>, trust: Trust) -> Option<Arc<Eye>> {
    let roots = match trust {
        Trust::Usual => probe::roots(doctor.state).ok()?,
        Trust::Only(authorities) => {
            let mut roots = RootCertStore::empty();
            let read = certificate::read_pem(&authorities).ok()?;
            roots.add_parsable_certificates(read.into_iter().map(|root| CertificateDer::from(root.der)));
            roots
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    Some(Arc::new(Eye { verifier, authority: Mutex::new(None) }))
}

/// Believes whom the roots vouch for, at whatever time, and remembers who vouched.
#[derive(Debug)]
struct Eye {
    verifier: Arc<WebPkiServerVerifier>,
    authority: Mutex<Option<String>>,
}

impl ServerCertVerifier for Eye {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let own = certificate::read(leaf).map_err(|_| CertificateError::BadEncoding)?;
        self.authority.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&own.issuer_common_name);
        let verify = |now| self.verifier.verify_server_cert(leaf, others, host, ocsp, now);
        match verify(now) {
            Err(Error::InvalidCertificate(problem)) if is_of_time(&problem) => verify(beginning(&own)),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn is_of_time(problem: &CertificateError) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(problem, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

/// The first moment at which a certificate is valid.
fn beginning(own: &certificate::Certificate) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(own.not_before.unix()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(moment("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Timestamp::from_unix(784_111_777)));
        assert_eq!([moment("yesterday"), moment("")], [None, None]);
    }
}
