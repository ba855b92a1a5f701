//! What is kept of the tokens by which people and programs are known.

use async_trait::async_trait;
use tegata_core::name::{Sha256, TenantName, TokenName};
use tegata_core::time::Timestamp;

use crate::store::StoreError;

/// A bearer token. The token itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its public part: 16 hexadecimal digits. Unique.
    pub id: String,
    /// SHA-256 of the token.
    pub digest: Sha256,
    /// What its holder is called in bindings, and in the log: `person:<name>`.
    pub name: TokenName,
    /// Whose; `None` for an owner of the installation, who may do everything in every tenant.
    pub tenant: Option<TenantName>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom, as the log calls them.
    pub created_by: String,
    /// From when on it is worth nothing; `None`: until it is revoked.
    pub expires_at: Option<Timestamp>,
    /// Since when it is worth nothing.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRow {
    /// True while it is worth something.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What happens to tokens.
#[derive(Debug, Clone)]
pub enum TokenChange {
    /// Keeps a token. Guard: its name was never an owner's if it is a tenant's, and never a tenant's if it is an owner's: the log calls both
    /// the same.
    Put(Box<TokenRow>),
    /// A token is worth nothing from now on. Guard: it was not revoked yet.
    Revoke {
        /// Its public part.
        id: String,
        /// When.
        at: Timestamp,
    },
}

/// What can be asked.
#[async_trait]
pub trait TokenQueries {
    /// A token by its public part, in force or not.
    async fn token(&self, id: &str) -> Result<Option<TokenRow>, StoreError>;
    /// A token by its SHA-256: one that was made before tokens had a public part.
    async fn token_by_digest(&self, digest: &Sha256) -> Result<Option<TokenRow>, StoreError>;
    /// The tokens of a tenant, or of the installation's owners, by name and age.
    async fn tokens(&self, tenant: Option<&TenantName>) -> Result<Vec<TokenRow>, StoreError>;
}
