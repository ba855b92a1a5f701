//! Certificate revocation lists (RFC 5280, section 5).

use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, RevocationReason, RevokedCertParams, SerialNumber,
};
use tegata_core::name::Serial;
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;

use crate::authority::{self, Authority};
use crate::key::KeyError;

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
