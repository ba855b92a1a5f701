//! Keys: made, kept, sealed, and used to sign.

use tegata_core::name::Sha256;
use tegata_core::policy::KeyAlgorithm;
use zeroize::Zeroizing;

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the key cannot be used: {problem}")]
pub struct KeyError {
    /// Why not.
    pub problem: String,
}

/// A private key with its public half. Wiped when dropped, never shown.
pub struct PrivateKey {
    pub(crate) pair: rcgen::KeyPair,
}

impl PrivateKey {
    /// Makes a new one from the operating system's random numbers.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let _ = algorithm;
        todo!()
    }

    /// Reads PKCS#8 (RFC 5208), DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let _ = der;
        todo!()
    }

    /// Writes PKCS#8, DER.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        todo!()
    }

    /// The public half: SubjectPublicKeyInfo, DER.
    pub fn public_key(&self) -> Vec<u8> {
        todo!()
    }

    /// Signs with SHA-256 (P-384: SHA-384): ECDSA as DER, RSA as PKCS#1 v1.5.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let _ = message;
        todo!()
    }
}

/// True if `signature` over `message` was made by the key whose SubjectPublicKeyInfo (DER) is `public_key`. P-256 with SHA-256 only: device identities.
pub fn verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let _ = (public_key, message, signature);
    todo!()
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> Sha256 {
    let _ = bytes;
    todo!()
}

/// Seals secrets for keeping (age, X25519). Whoever has the seal's text can open them.
pub struct Seal {
    identity: age::x25519::Identity,
}

impl Seal {
    /// Makes a new one.
    pub fn generate() -> Self {
        todo!()
    }

    /// Reads what [`Seal::text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let _ = text;
        todo!()
    }

    /// Its secret text (`AGE-SECRET-KEY-1…`), for a file that only the server may read.
    pub fn text(&self) -> Zeroizing<String> {
        let _ = &self.identity;
        todo!()
    }

    /// Encrypts.
    pub fn seal(&self, secret: &[u8]) -> Vec<u8> {
        let _ = secret;
        todo!()
    }

    /// Decrypts.
    pub fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let _ = sealed;
        todo!()
    }
}
