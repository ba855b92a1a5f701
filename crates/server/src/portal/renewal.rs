//! A successor for whoever shows a certificate that is about to end: what ORCAMO's clients call `POST /api/cert`.
//!
//! The certificate was proven to be the caller's in the handshake. Whether it is ours is not for a chain to say: the exact bytes have
//! to be on record.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::name::Sha256;
use tegata_core::revocation::Cause;
use tegata_core::time::{MINUTE, Timestamp};
use tegata_pki::key::{random, sha256};
use zeroize::Zeroizing;

use super::account::successor;
use super::{Desk, Place, PortalError, said};
use crate::store::portal::{DeliveryRow, PortalCertificateRow, PortalChange};
use crate::store::{Batch, Change, StoreError};

/// How long a renewed file waits to be fetched.
const DELIVERY_LIFE: Duration = MINUTE.saturating_mul(10);

/// Why a certificate is not renewed by showing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// None was shown, or it is not ours, or the account or its portal is gone.
    NotOurs,
    /// It has ended.
    Expired,
    /// It is revoked.
    Revoked,
    /// It is too early: the window opens then.
    TooEarly(Timestamp),
    /// It was renewed already, and the file was fetched.
    Followed,
    /// The account may not have more.
    Full,
}

/// Why there is no successor.
#[derive(Debug)]
pub enum RenewalError {
    /// It is not allowed.
    Denied(Denial),
    /// Something failed.
    Failed(PortalError),
}

impl<E: Into<PortalError>> From<E> for RenewalError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What the caller is told.
pub struct Renewed {
    /// The last part of the address under which the file waits.
    pub token: Zeroizing<String>,
    /// Opens the file.
    pub password: Zeroizing<String>,
}

impl Desk {
    /// Issues a successor of the certificate whose SHA-256 this is.
    ///
    /// # Errors
    /// [`RenewalError`].
    pub async fn renew_shown(&self, shown: Option<Sha256>) -> Result<Renewed, RenewalError> {
        let denied = |denial| Err(RenewalError::Denied(denial));
        let Some(shown) = shown else { return denied(Denial::NotOurs) };
        let Some(row) = self.ledger.store().portal_certificate_by_fingerprint(&shown).await? else { return denied(Denial::NotOurs) };
        let Some(place) = self.place_of(&row).await? else { return denied(Denial::NotOurs) };
        let now = self.clock.now();
        if let Some(denial) = denial(&place, &row, now) {
            return self.deny(&row, denial, now).await;
        }
        if let Err(denial) = self.make_way(&row).await? {
            return self.deny(&row, denial, now).await;
        }
        let (account, actor) = (&row.draft.account, format!("certificate:{}", row.draft.serial));
        let handed = match self.issue(&place, account, &actor, &successor(&row)?).await {
            Err(PortalError::Full { .. }) => return self.deny(&row, Denial::Full, now).await,
            handed => handed?,
        };
        let token = Zeroizing::new(BASE64URL_NOPAD.encode(Zeroizing::new(random::<32>()).as_slice()));
        let expires_at = now.after(DELIVERY_LIFE);
        let delivery = DeliveryRow { digest: sha256(token.as_bytes()), serial: handed.serial, holder: shown, expires_at, fetched_at: None };
        let change = Change::Portal(PortalChange::PutDelivery { delivery, now });
        self.ledger.note(Batch { records: vec![], changes: vec![change] }).await?;
        Ok(Renewed { token, password: handed.password })
    }

    /// Gives a renewed file: once to whoever has the address, again only to the holder of the certificate that asked for it, whose
    /// answer may have been lost.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn deliver(&self, token: &str, shown: Option<Sha256>) -> Result<Option<Vec<u8>>, PortalError> {
        let digest = sha256(token.as_bytes());
        let Some(delivery) = self.ledger.store().portal_delivery(&digest).await? else { return Ok(None) };
        let at = self.clock.now();
        if at >= delivery.expires_at || (delivery.fetched_at.is_some() && shown != Some(delivery.holder)) {
            return Ok(None);
        }
        let store = self.ledger.store();
        let (Some(row), Some(file)) = (store.portal_certificate(&delivery.serial).await?, store.portal_bundle(&delivery.serial).await?)
        else {
            return Ok(None);
        };
        if delivery.fetched_at.is_some() {
            return Ok(Some(file));
        }
        let details = json!({ "serial": delivery.serial.to_string() });
        let record = said(&row.draft.account, "anyone", Stage::Done, "portal.deliver", at, details);
        let change = Change::Portal(PortalChange::Deliver { digest, serial: delivery.serial, at });
        match self.ledger.record((), Batch { records: vec![record], changes: vec![change] }).await {
            // Somebody else has fetched it at the same moment.
            Err(StoreError::Conflict(_)) => Ok(None),
            recorded => recorded.map(|_| Some(file)).map_err(PortalError::from),
        }
    }

    async fn place_of(&self, row: &PortalCertificateRow) -> Result<Option<Place>, PortalError> {
        let account = &row.draft.account;
        match self.place(account.tenant.as_str(), account.clinic.as_str()).await {
            Ok(place) => Ok(Some(place).filter(|place| place.account(&account.account).is_some() && place.issuer == row.draft.issuer)),
            Err(PortalError::Unknown) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A successor that nobody has fetched is nobody's: its password was in an answer that was lost.
    async fn make_way(&self, row: &PortalCertificateRow) -> Result<Result<(), Denial>, PortalError> {
        let Some(follower) = row.followed_by else { return Ok(Ok(())) };
        let Some(follower) = self.ledger.store().portal_certificate(&follower).await? else { return Ok(Ok(())) };
        if follower.fetched_at.is_some() {
            return Ok(Err(Denial::Followed));
        }
        match self.revoke(&follower, crate::audit::TEGATA, "never-fetched", Cause::Superseded).await {
            Ok(()) | Err(PortalError::Revoked) => Ok(Ok(())),
            Err(error) => Err(error),
        }
    }

    async fn deny(&self, row: &PortalCertificateRow, denial: Denial, at: Timestamp) -> Result<Renewed, RenewalError> {
        let details = json!({ "serial": row.draft.serial.to_string(), "because": word(denial) });
        let actor = format!("certificate:{}", row.draft.serial);
        let record = said(&row.draft.account, &actor, Stage::Seen, "portal.renewal-refused", at, details);
        self.ledger.record((), Batch { records: vec![record], changes: vec![] }).await?;
        Err(RenewalError::Denied(denial))
    }
}

fn denial(place: &Place, row: &PortalCertificateRow, now: Timestamp) -> Option<Denial> {
    let opens = row.draft.not_after.before(place.portal().renew_within);
    if row.revoked_at.is_some() {
        Some(Denial::Revoked)
    } else if now > row.draft.not_after {
        Some(Denial::Expired)
    } else if now < opens {
        Some(Denial::TooEarly(opens))
    } else {
        None
    }
}

fn word(denial: Denial) -> &'static str {
    match denial {
        Denial::NotOurs => "not-ours",
        Denial::Expired => "expired",
        Denial::Revoked => "revoked",
        Denial::TooEarly(_) => "too-early",
        Denial::Followed => "followed",
        Denial::Full => "full",
    }
}
