//! People sign in with an OpenID provider (OpenID Connect Core, authorization code with PKCE), and get a session.
//!
//! ```text
//! tegata login ─begin→ server ─ticket, address→ browser ─→ provider ─code→ 127.0.0.1 ─finish: ticket, code, verifier→ server ─code, verifier→ provider
//! ```
//!
//! The server exchanges the code itself, so that no token of the provider is ever on a PC, and none can be brought along: there is nothing to hand
//! one in by. The ticket says for which tenant, provider and challenge it was given, signed by the server; the nonce that the ID token must hold
//! is derived from it. Nothing is kept of a sign-in that was only begun.

pub mod provider;
mod refusals;
#[cfg(test)]
mod tests;
mod ticket;
pub mod token;

use std::sync::Arc;

use serde_json::json;
use tegata_api::v1::sign_in::{Begin, Begun, Finish};
use tegata_core::access::{Login, Person, is_known};
use tegata_core::name::{ProviderName, TenantName};
use tegata_core::time::Timestamp;
use tegata_pki::key::{Seal, hmac_sha256};
use zeroize::Zeroizing;

use crate::audit::{Ledger, TEGATA};
use crate::policy::PolicyError;
use crate::sessions;
use crate::sign_in::provider::{Exchange, Provider, ProviderError, ProviderSettings, Trouble};
use crate::sign_in::refusals::Refusals;
use crate::sign_in::ticket::{Spent, Ticket};
use crate::sign_in::token::{Expected, TokenFault};
use crate::store::StoreError;
use crate::store::sessions::SessionRow;

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The tenant has no provider, or none of that name. Whether there is such a tenant is not said.
    #[error("there is no such provider")]
    NotFound,
    /// It was not said which provider is meant.
    #[error("this tenant has several providers: {}", .0.join(", "))]
    Which(Vec<String>),
    /// What was sent is not of this protocol.
    #[error("{0}")]
    Malformed(&'static str),
    /// The ticket is not of this server, for another tenant, too old, used, or of another verifier.
    #[error("this sign-in is over, or was never begun")]
    Stale,
    /// The provider cannot be asked.
    #[error("provider '{name}' {trouble}")]
    Provider {
        /// Which.
        name: ProviderName,
        /// Why not.
        trouble: Trouble,
    },
    /// The provider does not take the code: it was used, is too old, or is of another sign-in.
    #[error("the provider does not take the code: it was used already, is too old, or is of another sign-in")]
    Code,
    /// What the provider said of them is not enough.
    #[error("{0}")]
    Token(#[from] TokenFault),
    /// They are who they are, and no binding in force names them.
    #[error("no AccessBinding in force names you: you are '{subject}' of {issuer}")]
    Unbound {
        /// The provider.
        issuer: String,
        /// The person.
        subject: String,
    },
    /// What policy says cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The database failed, or gives nothing out.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What tickets are signed under. Derived from the seal.
pub struct SignInKey(Zeroizing<[u8; 32]>);

impl SignInKey {
    /// The same for the same seal.
    pub fn of(seal: &Seal) -> Self {
        Self(Zeroizing::new(hmac_sha256(seal.text().as_bytes(), b"tegata sign-in").0))
    }
}

/// Lets people in whom a provider knows and a binding names.
pub struct SignIn {
    providers: Vec<Arc<Provider>>,
    key: SignInKey,
    spent: Spent,
    refusals: Refusals,
}

impl SignIn {
    /// By these providers. None of them is asked anything yet.
    ///
    /// # Errors
    /// If the authorities of one cannot be used.
    pub fn new(providers: &[ProviderSettings], key: SignInKey) -> Result<Self, ProviderError> {
        let providers = providers.iter().map(|settings| Provider::new(settings.clone()).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(Self { providers, key, spent: Spent::default(), refusals: Refusals::default() })
    }

    /// True while somebody whom this issuer knows may have a session of this tenant.
    pub fn serves(&self, tenant: &TenantName, issuer: &str) -> bool {
        self.of(tenant).any(|provider| provider.issuer() == issuer)
    }

    fn of<'a>(&'a self, tenant: &TenantName) -> impl Iterator<Item = &'a Arc<Provider>> + use<'a> {
        let tenant = tenant.clone();
        self.providers.iter().filter(move |provider| provider.is_for(&tenant))
    }

    fn chosen<'a>(&'a self, tenant: &TenantName, name: Option<&str>) -> Result<&'a Arc<Provider>, SignInError> {
        let mut fitting = self.of(tenant).filter(|provider| name.is_none_or(|name| provider.name().as_str() == name));
        let first = fitting.next().ok_or(SignInError::NotFound)?;
        if fitting.next().is_none() {
            return Ok(first);
        }
        Err(SignInError::Which(self.of(tenant).map(|provider| provider.name().to_string()).collect()))
    }

    /// Says where to sign in.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn begin(&self, ledger: &Ledger, tenant: &TenantName, begin: &Begin, now: Timestamp) -> Result<Begun, SignInError> {
        let provider = self.chosen(tenant, begin.provider.as_deref())?;
        ledger.expect_settled()?;
        if !ticket::is_digest(&begin.challenge) || !ticket::is_digest(&begin.state) || begin.port == 0 {
            return Err(SignInError::Malformed("state and challenge are 43 characters of base64url, and the port is none of 0"));
        }
        let ticket = Ticket::new(tenant.clone(), provider.name().clone(), begin, now);
        let address = provider.address(begin, &ticket.nonce(&self.key), now).await.map_err(|trouble| failed(provider, trouble))?;
        Ok(Begun { address, issuer: provider.issuer().to_owned(), ticket: ticket.signed(&self.key) })
    }

    /// Lets somebody in, if the provider says who they are and a binding names them.
    ///
    /// # Errors
    /// [`SignInError`]. What is refused is on record, as far as it does not flood the log.
    pub async fn finish(
        &self,
        ledger: &Ledger,
        tenant: &TenantName,
        finish: &Finish,
        now: Timestamp,
    ) -> Result<(SessionRow, Zeroizing<String>), SignInError> {
        if self.of(tenant).next().is_none() {
            return Err(SignInError::NotFound);
        }
        ledger.expect_settled()?;
        let ticket = Ticket::read(&finish.ticket, &self.key).filter(|ticket| ticket.is_for(tenant, &finish.verifier, now));
        let ticket = ticket.ok_or(SignInError::Stale)?;
        let provider = self.chosen(tenant, Some(ticket.provider.as_str()))?;
        let login = match self.identify(provider, &ticket, finish, now).await {
            Ok(login) => login,
            Err(error) => {
                if let Some(reason) = reason(&error) {
                    self.refusals.note(ledger, tenant, (TEGATA, provider.name(), reason), now).await?;
                }
                return Err(error);
            }
        };
        let policy = ledger.policy(tenant).await?;
        if !is_known(policy.bindings.values(), &Person::Login(&login), now) {
            self.refusals.note(ledger, tenant, (&login.actor(), provider.name(), "unbound"), now).await?;
            return Err(SignInError::Unbound { issuer: login.issuer, subject: login.subject });
        }
        let details = json!({ "provider": provider.name().as_str() });
        Ok(sessions::begin(ledger, (tenant, login), provider.life(), details, now).await?)
    }

    /// Who the provider says that somebody is.
    async fn identify(&self, provider: &Provider, ticket: &Ticket, finish: &Finish, now: Timestamp) -> Result<Login, SignInError> {
        let nonce = ticket.nonce(&self.key);
        let exchange = Exchange { code: &finish.code, verifier: &finish.verifier, redirect: &ticket.redirect() };
        let token = match provider.exchange(exchange, now).await {
            Ok(Some(token)) => token,
            Ok(None) => return Err(SignInError::Code),
            Err(trouble) => return Err(failed(provider, trouble)),
        };
        let expected = Expected { settings: provider.settings(), nonce: &nonce, since: ticket.begun };
        let keys = provider.keys(now).await.map_err(|trouble| failed(provider, trouble))?;
        let login = match token::verify(&token, &keys, expected, now) {
            Err(TokenFault::Key) => {
                let keys = provider.keys_anew(now).await.map_err(|trouble| failed(provider, trouble))?;
                token::verify(&token, &keys, expected, now)?
            }
            verified => verified?,
        };
        // Once only, whatever the provider thinks of its codes.
        if self.spent.spend(nonce, now) { Ok(login) } else { Err(SignInError::Stale) }
    }
}

fn failed(provider: &Provider, trouble: Trouble) -> SignInError {
    tracing::warn!(provider = %provider.name(), %trouble, "nobody can sign in by this provider");
    SignInError::Provider { name: provider.name().clone(), trouble }
}

/// What the log says of a refusal; nothing of what strangers can have without a provider's word.
fn reason(error: &SignInError) -> Option<&'static str> {
    match error {
        SignInError::Code => Some("code"),
        SignInError::Token(fault) => Some(fault.as_str()),
        SignInError::Stale => Some("used"),
        _ => None,
    }
}
