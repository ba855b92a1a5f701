//! What an auditor does with a log: believes its key, and nothing else of the server.

use thiserror::Error;

use crate::checkpoint::Checkpoint;
use crate::note::{Note, NoteError, VerifierKey};
use crate::policy::{Policy, Unwitnessed};

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The checkpoint is none, or not signed by the log's key.
    #[error("the checkpoint cannot be believed: {0}")]
    Checkpoint(#[from] NoteError),
    /// It is another log's.
    #[error("this is the checkpoint of '{found}', not of '{expected}'")]
    OtherLog {
        /// Whose key it was checked with.
        expected: String,
        /// What it says.
        found: String,
    },
    /// Not as many entries as were signed for.
    #[error("the log has {have} entries, and its checkpoint says {size}")]
    Size {
        /// How many there are.
        have: u64,
        /// How many there should be.
        size: u64,
    },
    /// The entries are not those that were signed for.
    #[error("the first {size} entries are not those of the checkpoint: something in them was changed, left out, put in or moved")]
    Changed {
        /// As far as that checkpoint goes.
        size: u64,
    },
    /// It was longer once.
    #[error("the log had {before} entries when it was looked at last, and has {now} now: something was cut off, or an old state restored")]
    Shrunk {
        /// As was seen.
        before: u64,
        /// As is claimed.
        now: u64,
    },
    /// The same length with other contents.
    #[error("two checkpoints over {size} entries differ: the log shows different histories to different readers")]
    Forked {
        /// How many.
        size: u64,
    },
    /// Not as many witnesses as it takes vouch for it.
    #[error(transparent)]
    Unwitnessed(#[from] Unwitnessed),
    /// The policy is about other logs.
    #[error("the policy of witnesses names logs, and not this one")]
    OtherPolicy,
}

/// Reads a checkpoint, believing this key and no other.
///
/// # Errors
/// [`Fault::Checkpoint`], [`Fault::OtherLog`].
pub fn checkpoint(note: &str, key: &VerifierKey) -> Result<Checkpoint, Fault> {
    let note: Note = note.parse()?;
    key.verify(&note)?;
    let checkpoint: Checkpoint = note.text().parse()?;
    if checkpoint.origin != key.name() {
        return Err(Fault::OtherLog { expected: key.name().into(), found: checkpoint.origin });
    }
    Ok(checkpoint)
}

/// Reads a checkpoint as [`checkpoint`] does, and asks for a quorum of witnesses too. Gives since when they vouch that it is the log's largest,
/// in seconds since the Unix epoch; `None` if the policy asks for no witness.
///
/// # Errors
/// Those of [`checkpoint`], [`Fault::Unwitnessed`], [`Fault::OtherPolicy`].
pub fn witnessed(note: &str, key: &VerifierKey, policy: &Policy) -> Result<(Checkpoint, Option<u64>), Fault> {
    let found = checkpoint(note, key)?;
    if !policy.is_about(key) {
        return Err(Fault::OtherPolicy);
    }
    let seen = policy.seen(&note.parse()?)?;
    Ok((found, seen))
}

/// Checks what a log says now against what it said before, as far as both checkpoints tell.
///
/// # Errors
/// [`Fault::Shrunk`], [`Fault::Forked`].
pub fn goes_on(before: &Checkpoint, now: &Checkpoint) -> Result<(), Fault> {
    if now.size < before.size {
        return Err(Fault::Shrunk { before: before.size, now: now.size });
    }
    if now.size == before.size && now.root != before.root {
        return Err(Fault::Forked { size: now.size });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::Frontier;
    use crate::note::{Kind, SignerKey};
    use crate::period::Period;

    const ORIGIN: &str = "tegata/0011223344556677/aozora";

    fn key(byte: u8) -> SignerKey {
        SignerKey::new(ORIGIN, Kind::Log, &[byte; 32]).unwrap()
    }

    fn of(entries: &[&str]) -> Checkpoint {
        let root = entries.iter().map(|entry| entry.as_bytes()).collect::<Frontier>().root();
        Checkpoint { origin: ORIGIN.into(), size: entries.len() as u64, root }
    }

    fn signed(checkpoint: &Checkpoint, by: &SignerKey) -> String {
        let mut note = Note::new(checkpoint.to_string()).unwrap();
        by.sign(&mut note, 0);
        note.to_string()
    }

    fn check(entries: &[&str], against: &[Checkpoint]) -> Result<(), Fault> {
        let (now, kept) = against.split_first().unwrap();
        let mut checked = Period::whole(now.size).against(now.clone(), kept.to_vec())?;
        entries.iter().try_for_each(|entry| checked.push(entry.as_bytes()))?;
        checked.finish()
    }

    #[test]
    fn a_log_is_as_it_was_signed_or_not_at_all() {
        let log = ["a", "b", "c", "d", "e"];
        let (now, before) = (of(&log), of(&log[..3]));
        assert_eq!(check(&log, &[now.clone(), before.clone()]), Ok(()));
        assert_eq!(check(&[], &[of(&[])]), Ok(()));
        for (what, entries) in [
            ("edited", vec!["a", "b", "x", "d", "e"]),
            ("edited late", vec!["a", "b", "c", "d", "x"]),
            ("reordered", vec!["a", "c", "b", "d", "e"]),
            ("one for another", vec!["a", "b", "c", "c", "e"]),
        ] {
            assert!(matches!(check(&entries, &[now.clone(), before.clone()]), Err(Fault::Changed { .. })), "{what}");
        }
        for (what, entries) in
            [("deleted", vec!["a", "c", "d", "e"]), ("truncated", log[..4].to_vec()), ("duplicated", vec!["a", "b", "b", "c", "d", "e"])]
        {
            assert!(check(&entries, std::slice::from_ref(&now)).is_err(), "{what}");
        }
    }

    /// Whoever has the log's key can sign anything, but not make anybody forget what he kept.
    #[test]
    fn a_history_signed_anew_with_the_stolen_key_does_not_fit_what_was_kept() {
        let kept = of(&["a", "b", "c"]);
        let forged = ["a", "x", "c", "d"];
        let now = checkpoint(&signed(&of(&forged), &key(1)), key(1).verifier()).unwrap();
        assert_eq!(goes_on(&kept, &now), Ok(()), "it is longer");
        assert_eq!(check(&forged, &[now, kept]), Err(Fault::Changed { size: 3 }));
    }

    #[test]
    fn a_log_neither_shrinks_nor_forks() {
        let kept = of(&["a", "b", "c"]);
        assert_eq!(goes_on(&kept, &of(&["a", "b"])), Err(Fault::Shrunk { before: 3, now: 2 }));
        assert_eq!(goes_on(&kept, &of(&["a", "b", "d"])), Err(Fault::Forked { size: 3 }));
        assert_eq!(goes_on(&kept, &kept), Ok(()));
    }

    #[test]
    fn a_checkpoint_is_believed_for_its_log_and_its_key() {
        let mine = of(&["a"]);
        assert_eq!(checkpoint(&signed(&mine, &key(1)), key(1).verifier()), Ok(mine.clone()));
        assert_eq!(checkpoint(&signed(&mine, &key(2)), key(1).verifier()), Err(Fault::Checkpoint(NoteError::Unsigned("the log's key"))));
        let other = Checkpoint { origin: "tegata/0011223344556677/midori".into(), ..mine };
        let found = other.origin.clone();
        assert_eq!(checkpoint(&signed(&other, &key(1)), key(1).verifier()), Err(Fault::OtherLog { expected: ORIGIN.into(), found }));
    }
}
