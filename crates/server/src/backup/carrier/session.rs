//! Work with one target, on a thread that nobody waits for when it hangs.

use std::sync::Arc;
use std::time::Duration;

use tegata_core::backup::{Deed, Trouble};
use tegata_core::policy::BackupPlace;
use tokio::sync::oneshot;

use crate::audit::Recorded;
use crate::backup::target::busy::Turn;
use crate::backup::target::{Access, ObjectName, Part, Target, TargetError, Use, open};
use crate::backup::{manifest, object};
use crate::store::backup::{BackupRow, CopyRow};

/// How long one copy may take.
const ONE_COPY: Duration = Duration::from_secs(120);

/// Work with one target: connected once, when it is needed.
pub(super) struct Session {
    /// Shared with the thread that works: a thread that never comes back keeps the target to itself.
    turn: Arc<Turn>,
    open: Option<Box<dyn Target>>,
    place: BackupPlace,
    access: Access,
    before: Use,
}

impl Session {
    pub(super) fn new(turn: Turn, place: &BackupPlace, access: &Access, before: Use) -> Self {
        Self { turn: Arc::new(turn), open: None, place: place.clone(), access: access.clone(), before }
    }

    /// Does one deed. Only what is on record gets here.
    pub(super) async fn carry(&mut self, copy: &Recorded<CopyRow>, deed: Deed, sealed: Vec<u8>) -> Result<(), Trouble> {
        let (open_before, place, access, before) = (self.open.take(), self.place.clone(), self.access.clone(), self.before);
        let turn = self.turn.clone();
        let backup = copy.get().backup.clone();
        let worked = on_a_thread(move || {
            let _turn = turn;
            let mut target = match open_before {
                Some(target) => target,
                None => open(&place, &access, before)?,
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
pub(in crate::backup) async fn on_a_thread<T: Send + 'static>(
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

fn read_back(target: &mut dyn Target, name: &ObjectName, bytes: &[u8]) -> Result<(), TargetError> {
    if target.get(name)? == bytes { Ok(()) } else { Err(TargetError::new(Trouble::Altered, format!("{name:?} is not what was put there"))) }
}
