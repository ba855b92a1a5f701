//! Gives the certificate to a site that asks for it, and remembers what the site asked for: an answer proves something only if it
//! came after that.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{Error, SignatureScheme};
use tegata_pki::certificate;

use crate::keystore::Pair;

/// What a site wanted to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// No certificate at all.
    Nothing,
    /// A certificate of this kind, and got it.
    ForThis,
    /// Certificates of other authorities only. Browsers do not offer any other then.
    ForOtherIssuers,
    /// Signatures that this key cannot make.
    ForOtherKeys,
}

/// One pair, and what the site that it was meant for asked.
#[derive(Debug)]
pub(super) struct Witness {
    identity: Arc<CertifiedKey>,
    /// Who issued each certificate of the chain, DER.
    issuers: Vec<Vec<u8>>,
    asked: Mutex<Asked>,
}

impl Witness {
    /// # Errors
    /// The key cannot be used, or does not fit the certificate.
    pub(super) fn of(pair: &Pair) -> Result<Self, Error> {
        let issuers = pair.chain.iter().filter_map(|der| certificate::read(der).ok()).map(|one| one.issuer).collect();
        Ok(Self { identity: Arc::new(pair.for_tls()?), issuers, asked: Mutex::new(Asked::Nothing) })
    }

    pub(super) fn asked(&self) -> Asked {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names are compared byte by byte, as Chromium does (`MatchClientCertificateIssuers`); a site that names none takes any.
    fn fits(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Asked {
        if !authorities.is_empty() && !self.issuers.iter().any(|issuer| authorities.contains(&issuer.as_slice())) {
            Asked::ForOtherIssuers
        } else if self.identity.key.choose_scheme(schemes).is_none() {
            Asked::ForOtherKeys
        } else {
            Asked::ForThis
        }
    }
}

impl ResolvesClientCert for Witness {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let asked = self.fits(authorities, schemes);
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        (asked == Asked::ForThis).then(|| Arc::clone(&self.identity))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
