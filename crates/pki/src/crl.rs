//! Certificate revocation lists (RFC 5280, section 5).

use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, RevocationReason, RevokedCertParams, SerialNumber,
};
use tegata_core::name::Serial;
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};
use x509_parser::revocation_list::RevokedCertificate;

use crate::authority::{self, Authority};
use crate::certificate::{Certificate, urls};
use crate::key::{KeyError, without_leading_zeros};

/// A certificate that is invalid, since when and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number.
    pub serial: Serial,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub because: Cause,
}

/// Makes a list of everything that an authority has revoked, DER. `number` counts up with every list of the same authority.
pub fn create(
    authority: &Authority,
    number: u64,
    revoked: &[Revoked],
    this_update: Timestamp,
    next_update: Timestamp,
) -> Result<Vec<u8>, KeyError> {
    write(authority, None, number, revoked, this_update, next_update)
}

/// Makes a list of what is revoked among the certificates that name `url` as the place of their list, DER.
///
/// It says so itself, critically, so that nobody takes it for the whole (RFC 5280, section 5.2.5).
pub fn create_shard(
    authority: &Authority,
    url: &str,
    number: u64,
    revoked: &[Revoked],
    this_update: Timestamp,
    next_update: Timestamp,
) -> Result<Vec<u8>, KeyError> {
    write(authority, Some(url), number, revoked, this_update, next_update)
}

/// A list that says nothing about a certificate, or nothing that can be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the revocation list says nothing: {0}")]
pub struct SaysNothing(&'static str);

/// What the list (DER) that was fetched from `url` says of a certificate: why it is revoked, or `None` if it is not. The issuer (DER) has
/// to have signed it, and at `now` it must not be overdue: that something does not stand in an old list means nothing.
pub fn look_up(list: &[u8], url: &str, certificate: &Certificate, issuer: &[u8], now: Timestamp) -> Result<Option<Cause>, SaysNothing> {
    let (_, list) = CertificateRevocationList::from_der(list).map_err(|_| SaysNothing("it is no list"))?;
    let (_, issuer) = X509Certificate::from_der(issuer).map_err(|_| SaysNothing("its issuer cannot be read"))?;
    let is_issuers = list.issuer().as_raw() == certificate.issuer && issuer.subject().as_raw() == certificate.issuer;
    if !is_issuers || list.verify_signature(issuer.public_key()).is_err() {
        return Err(SaysNothing("the certificate's issuer has not signed it"));
    }
    if list.extensions().iter().any(|extension| is_for_others(extension.parsed_extension(), url)) {
        return Err(SaysNothing("it is for other certificates"));
    }
    let revoked = list.iter_revoked_certificates().find(|entry| without_leading_zeros(entry.raw_serial()) == certificate.serial);
    match (revoked, list.next_update()) {
        (Some(entry), _) => Ok(Some(cause(entry))),
        (None, Some(next)) if now.unix() <= next.timestamp() => Ok(None),
        (None, _) => Err(SaysNothing("it is overdue")),
    }
}

/// True for a part that is not the one at `url`, or is not for all that could be said of a client certificate (RFC 5280, section 5.2.5).
fn is_for_others(extension: &ParsedExtension<'_>, url: &str) -> bool {
    let ParsedExtension::IssuingDistributionPoint(part) = extension else { return false };
    let is_elsewhere = part.distribution_point.as_ref().is_some_and(|name| !urls(name).any(|own| own == url));
    is_elsewhere || part.only_contains_ca_certs || part.only_contains_attribute_certs || part.only_some_reasons.is_some()
}

/// Reasons that nobody here gives count as none.
fn cause(entry: &RevokedCertificate<'_>) -> Cause {
    let number = entry.reason_code().map_or(0, |(_, code)| code.0);
    Cause::ALL.into_iter().find(|cause| cause.number() == number).unwrap_or_default()
}

/// Writes PEM (RFC 7468).
pub fn to_pem(list: &[u8]) -> String {
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("X509 CRL", list), lines)
}

fn write(
    authority: &Authority,
    url: Option<&str>,
    number: u64,
    revoked: &[Revoked],
    this_update: Timestamp,
    next_update: Timestamp,
) -> Result<Vec<u8>, KeyError> {
    let point = url.map(authority::crl_distribution_point).transpose()?;
    let params = CertificateRevocationListParams {
        this_update: authority::moment(this_update)?,
        next_update: authority::moment(next_update)?,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: point.map(issuing),
        revoked_certs: revoked.iter().map(entry).collect::<Result<_, _>>()?,
        key_identifier_method: authority.key_identifier().clone(),
    };
    let unsigned = params.signed_by(authority.issuer()).map_err(KeyError::because)?;
    authority.signed(&authority::first_part(unsigned.der())?)
}

fn issuing(distribution_point: CrlDistributionPoint) -> CrlIssuingDistributionPoint {
    CrlIssuingDistributionPoint { distribution_point, scope: None }
}

fn entry(revoked: &Revoked) -> Result<RevokedCertParams, KeyError> {
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&revoked.serial.0),
        revocation_time: authority::moment(revoked.at)?,
        reason_code: reason(revoked.because),
        invalidity_date: None,
    })
}

/// Leaving the reason out is better than saying "unspecified" (RFC 5280, section 5.3.1).
fn reason(because: Cause) -> Option<RevocationReason> {
    match because {
        Cause::Unspecified => None,
        Cause::KeyCompromise => Some(RevocationReason::KeyCompromise),
        Cause::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
        Cause::Superseded => Some(RevocationReason::Superseded),
        Cause::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
    }
}
