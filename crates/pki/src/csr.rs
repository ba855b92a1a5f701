//! Certificate signing requests (PKCS#10, RFC 2986): made on devices, and read with suspicion.

use std::cell::RefCell;

use rcgen::{CertificateParams, DistinguishedName, PublicKeyData, SignatureAlgorithm, SigningKey};
use tegata_core::policy::KeyAlgorithm;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::key::{self, KeyError, Signing};

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
    /// Its kind. RSA of any accepted size (2048 to 4096 bits) is [`KeyAlgorithm::Rsa2048`].
    pub algorithm: KeyAlgorithm,
}

/// Makes a request for `key`, PEM. Its subject is empty: the authority decides what a certificate says.
pub fn create(key: &dyn Signing) -> Result<String, KeyError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let requester = Requester::of(key)?;
    let request = params.serialize_request(&requester);
    let request = request.map_err(|problem| requester.refusal.take().unwrap_or_else(|| KeyError::because(problem)))?;
    request.pem().map_err(KeyError::because)
}

/// Any key, as rcgen wants to see one.
struct Requester<'a> {
    key: &'a dyn Signing,
    /// The contents of its SubjectPublicKeyInfo's bit string.
    bits: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
    /// Why the key did not sign.
    refusal: RefCell<Option<KeyError>>,
}

impl<'a> Requester<'a> {
    fn of(key: &'a dyn Signing) -> Result<Self, KeyError> {
        let public_key = key.public_key();
        let algorithm = match key::kind(&public_key).map_err(KeyError::because)? {
            KeyAlgorithm::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyAlgorithm::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
        };
        let (_, info) = SubjectPublicKeyInfo::from_der(&public_key).map_err(KeyError::because)?;
        Ok(Self { key, bits: info.subject_public_key.data.to_vec(), algorithm, refusal: RefCell::default() })
    }
}

impl PublicKeyData for Requester<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for Requester<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key.sign(message).map_err(|problem| {
            self.refusal.replace(Some(problem));
            rcgen::Error::RemoteKeyError
        })
    }
}

/// Reads a request, checks that it was signed by its own key, and takes the key. Whatever else it asks for is not looked at.
pub fn check(pem: &str) -> Result<RequestedKey, CsrError> {
    let der = only_block(pem)?;
    let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|problem| CsrError::Unreadable(problem.to_string()))?;
    if !rest.is_empty() {
        return Err(CsrError::Unreadable(format!("{} bytes follow it", rest.len())));
    }
    // The kind comes first: no arithmetic is done with a key that would be refused anyway.
    let public_key = request.certification_request_info.subject_pki.raw.to_vec();
    let algorithm = key::kind(&public_key).map_err(CsrError::Key)?;
    if [OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA].contains(&request.signature_algorithm.algorithm) {
        return Err(CsrError::Unreadable("it is signed with SHA-1, which proves nothing; make it with SHA-256".to_owned()));
    }
    request.verify_signature().map_err(|_| CsrError::NotProven)?;
    Ok(RequestedKey { public_key, algorithm })
}

/// Takes the DER out of the one PEM block that there should be (RFC 7468, section 7).
fn only_block(pem: &str) -> Result<Vec<u8>, CsrError> {
    if pem.len() > SIZE_MAX {
        return Err(CsrError::Unreadable(format!("it has {} bytes; at most {SIZE_MAX} are read", pem.len())));
    }
    let mut blocks = Pem::iter_from_buffer(pem.as_bytes());
    let block = match (blocks.next(), blocks.next()) {
        (Some(Ok(block)), None) => block,
        (None, _) => return Err(CsrError::Unreadable("there is no PEM block in it".to_owned())),
        (Some(Err(problem)), _) => return Err(CsrError::Unreadable(problem.to_string())),
        (Some(_), Some(_)) => return Err(CsrError::Unreadable("there is more than one PEM block in it".to_owned())),
    };
    if block.label == "CERTIFICATE REQUEST" {
        Ok(block.contents)
    } else {
        Err(CsrError::Unreadable(format!("its PEM block is a {:?}, not a CERTIFICATE REQUEST", block.label)))
    }
}
