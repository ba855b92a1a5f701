//! Certificate signing requests (PKCS#10, RFC 2986): made on devices, and read with suspicion.

use crate::key::{KeyError, PrivateKey};

/// The largest request that is looked at, in bytes of PEM.
pub const SIZE_MAX: usize = 16 * 1024;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum CsrError {
    /// Too large, or not PEM, or not PKCS#10.
    #[error("this is not a certificate request: {0}")]
    Unreadable(String),
    /// Its signature is not by its key: no proof of possession.
    #[error("the request is not signed by its own key")]
    NotProven,
    /// The key is of a kind, or on a curve, or of a size that is not issued for.
    #[error("keys of this kind are not accepted: {0}")]
    Key(String),
}

/// What is taken from a request: the public key, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedKey {
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// Its kind.
    pub algorithm: tegata_core::policy::KeyAlgorithm,
}

/// Makes a request for `key`, PEM. Its subject is empty: the authority decides what a certificate says.
pub fn create(key: &PrivateKey) -> Result<String, KeyError> {
    let _ = key;
    todo!()
}

/// Reads a request, checks that it was signed by its own key, and takes the key. Whatever else it asks for is not looked at.
pub fn check(pem: &str) -> Result<RequestedKey, CsrError> {
    let _ = pem;
    todo!()
}
