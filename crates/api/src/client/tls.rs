//! Whom a client trusts, and whom it shows itself as.

use std::error::Error;
use std::io;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tegata_core::name::Sha256;
use zeroize::Zeroizing;

use super::{ClientError, Trouble};

/// Trusts the authorities in `authorities` (PEM), and no others.
pub(super) fn trusting(authorities: &str) -> Result<Arc<dyn ServerCertVerifier>, ClientError> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        let authority = authority.map_err(|error| ClientError::Setup(format!("the authorities are not readable PEM: {error}")))?;
        roots.add(authority).map_err(|error| ClientError::Setup(format!("an authority is not a usable certificate: {error}")))?;
    }
    if roots.is_empty() {
        return Err(ClientError::Setup("no authority to trust was given; expected at least one certificate in PEM".into()));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crypto());
    Ok(verifier.build().map_err(|error| ClientError::Setup(error.to_string()))?)
}

/// Trusts whatever comes from the certificate with this SHA-256.
pub(super) fn pinned(authority: Sha256) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Pinned { authority, crypto: crypto() })
}

/// Shows no certificate.
pub(super) fn anonymous(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, ClientError> {
    configured(verifier, None)
}

/// Shows a device's certificate.
pub(super) fn device(
    verifier: Arc<dyn ServerCertVerifier>,
    chain: Vec<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
) -> Result<ClientConfig, ClientError> {
    // Loaded from a borrowed slice, so that the only copy of the key outside the crypto library is the one that is wiped here.
    let key = provider::sign::any_supported_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_slice())))
        .map_err(|_| ClientError::Setup("the device's private key cannot be read; enrol the device again".into()))?;
    let identity = CertifiedKey::new(chain.into_iter().map(CertificateDer::from).collect(), key);
    identity
        .keys_match()
        .map_err(|_| ClientError::Setup("the device's certificate does not belong to its private key; enrol the device again".into()))?;
    configured(verifier, Some(Arc::new(SingleCertAndKey::from(identity))))
}

fn configured(verifier: Arc<dyn ServerCertVerifier>, identity: Option<Arc<dyn ResolvesClientCert>>) -> Result<ClientConfig, ClientError> {
    let builder = ClientConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ClientError::Setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(identity),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn crypto() -> Arc<CryptoProvider> {
    Arc::new(provider::default_provider())
}

/// Accepts a chain only if it holds the pinned certificate and the leaf verifies under it, for the host name and the time.
#[derive(Debug)]
struct Pinned {
    authority: Sha256,
    crypto: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_pinned = |certificate: &&CertificateDer<'_>| digest::digest(&digest::SHA256, certificate).as_ref() == self.authority.0;
        let authority = others.iter().chain([leaf]).find(is_pinned).ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.crypto))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(leaf, others, host, ocsp, now)
    }

    /// TLS 1.2 is never offered, so it is never accepted either.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.crypto.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.crypto.signature_verification_algorithms.supported_schemes()
    }
}

/// Finds the TLS error inside another one, however deep it is wrapped.
pub fn fault<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    // An io::Error does not name what it carries as its source, but that one's source; and there may be one inside the other.
    let carried = |error: &'a (dyn Error + 'static)| error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref() {
            return Some(fault);
        }
        next = match carried(error) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Says what a TLS error most likely means.
pub(super) fn meaning(fault: &rustls::Error) -> Trouble {
    use CertificateError as Bad;
    match fault {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Trouble::WrongHost,
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. } => Trouble::WrongTime,
            _ => Trouble::WrongAuthority,
        },
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => Trouble::NotAccepted,
        _ => Trouble::Handshake,
    }
}
