//! What a witness is asked, and what it must find before it cosigns (C2SP tlog-witness, `add-checkpoint`).
//!
//! Deciding is here; remembering what was cosigned, and that two who ask at once are not answered side by side, is for whoever calls this.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use thiserror::Error;

use crate::checkpoint::Checkpoint;
use crate::merkle::{Frontier, Hash};
use crate::note::{Note, NoteError, VerifierKey};
use crate::proof::Consistency;

/// The most hashes of a proof.
const PATH_MAX: usize = 63;

/// A log asks for a cosignature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// How many entries the checkpoint had that the witness has cosigned last.
    pub old: u64,
    /// That the new tree begins with that one.
    pub path: Vec<Hash>,
    /// The checkpoint.
    pub note: Note,
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// What was sent is no such request (400).
    #[error("this is not a request for a cosignature")]
    Malformed,
    /// It follows no log of that name (404).
    #[error("this log is not followed here")]
    UnknownLog,
    /// The log's key has not signed it (403).
    #[error("the log's key has not signed this checkpoint")]
    Unsigned,
    /// It has cosigned another size than the one that the proof begins with (409).
    #[error("{0} entries were cosigned last")]
    OtherSize(
        /// That size.
        u64,
    ),
    /// The log's key has signed two trees of one size: the log shows different histories (409).
    #[error("another tree of this size was cosigned")]
    Forked,
    /// The new tree does not begin with the one that it has cosigned (422).
    #[error("the proof does not hold")]
    Inconsistent,
}

impl Request {
    /// The checkpoint, if one of these logs has signed it.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], [`Refusal::UnknownLog`], [`Refusal::Unsigned`].
    pub fn checkpoint<'a>(&self, logs: impl IntoIterator<Item = &'a VerifierKey>) -> Result<Checkpoint, Refusal> {
        let checkpoint: Checkpoint = self.note.text().parse().map_err(|_| Refusal::Malformed)?;
        let mut keys = logs.into_iter().filter(|key| key.name() == checkpoint.origin).peekable();
        keys.peek().ok_or(Refusal::UnknownLog)?;
        let is_signed = keys.any(|key| key.verify(&self.note).is_ok());
        if is_signed { Ok(checkpoint) } else { Err(Refusal::Unsigned) }
    }

    /// Whether `now`, the request's own checkpoint, goes on from what was cosigned last; nothing was, if it is the first.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], [`Refusal::OtherSize`], [`Refusal::Forked`], [`Refusal::Inconsistent`].
    pub fn goes_on(&self, last: Option<&Checkpoint>, now: &Checkpoint) -> Result<(), Refusal> {
        if self.old > now.size {
            return Err(Refusal::Malformed);
        }
        let (size, root) = last.map_or_else(|| (0, Frontier::default().root()), |last| (last.size, last.root));
        if size != self.old {
            return Err(Refusal::OtherSize(size));
        }
        if size == now.size && root != now.root {
            return Err(Refusal::Forked);
        }
        let proof = Consistency { old: size, new: now.size, path: self.path.clone() };
        // Everything begins with nothing, and that takes no proof.
        let holds = if size == 0 { self.path.is_empty() } else { proof.holds(root, now.root) };
        if holds { Ok(()) } else { Err(Refusal::Inconsistent) }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for Request {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (head, note) = text.split_once("\n\n").ok_or(NoteError::Form)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(NoteError::Form)?;
        let is_number = old == "0" || !old.starts_with('0') && old.bytes().all(|byte| byte.is_ascii_digit());
        let old = old.parse().ok().filter(|_| is_number).ok_or(NoteError::Form)?;
        let hash = |line: &str| BASE64.decode(line.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).map(Hash);
        let path = lines.map(hash).collect::<Option<Vec<_>>>().filter(|path| path.len() <= PATH_MAX).ok_or(NoteError::Form)?;
        Ok(Self { old, path, note: note.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::leaf;
    use crate::note::{Kind, SignerKey};

    const ORIGIN: &str = "tegata/0011223344556677/aozora";

    fn key(name: &str, byte: u8) -> SignerKey {
        SignerKey::new(name, Kind::Log, &[byte; 32]).unwrap()
    }

    fn of(entries: &[&[u8]]) -> Checkpoint {
        Checkpoint { origin: ORIGIN.into(), size: entries.len() as u64, root: entries.iter().copied().collect::<Frontier>().root() }
    }

    fn request(old: u64, path: &[&[u8]], now: &Checkpoint) -> Request {
        let mut note = Note::new(now.to_string()).unwrap();
        key(ORIGIN, 1).sign(&mut note, 0);
        Request { old, path: path.iter().map(|entry| leaf(entry)).collect(), note }
    }

    #[test]
    fn a_request_is_read_as_it_was_written_and_in_one_way_only() {
        let request = request(1, &[b"b"], &of(&[b"a", b"b"]));
        let text = request.to_string();
        assert_eq!(text.parse(), Ok(request));
        let hash = format!("{}\n", leaf(b"b"));
        for (from, to) in
            [("old 1", "old 01"), ("old 1", "old +1"), ("old 1\n", ""), ("old 1", "new 1"), (&*hash, "AAAA\n"), (&*hash, &hash.repeat(64))]
        {
            assert_eq!(text.replacen(from, to, 1).parse::<Request>(), Err(NoteError::Form), "{to}");
        }
    }

    #[test]
    fn only_a_known_log_s_own_signature_counts() {
        let request = request(0, &[], &of(&[b"a"]));
        let known = [key(ORIGIN, 2), key(ORIGIN, 1)];
        assert_eq!(request.checkpoint(known.iter().map(SignerKey::verifier)), Ok(of(&[b"a"])));
        assert_eq!(request.checkpoint([known[0].verifier()]), Err(Refusal::Unsigned));
        assert_eq!(request.checkpoint([key("another", 1).verifier()]), Err(Refusal::UnknownLog));
    }

    #[test]
    fn what_does_not_go_on_from_what_was_cosigned_is_refused() {
        let (two, three) = (of(&[b"a", b"b"]), of(&[b"a", b"b", b"c"]));
        let forged = of(&[b"a", b"x", b"c"]);
        for (what, old, path, last, now, outcome) in [
            ("the first one", 0, vec![], None, &three, Ok(())),
            ("the first one, with a proof", 0, vec![b"a"], None, &three, Err(Refusal::Inconsistent)),
            ("more", 2, vec![b"c"], Some(&two), &three, Ok(())),
            ("the same once more", 3, vec![], Some(&three), &three, Ok(())),
            ("an old size that is not the last", 1, vec![b"c"], Some(&two), &three, Err(Refusal::OtherSize(2))),
            ("from nothing again", 0, vec![], Some(&two), &three, Err(Refusal::OtherSize(2))),
            ("an older state", 2, vec![], Some(&three), &two, Err(Refusal::OtherSize(3))),
            ("shorter", 3, vec![], Some(&three), &two, Err(Refusal::Malformed)),
            ("a fork", 3, vec![], Some(&three), &forged, Err(Refusal::Forked)),
            ("another past", 2, vec![b"c"], Some(&two), &forged, Err(Refusal::Inconsistent)),
            ("no proof", 2, vec![], Some(&two), &three, Err(Refusal::Inconsistent)),
            ("another proof", 2, vec![b"b"], Some(&two), &three, Err(Refusal::Inconsistent)),
        ] {
            let path: Vec<&[u8]> = path.iter().map(|entry: &&[u8; 1]| entry.as_slice()).collect();
            assert_eq!(request(old, &path, now).goes_on(last, now), outcome, "{what}");
        }
        let empty = Checkpoint { root: leaf(b"a"), ..of(&[]) };
        assert_eq!(request(0, &[], &empty).goes_on(None, &empty), Err(Refusal::Forked), "nothing has one root");
    }

    proptest! {
        #[test]
        fn no_request_of_a_hostile_peer_panics(text in "(old [0-9]{1,3}\n)?(?s).{0,200}", old: u64, size: u64) {
            let _ = text.parse::<Request>();
            let now = Checkpoint { size, ..of(&[]) };
            let _ = request(old, &[b"a"], &now).goes_on(Some(&Checkpoint { size: old, ..of(&[]) }), &now);
        }
    }
}
