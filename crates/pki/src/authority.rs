//! Certificate authorities: what they are asked to say, the exact bytes they will sign, and the signature.
//!
//! Drafting and signing are two calls, so that the bytes can be on record before the key is used.

use tegata_core::name::Serial;
use tegata_core::time::Timestamp;

use crate::key::{KeyError, PrivateKey};

/// An authority: its certificate and its key.
pub struct Authority {
    /// DER.
    certificate: Vec<u8>,
    key: PrivateKey,
}

/// What a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// A client certificate that a person's browser shows (clientAuth only).
    Client {
        /// Subject CN.
        common_name: String,
        /// Subject O.
        organization: String,
        /// Subject serialNumber: unique per issuance, so that no two certificates share a subject.
        unique: String,
        /// Where the revocation list is published, if anywhere.
        crl_url: Option<String>,
    },
    /// An agent's identity (clientAuth only).
    Identity {
        /// Subject CN.
        common_name: String,
        /// Subject O: the tenant.
        organization: String,
    },
    /// A TLS server (serverAuth only).
    Server {
        /// DNS names and IP addresses.
        names: Vec<String>,
    },
}

/// The exact bytes that are about to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tbs {
    /// TBSCertificate, DER.
    pub bytes: Vec<u8>,
}

/// Makes a serial number: 16 random bytes, the first in 0x40–0x7f.
pub fn new_serial() -> Serial {
    todo!()
}

impl Authority {
    /// Makes a root that may sign one level of intermediates. Key: P-256.
    pub fn new_root(common_name: &str, organization: &str, not_before: Timestamp, not_after: Timestamp) -> Result<Self, KeyError> {
        let _ = (common_name, organization, not_before, not_after);
        todo!()
    }

    /// Makes an issuing intermediate below this root: pathlen 0, signs certificates and CRLs. Key: P-256.
    pub fn new_issuing(
        &self,
        common_name: &str,
        organization: &str,
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Result<Self, KeyError> {
        let _ = (common_name, organization, not_before, not_after);
        todo!()
    }

    /// Puts certificate and key together again; refuses a key that does not belong.
    pub fn load(certificate: &[u8], key: PrivateKey) -> Result<Self, KeyError> {
        let _ = (certificate, key);
        todo!()
    }

    /// Its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Says exactly what would be signed. Everything is ours but the public key (SubjectPublicKeyInfo, DER).
    pub fn draft(
        &self,
        purpose: &Purpose,
        public_key: &[u8],
        serial: Serial,
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Result<Tbs, KeyError> {
        let _ = (purpose, public_key, serial, not_before, not_after);
        todo!()
    }

    /// Signs; gives the certificate, DER.
    pub fn sign(&self, tbs: &Tbs) -> Result<Vec<u8>, KeyError> {
        let _ = tbs;
        todo!()
    }
}
