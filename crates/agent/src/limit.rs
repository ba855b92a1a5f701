//! The local limit on removals: it holds even if the server is in the wrong hands.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

use crate::disk::{self, DiskError};

/// How many removals an agent carries out in any hour.
pub const REMOVALS_MAX: usize = 10;
/// The window in which they are counted.
pub const WINDOW: Duration = Duration::from_secs(3_600);

/// Counts removals by the time that the agent has been running, which no change of the wall clock and no restart can hurry.
pub struct Limit {
    path: PathBuf,
    started: Instant,
    written: Written,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    /// Seconds that the agent had been running, over all its starts, when this was written.
    running: u64,
    /// The removals of the last hour of those.
    removals: Vec<Removal>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Removal {
    at: u64,
    what: String,
}

impl Limit {
    /// Reads what is there.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let written: Written = disk::read_json(path)?.unwrap_or_default();
        Ok(Self { path: path.to_owned(), started: Instant::now(), written })
    }

    /// Takes one removal off the allowance, durably, before it is carried out; false if none is left. Trying the same thing again
    /// costs nothing.
    pub fn take(&mut self, what: &str) -> Result<bool, DiskError> {
        self.forget_old();
        if self.written.removals.iter().any(|removal| removal.what == what) {
            return Ok(true);
        }
        if self.written.removals.len() >= REMOVALS_MAX {
            return Ok(false);
        }
        // Counted only once it is on disk: what the disk did not take would be forgotten by a restart.
        let mut written = self.written.clone();
        written.removals.push(Removal { at: written.running, what: what.to_owned() });
        disk::write_json(&self.path, &written)?;
        self.written = written;
        Ok(true)
    }

    /// Writes the running time down while something is being counted, so that an hour also passes on a PC that is often switched off.
    pub fn keep_time(&mut self) -> Result<(), DiskError> {
        if self.written.removals.is_empty() {
            return Ok(());
        }
        self.forget_old();
        disk::write_json(&self.path, &self.written)
    }

    fn forget_old(&mut self) {
        let passed = self.started.elapsed();
        self.written.running += passed.as_secs();
        self.started += Duration::from_secs(passed.as_secs());
        let running = self.written.running;
        self.written.removals.retain(|removal| running.saturating_sub(removal.at) < WINDOW.as_secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exhausted(path: &Path) -> Limit {
        let mut limit = Limit::open(path).unwrap();
        for n in 0..REMOVALS_MAX {
            assert!(limit.take(&n.to_string()).unwrap());
        }
        limit
    }

    #[tokio::test(start_paused = true)]
    async fn f1_the_eleventh_removal_of_an_hour_waits() {
        let folder = tempfile::tempdir().unwrap();
        let mut limit = exhausted(&folder.path().join("removals.json"));
        assert!(!limit.take("eleventh").unwrap());
        assert!(limit.take("3").unwrap(), "a second try at the same thing is free");
        tokio::time::advance(WINDOW - Duration::from_secs(1)).await;
        assert!(!limit.take("eleventh").unwrap());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(limit.take("eleventh").unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn f1_restarting_the_agent_gives_nothing_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("removals.json");
        exhausted(&path);
        for _ in 0..20 {
            let mut limit = Limit::open(&path).unwrap();
            assert!(!limit.take("eleventh").unwrap());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn f1_an_hour_passes_over_many_short_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("removals.json");
        exhausted(&path);
        for _ in 0..6 {
            let mut limit = Limit::open(&path).unwrap();
            assert!(!limit.take("eleventh").unwrap());
            tokio::time::advance(Duration::from_secs(600)).await;
            limit.keep_time().unwrap();
        }
        assert!(Limit::open(&path).unwrap().take("eleventh").unwrap());
    }

    #[test]
    fn s2_a_removal_that_the_disk_did_not_take_is_not_counted_as_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("removals.json");
        let mut limit = Limit::open(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        limit.take("first").unwrap_err();
        std::fs::remove_dir(&path).unwrap();
        assert!(limit.take("first").unwrap());
        assert_eq!(Limit::open(&path).unwrap().written.removals.len(), 1);
    }
}
