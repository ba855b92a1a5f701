//! Certificate revocation lists (RFC 5280, section 5).

use rcgen::{CertificateRevocationListParams, RevokedCertParams, SerialNumber};
use tegata_core::name::Serial;
use tegata_core::time::Timestamp;

use crate::authority::{self, Authority};
use crate::key::KeyError;

/// A certificate that is invalid, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number.
    pub serial: Serial,
    /// Since when.
    pub at: Timestamp,
}

/// Makes a list, DER. `number` counts up with every list of the same authority.
pub fn create(
    authority: &Authority,
    number: u64,
    revoked: &[Revoked],
    this_update: Timestamp,
    next_update: Timestamp,
) -> Result<Vec<u8>, KeyError> {
    let params = CertificateRevocationListParams {
        this_update: authority::moment(this_update)?,
        next_update: authority::moment(next_update)?,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect::<Result<_, _>>()?,
        key_identifier_method: authority.key_identifier().clone(),
    };
    let unsigned = params.signed_by(authority.issuer()).map_err(KeyError::because)?;
    authority.signed(&authority::first_part(unsigned.der())?)
}

fn entry(revoked: &Revoked) -> Result<RevokedCertParams, KeyError> {
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&revoked.serial.0),
        revocation_time: authority::moment(revoked.at)?,
        // RFC 5280, section 5.3.1: leaving the reason out is better than saying "unspecified".
        reason_code: None,
        invalidity_date: None,
    })
}
