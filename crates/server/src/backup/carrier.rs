//! The carrier: takes every copy whose time has come, puts it into its target or reads it back, and notes what became of it.
//!
//! A try is counted before it is made, and nothing that is done to a target is worse if it is done twice: so a crash at any moment loses
//! nothing and doubles nothing. What is found damaged is put there again from what the server keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::backup::{Deed, Trouble};
use tegata_core::name::{ClinicId, TargetName, TenantName};
use tegata_core::policy::{BackupPlace, BackupTarget};
use tegata_core::time::{MINUTE, Timestamp};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::order::record;
use super::target::{Access, Part, Target, TargetError, open};
use super::{manifest, object, place, terms};
use crate::audit::{Ledger, Recorded};
use crate::bells::Bells;
use crate::clock::Clock;
use crate::notify::post::pause;
use crate::policy::PolicyError;
use crate::store::backup::{BackupChange, BackupRow, CopyRow, Outcome};
use crate::store::{Batch, Change, StoreError};
use crate::words;

/// How many copies are asked for at once.
const DUE_MAX: u32 = 64;
/// How many targets are worked with at the same time.
const AT_ONCE: usize = 4;
/// The longest sleep. The clock of the machine may be set while the carrier sleeps.
const SLEEP_MAX: Duration = MINUTE;
/// How long one copy may take.
const ONE_COPY: Duration = Duration::from_secs(120);

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
    /// Targets that somebody is busy with.
    pub busy: Busy,
}

/// Why copies could not even be tried.
#[derive(Debug, thiserror::Error)]
enum CarryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl Carrier {
    /// Carries until `stopping`, or until the database has failed for good.
    pub async fn run(self, stopping: CancellationToken) {
        let failed = async { self.ledger.store().failed().await };
        tokio::pin!(failed);
        while !stopping.is_cancelled() {
            let now = self.clock.now();
            let wait = match self.ledger.copies_due(now, DUE_MAX).await {
                Ok(due) if due.is_empty() => self.until_next(now).await,
                Ok(due) => {
                    self.carry_all(due, &stopping).await;
                    continue;
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "cannot ask which backups are due");
                    SLEEP_MAX
                }
            };
            tokio::select! {
                () = stopping.cancelled() => {}
                () = &mut failed => return,
                () = self.bells.carrier() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Carries whatever is due now, and returns once nothing is.
    pub async fn carry_due(&self) -> Result<(), StoreError> {
        loop {
            let due = self.ledger.copies_due(self.clock.now(), DUE_MAX).await?;
            if due.is_empty() {
                return Ok(());
            }
            self.carry_all(due, &CancellationToken::new()).await;
        }
    }

    async fn until_next(&self, now: Timestamp) -> Duration {
        let next = self.ledger.store().next_copy().await.ok().flatten();
        next.map_or(SLEEP_MAX, |next| next.since(now).clamp(Duration::from_secs(1), SLEEP_MAX))
    }

    /// Each target by itself, so that one that is slow keeps none of the others waiting for long.
    async fn carry_all(&self, due: Vec<Recorded<CopyRow>>, stopping: &CancellationToken) {
        let mut by_target: BTreeMap<(TenantName, TargetName), Vec<Recorded<CopyRow>>> = BTreeMap::new();
        for copy in due {
            let key = (copy.get().backup.tenant.clone(), copy.get().target.clone());
            by_target.entry(key).or_default().push(copy);
        }
        let groups = futures::stream::iter(by_target);
        groups.for_each_concurrent(AT_ONCE, |((tenant, name), copies)| self.carry_group(tenant, name, copies, stopping)).await;
    }

    async fn carry_group(&self, tenant: TenantName, name: TargetName, copies: Vec<Recorded<CopyRow>>, stopping: &CancellationToken) {
        match self.try_group(&tenant, &name, copies, stopping).await {
            Ok(()) => {}
            Err(CarryError::Store(StoreError::Conflict(guard))) => tracing::debug!(%tenant, %name, guard, "somebody else has this copy"),
            Err(error) => {
                tracing::error!(%tenant, %name, error = &error as &dyn std::error::Error, "backups were not carried");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// Works with one target for all its copies. What is the target's trouble is the trouble of all of them: it is met once.
    async fn try_group(
        &self,
        tenant: &TenantName,
        name: &TargetName,
        copies: Vec<Recorded<CopyRow>>,
        stopping: &CancellationToken,
    ) -> Result<(), CarryError> {
        let policy = self.ledger.policy(tenant).await?;
        let Some(target) = policy.targets.get(name) else { return Ok(self.count_all(copies, None).await.map(drop)?) };
        let counted = self.count_all(copies, Some(target)).await?;
        let mut session = match self.busy.take(tenant, name) {
            Some(turn) => Ok(Session { turn: Arc::new(turn), open: None, place: target.place.clone(), access: self.access.clone() }),
            // Whoever had it last still waits for it.
            None => Err(Trouble::Slow),
        };
        for (copy, deed) in counted {
            if stopping.is_cancelled() {
                break;
            }
            let Some(sealed) = self.ledger.store().sealed_backup(&copy.get().backup.id).await? else { continue };
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

    /// Counts a try of each before it is made, and puts on record what is about to be taken away. Those that policy does not mean any more
    /// are left to the next turn.
    async fn count_all(
        &self,
        copies: Vec<Recorded<CopyRow>>,
        target: Option<&BackupTarget>,
    ) -> Result<Vec<(Recorded<CopyRow>, Deed)>, StoreError> {
        let now = self.clock.now();
        let (mut batch, mut counted) = (Batch::default(), Vec::new());
        for copy in copies {
            let row = copy.get();
            let attempt = row.attempts + 1;
            let next = now.after(pause(&format!("{}{}", row.backup.id, row.target), attempt));
            let counted_try = BackupChange::Try { backup: row.backup.id, target: row.target.clone(), attempt, next };
            batch.changes.push(Change::Backup(counted_try));
            let Some(target) = target.filter(|target| place(&target.place) == row.place) else { continue };
            let deed = row.copy().deed(terms(target), now);
            if deed == Deed::Remove {
                batch.records.push(record(&row.backup, Stage::Intended, "backup.remove", &row.target, now));
            }
            counted.push((copy, deed));
        }
        self.ledger.note(batch).await?;
        Ok(counted)
    }

    /// Notes what became of a try. What goes on as it was is shown, and not recorded.
    async fn note(&self, copy: &CopyRow, target: &BackupTarget, deed: Deed, done: Result<(), Trouble>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let outcome = match (deed, done) {
            (Deed::Store | Deed::Verify, Ok(())) => Outcome::Whole { next: copy.copy().next_look(terms(target), now) },
            (Deed::Remove, Ok(())) => Outcome::Removed,
            (Deed::Verify, Err(trouble)) if trouble.is_loss() => Outcome::Lost(trouble),
            (_, Err(trouble)) => Outcome::Failed(trouble),
        };
        let say = |stage, action| record(&copy.backup, stage, action, &copy.target, now);
        let mut batch = Batch::default();
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
            Outcome::Whole { .. } => !copy.copy().is_whole(now),
            Outcome::Failed(_) => copy.verified_at.is_some() && !copy.copy().is_whole(now),
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

fn troubled(mut record: crate::store::NewRecord, trouble: Trouble) -> crate::store::NewRecord {
    record.details["trouble"] = json!(words::trouble(trouble));
    record
}

/// Work with one target: connected once, when it is needed.
struct Session {
    /// Shared with the thread that works: a thread that never comes back keeps the target to itself.
    turn: Arc<Turn>,
    open: Option<Box<dyn Target>>,
    place: BackupPlace,
    access: Access,
}

impl Session {
    /// Does one deed. Only what is on record gets here.
    async fn carry(&mut self, copy: &Recorded<CopyRow>, deed: Deed, sealed: Vec<u8>) -> Result<(), Trouble> {
        let (open_before, place, access, turn) = (self.open.take(), self.place.clone(), self.access.clone(), self.turn.clone());
        let backup = copy.get().backup.clone();
        let worked = on_a_thread(move || {
            let _turn = turn;
            let mut target = match open_before {
                Some(target) => target,
                None => open(&place, &access)?,
            };
            work(&mut *target, deed, &backup, &sealed)?;
            Ok(target)
        });
        match tokio::time::timeout(ONE_COPY, worked).await {
            Ok(Some(Ok(target))) => {
                self.open = Some(target);
                Ok(())
            }
            Ok(Some(Err(error))) => {
                let CopyRow { backup, target, .. } = copy.get();
                tracing::warn!(slot = %backup.slot, %target, error = &error as &dyn std::error::Error, "a backup was not carried");
                Err(error.trouble)
            }
            Ok(None) => Err(Trouble::Broken),
            Err(_) => Err(Trouble::Slow),
        }
    }
}

/// Saying good-bye may take as long as anything else that is said to a target.
impl Drop for Session {
    fn drop(&mut self) {
        let (open, turn) = (self.open.take(), self.turn.clone());
        if open.is_some() {
            let _ = std::thread::Builder::new().name("backup".into()).spawn(move || drop((open, turn)));
        }
    }
}

/// Runs blocking work on a thread of its own, which nobody waits for when the server stops. `None` if it panicked or cannot be had.
pub(super) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TargetError> + Send + 'static,
) -> Option<Result<T, TargetError>> {
    let (answer, answered) = oneshot::channel();
    std::thread::Builder::new().name("backup".into()).spawn(move || answer.send(work()).is_ok()).ok()?;
    answered.await.ok()
}

/// Does one deed at a target. Whatever is put there is read back.
fn work(target: &mut dyn Target, deed: Deed, backup: &BackupRow, sealed: &[u8]) -> Result<(), TargetError> {
    let beside = serde_json::to_vec_pretty(&manifest(backup, sealed)).expect("wire types are plain data with text keys");
    // What lies beside comes last and goes first: where it is, the backup is.
    let both = [(object(backup, Part::Sealed), sealed), (object(backup, Part::Manifest), &beside[..])];
    match deed {
        Deed::Store => {
            for (name, bytes) in &both {
                target.put(name, bytes)?;
                read_back(target, name, bytes)?;
            }
        }
        Deed::Verify => {
            for (name, bytes) in &both {
                read_back(target, name, bytes)?;
            }
        }
        Deed::Remove => {
            for (name, _) in both.iter().rev() {
                target.remove(name)?;
            }
        }
    }
    Ok(())
}

fn read_back(target: &mut dyn Target, name: &super::target::ObjectName, bytes: &[u8]) -> Result<(), TargetError> {
    if target.get(name)? == bytes { Ok(()) } else { Err(TargetError::new(Trouble::Altered, format!("{name:?} is not what was put there"))) }
}

/// Which targets somebody is busy with.
#[derive(Debug, Clone, Default)]
pub struct Busy(Arc<Mutex<BTreeSet<(TenantName, TargetName)>>>);

/// The right to work with a target, given back when dropped.
struct Turn {
    busy: Busy,
    key: (TenantName, TargetName),
}

impl Busy {
    fn take(&self, tenant: &TenantName, target: &TargetName) -> Option<Turn> {
        let key = (tenant.clone(), target.clone());
        self.set().insert(key.clone()).then(|| Turn { busy: self.clone(), key })
    }

    fn set(&self) -> std::sync::MutexGuard<'_, BTreeSet<(TenantName, TargetName)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.busy.set().remove(&self.key);
    }
}
