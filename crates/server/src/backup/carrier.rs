//! The carrier: takes every copy whose time has come, puts it into its target or reads it back, and notes what became of it.
//!
//! A try is counted before it is made, and nothing that is done to a target is worse if it is done twice: so a crash at any moment loses
//! nothing and doubles nothing. What is found damaged is put there again from what the server keeps.

mod session;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::backup::{Deed, REMOVE_FOR, Trouble};
use tegata_core::name::{ClinicId, TargetName, TenantName};
use tegata_core::policy::BackupTarget;
use tegata_core::time::{DAY, MINUTE, Timestamp};
use tokio_util::sync::CancellationToken;

use self::session::Session;
pub(super) use self::session::on_a_thread;
use super::order::{nowhere, record};
use super::target::busy::{Errand, Refused, Turn};
use super::target::{Access, Use};
use super::{place, terms};
use crate::audit::{Ledger, Recorded};
use crate::bells::Bells;
use crate::clock::Clock;
use crate::notify::post::pause;
use crate::policy::PolicyError;
use crate::store::backup::{BackupChange, CopyRow, Outcome};
use crate::store::{Batch, Change, StoreError};
use crate::words;

/// How many copies of a target are asked for at once.
const DUE_MAX: u32 = 64;
/// The longest sleep. The clock of the machine may be set while the carrier sleeps.
const SLEEP_MAX: Duration = MINUTE;
/// How often it is looked for backups that lie nowhere and are wanted nowhere.
const SWEEP_EVERY: Duration = DAY;

/// Everything that carries.
#[derive(Clone)]
pub struct Carrier {
    /// Reads and records.
    pub ledger: Ledger,
    /// Wakes the carrier, and turns.
    pub bells: Bells,
    /// What time it is.
    pub clock: Clock,
    /// How it gets into targets.
    pub access: Access,
}

type Key = (TenantName, TargetName);

/// Why copies could not even be tried.
#[derive(Debug, thiserror::Error)]
enum CarryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl Carrier {
    /// Carries until `stopping`, or until the database has failed for good. Each target goes at its own pace.
    pub async fn run(self, stopping: CancellationToken) {
        let failed = async { self.ledger.store().failed().await };
        tokio::pin!(failed);
        let (mut working, mut underway) = (FuturesUnordered::new(), BTreeSet::new());
        let mut sweep_at = self.clock.now();
        while !stopping.is_cancelled() {
            let now = self.clock.now();
            if now >= sweep_at {
                self.sweep(now).await;
                sweep_at = now.after(SWEEP_EVERY);
            }
            for (key, turn) in self.due(now, &underway).await {
                underway.insert(key.clone());
                working.push(self.carry_target(key, turn, &stopping));
            }
            let wait = self.until_next(now).await;
            tokio::select! {
                () = stopping.cancelled() => {}
                () = &mut failed => return,
                () = self.bells.carrier() => {}
                Some(key) = working.next() => drop(underway.remove(&key)),
                () = tokio::time::sleep(wait) => {}
            }
        }
        while working.next().await.is_some() {}
    }

    /// Carries whatever is due now, and returns once nothing is.
    pub async fn carry_due(&self) {
        loop {
            let due = self.due(self.clock.now(), &BTreeSet::new()).await;
            if due.is_empty() {
                return;
            }
            for (key, turn) in due {
                self.carry_target(key, turn, &CancellationToken::new()).await;
            }
        }
    }

    /// The targets that have to be worked with and are not yet, each with the right to: `None` where a thread that hangs has kept it.
    async fn due(&self, now: Timestamp, underway: &BTreeSet<Key>) -> Vec<(Key, Option<Turn>)> {
        let due = self.ledger.store().targets_due(now).await.unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot ask which backups are due");
            vec![]
        });
        let free = due.into_iter().filter(|key| !underway.contains(key));
        let taken = free.filter_map(|key| match self.access.busy.take(Errand::Carry, &key.0, &key.1) {
            Ok(turn) => Some((key, Some(turn))),
            Err(Refused::Taken) => Some((key, None)),
            Err(Refused::Full) => None,
        });
        taken.collect()
    }

    async fn until_next(&self, now: Timestamp) -> Duration {
        let next = self.ledger.store().next_copy(now).await.ok().flatten();
        next.map_or(SLEEP_MAX, |next| next.since(now).clamp(Duration::from_secs(1), SLEEP_MAX))
    }

    /// Forgets backups that lie nowhere, long after they were of use: their targets, or their whole clinic, left policy.
    pub async fn sweep(&self, now: Timestamp) {
        let forget = async {
            let mut batch = Batch::default();
            for stray in self.ledger.store().stray_backups(now.before(REMOVE_FOR), DUE_MAX).await? {
                batch.records.push(nowhere(&stray, now));
                batch.changes.push(Change::Backup(BackupChange::Drop { backup: stray.id }));
            }
            if batch.records.is_empty() { Ok(()) } else { self.ledger.note(batch).await }
        };
        if let Err(error) = forget.await {
            tracing::error!(error = &error as &dyn std::error::Error, "backups that lie nowhere were not forgotten");
        }
    }

    async fn carry_target(&self, key: Key, turn: Option<Turn>, stopping: &CancellationToken) -> Key {
        let (tenant, name) = &key;
        match self.try_target(&key, turn, stopping).await {
            Ok(()) => {}
            Err(CarryError::Store(StoreError::Conflict(guard))) => tracing::debug!(%tenant, %name, guard, "somebody else has this copy"),
            Err(error) => {
                tracing::error!(%tenant, %name, error = &error as &dyn std::error::Error, "backups were not carried");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        key
    }

    /// Works with one target for its copies. What is the target's trouble is the trouble of all of them: it is met once.
    async fn try_target(&self, (tenant, name): &Key, turn: Option<Turn>, stopping: &CancellationToken) -> Result<(), CarryError> {
        let policy = self.ledger.policy(tenant).await?;
        let copies = self.ledger.copies_due((tenant, name), self.clock.now(), DUE_MAX).await?;
        let Some(target) = policy.targets.get(name) else { return Ok(self.count_all(copies, None).await.map(drop)?) };
        let counted = self.count_all(copies, Some(target)).await?;
        let at = place(&target.place);
        let before = if self.ledger.store().is_marked(&at).await? { Use::Again } else { Use::First };
        // Whoever had it last still waits for it.
        let mut session = turn.map(|turn| Session::new(turn, &target.place, &self.access, before)).ok_or(Trouble::Slow);
        for (copy, deed) in counted {
            if stopping.is_cancelled() {
                break;
            }
            let Some(sealed) = self.ledger.store().sealed_backup(&copy.get().backup.id).await? else { continue };
            // Emptied since it was asked what is due: nothing would be put there for a backup.
            if sealed.is_empty() && deed != Deed::Remove {
                continue;
            }
            let done = match &mut session {
                Ok(session) => session.carry(&copy, deed, sealed).await,
                Err(trouble) => Err(*trouble),
            };
            if let Err(trouble) = done
                && trouble.is_of_target()
            {
                session = Err(trouble);
            }
            self.note(copy.get(), target, deed, done).await?;
        }
        Ok(())
    }

    /// Counts a try of each before it is made, and puts on record what is about to be taken away. What policy does not mean any more, or
    /// what could not be taken away for long, is forgotten: that is on record, and what lies there stays.
    async fn count_all(
        &self,
        copies: Vec<Recorded<CopyRow>>,
        target: Option<&BackupTarget>,
    ) -> Result<Vec<(Recorded<CopyRow>, Deed)>, StoreError> {
        let now = self.clock.now();
        let (mut batch, mut counted) = (Batch::default(), Vec::new());
        for copy in copies {
            let row = copy.get();
            let meant = target.filter(|target| place(&target.place) == row.place && !is_given_up(row, target, now));
            let (backup, name) = (row.backup.id, row.target.clone());
            let Some(target) = meant else {
                batch.records.push(record(&row.backup, Stage::Done, "backup.forget", &row.target, now));
                batch.changes.push(Change::Backup(BackupChange::Forget { backup, target: name, place: row.place }));
                let clinic = ClinicId { tenant: row.backup.tenant.clone(), clinic: row.backup.slot.clinic.clone() };
                batch.changes.push(Change::Nudge { clinic, at: now });
                continue;
            };
            let attempt = row.attempts + 1;
            let next = now.after(pause(&format!("{backup}{name}"), attempt));
            batch.changes.push(Change::Backup(BackupChange::Try { backup, target: name, attempt, next }));
            let deed = deed(row, target, now);
            if deed == Deed::Remove {
                batch.records.push(record(&row.backup, Stage::Intended, "backup.remove", &row.target, now));
            }
            counted.push((copy, deed));
        }
        let is_news = counted.len() < batch.changes.len();
        self.ledger.note(batch).await?;
        if is_news {
            self.bells.ring_turn();
        }
        Ok(counted)
    }

    /// Notes what became of a try. What goes on as it was is shown, and not recorded.
    async fn note(&self, copy: &CopyRow, target: &BackupTarget, deed: Deed, done: Result<(), Trouble>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let outcome = match (deed, done) {
            (Deed::Store | Deed::Verify, Ok(())) => Outcome::Whole { next: copy.copy(&target.keepers).next_look(terms(target), now) },
            (Deed::Remove, Ok(())) => Outcome::Removed,
            (Deed::Verify, Err(trouble)) if trouble.is_loss() => Outcome::Lost(trouble),
            (_, Err(trouble)) => Outcome::Failed(trouble),
        };
        let marked = done.is_ok().then_some(BackupChange::Mark { place: copy.place, at: now });
        let say = |stage, action| record(&copy.backup, stage, action, &copy.target, now);
        let mut batch = Batch { records: vec![], changes: marked.map(Change::Backup).into_iter().collect() };
        match outcome {
            Outcome::Whole { .. } if deed == Deed::Store => batch.records.push(say(Stage::Done, "backup.store")),
            Outcome::Removed => batch.records.push(say(Stage::Done, "backup.remove")),
            Outcome::Lost(trouble) => {
                batch.records.push(troubled(say(Stage::Seen, "backup.lost"), trouble));
                batch.records.push(say(Stage::Intended, "backup.store"));
            }
            Outcome::Failed(trouble) if copy.trouble != Some(trouble) => {
                batch.records.push(troubled(say(Stage::Seen, "backup.trouble"), trouble));
            }
            Outcome::Whole { .. } | Outcome::Failed(_) => {}
        }
        let (backup, target, place) = (copy.backup.id, copy.target.clone(), copy.place);
        batch.changes.push(Change::Backup(BackupChange::End { backup, target, place, outcome, at: now }));
        // A slot may be safe now, or not any more.
        let is_news = match outcome {
            Outcome::Lost(_) => true,
            Outcome::Whole { .. } => !copy.is_whole(now),
            Outcome::Failed(_) => copy.verified_at.is_some() && !copy.is_whole(now),
            Outcome::Removed => false,
        };
        if is_news {
            let clinic = ClinicId { tenant: copy.backup.tenant.clone(), clinic: copy.backup.slot.clinic.clone() };
            batch.changes.push(Change::Nudge { clinic, at: now });
        }
        self.ledger.note(batch).await?;
        if is_news {
            self.bells.ring_turn();
        }
        Ok(())
    }
}

/// What is done about a copy. What has no bytes any more can only be taken away.
fn deed(copy: &CopyRow, target: &BackupTarget, now: Timestamp) -> Deed {
    if copy.backup.is_emptied { Deed::Remove } else { copy.copy(&target.keepers).deed(terms(target), now) }
}

/// True for what should have been taken away long ago, and was tried.
fn is_given_up(copy: &CopyRow, target: &BackupTarget, now: Timestamp) -> bool {
    copy.attempts > 0 && now > copy.backup.not_after.after(target.retention).after(REMOVE_FOR)
}

fn troubled(mut record: crate::store::NewRecord, trouble: Trouble) -> crate::store::NewRecord {
    record.details["trouble"] = json!(words::trouble(trouble));
    record
}
