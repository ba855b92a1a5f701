//! What an account has: its certificates, its room, and what it does with them.

use std::io::{Cursor, Write as _};

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::name::Serial;
use tegata_core::policy::{Counting, Quota};
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::issue::{Application, Handed};
use super::{Desk, Place, PortalError, actor, nudge, said};
use crate::store::portal::{AccountId, PortalCertificateRow, PortalChange, Rolling, Room};
use crate::store::{Batch, CertificateFilter, CertificateRow, Change, Personal, StoreError};

/// The longest remark, in characters.
const REMARKS_MAX: usize = 200;
/// How many certificates are offered for revocation when there is no room.
const CANDIDATES_MAX: usize = 5;

/// A certificate that could go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub serial: Serial,
    /// Its memo.
    pub memo: String,
    /// When it ends.
    pub not_after: Timestamp,
}

/// How much room an account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomLeft {
    /// What is taken.
    pub used: u32,
    /// What may be.
    pub limit: u32,
}

impl RoomLeft {
    /// True if nothing more goes in.
    pub fn is_full(self) -> bool {
        self.used >= self.limit
    }
}

/// Everything that an account has.
pub struct Holdings {
    /// From the portal, newest first.
    pub certificates: Vec<PortalCertificateRow>,
    /// On devices with an agent: they count as well.
    pub on_devices: Vec<CertificateRow>,
    /// How much room is left.
    pub room: RoomLeft,
}

/// The bounds of an account: its own, or the portal's if it has none.
pub fn room(place: &Place, account: &AccountId, now: Timestamp) -> Room {
    let quotas = place.account(&account.account).map(|account| &account.quotas[..]).unwrap_or_default();
    let living = quotas.iter().filter(|quota| quota.per.is_none()).map(|quota| quota.certificates).min();
    let rolling = |quota: &Quota| {
        let since = now.before(quota.per?);
        Some(Rolling { since, most: quota.certificates, unrevoked_only: quota.counting == Counting::Unrevoked })
    };
    Room { living_max: living.unwrap_or(place.portal().quota.certificates), issued: quotas.iter().filter_map(rolling).collect() }
}

impl Desk {
    /// Everything that an account has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn holdings(&self, place: &Place, account: &AccountId, now: Timestamp) -> Result<Holdings, StoreError> {
        let certificates = self.ledger.store().portal_certificates(account).await?;
        let filter = CertificateFilter { clinic: Some(account.clinic.clone()), ..CertificateFilter::default() };
        let mut on_devices = self.ledger.store().certificates(&account.tenant, filter).await?;
        on_devices.retain(|row| row.account.as_ref() == Some(&account.account));
        let is_living = |row: &CertificateRow| row.retired_at.is_none() && row.revoked_at.is_none() && now <= row.not_after;
        let count = |places: usize| u32::try_from(places).unwrap_or(u32::MAX);
        let bounds = room(place, account, now);
        let living =
            certificates.iter().filter(|row| row.takes_a_place(now)).count() + on_devices.iter().filter(|row| is_living(row)).count();
        let mut left = RoomLeft { used: count(living), limit: bounds.living_max };
        for Rolling { since, most, unrevoked_only } in bounds.issued {
            let counts = |at: Timestamp, revoked: Option<Timestamp>| at > since && !(unrevoked_only && revoked.is_some());
            let issued = certificates.iter().filter(|row| counts(row.draft.applied_at, row.revoked_at)).count()
                + on_devices.iter().filter(|row| counts(row.issued_at, row.revoked_at)).count();
            let rolling = RoomLeft { used: count(issued), limit: most };
            // Whichever is nearer to its end is what people have to know.
            if rolling.limit.saturating_sub(rolling.used) <= left.limit.saturating_sub(left.used) {
                left = rolling;
            }
        }
        on_devices.retain(is_living);
        Ok(Holdings { certificates, on_devices, room: left })
    }

    /// How much room an account has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn room_left(&self, place: &Place, account: &AccountId, now: Timestamp) -> Result<RoomLeft, StoreError> {
        Ok(self.holdings(place, account, now).await?.room)
    }

    /// That there is no room, and what could go.
    pub(super) async fn full(&self, place: &Place, account: &AccountId) -> Result<PortalError, PortalError> {
        let now = self.clock.now();
        let holdings = self.holdings(place, account, now).await?;
        Ok(PortalError::Full { limit: holdings.room.limit, candidates: candidates(&holdings.certificates, now) })
    }

    /// One of the account's certificates.
    ///
    /// # Errors
    /// [`PortalError::NoCertificate`] for another account's as for a made-up one.
    pub async fn certificate(&self, account: &AccountId, serial: &str) -> Result<PortalCertificateRow, PortalError> {
        let serial: Serial = serial.parse().map_err(|_| PortalError::NoCertificate)?;
        let row = self.ledger.store().portal_certificate(&serial).await?;
        row.filter(|row| row.draft.account == *account).ok_or(PortalError::NoCertificate)
    }

    /// A certificate's file, under the password that was shown once.
    ///
    /// # Errors
    /// [`PortalError::NoCertificate`], or that the database failed.
    pub async fn file(&self, row: &PortalCertificateRow) -> Result<Vec<u8>, PortalError> {
        let file = self.ledger.store().portal_bundle(&row.draft.serial).await?.ok_or(PortalError::NoCertificate)?;
        let (account, at) = (&row.draft.account, self.clock.now());
        let record = said(account, &actor(account), Stage::Done, "portal.fetch", at, json!({ "serial": row.draft.serial.to_string() }));
        let change = Change::Portal(PortalChange::Fetched { serial: row.draft.serial, at });
        self.ledger.record((), Batch { records: vec![record], changes: vec![change] }).await?;
        Ok(file)
    }

    /// Every file that still works, in one ZIP archive. Names stay as they are; those that are there twice get a folder.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn all_files(&self, account: &AccountId) -> Result<Vec<u8>, PortalError> {
        let now = self.clock.now();
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let mut names = std::collections::BTreeSet::new();
        for row in self.ledger.store().portal_certificates(account).await?.iter().filter(|row| row.is_valid(now)) {
            let file = self.file(row).await?;
            let name = row.draft.file_name.clone();
            let name = if names.insert(name.clone()) { name } else { format!("{}/{name}", row.draft.serial) };
            let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
            let written = archive.start_file(name, options).map_err(std::io::Error::from).and_then(|()| archive.write_all(&file));
            written.map_err(|error| tegata_pki::key::KeyError { problem: error.to_string() })?;
        }
        let archive = archive.finish().map_err(|error| tegata_pki::key::KeyError { problem: error.to_string() })?;
        Ok(archive.into_inner())
    }

    /// Keeps what people note about a certificate.
    ///
    /// # Errors
    /// [`PortalError`].
    pub async fn remark(&self, row: &PortalCertificateRow, text: &str) -> Result<(), PortalError> {
        let remarks: String = text.trim().chars().filter(|letter| !letter.is_control()).take(REMARKS_MAX).collect();
        let account = row.draft.account.clone();
        let details = json!({ "serial": row.draft.serial.to_string() });
        let record = said(&account, &actor(&account), Stage::Done, "portal.remark", self.clock.now(), details);
        let change = Change::Portal(PortalChange::Remark { account, serial: row.draft.serial, remarks });
        self.ledger.record((), Batch { records: vec![record], changes: vec![change] }).await?;
        Ok(())
    }

    /// Issues a successor with the same memo and label. The old one stays good until it ends or is revoked.
    ///
    /// # Errors
    /// [`PortalError`].
    pub async fn renew(&self, place: &Place, row: &PortalCertificateRow) -> Result<Handed, PortalError> {
        if row.revoked_at.is_some() {
            return Err(PortalError::Revoked);
        }
        if row.followed_by.is_some() {
            return Err(PortalError::Followed);
        }
        let account = &row.draft.account;
        self.issue(place, account, &actor(account), &successor(row)?).await
    }

    /// Makes a certificate invalid from now on.
    ///
    /// # Errors
    /// [`PortalError::Revoked`] if it was already, or that the database failed.
    pub async fn revoke(&self, row: &PortalCertificateRow, by: &str, why: &str, because: Cause) -> Result<(), PortalError> {
        let (account, at) = (&row.draft.account, self.clock.now());
        let details = json!({ "serial": row.draft.serial.to_string(), "memo": Personal(&row.draft.memo), "because": why });
        let records = [Stage::Intended, Stage::Done].map(|stage| said(account, by, stage, "portal.revoke", at, details.clone()));
        let revoke = Change::Portal(PortalChange::Revoke { serial: row.draft.serial, at, because });
        let batch = Batch { records: records.into(), changes: vec![revoke, nudge(account, at)] };
        match self.ledger.record((), batch).await {
            Err(StoreError::Conflict(_)) => return Err(PortalError::Revoked),
            recorded => recorded?,
        };
        self.bells.ring_turn();
        Ok(())
    }
}

/// What follows a certificate: the same number, memo and label.
pub(super) fn successor(row: &PortalCertificateRow) -> Result<Application, PortalError> {
    let draft = &row.draft;
    Ok(Application {
        memo: draft.memo.parse().map_err(|_| PortalError::UnreadableMemo)?,
        label: draft.label.clone(),
        remarks: draft.remarks.clone(),
        follows: Some((draft.serial, draft.n)),
    })
}

/// What could go: those that take a place, whose file was never fetched first, then the oldest.
fn candidates(certificates: &[PortalCertificateRow], now: Timestamp) -> Vec<Candidate> {
    let mut living: Vec<_> = certificates.iter().filter(|row| row.takes_a_place(now)).collect();
    living.sort_by_key(|row| (row.fetched_at.is_some(), row.draft.applied_at, row.draft.n));
    let candidate =
        |row: &PortalCertificateRow| Candidate { serial: row.draft.serial, memo: row.draft.memo.clone(), not_after: row.draft.not_after };
    living.into_iter().take(CANDIDATES_MAX).map(candidate).collect()
}
