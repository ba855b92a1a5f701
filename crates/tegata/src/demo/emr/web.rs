//! The chart's own certificate, from an authority that lives as long as the process.

use anyhow::{Context, Result};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::DAY;
use tegata_pki::authority::{self, Authority, Purpose};
use tegata_pki::certificate;
use tegata_pki::key::PrivateKey;

use crate::output;

/// A server certificate for every host of the stand-in.
pub struct WebIdentity {
    authority: Vec<u8>,
    certificate: Vec<u8>,
    key: PrivateKey,
}

impl WebIdentity {
    /// Makes the authority, and a certificate for `hosts`; good for a week.
    pub fn new(hosts: Vec<String>) -> Result<Self> {
        let now = output::now();
        let (from, to) = (now.before(DAY), now.after(7 * DAY));
        let authority = Authority::new_root("Stand-in web authority", "Tegata demo", from, to).context("cannot make a web authority")?;
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).context("cannot make a key")?;
        let tbs = authority.draft(&Purpose::Server { names: hosts }, &key.public_key(), authority::new_serial(), from, to);
        let certificate = tbs.and_then(|tbs| authority.sign(&tbs)).context("cannot make a server certificate")?;
        Ok(Self { authority: authority.certificate().to_vec(), certificate, key })
    }

    /// The authority, PEM: what browsers and probes have to trust.
    pub fn authority_pem(&self) -> String {
        certificate::to_pem(&self.authority)
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone().into()]
    }

    /// The key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.to_pkcs8().to_vec()).into()
    }
}
