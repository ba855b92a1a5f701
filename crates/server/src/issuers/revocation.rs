//! Revocation lists: what each issuer has declared invalid, signed by it, for anyone to fetch.
//!
//! A list is made of what the database says, at most once a second and only if something has changed. Revoking one more makes one
//! part anew, however much is revoked already.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tegata_core::name::{IssuerName, Serial, Sha256, TenantName};
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::crl::Revoked;
use tegata_pki::key::{KeyError, sha256};

use crate::audit::Ledger;
use crate::clock::Clock;
use crate::issuers::authorities::{Authorities, AuthorityError, Issuing};
use crate::issuers::publication::{Part, Publication};
use crate::issuers::relying::{self, Published, Unlikely};
use crate::issuers::shards::SHARD_SIZE;
use crate::issuers::signer::{Signer, Validity};
use crate::store::StoreError;
use crate::store::revocation::RevokedRow;

/// How long a list may be relied on (nextUpdate): longer than a long weekend without the server.
const LIST_LIFE: Duration = DAY.saturating_mul(7);
/// How old a list may grow before it is made anew although nothing has changed.
const MADE_ANEW_AFTER: Duration = DAY;
/// How many certificates of each end of a shard are let in or refused by its list, before it is published.
const SAMPLED: u32 = 8;
/// How many lists are kept ready, each below a million bytes. Whatever nobody asks for any more goes first.
const KEPT_MAX: usize = 128;

/// The newest of every list that was asked for.
pub struct Lists {
    ledger: Ledger,
    clock: Clock,
    authorities: Arc<Authorities>,
    publication: Publication,
    kept: Mutex<HashMap<Name, Arc<Place>>>,
}

type Name = (TenantName, IssuerName, Part);

/// Holds one list; locked while it is being looked at, so that a rush of requests reads the database once.
#[derive(Default)]
struct Place {
    kept: tokio::sync::Mutex<Option<Kept>>,
    asked_at: Mutex<Option<Timestamp>>,
}

struct Kept {
    number: u64,
    made_at: Timestamp,
    looked_at: Timestamp,
    says: Sha256,
    list: Bytes,
}

/// What a list has to say.
struct Content {
    /// Where it is published, if it is a part.
    url: Option<String>,
    revoked: Vec<RevokedRow>,
}

impl Lists {
    /// Makes lists of what `ledger` says.
    pub fn new(ledger: Ledger, clock: Clock, authorities: Arc<Authorities>, publication: Publication) -> Self {
        Self { ledger, clock, authorities, publication, kept: Mutex::default() }
    }

    /// One of an issuer's lists, DER: not more than a second behind the database.
    ///
    /// # Errors
    /// [`AuthorityError`]; a shard that is not there is unknown.
    pub async fn newest(&self, tenant: &TenantName, issuer: &IssuerName, part: Part) -> Result<Bytes, AuthorityError> {
        // What was revoked since the backup must not be forgiven: whoever has the list of before relies on that.
        self.ledger.expect_settled()?;
        // First of all, so that only what exists takes memory.
        let issuing = self.authorities.issuer(tenant, issuer).await?;
        let now = self.clock.now();
        let name = (tenant.clone(), issuer.clone(), part);
        let place = self.place(&name, now).await?;
        let mut place = place.kept.lock().await;
        if let Some(kept) = place.as_ref().filter(|kept| kept.looked_at == now) {
            return Ok(kept.list.clone());
        }
        let content = self.content(&name, now).await?;
        let says = fingerprint(&content);
        if let Some(kept) = place.as_mut().filter(|kept| kept.says == says && is_fresh(kept.made_at, now)) {
            kept.looked_at = now;
            return Ok(kept.list.clone());
        }
        match self.make(&name, &issuing, place.as_ref(), &content, now).await {
            Ok(list) => Ok(place.insert(Kept { says, ..list }).list.clone()),
            Err(AuthorityError::Unlikely { list, source }) => still_good(place.as_mut(), list, source, now),
            Err(error) => Err(error),
        }
    }

    /// Every list that somebody needs who looks at the whole chain.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub async fn parts(&self, tenant: &TenantName, issuer: &IssuerName) -> Result<Vec<Part>, AuthorityError> {
        self.authorities.issuer(tenant, issuer).await?;
        let newest = self.ledger.store().shard(tenant, issuer, None).await?.map_or(0, |row| row.shard);
        Ok([Part::Root, Part::Whole].into_iter().chain((1..=newest).map(Part::Shard)).collect())
    }

    async fn place(&self, name: &Name, now: Timestamp) -> Result<Arc<Place>, AuthorityError> {
        let (tenant, issuer, part) = name;
        let known = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let place = match known {
            Some(place) => place,
            None => {
                if let Part::Shard(shard) = part {
                    self.ledger.store().shard(tenant, issuer, Some(*shard)).await?.ok_or(AuthorityError::Unknown)?;
                }
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                make_room(&mut kept);
                kept.entry(name.clone()).or_default().clone()
            }
        };
        *place.asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(place)
    }

    /// A certificate stays on its list past its own end until every list without it has run out (RFC 5280, section 3.3, asks for one
    /// more list).
    async fn content(&self, (tenant, issuer, part): &Name, now: Timestamp) -> Result<Content, StoreError> {
        match part {
            Part::Root => Ok(Content { url: None, revoked: vec![] }),
            Part::Shard(shard) => {
                let store = self.ledger.store();
                let url = store.shard(tenant, issuer, Some(*shard)).await?.map(|row| row.url);
                Ok(Content { url, revoked: store.revoked(tenant, issuer, Some(*shard), now.before(LIST_LIFE), u32::MAX).await? })
            }
            Part::Whole => self.whole(tenant, issuer, now).await,
        }
    }

    /// Everything that is revoked, as long as that is no more than fits into a shard. From then on it says, critically, that it is a
    /// part, so that whoever relied on it lets nobody in by mistake: of what has no shard, at the address that those certificates name.
    async fn whole(&self, tenant: &TenantName, issuer: &IssuerName, now: Timestamp) -> Result<Content, StoreError> {
        let (store, alive_at) = (self.ledger.store(), now.before(LIST_LIFE));
        let most = u32::try_from(SHARD_SIZE).unwrap_or(u32::MAX);
        let revoked = store.revoked(tenant, issuer, None, alive_at, most + 1).await?;
        if revoked.len() as u64 <= SHARD_SIZE {
            return Ok(Content { url: None, revoked });
        }
        let named = store.sample(tenant, issuer, 0, now, 1).await?;
        let url = named.last().and_then(|(_, der)| relying::list_of(der));
        let url = url.unwrap_or_else(|| self.publication.list(tenant, issuer, Part::Whole));
        Ok(Content { url: Some(url), revoked: store.revoked(tenant, issuer, Some(0), alive_at, u32::MAX).await? })
    }

    /// Some of the certificates that a list is for. Those that have a shard find nothing in the whole list, once it is too long for it.
    async fn sample(&self, (tenant, issuer, part): &Name, now: Timestamp) -> Result<Vec<(Serial, Vec<u8>)>, StoreError> {
        match part {
            Part::Root => Ok(vec![]),
            Part::Whole => self.ledger.store().sample(tenant, issuer, 0, now, SAMPLED).await,
            Part::Shard(shard) => self.ledger.store().sample(tenant, issuer, *shard, now, SAMPLED).await,
        }
    }

    /// Makes a list, and reads it as those will who rely on it: it is published only if it changes exactly the verdicts that it should.
    async fn make(
        &self,
        name: &Name,
        issuing: &Issuing,
        last: Option<&Kept>,
        content: &Content,
        now: Timestamp,
    ) -> Result<Kept, AuthorityError> {
        let (tenant, issuer, part) = name;
        let root;
        let signer = match part {
            Part::Root => {
                root = self.authorities.root(tenant, issuer).await?;
                &root
            }
            Part::Whole | Part::Shard(_) => &issuing.signer,
        };
        let unlikely = |source| AuthorityError::Unlikely { list: self.publication.list(tenant, issuer, *part), source };
        let made = sign(signer, last.map(|kept| kept.number), content, now);
        let (number, list) = made.map_err(|source| AuthorityError::Unusable { name: signer.common_name().to_owned(), source })?;
        let published = Published { number, url: content.url.as_deref(), revoked: &content.revoked, now };
        relying::judge(signer.certificate(), &list, &published, &self.sample(name, now).await?).map_err(unlikely)?;
        let forgiven = relying::check(signer.certificate(), &list, &published, last.map(|kept| &kept.list[..])).map_err(unlikely)?;
        // A list that becomes a part leaves to others what was never for it.
        let is_part_of_whole = *part == Part::Whole && content.url.is_some();
        for serial in forgiven {
            let verdict = self.ledger.store().verdict(tenant, issuer, &serial).await?;
            let is_over = verdict.is_some_and(|verdict| verdict.not_after < now.before(LIST_LIFE));
            let is_elsewhere = is_part_of_whole && verdict.is_some_and(|verdict| verdict.revoked.is_some());
            if !is_over && !is_elsewhere {
                return Err(unlikely(Unlikely::because(format!("{serial} would be taken for valid again"))));
            }
        }
        Ok(Kept { number, made_at: now, looked_at: now, says: fingerprint(content), list: list.into() })
    }
}

/// What was published before stays in force as long as it may be relied on: better than no list, which shuts everybody out.
fn still_good(kept: Option<&mut Kept>, list: String, source: Unlikely, now: Timestamp) -> Result<Bytes, AuthorityError> {
    match kept.filter(|kept| now < kept.made_at.after(LIST_LIFE)) {
        Some(kept) => {
            tracing::error!(list, problem = %source, "a revocation list is not published: the one before it stays in force");
            kept.looked_at = now;
            Ok(kept.list.clone())
        }
        None => Err(AuthorityError::Unlikely { list, source }),
    }
}

fn make_room(kept: &mut HashMap<Name, Arc<Place>>) {
    while kept.len() >= KEPT_MAX {
        let asked_at = |place: &Arc<Place>| *place.asked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(oldest) = kept.iter().min_by_key(|(_, place)| asked_at(place)).map(|(name, _)| name.clone()) else { return };
        kept.remove(&oldest);
    }
}

fn is_fresh(made_at: Timestamp, now: Timestamp) -> bool {
    made_at <= now && now.since(made_at) < MADE_ANEW_AFTER
}

fn fingerprint(content: &Content) -> Sha256 {
    let mut bytes = content.url.clone().unwrap_or_default().into_bytes();
    for row in &content.revoked {
        bytes.extend(row.serial.0);
        bytes.extend(row.at.unix().to_be_bytes());
        bytes.push(row.because.number());
    }
    sha256(&bytes)
}

/// The number is the moment in seconds, or one more than the last: it grows across restarts without being kept anywhere.
fn sign(signer: &Signer, last: Option<u64>, content: &Content, now: Timestamp) -> Result<(u64, Vec<u8>), KeyError> {
    let moment = u64::try_from(now.unix()).unwrap_or_default();
    let number = last.map_or(moment, |last| moment.max(last + 1));
    let revoked: Vec<Revoked> =
        content.revoked.iter().map(|row| Revoked { serial: row.serial, at: row.at, because: row.because }).collect();
    Ok((number, signer.list(number, content.url.as_deref(), &revoked, Validity::from_now(now, LIST_LIFE))?))
}

#[cfg(test)]
mod tests;
