//! What is kept of people who have signed in with an OpenID provider.

use async_trait::async_trait;
use tegata_core::access::Login;
use tegata_core::name::{Sha256, TenantName};
use tegata_core::time::Timestamp;

use crate::store::StoreError;

/// A session. Its token is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its public part: 16 hexadecimal digits. Unique.
    pub id: String,
    /// SHA-256 of its token.
    pub digest: Sha256,
    /// The one tenant that it is for.
    pub tenant: TenantName,
    /// Who, and in which groups they were when they signed in.
    pub login: Login,
    /// When they signed in.
    pub created_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
    /// Since when it is worth nothing: they signed out, or somebody ended it.
    pub ended_at: Option<Timestamp>,
}

impl SessionRow {
    /// True while it is worth something.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }
}

/// What happens to sessions.
#[derive(Debug, Clone)]
pub enum SessionChange {
    /// Keeps a session, and forgets those that are over for this long.
    Begin {
        /// The session.
        row: Box<SessionRow>,
        /// What expired before this is forgotten; the log knows of it.
        forget: Timestamp,
    },
    /// A session is worth nothing from now on. Guard: it has not ended yet.
    End {
        /// Its public part.
        id: String,
        /// When.
        at: Timestamp,
    },
}

/// What can be asked.
#[async_trait]
pub trait SessionQueries {
    /// A session by its public part, in force or not.
    async fn session(&self, id: &str) -> Result<Option<SessionRow>, StoreError>;
    /// The sessions of a tenant that are not forgotten yet, oldest first.
    async fn sessions(&self, tenant: &TenantName) -> Result<Vec<SessionRow>, StoreError>;
}
