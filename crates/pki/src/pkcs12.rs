//! PKCS#12 bundles (RFC 7292): the files in which clinics receive keys from vendors, and which old systems want.

use zeroize::Zeroizing;

use crate::key::{KeyError, PrivateKey};

/// Which algorithms protect a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// PBES2 with AES-256 and HMAC-SHA256: Windows 10 1709 and later, macOS 15 and later, NSS, OpenSSL 3.
    Modern,
    /// 3DES and SHA-1: Windows Server 2016 and older, macOS 14 and older.
    Legacy,
}

/// Why a bundle cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The password does not fit.
    #[error("the password does not fit")]
    WrongPassword,
    /// It is not PKCS#12, or it is damaged, too large, or protected in a way that is not supported.
    #[error("this is not a PKCS#12 file that can be read: {0}")]
    Unreadable(String),
    /// There is no private key in it, or more than one.
    #[error("the bundle holds {0} private keys; exactly one is needed")]
    Keys(usize),
}

/// What a bundle holds.
pub struct Bundle {
    /// The private key, PKCS#8, DER.
    pub key: Zeroizing<Vec<u8>>,
    /// The certificates, DER, the key's own first.
    pub chain: Vec<Vec<u8>>,
    /// The name that people see.
    pub friendly_name: Option<String>,
}

/// Writes a bundle: the key, its certificate and the intermediates.
pub fn write(flavor: Flavor, key: &PrivateKey, chain: &[Vec<u8>], friendly_name: &str, password: &str) -> Result<Vec<u8>, KeyError> {
    let _ = (flavor, key, chain, friendly_name, password);
    todo!()
}

/// Opens a bundle. One try, no guessing: what vendors produce (PBES2, 3DES, RC2-40, chains in any order).
pub fn read(bytes: &[u8], password: &str) -> Result<Bundle, BundleError> {
    let _ = (bytes, password);
    todo!()
}
