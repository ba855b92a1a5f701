//! A certificate authority with its key, which signs only what is on record.

use tegata_core::name::{Serial, Sha256};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::Timestamp;
use tegata_pki::authority::{Authority, Purpose, Tbs};
use tegata_pki::certificate::{self, Certificate};
use tegata_pki::crl::{self, Revoked};
use tegata_pki::csr::RequestedKey;
use tegata_pki::key::{KeyError, sha256};

use crate::audit::Recorded;

/// An authority, ready to sign. Nothing else in the server holds a CA key.
pub struct Signer {
    authority: Authority,
    read: Certificate,
    pem: String,
}

impl Signer {
    /// Takes an authority into use.
    ///
    /// # Errors
    /// If its certificate cannot be read.
    pub fn new(authority: Authority) -> Result<Self, KeyError> {
        let read = certificate::read(authority.certificate()).map_err(|error| KeyError { problem: error.to_string() })?;
        let pem = certificate::to_pem(authority.certificate());
        Ok(Self { authority, read, pem })
    }

    /// Its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.read.der
    }

    /// Its certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of its certificate's DER.
    pub fn fingerprint(&self) -> Sha256 {
        self.read.fingerprint
    }

    /// Its subject's common name.
    pub fn common_name(&self) -> &str {
        self.read.common_name.as_deref().unwrap_or_default()
    }

    /// The last moment of its validity. Nothing that it signs lives longer.
    pub fn not_after(&self) -> Timestamp {
        self.read.not_after
    }

    /// Says exactly what would be signed. Everything is ours but the public key.
    ///
    /// # Errors
    /// If the purpose cannot be written as a certificate.
    pub fn draft(&self, purpose: &Purpose, public_key: &[u8], serial: Serial, validity: Validity) -> Result<Tbs, KeyError> {
        let not_after = validity.not_after.min(self.not_after());
        self.authority.draft(purpose, public_key, serial, validity.not_before, not_after)
    }

    /// Signs what is on record; gives the certificate, DER.
    ///
    /// # Errors
    /// If the recorded bytes are not those of a certificate by this authority.
    pub fn sign(&self, intent: &Recorded<Tbs>) -> Result<Vec<u8>, KeyError> {
        self.authority.sign(intent.get())
    }

    /// Makes a revocation list, DER: the part that is published at `url`, or the whole. It repeats what the revocations' records
    /// already say, so it needs no record of its own.
    ///
    /// # Errors
    /// If the list cannot be written.
    pub fn list(&self, number: u64, url: Option<&str>, revoked: &[Revoked], validity: Validity) -> Result<Vec<u8>, KeyError> {
        let Validity { not_before, not_after } = validity;
        match url {
            Some(url) => crl::create_shard(&self.authority, url, number, revoked, not_before, not_after),
            None => crl::create(&self.authority, number, revoked, not_before, not_after),
        }
    }
}

/// From when until when something is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub not_before: Timestamp,
    /// Last moment.
    pub not_after: Timestamp,
}

impl Validity {
    /// How much earlier than now everything begins to be valid: as far as clocks of PCs may be off (`core::plan`'s `WrongClock`).
    const BACKDATED: std::time::Duration = std::time::Duration::from_secs(300);

    /// Valid for `span`, counted from `now`; begins five minutes earlier, because clocks differ.
    pub fn from_now(now: Timestamp, span: std::time::Duration) -> Self {
        Self { not_before: now.before(Self::BACKDATED), not_after: now.after(span) }
    }
}

/// What the log says about bytes that are about to be signed.
pub fn intent(serial: Serial, tbs: &Tbs, public_key: &Sha256) -> serde_json::Value {
    // Also of what is never signed it is known how long it could have mattered.
    let not_after = tbs.not_after().map(Timestamp::unix);
    let (tbs, key) = (sha256(&tbs.bytes).to_string(), public_key.to_string());
    serde_json::json!({ "serial": serial.to_string(), "tbsSha256": tbs, "publicKeySha256": key, "notAfter": not_after })
}

/// True if a device identity may have this key: receipts are signed with ECDSA on P-256.
pub fn fits_identity(key: &RequestedKey) -> bool {
    key.algorithm == KeyAlgorithm::EcdsaP256
}
