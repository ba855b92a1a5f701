//! Private keys as stores give them: bytes that can be put elsewhere, or a key that signs where it lies and never leaves.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use tegata_pki::key::{KeyError, PrivateKey, Signing};
use tegata_pki::{csr, raw};
use zeroize::Zeroizing;

/// A private key.
#[derive(Clone)]
pub enum Key {
    /// PKCS#8, DER: it can be put into any store.
    Pkcs8(Zeroizing<Vec<u8>>),
    /// It signs in its store, and stays there.
    Stored(Arc<dyn StoredKey>),
}

/// A private key that never leaves its store.
pub trait StoredKey: fmt::Debug + Send + Sync {
    /// Its public half: SubjectPublicKeyInfo, DER.
    fn public_key(&self) -> &[u8];
    /// What it can sign with, best first.
    fn schemes(&self) -> &[SignatureScheme];
    /// Signs with one of [`schemes`](Self::schemes), ECDSA as DER. Never asks people: a key that has to, fails.
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

impl Key {
    /// Makes a certificate request, PEM.
    pub fn request(&self) -> Result<String, KeyError> {
        match self {
            Self::Pkcs8(bytes) => csr::create(&PrivateKey::from_pkcs8(bytes)?),
            Self::Stored(key) => csr::create(&InStore(Arc::clone(key))),
        }
    }

    /// Its public half: SubjectPublicKeyInfo, DER.
    pub fn public_key(&self) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::Pkcs8(bytes) => Ok(PrivateKey::from_pkcs8(bytes)?.public_key()),
            Self::Stored(key) => Ok(key.public_key().to_vec()),
        }
    }

    /// The key for handshakes.
    pub(super) fn for_tls(&self) -> Result<Arc<dyn SigningKey>, Error> {
        match self {
            Self::Pkcs8(bytes) => rustls::crypto::aws_lc_rs::sign::any_supported_type(&PrivatePkcs8KeyDer::from(bytes.as_slice()).into()),
            Self::Stored(key) => Ok(Arc::new(InStore(Arc::clone(key)))),
        }
    }
}

/// True if whoever is shown this signature in a handshake would believe it. `public_key` is a SubjectPublicKeyInfo, DER.
pub fn is_believed(scheme: SignatureScheme, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(bits) = raw::bits(public_key) else { return false };
    let known = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.mapping;
    let mut ways = known.iter().filter(|(of, _)| *of == scheme).flat_map(|(_, ways)| *ways);
    ways.any(|way| way.verify_signature(&bits, message, signature).is_ok())
}

impl From<Zeroizing<Vec<u8>>> for Key {
    fn from(pkcs8: Zeroizing<Vec<u8>>) -> Self {
        Self::Pkcs8(pkcs8)
    }
}

/// What requests are signed with, as [`Signing`] says.
const OF_REQUESTS: [SignatureScheme; 3] =
    [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ECDSA_NISTP384_SHA384, SignatureScheme::RSA_PKCS1_SHA256];

/// A stored key, as the libraries for requests and for handshakes want to see one.
#[derive(Debug)]
struct InStore(Arc<dyn StoredKey>);

impl Signing for InStore {
    fn public_key(&self) -> Vec<u8> {
        self.0.public_key().to_vec()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let scheme = OF_REQUESTS.into_iter().find(|scheme| self.0.schemes().contains(scheme));
        let scheme = scheme.ok_or_else(|| KeyError { problem: "it makes no signature that certificate requests can have".into() })?;
        self.0.sign(scheme, message)
    }
}

impl SigningKey for InStore {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self.0.schemes().iter().copied().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(InHandshake { key: Arc::clone(&self.0), scheme }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.0.public_key().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.schemes() {
            [SignatureScheme::ECDSA_NISTP256_SHA256 | SignatureScheme::ECDSA_NISTP384_SHA384, ..] => SignatureAlgorithm::ECDSA,
            _ => SignatureAlgorithm::RSA,
        }
    }
}

/// A stored key that has agreed on a scheme.
#[derive(Debug)]
struct InHandshake {
    key: Arc<dyn StoredKey>,
    scheme: SignatureScheme,
}

impl Signer for InHandshake {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.key.sign(self.scheme, message).map_err(|problem| Error::General(problem.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

#[cfg(test)]
mod tests {
    use tegata_core::policy::KeyAlgorithm;

    use super::*;

    #[test]
    fn only_the_keys_own_signature_is_believed_and_only_for_what_it_is() {
        for (algorithm, scheme) in [
            (KeyAlgorithm::EcdsaP256, SignatureScheme::ECDSA_NISTP256_SHA256),
            (KeyAlgorithm::EcdsaP384, SignatureScheme::ECDSA_NISTP384_SHA384),
            (KeyAlgorithm::Rsa2048, SignatureScheme::RSA_PKCS1_SHA256),
        ] {
            let [own, other] = [0, 1].map(|_| PrivateKey::generate(algorithm).unwrap());
            let signature = own.sign(b"tegata").unwrap();
            assert!(is_believed(scheme, &own.public_key(), b"tegata", &signature), "{algorithm:?}");
            assert!(!is_believed(scheme, &other.public_key(), b"tegata", &signature));
            assert!(!is_believed(scheme, &own.public_key(), b"another", &signature));
            assert!(!is_believed(SignatureScheme::RSA_PSS_SHA256, &own.public_key(), b"tegata", &signature));
        }
    }
}
