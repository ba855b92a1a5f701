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
    /// How many slots worked before this one was left without a working certificate; absent if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    worked: Option<usize>,
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
        self.count(what, None)
    }

    /// The same for a certificate whose slot is left without a working one, while `working` slots still have one. In any hour one such
    /// removal is free, and more only as long as at least half of the slots that worked in this hour go on working: whatever a hostile
    /// server wants, the PC does not lose everything before people notice.
    pub fn take_last(&mut self, what: &str, working: usize) -> Result<bool, DiskError> {
        self.count(what, Some(working))
    }

    fn count(&mut self, what: &str, worked: Option<usize>) -> Result<bool, DiskError> {
        self.forget_old();
        if self.written.removals.iter().any(|removal| removal.what == what) {
            return Ok(true);
        }
        if self.written.removals.len() >= REMOVALS_MAX || worked.is_some_and(|working| !self.half_goes_on(working)) {
            return Ok(false);
        }
        // Counted only once it is on disk: what the disk did not take would be forgotten by a restart.
        let mut written = self.written.clone();
        written.removals.push(Removal { at: written.running, what: what.to_owned(), worked });
        disk::write_json(&self.path, &written)?;
        self.written = written;
        Ok(true)
    }

    /// True if one slot of `working` may stop working. Slots that were added meanwhile count: replacing one profile by another loses nothing.
    fn half_goes_on(&self, working: usize) -> bool {
        let most = self.written.removals.iter().filter_map(|removal| removal.worked).max();
        most.is_none_or(|most| working.saturating_sub(1) >= most.max(working).div_ceil(2))
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

    /// How many of the slots that a PC has can be emptied at once.
    fn emptied(limit: &mut Limit, slots: usize) -> usize {
        (0..slots).take_while(|gone| limit.take_last(&format!("{slots}-{gone}"), slots - gone).unwrap()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn f1_half_of_what_worked_goes_on_for_another_hour() {
        for (slots, at_once) in [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (8, 4)] {
            let folder = tempfile::tempdir().unwrap();
            let mut limit = Limit::open(&folder.path().join("removals.json")).unwrap();
            assert_eq!(emptied(&mut limit, slots), at_once, "{slots} slots");
            let mut restarted = Limit::open(&folder.path().join("removals.json")).unwrap();
            let next = restarted.take_last("next", slots - at_once).unwrap();
            assert!(slots == 1 || !next, "{slots} slots");
            tokio::time::advance(WINDOW).await;
            assert!(restarted.take_last("next", slots - at_once).unwrap());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn profiles_that_are_replaced_one_by_one_are_not_held_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut limit = Limit::open(&folder.path().join("removals.json")).unwrap();
        for dropped in 0..8 {
            assert!(limit.take_last(&dropped.to_string(), 5).unwrap(), "four go on, and the next one is added");
        }
        assert!(limit.take("replaced").unwrap(), "what is replaced in its slot is another matter");
    }
}
