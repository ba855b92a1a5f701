//! Revocation lists: what each issuer has declared invalid, signed by it, for anyone to fetch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tegata_core::name::{IssuerName, TenantName};
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::crl::Revoked;

use crate::audit::Ledger;
use crate::clock::Clock;
use crate::issuers::authorities::{Authorities, AuthorityError, Issuing};
use crate::issuers::signer::Validity;
use crate::store::StoreError;

/// How long a list may be relied on (nextUpdate): longer than a long weekend without the server.
const LIST_LIFE: Duration = DAY.saturating_mul(7);
/// How old a list may grow before it is made anew although nothing has changed.
const MADE_ANEW_AFTER: Duration = DAY;

/// The newest list of every issuer that was asked for.
pub struct Lists {
    ledger: Ledger,
    clock: Clock,
    authorities: Arc<Authorities>,
    kept: Mutex<HashMap<(TenantName, IssuerName), Arc<Place>>>,
}

/// Holds one issuer's list; locked while it is being looked at, so that a rush of requests reads the database once.
type Place = tokio::sync::Mutex<Option<Kept>>;

struct Kept {
    number: u64,
    made_at: Timestamp,
    looked_at: Timestamp,
    revoked: Vec<Revoked>,
    list: Bytes,
}

impl Lists {
    /// Makes lists of what `ledger` says.
    pub fn new(ledger: Ledger, clock: Clock, authorities: Arc<Authorities>) -> Self {
        Self { ledger, clock, authorities, kept: Mutex::default() }
    }

    /// An issuer's list, DER: not more than a second behind the database.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub async fn newest(&self, tenant: &TenantName, issuer: &IssuerName) -> Result<Bytes, AuthorityError> {
        // First of all, so that only issuers that exist take memory.
        let issuing = self.authorities.issuer(tenant, issuer).await?;
        let place = self.place(tenant, issuer);
        let mut place = place.lock().await;
        let now = self.clock.now();
        if let Some(kept) = place.as_ref().filter(|kept| kept.looked_at == now) {
            return Ok(kept.list.clone());
        }
        let revoked = self.revoked(tenant, issuer, now).await?;
        match place.as_mut().filter(|kept| kept.revoked == revoked && is_fresh(kept.made_at, now)) {
            Some(kept) => kept.looked_at = now,
            None => *place = Some(make(&issuing, place.as_ref().map(|kept| kept.number), revoked, now)?),
        }
        Ok(place.as_ref().map(|kept| kept.list.clone()).unwrap_or_default())
    }

    fn place(&self, tenant: &TenantName, issuer: &IssuerName) -> Arc<Place> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).entry((tenant.clone(), issuer.clone())).or_default().clone()
    }

    /// What the list has to name. A certificate stays on it past its own end until every list without it has run out
    /// (RFC 5280, section 3.3, asks for one more list).
    async fn revoked(&self, tenant: &TenantName, issuer: &IssuerName, now: Timestamp) -> Result<Vec<Revoked>, StoreError> {
        let revoked = self.ledger.store().revoked(tenant, issuer, now.before(LIST_LIFE)).await?;
        Ok(revoked.into_iter().map(|(serial, at)| Revoked { serial, at }).collect())
    }
}

fn is_fresh(made_at: Timestamp, now: Timestamp) -> bool {
    made_at <= now && now.since(made_at) < MADE_ANEW_AFTER
}

/// The number is the moment in seconds, or one more than the last: it grows across restarts without being kept anywhere.
fn make(issuing: &Issuing, last: Option<u64>, revoked: Vec<Revoked>, now: Timestamp) -> Result<Kept, AuthorityError> {
    let moment = u64::try_from(now.unix()).unwrap_or_default();
    let number = last.map_or(moment, |last| moment.max(last + 1));
    let list = issuing.signer.list(number, &revoked, Validity::from_now(now, LIST_LIFE));
    let list = list.map_err(|source| AuthorityError::Unusable { name: issuing.signer.common_name().to_owned(), source })?;
    Ok(Kept { number, made_at: now, looked_at: now, revoked, list: list.into() })
}
