//! Keys that stay in Windows, and sign for whoever opened them.

use std::sync::{Mutex, PoisonError};

use rustls::SignatureScheme;
use tegata_core::policy::KeyAlgorithm;
use tegata_pki::key::{KeyError, PrivateKey, sha256, sha384};
use tegata_pki::raw::{self, Numbers};
use windows_sys::Win32::Security::Cryptography::{
    BCRYPT_ECDSA_PRIVATE_P256_MAGIC, BCRYPT_ECDSA_PRIVATE_P384_MAGIC, BCRYPT_RSAPRIVATE_MAGIC,
};
use zeroize::Zeroizing;

use super::certificates::KeyPlace;
use super::cng::{CngKey, Padding};
use super::{Refused, capi};
use crate::keystore::StoredKey;
use crate::keystore::key::is_believed;

/// What keys sign to show that they do.
const TRIAL: &[u8] = b"tegata";

impl From<Refused> for KeyError {
    fn from(refused: Refused) -> Self {
        Self { problem: refused.to_string() }
    }
}

/// A key in a key storage provider.
#[derive(Debug)]
pub struct Stored {
    key: Mutex<CngKey>,
    public_key: Vec<u8>,
    schemes: Vec<SignatureScheme>,
}

impl Stored {
    /// Tries what the key can do: it signs once with everything that may work, and asks nobody. What sites would not believe does not count.
    ///
    /// # Errors
    /// It does not sign so that anybody believes it, or would have to ask.
    pub fn tried(key: CngKey, public_key: Vec<u8>) -> Result<Self, Refused> {
        let likely: &[SignatureScheme] = match raw::algorithm(&public_key) {
            Ok(KeyAlgorithm::EcdsaP256) => &[SignatureScheme::ECDSA_NISTP256_SHA256],
            Ok(KeyAlgorithm::EcdsaP384) => &[SignatureScheme::ECDSA_NISTP384_SHA384],
            // TLS 1.3 takes only the first; a TPM or a card may know only the second.
            Ok(KeyAlgorithm::Rsa2048) => &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256],
            Err(_) => &[],
        };
        if key.asks_people()? {
            return Err(Refused::ASKS_PEOPLE);
        }
        let (mut schemes, mut problem) = (Vec::new(), Refused::UNKNOWN_KIND);
        for scheme in likely {
            match sign(&key, *scheme, TRIAL) {
                Ok(signature) if is_right(*scheme, &public_key, &signature) => schemes.push(*scheme),
                Ok(_) => problem = Refused::WRONG_SIGNATURE,
                Err(refused) => problem = refused,
            }
        }
        if schemes.is_empty() { Err(problem) } else { Ok(Self { key: Mutex::new(key), public_key, schemes }) }
    }

    /// As [`tried`](Self::tried), for a key that no certificate speaks for.
    pub fn born(key: CngKey, algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let public_key = public_key(&key.public_blob(algorithm)?, algorithm)?;
        Ok(Self::tried(key, public_key)?)
    }
}

fn sign(key: &CngKey, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, Refused> {
    match scheme {
        SignatureScheme::ECDSA_NISTP384_SHA384 => key.sign(&sha384(message), Padding::None),
        SignatureScheme::ECDSA_NISTP256_SHA256 => key.sign(&sha256(message).0, Padding::None),
        SignatureScheme::RSA_PSS_SHA256 => key.sign(&sha256(message).0, Padding::Pss),
        _ => key.sign(&sha256(message).0, Padding::Pkcs1),
    }
}

/// A signature as TLS and certificate requests have it: of ECDSA, Windows gives bare numbers.
fn written(scheme: SignatureScheme, signature: &[u8]) -> Result<Vec<u8>, KeyError> {
    match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 | SignatureScheme::ECDSA_NISTP384_SHA384 => raw::ecdsa_signature(signature),
        _ => Ok(signature.to_vec()),
    }
}

/// True if the trial came out as the certificate's key would have made it.
fn is_right(scheme: SignatureScheme, public_key: &[u8], signature: &[u8]) -> bool {
    written(scheme, signature).is_ok_and(|signature| is_believed(scheme, public_key, TRIAL, &signature))
}

impl StoredKey for Stored {
    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn schemes(&self) -> &[SignatureScheme] {
        &self.schemes
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        written(scheme, &sign(&self.key.lock().unwrap_or_else(PoisonError::into_inner), scheme, message)?)
    }
}

/// A key of the older CryptoAPI, opened at each use.
#[derive(Debug)]
pub struct Older {
    place: KeyPlace,
    public_key: Vec<u8>,
}

impl Older {
    /// Signs once to know that it does, and asks nobody.
    pub fn tried(place: KeyPlace, public_key: Vec<u8>) -> Result<Self, Refused> {
        let signature = capi::sign(&place, TRIAL)?;
        let is_right = is_right(SignatureScheme::RSA_PKCS1_SHA256, &public_key, &signature);
        if is_right { Ok(Self { place, public_key }) } else { Err(Refused::WRONG_SIGNATURE) }
    }
}

impl StoredKey for Older {
    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn schemes(&self) -> &[SignatureScheme] {
        &[SignatureScheme::RSA_PKCS1_SHA256]
    }

    fn sign(&self, _: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(capi::sign(&self.place, message)?)
    }
}

/// A number of a BLOB's head.
fn number(blob: &[u8], index: usize) -> usize {
    let bytes = blob.get(index * 4..index * 4 + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, |bytes| u32::from_le_bytes(bytes) as usize)
}

/// Reads `BCRYPT_ECCKEY_BLOB` or `BCRYPT_RSAKEY_BLOB` (bcrypt.h) with the numbers behind them.
fn public_key(blob: &[u8], algorithm: KeyAlgorithm) -> Result<Vec<u8>, KeyError> {
    let cut = |from: usize, length: usize| blob.get(from..from + length).unwrap_or_default();
    match algorithm {
        KeyAlgorithm::Rsa2048 => {
            let (exponent, modulus) = (number(blob, 2), number(blob, 3));
            raw::rsa_public_key(cut(24 + exponent, modulus), cut(24, exponent))
        }
        curve => raw::ec_public_key(curve, cut(8, 2 * number(blob, 1))),
    }
}

/// Writes a key as the private BLOB of CNG (`BCRYPT_ECCKEY_BLOB` or `BCRYPT_RSAKEY_BLOB`, bcrypt.h).
pub fn private_blob(key: &PrivateKey) -> Result<(KeyAlgorithm, Zeroizing<Vec<u8>>), KeyError> {
    let mut blob = Zeroizing::new(Vec::with_capacity(2048));
    let head = |blob: &mut Vec<u8>, numbers: &[usize]| {
        numbers.iter().for_each(|number| blob.extend(u32::try_from(*number).unwrap_or_default().to_le_bytes()));
    };
    let algorithm = match raw::numbers(key)? {
        Numbers::Ec(curve, point, secret) => {
            let magic = if curve == KeyAlgorithm::EcdsaP256 { BCRYPT_ECDSA_PRIVATE_P256_MAGIC } else { BCRYPT_ECDSA_PRIVATE_P384_MAGIC };
            head(&mut blob, &[magic as usize, secret.len()]);
            [&point[..], &secret].iter().for_each(|part| blob.extend_from_slice(part));
            curve
        }
        Numbers::Rsa { modulus, exponent, primes: [p, q] } => {
            let lengths = [exponent.len(), modulus.len(), p.len(), q.len()];
            head(&mut blob, &[BCRYPT_RSAPRIVATE_MAGIC as usize, modulus.len() * 8]);
            head(&mut blob, &lengths);
            [&exponent[..], &modulus, &p, &q].iter().for_each(|part| blob.extend_from_slice(part));
            KeyAlgorithm::Rsa2048
        }
    };
    Ok((algorithm, blob))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_read_from_what_windows_gives() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let (kind, blob) = private_blob(&key).unwrap();
            // A private BLOB begins as the public one does, but for its first number.
            assert_eq!((kind, public_key(&blob, algorithm).unwrap()), (algorithm, key.public_key()));
        }
    }
}
