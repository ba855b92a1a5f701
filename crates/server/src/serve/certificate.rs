//! The server's own TLS certificate: issued at every start, and again before it ends.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use data_encoding::BASE64;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::offline::{Meant, SignedBundle};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, HOUR, Timestamp};
use tegata_pki::authority::{Purpose, new_serial};
use tegata_pki::certificate::to_pem;
use tegata_pki::key::{KeyError, PrivateKey, sha256};
use tokio::time::sleep;

use crate::audit::{Ledger, Recorded};
use crate::clock::Clock;
use crate::issuers::authorities::instance;
use crate::issuers::signer::{Signer, Validity, intent};
use crate::store::{Batch, NewRecord, StoreError};

/// How long the certificate lives.
const LIFE: Duration = DAY.saturating_mul(90);
/// How long before its end it is replaced.
const RENEWED_BEFORE: Duration = DAY.saturating_mul(30);
/// How often its end is looked at.
const LOOK_EVERY: Duration = HOUR;

/// Why the server has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be made; most likely a name cannot be written into it.
    #[error("the server's certificate cannot be made; check the names that the server was given")]
    Key(#[from] KeyError),
    /// The TLS library does not take it.
    #[error("the server's certificate cannot be used")]
    Tls(#[from] rustls::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The certificate in use, and what it takes to make the next one.
pub struct ServerCertificate {
    ledger: Ledger,
    clock: Clock,
    signer: Arc<Signer>,
    names: Vec<String>,
    current: RwLock<(Arc<CertifiedKey>, Timestamp)>,
}

impl ServerCertificate {
    /// Issues the first one.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub async fn issue(ledger: Ledger, clock: Clock, signer: Arc<Signer>, names: Vec<String>) -> Result<Self, CertificateError> {
        let first = make(&ledger, clock.now(), &signer, &names).await?;
        Ok(Self { ledger, clock, signer, names, current: RwLock::new(first) })
    }

    /// Replaces it whenever its end comes near. Never returns; drop it to stop.
    pub async fn keep_fresh(&self) {
        loop {
            sleep(LOOK_EVERY).await;
            if self.clock.now() < self.not_after().before(RENEWED_BEFORE) {
                continue;
            }
            match make(&self.ledger, self.clock.now(), &self.signer, &self.names).await {
                Ok(next) => *self.current.write().unwrap_or_else(PoisonError::into_inner) = next,
                Err(error) => tracing::error!(%error, "the server's certificate was not renewed; trying again in an hour"),
            }
        }
    }

    /// Signs what is carried to a device without a network, with the key that TLS shows the same devices. Valid for as long as the
    /// certificate: for [`RENEWED_BEFORE`] at least.
    ///
    /// # Errors
    /// If the key does not sign.
    pub fn sign(&self, bundle: Recorded<String>) -> Result<SignedBundle, CertificateError> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).0.clone();
        let signer = current.key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).ok_or_else(no_such_scheme)?;
        let signature = signer.sign(&Meant::Bundle.signed_bytes(bundle.get()))?;
        let chain = current.cert.iter().map(|der| to_pem(der)).collect();
        Ok(SignedBundle { bundle: bundle.into_inner(), signature: BASE64.encode(&signature), chain })
    }

    fn not_after(&self) -> Timestamp {
        self.current.read().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Makes a key and its certificate. The chain holds the authority too, although it is a root: new PCs know only its hash.
async fn make(
    ledger: &Ledger,
    now: Timestamp,
    signer: &Signer,
    names: &[String],
) -> Result<(Arc<CertifiedKey>, Timestamp), CertificateError> {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
    let (serial, validity) = (new_serial(), Validity::from_now(now, LIFE));
    let tbs = signer.draft(&Purpose::Server { names: names.to_vec() }, &key.public_key(), serial, validity)?;
    let record = NewRecord {
        tenant: instance(),
        at: now,
        stage: Stage::Intended,
        actor: "tegata".into(),
        action: "server.sign",
        object: names.join(","),
        details: intent(serial, &tbs, &sha256(&key.public_key())),
    };
    let recorded = ledger.record(tbs, Batch { records: vec![record], changes: vec![] }).await?;
    let chain = vec![CertificateDer::from(signer.sign(&recorded)?), CertificateDer::from(signer.certificate().to_vec())];
    let pkcs8 = key.to_pkcs8();
    let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_slice())))?;
    Ok((Arc::new(CertifiedKey::new(chain, signing)), validity.not_after.min(signer.not_after())))
}

fn no_such_scheme() -> rustls::Error {
    rustls::Error::General("the server's key is not one for ECDSA on P-256".into())
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).0.clone())
    }
}

/// The key is not shown.
impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}
