//! Whether a bundle is believed.

use std::time::Duration;

use data_encoding::BASE64;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::{CertificateDer, UnixTime};
use tegata_api::v1::offline::{Meant, OfflineBundle, SignedBundle};
use tegata_core::time::Timestamp;
use tegata_pki::certificate::{self, Certificate};
use tegata_pki::key::{sha256, verify};

use super::Refusal;
use crate::identity::Identity;
use crate::settings::Settings;

/// Reads what the server has signed for this very PC, or says why it is not believed. Whether it is older than what is followed already is
/// seen when it is followed.
pub(super) fn believe(signed: &SignedBundle, settings: &Settings, identity: &Identity, now: Timestamp) -> Result<OfflineBundle, Refusal> {
    let chain = certificate::read_pem(&signed.chain).map_err(|_| Refusal::Altered)?;
    let (own, above) = chain.split_first().ok_or(Refusal::Altered)?;
    let signature = BASE64.decode(signed.signature.as_bytes()).map_err(|_| Refusal::Altered)?;
    if !verify(&own.public_key, &Meant::Bundle.signed_bytes(&signed.bundle), &signature) {
        return Err(Refusal::Altered);
    }
    is_the_servers(own, above, &identity.authorities, now)?;
    let bundle: OfflineBundle = serde_json::from_str(&signed.bundle).map_err(|_| Refusal::Newer)?;
    if bundle.tenant != settings.tenant {
        return Err(Refusal::OtherTenant(bundle.tenant));
    }
    if bundle.manifest.device != settings.device {
        return Err(Refusal::OtherDevice(bundle.manifest.device));
    }
    if bundle.identity != sha256(&identity.key.public_key()).to_string() {
        return Err(Refusal::OtherIdentity);
    }
    Ok(bundle)
}

/// As on the link, but for the host name: these authorities sign for this one server and for nobody else.
fn is_the_servers(own: &Certificate, above: &[Certificate], authorities: &str, now: Timestamp) -> Result<(), Refusal> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificate::read_pem(authorities).unwrap_or_default().into_iter().map(|one| one.der.into()));
    let own = CertificateDer::from(own.der.as_slice());
    let above: Vec<CertificateDer<'_>> = above.iter().map(|one| CertificateDer::from(one.der.as_slice())).collect();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.unix()).unwrap_or_default()));
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let verified = ParsedCertificate::try_from(&own)
        .and_then(|own| verify_server_cert_signed_by_trust_anchor(&own, &roots, &above, now, algorithms.all));
    verified.map_err(|problem| match problem {
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => Refusal::WrongTime,
        _ => Refusal::Foreign,
    })
}
