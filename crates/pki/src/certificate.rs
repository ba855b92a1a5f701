//! Certificates as they are read: ours and other people's.

use tegata_core::name::Sha256;
use tegata_core::time::Timestamp;

/// Bytes that are not a certificate.
#[derive(Debug, thiserror::Error)]
#[error("this is not a certificate: {problem}")]
pub struct CertificateError {
    /// Why not.
    pub problem: String,
}

/// What a certificate says, as far as Tegata asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its DER.
    pub der: Vec<u8>,
    /// SHA-256 of its DER.
    pub fingerprint: Sha256,
    /// Serial number, big-endian, without a leading zero.
    pub serial: Vec<u8>,
    /// Issuer CN.
    pub issuer_common_name: Option<String>,
    /// Subject CN.
    pub common_name: Option<String>,
    /// Subject O.
    pub organization: Option<String>,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
}

/// Reads DER.
pub fn read(der: &[u8]) -> Result<Certificate, CertificateError> {
    let _ = der;
    todo!()
}

/// Reads every certificate of a PEM text, in order.
pub fn read_pem(pem: &str) -> Result<Vec<Certificate>, CertificateError> {
    let _ = pem;
    todo!()
}

/// Writes PEM (RFC 7468).
pub fn to_pem(der: &[u8]) -> String {
    let _ = der;
    todo!()
}
