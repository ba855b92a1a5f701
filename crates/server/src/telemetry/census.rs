//! The figures of every clinic, read again only where something has changed.
//!
//! A clinic whose mark in the database is still the same was neither nudged nor turned since it was read, so that its figures hold; what
//! changes by time alone is kept as moments, and compared when figures are asked for. What no mark tells, such as a copy that was read back,
//! is seen within [`HOLDS`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tegata_core::name::{AccountName, ClinicId, ProfileName, SlotId, TenantName};
use tegata_core::plan;
use tegata_core::time::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::gauges::{self, Family};
use crate::audit::Ledger;
use crate::backup::view::shown;
use crate::clock::Clock;
use crate::fleet::{self, View};
use crate::store::StoreError;
use crate::store::telemetry::{ClinicMark, LogRow, UnfinishedRow};
use crate::turn::TurnError;
use crate::{installers, words};

/// How old figures may be that are given: whoever asks more often gets the same.
pub const FRESH: Duration = Duration::from_secs(15);
/// How long the figures of a clinic hold that shows no sign of change.
const HOLDS: Duration = Duration::from_secs(600);
/// How long clinics are read for one who asks. In a large fleet that has just started, or that changes everywhere, the rest follow next time.
const BUDGET: Duration = Duration::from_secs(1);

/// All that is known.
pub struct Census {
    ledger: Ledger,
    clock: Clock,
    /// Who the audit log is exported to.
    sink: Option<String>,
    known: RwLock<Known>,
    /// When it was brought up to date last; held while that is done.
    refreshed: Mutex<Option<Instant>>,
}

/// What gauges are made from.
#[derive(Default)]
pub(super) struct Known {
    pub clinics: BTreeMap<ClinicId, Counted>,
    /// Clinics that have changed, or may have, and were not read again yet.
    pub behind: usize,
    pub logs: Vec<LogRow>,
    pub unfinished: Vec<UnfinishedRow>,
    /// How far the audit log was exported, if it is.
    pub exported: Option<BTreeMap<TenantName, u64>>,
    /// True while nothing is given out, because the database was put back from a backup.
    pub is_recovering: bool,
}

/// The figures of a clinic, and when they were true.
pub(super) struct Counted {
    mark: ClinicMark,
    at: Timestamp,
    pub figures: Figures,
}

/// The figures of one clinic.
#[derive(Default)]
pub(super) struct Figures {
    /// Slots, by what is wrong with them.
    pub slots: BTreeMap<&'static str, u64>,
    /// When the certificate of each slot expires that has one which works.
    pub expiries: BTreeMap<ProfileName, Vec<Timestamp>>,
    /// When each agent was heard last.
    pub heard: Vec<Timestamp>,
    pub installers: BTreeMap<&'static str, u64>,
    pub copies: BTreeMap<String, u64>,
    /// Of each target, when that copy was read back which was not read back for longest.
    pub read_back: BTreeMap<String, Timestamp>,
    pub quotas: Vec<(AccountName, plan::Standing)>,
}

impl Census {
    /// Knows nothing yet. `sink` is who the audit log is exported to.
    pub fn new(ledger: Ledger, clock: Clock, sink: Option<String>) -> Self {
        Self { ledger, clock, sink, known: RwLock::default(), refreshed: Mutex::default() }
    }

    /// Reads what has changed, unless that was done within [`FRESH`].
    ///
    /// # Errors
    /// If the database fails. What was known stays known.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let mut refreshed = self.refreshed.lock().await;
        if refreshed.is_none_or(|at| at.elapsed() >= FRESH) {
            self.update().await?;
            *refreshed = Some(Instant::now());
        }
        Ok(())
    }

    /// Reads what has changed.
    pub(super) async fn update(&self) -> Result<(), StoreError> {
        let store = self.ledger.store();
        let (marks, logs, unfinished) = (store.clinic_marks().await?, store.logs().await?, store.unfinished().await?);
        let exported = match &self.sink {
            Some(sink) => Some(store.exported(sink).await?.into_iter().collect()),
            None => None,
        };
        let behind = self.read(&marks).await?;
        let present: BTreeSet<ClinicId> = marks.into_iter().map(|mark| mark.clinic).collect();
        self.change(|known| {
            known.clinics.retain(|clinic, _| present.contains(clinic));
            (known.behind, known.logs, known.unfinished, known.exported) = (behind, logs, unfinished, exported);
            known.is_recovering = self.ledger.history().is_open;
        });
        Ok(())
    }

    /// Every gauge as it is now.
    pub(super) fn families(&self) -> Vec<Family> {
        gauges::families(&self.known.read().unwrap_or_else(PoisonError::into_inner), self.clock.now())
    }

    /// How many clinics are to be read yet.
    pub(super) fn behind(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).behind
    }

    /// Reads clinics anew, those first that nothing is known of; gives how many were left out.
    async fn read(&self, marks: &[ClinicMark]) -> Result<usize, StoreError> {
        let (now, start) = (self.clock.now(), Instant::now());
        let stale = self.stale(marks, now);
        for (read, mark) in stale.iter().enumerate() {
            if start.elapsed() > BUDGET {
                return Ok(stale.len() - read);
            }
            match self.count(mark, now).await {
                Ok(figures) => {
                    let counted = Counted { mark: (*mark).clone(), at: now, figures };
                    self.change(|known| known.clinics.insert(mark.clinic.clone(), counted));
                }
                Err(TurnError::Store(error)) => return Err(error),
                // The turn says so, and what was known of the clinic stays.
                Err(TurnError::Policy(error)) => {
                    tracing::debug!(clinic = %mark.clinic, error = &error as &dyn std::error::Error, "not counted")
                }
            }
        }
        Ok(0)
    }

    /// What is to be read, most urgent first.
    fn stale<'a>(&self, marks: &'a [ClinicMark], now: Timestamp) -> Vec<&'a ClinicMark> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let read_at = |mark: &ClinicMark| known.clinics.get(&mark.clinic).map(|counted| counted.at);
        let is_stale = |mark: &&ClinicMark| match known.clinics.get(&mark.clinic) {
            None => true,
            Some(counted) => {
                let came_due = mark.wake_at.is_some_and(|at| counted.at < at && at <= now);
                counted.mark != **mark || came_due || now.since(counted.at) > HOLDS
            }
        };
        let mut stale: Vec<&ClinicMark> = marks.iter().filter(is_stale).collect();
        stale.sort_by_key(|mark| read_at(mark));
        stale
    }

    async fn count(&self, mark: &ClinicMark, now: Timestamp) -> Result<Figures, TurnError> {
        let ClinicId { tenant, clinic } = &mark.clinic;
        let views = fleet::views(&self.ledger, tenant, &[clinic.clone()].into(), now).await?;
        Ok(views.first().filter(|view| !view.is_past()).map(|view| Figures::of(view, now)).unwrap_or_default())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Figures {
    fn of(view: &View, now: Timestamp) -> Self {
        let mut figures = Self { quotas: quotas(view, now), expiries: expiries(view), ..Self::default() };
        for verdict in view.plan.verdicts.values() {
            *figures.slots.entry(verdict.map_or("ready", words::reason)).or_default() += 1;
        }
        let own = view.scene.snapshot.devices.values().filter(|row| row.device.clinic == view.name && row.revoked_at.is_none());
        figures.heard = own.map(|row| row.last_seen).collect();
        for installer in installers::of_clinic(view, now) {
            *figures.installers.entry(installer.state.word()).or_default() += 1;
        }
        for copy in shown(&view.scene.policy, &view.scene.snapshot.backups, now) {
            if let Some(at) = copy.verified_at.map(Timestamp::from_unix) {
                let oldest = figures.read_back.entry(copy.target).or_insert(at);
                *oldest = at.min(*oldest);
            }
            *figures.copies.entry(copy.state).or_default() += 1;
        }
        figures
    }
}

/// When the certificate with which each wanted slot works expires: the one that was proven, and lives longest.
fn expiries(view: &View) -> BTreeMap<ProfileName, Vec<Timestamp>> {
    let mut newest: BTreeMap<&SlotId, Timestamp> = BTreeMap::new();
    let works = |row: &&crate::store::CertificateRow| row.proven_at.is_some() && row.retired_at.is_none() && row.revoked_at.is_none();
    for row in view.scene.snapshot.certificates.iter().filter(works).filter(|row| view.scene.desired.slots.contains_key(&row.slot)) {
        let not_after = newest.entry(&row.slot).or_insert(row.not_after);
        *not_after = row.not_after.max(*not_after);
    }
    let mut by_profile: BTreeMap<ProfileName, Vec<Timestamp>> = BTreeMap::new();
    for (slot, not_after) in newest {
        by_profile.entry(slot.profile.clone()).or_default().push(not_after);
    }
    by_profile
}

fn quotas(view: &View, now: Timestamp) -> Vec<(AccountName, plan::Standing)> {
    if view.scene.desired.quotas.is_empty() {
        return vec![];
    }
    let statements = plan::statements(&view.scene.desired, &view.scene.observed, now);
    statements.into_iter().flat_map(|(name, statement)| statement.bounds.into_iter().map(move |bound| (name.clone(), bound))).collect()
}

#[cfg(test)]
mod tests;
