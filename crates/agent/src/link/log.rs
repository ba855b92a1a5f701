//! What this PC remembers of its tenant's audit log, so that neither it nor anybody who asks it can be shown another history.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use tegata_api::v1::device::LogShown;
use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::merkle::Hash;
use tegata_tlog::note::VerifierKey;
use tegata_tlog::proof::Consistency;
use tegata_tlog::verify;

/// How many ends of logs are remembered that were given up when the server was put back.
const LEFT_MAX: usize = 8;

/// The newest checkpoint that goes on from all earlier ones, as `audit-log.json` keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownLog {
    /// The key that it was signed with when this PC saw the log first.
    pub key: String,
    /// The signed note.
    pub checkpoint: String,
    /// How often the server was put back from a backup by then.
    pub epoch: u64,
    /// What was shown last, if it does not go on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contradiction: Option<Contradiction>,
    /// Where the log ended before the server was put back and a person put that on record, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// A checkpoint that does not go on from the known one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contradiction {
    /// When it was shown first, seconds since the Unix epoch, by this PC's clock.
    pub since: i64,
    /// The note, as it was shown.
    pub shown: String,
}

impl KnownLog {
    /// What is known once this was shown by a server of this epoch; none if nothing was known and nothing is learnt.
    pub fn hear(known: Option<Self>, shown: &LogShown, epoch: u64, now: i64) -> Option<Self> {
        let Some(known) = known else { return Self::first(shown, epoch, vec![]) };
        if epoch > known.epoch {
            let mut left = known.left.clone();
            left.push(known.checkpoint.clone());
            left.drain(..left.len().saturating_sub(LEFT_MAX));
            return Self::first(shown, epoch, left).or(Some(known));
        }
        if known.is_continued_by(shown) {
            return Some(Self { checkpoint: shown.checkpoint.clone(), contradiction: None, ..known });
        }
        let since = known.contradiction.as_ref().map_or(now, |found| found.since);
        Some(Self { contradiction: Some(Contradiction { since, shown: shown.checkpoint.clone() }), ..known })
    }

    /// How many records the known log has.
    pub fn size(&self) -> u64 {
        self.read(&self.checkpoint).map_or(0, |checkpoint| checkpoint.size)
    }

    fn first(shown: &LogShown, epoch: u64, left: Vec<String>) -> Option<Self> {
        let known = Self { key: shown.key.clone(), checkpoint: shown.checkpoint.clone(), epoch, contradiction: None, left };
        known.read(&shown.checkpoint).is_some().then_some(known)
    }

    fn is_continued_by(&self, shown: &LogShown) -> bool {
        let (Some(old), Some(new), Some(path)) = (self.read(&self.checkpoint), self.read(&shown.checkpoint), path(shown)) else {
            return false;
        };
        // Nothing comes before everything.
        old.size == 0 || Consistency { old: old.size, new: new.size, path }.holds(old.root, new.root)
    }

    /// A checkpoint that the known key has signed.
    fn read(&self, note: &str) -> Option<Checkpoint> {
        let key: VerifierKey = self.key.parse().ok()?;
        verify::checkpoint(note, &key).ok()
    }
}

fn path(shown: &LogShown) -> Option<Vec<Hash>> {
    let hash = |text: &String| BASE64.decode(text.as_bytes()).ok()?.try_into().ok().map(Hash);
    shown.consistency.iter().map(hash).collect()
}

#[cfg(test)]
pub(crate) mod tests;
