//! A proof to take away (C2SP tlog-proof): that one entry is in a log, as lines that whoever has the log's key can check alone.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use crate::checkpoint::Checkpoint;
use crate::merkle::{Hash, leaf};
use crate::note::{NoteError, VerifierKey};
use crate::policy::Policy;
use crate::proof::Inclusion;
use crate::verify::{self, Fault};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Which entry, from 0.
    pub index: u64,
    /// From the entry upwards.
    pub path: Vec<Hash>,
    /// The signed checkpoint that it leads to.
    pub note: String,
}

impl Ticket {
    /// Checks that `entry` is in the log of this key. Gives how many entries the log had then.
    ///
    /// # Errors
    /// The checkpoint is not the log's, or the entry is not in it: [`Fault::Changed`].
    pub fn check(&self, entry: &[u8], key: &VerifierKey) -> Result<u64, Fault> {
        self.leads_to(verify::checkpoint(&self.note, key)?, entry)
    }

    /// The same, and a quorum of witnesses has cosigned the checkpoint. Gives since when they vouch for it too, as [`verify::witnessed`].
    ///
    /// # Errors
    /// As there, and as [`check`](Self::check).
    pub fn check_witnessed(&self, entry: &[u8], key: &VerifierKey, policy: &Policy) -> Result<(u64, Option<u64>), Fault> {
        let (checkpoint, seen) = verify::witnessed(&self.note, key, policy)?;
        Ok((self.leads_to(checkpoint, entry)?, seen))
    }

    fn leads_to(&self, checkpoint: Checkpoint, entry: &[u8]) -> Result<u64, Fault> {
        let inclusion = Inclusion { index: self.index, size: checkpoint.size, path: self.path.clone() };
        if inclusion.root(leaf(entry)) == Some(checkpoint.root) {
            Ok(checkpoint.size)
        } else {
            Err(Fault::Changed { size: checkpoint.size })
        }
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nindex {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for Ticket {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (head, note) = text.split_once("\n\n").ok_or(NoteError::Form)?;
        let mut lines = head.lines();
        let index = match (lines.next(), lines.next().and_then(|line| line.strip_prefix("index "))) {
            (Some(HEADER), Some(index)) => index.parse().map_err(|_| NoteError::Form)?,
            _ => return Err(NoteError::Form),
        };
        let hash = |line: &str| BASE64.decode(line.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).map(Hash);
        let path = lines.map(hash).collect::<Option<Vec<_>>>().ok_or(NoteError::Form)?;
        Ok(Self { index, path, note: note.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::Frontier;
    use crate::note::{Kind, Note, SignerKey};

    const ENTRIES: [&[u8]; 3] = [b"a", b"b", b"c"];

    fn key() -> SignerKey {
        SignerKey::new("tegata/00/aozora", Kind::Log, &[1; 32]).unwrap()
    }

    fn ticket() -> Ticket {
        let root = Frontier::from_iter(ENTRIES).root();
        let mut note = Note::new(Checkpoint { origin: "tegata/00/aozora".into(), size: 3, root }.to_string()).unwrap();
        key().sign(&mut note, 0);
        Ticket { index: 1, path: vec![leaf(b"a"), leaf(b"c")], note: note.to_string() }
    }

    #[test]
    fn a_ticket_is_read_as_it_was_written_and_holds_for_its_entry_alone() {
        let read: Ticket = ticket().to_string().parse().unwrap();
        assert_eq!(read, ticket());
        assert_eq!(read.check(b"b", key().verifier()), Ok(3));
        assert_eq!(read.check(b"a", key().verifier()), Err(Fault::Changed { size: 3 }));
        assert_eq!(Ticket { index: 2, ..read.clone() }.check(b"b", key().verifier()), Err(Fault::Changed { size: 3 }));
        let stranger = SignerKey::new("tegata/00/aozora", Kind::Log, &[2; 32]).unwrap();
        assert!(matches!(read.check(b"b", stranger.verifier()), Err(Fault::Checkpoint(_))));
    }

    proptest! {
        #[test]
        fn no_ticket_of_a_hostile_peer_panics(text in "(c2sp.org/tlog-proof@v1\nindex )?(?s).{0,200}") {
            let _ = text.parse::<Ticket>().map(|ticket| ticket.check(b"a", key().verifier()));
        }
    }
}
