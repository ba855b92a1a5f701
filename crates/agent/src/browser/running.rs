//! Which browsers still hold an old decision: those that ran through a change and run on. On disk, so that it outlives the agent.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::disk::{self, DiskError};
use crate::state::State;

/// A running browser: the same number may later belong to another process, the start time does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Running {
    pub(super) process: u32,
    /// When it started, in whatever unit the platform counts.
    pub(super) started: u64,
}

/// Those that ran at a change.
pub(super) struct Witnesses {
    path: PathBuf,
    /// When the process of this number started, if there is one.
    started: Box<dyn Fn(u32) -> Option<u64>>,
}

impl Witnesses {
    pub(super) fn of(state: &State, started: impl Fn(u32) -> Option<u64> + 'static) -> Self {
        Self { path: state.browsers(), started: Box::new(started) }
    }

    /// Takes note of browsers that run at this moment.
    pub(super) fn note(&self, running: BTreeSet<Running>) -> Result<(), DiskError> {
        let known = self.alive()?;
        let all: BTreeSet<Running> = known.union(&running).cloned().collect();
        if all == known { Ok(()) } else { disk::write_json(&self.path, &all) }
    }

    /// Those that still run.
    pub(super) fn alive(&self) -> Result<BTreeSet<Running>, DiskError> {
        let known: BTreeSet<Running> = disk::read_json(&self.path)?.unwrap_or_default();
        Ok(known.into_iter().filter(|browser| (self.started)(browser.process) == Some(browser.started)).collect())
    }
}
