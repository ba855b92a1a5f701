//! Finds the authority that is meant, and makes it if there is none yet.
//!
//! Every issuer of a tenant is two authorities: a root, and below it the one that issues. The server has two more of its own,
//! each a root that issues directly: one for its TLS certificate, one for the identities of agents.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::name::{IssuerName, TenantName};
use tegata_core::policy::IssuerKind;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::Authority;
use tegata_pki::certificate;
use tegata_pki::key::{KeyError, PrivateKey, Seal};
use tokio::sync::Mutex;

use crate::audit::Ledger;
use crate::clock::Clock;
use crate::issuers::relying::Unlikely;
use crate::issuers::signer::{Signer, Validity};
use crate::policy::PolicyError;
use crate::store::{AuthorityRow, Batch, Change, NewRecord, StoreError};

/// The tenant whose log holds what the installation does for itself. No policy can be applied to it.
pub const INSTANCE: &str = "tegata";

/// How long a root lives: 20 years of 365 days.
const ROOT_LIFE: Duration = DAY.saturating_mul(20 * 365);
/// How long an issuing authority lives: 10 years of 365 days.
const ISSUING_LIFE: Duration = DAY.saturating_mul(10 * 365);

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Policy names no such issuer, or it is not one of ours.
    #[error("there is no such authority")]
    Unknown,
    /// What is kept of it cannot be used.
    #[error("authority {name} cannot be used; if seal.key was replaced, put the old one back")]
    Unusable {
        /// Its name.
        name: String,
        /// What is wrong.
        #[source]
        source: KeyError,
    },
    /// A new one could not be made.
    #[error("authority {name} could not be made; check the common name in the issuer's document")]
    NotMade {
        /// Its name.
        name: String,
        /// Why not.
        #[source]
        source: KeyError,
    },
    /// A list was made that does not say what it should, and there is none before it that could stay in force.
    #[error("the revocation list {list} is not published")]
    Unlikely {
        /// Where it would be found.
        list: String,
        /// What is wrong with it.
        #[source]
        source: Unlikely,
    },
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The database failed, or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An issuer of one tenant.
pub struct Issuing {
    /// The authority that issues.
    pub signer: Signer,
    root: String,
}

impl Issuing {
    /// The issuing authority's certificate and the root's, PEM: what a site has to trust.
    pub fn bundle(&self) -> String {
        format!("{}{}", self.signer.pem(), self.root)
    }
}

/// One of the server's own authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Signs the server's TLS certificate.
    Server,
    /// Signs the identities of agents.
    Devices,
}

impl Own {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server/root",
            Self::Devices => "devices/root",
        }
    }

    fn common_name(self) -> &'static str {
        match self {
            Self::Server => "Tegata Server Authority",
            Self::Devices => "Tegata Device Authority",
        }
    }
}

/// Every authority that was needed since the start, ready in memory.
pub struct Authorities {
    ledger: Ledger,
    clock: Clock,
    seal: Seal,
    known: RwLock<HashMap<(TenantName, IssuerName), Arc<Issuing>>>,
    /// Held while one is loaded or made, so that a rush of first requests makes one.
    making: Mutex<()>,
}

impl Authorities {
    /// Keeps authorities in `ledger`, their keys sealed by `seal`.
    pub fn new(ledger: Ledger, clock: Clock, seal: Seal) -> Self {
        Self { ledger, clock, seal, known: RwLock::default(), making: Mutex::default() }
    }

    /// A tenant's issuer. Made at first need, if policy names one of kind `ca`; one that was made stays when policy drops it.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub async fn issuer(&self, tenant: &TenantName, issuer: &IssuerName) -> Result<Arc<Issuing>, AuthorityError> {
        let key = (tenant.clone(), issuer.clone());
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        // Anyone may ask for any name: what does not exist is answered without keeping those waiting who ask for what does.
        let is_made = |rows: Vec<AuthorityRow>| rows.iter().any(|row| row.name == issuing_name(issuer));
        if !is_made(self.ledger.store().authorities(Some(tenant)).await?) {
            self.common_name(tenant, issuer).await?;
        }
        let _making = self.making.lock().await;
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        let found = match self.load_issuer(tenant, issuer).await? {
            Some(issuing) => issuing,
            None => match self.make_issuer(tenant, issuer).await {
                // Another server on this database was faster.
                Err(AuthorityError::Store(StoreError::Conflict(_))) => {
                    self.load_issuer(tenant, issuer).await?.ok_or(AuthorityError::Unknown)?
                }
                made => made?,
            },
        };
        let found = Arc::new(found);
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(key, found.clone());
        Ok(found)
    }

    /// The root of a tenant's issuer. Its key is not kept in memory: it is needed once a day, for a list.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub async fn root(&self, tenant: &TenantName, issuer: &IssuerName) -> Result<Signer, AuthorityError> {
        let rows = self.ledger.store().authorities(Some(tenant)).await?;
        let root = rows.iter().find(|row| row.name == root_name(issuer)).ok_or(AuthorityError::Unknown)?;
        self.open(root)
    }

    /// One of the server's own. Made at first start.
    ///
    /// # Errors
    /// [`AuthorityError`], but never `Unknown`.
    pub async fn own(&self, own: Own) -> Result<Signer, AuthorityError> {
        let rows = self.ledger.store().authorities(None).await?;
        match rows.iter().find(|row| row.name == own.name()) {
            Some(row) => self.open(row),
            None => self.make_own(own).await,
        }
    }

    fn known(&self, key: &(TenantName, IssuerName)) -> Option<Arc<Issuing>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    async fn load_issuer(&self, tenant: &TenantName, issuer: &IssuerName) -> Result<Option<Issuing>, AuthorityError> {
        let rows = self.ledger.store().authorities(Some(tenant)).await?;
        let row = |name: String| rows.iter().find(|row| row.name == name);
        let (Some(root), Some(issuing)) = (row(root_name(issuer)), row(issuing_name(issuer))) else { return Ok(None) };
        Ok(Some(Issuing { signer: self.open(issuing)?, root: certificate::to_pem(&root.certificate) }))
    }

    fn open(&self, row: &AuthorityRow) -> Result<Signer, AuthorityError> {
        let unusable = |source| AuthorityError::Unusable { name: row.name.clone(), source };
        let key = self.seal.open(&row.sealed_key).and_then(|key| PrivateKey::from_pkcs8(&key)).map_err(unusable)?;
        Authority::load(&row.certificate, key).and_then(Signer::new).map_err(unusable)
    }

    async fn make_issuer(&self, tenant: &TenantName, issuer: &IssuerName) -> Result<Issuing, AuthorityError> {
        let common_name = self.common_name(tenant, issuer).await?;
        let not_made = |source| AuthorityError::NotMade { name: issuer.to_string(), source };
        let now = self.clock.now();
        let (root, issuing) = new_pair(&common_name, tenant.as_str(), now).map_err(not_made)?;
        let rows = [self.row(Some(tenant), root_name(issuer), &root), self.row(Some(tenant), issuing_name(issuer), &issuing)];
        self.keep(tenant, issuer.as_str(), &common_name, rows.into(), now).await?;
        Ok(Issuing { root: certificate::to_pem(root.certificate()), signer: Signer::new(issuing).map_err(not_made)? })
    }

    /// The common name that policy gives to one of our issuers.
    async fn common_name(&self, tenant: &TenantName, issuer: &IssuerName) -> Result<String, AuthorityError> {
        // Asked by anyone, for any name: a tenant without documents must not leave a trace in memory.
        if self.ledger.store().policy_revision(tenant).await? == 0 {
            return Err(AuthorityError::Unknown);
        }
        match self.ledger.policy(tenant).await?.issuers.get(issuer).map(|issuer| &issuer.kind) {
            Some(IssuerKind::Ca { common_name }) => Ok(common_name.to_string()),
            _ => Err(AuthorityError::Unknown),
        }
    }

    async fn make_own(&self, own: Own) -> Result<Signer, AuthorityError> {
        let not_made = |source| AuthorityError::NotMade { name: own.name().to_owned(), source };
        let now = self.clock.now();
        let life = Validity::from_now(now, ROOT_LIFE);
        let authority = Authority::new_root(own.common_name(), "Tegata", life.not_before, life.not_after).map_err(not_made)?;
        let row = self.row(None, own.name().to_owned(), &authority);
        self.keep(&instance(), own.name(), own.common_name(), vec![row], now).await?;
        Signer::new(authority).map_err(not_made)
    }

    fn row(&self, tenant: Option<&TenantName>, name: String, authority: &Authority) -> AuthorityRow {
        let sealed_key = self.seal.seal(&authority.key().to_pkcs8());
        AuthorityRow { tenant: tenant.cloned(), name, certificate: authority.certificate().to_vec(), sealed_key }
    }

    async fn keep(
        &self,
        log: &TenantName,
        object: &str,
        common_name: &str,
        rows: Vec<AuthorityRow>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let certificates: HashMap<_, _> =
            rows.iter().map(|row| (row.name.clone(), tegata_pki::key::sha256(&row.certificate).to_string())).collect();
        let record = NewRecord {
            tenant: log.clone(),
            at: now,
            stage: Stage::Done,
            actor: "tegata".into(),
            action: "authority.create",
            object: object.to_owned(),
            details: json!({ "commonName": common_name, "certificates": certificates }),
        };
        self.ledger.record((), Batch { records: vec![record], changes: rows.into_iter().map(Change::PutAuthority).collect() }).await?;
        Ok(())
    }
}

/// [`INSTANCE`] as a name.
pub fn instance() -> TenantName {
    INSTANCE.parse().expect("the reserved name is a label")
}

fn root_name(issuer: &IssuerName) -> String {
    format!("{issuer}/root")
}

/// What the authority of an issuer that signs is kept as.
pub fn issuing_name(issuer: &IssuerName) -> String {
    format!("{issuer}/issuing")
}

fn new_pair(common_name: &str, organization: &str, now: Timestamp) -> Result<(Authority, Authority), KeyError> {
    let (root_life, life) = (Validity::from_now(now, ROOT_LIFE), Validity::from_now(now, ISSUING_LIFE));
    let root = Authority::new_root(&format!("{common_name} Root"), organization, root_life.not_before, root_life.not_after)?;
    let issuing = root.new_issuing(common_name, organization, life.not_before, life.not_after)?;
    Ok((root, issuing))
}
