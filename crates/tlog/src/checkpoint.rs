//! Checkpoints (C2SP tlog-checkpoint): which log, how many entries, and the root of its tree, in three lines.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use crate::merkle::Hash;
use crate::note::NoteError;

/// What a log says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// Which log: an address without a scheme, such as `tegata.example.jp/log/aozora`.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    /// Reads the text of a note. More lines may follow; they are other people's business.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else { return Err(NoteError::Form) };
        let is_number = size == "0" || !size.starts_with('0') && size.bytes().all(|byte| byte.is_ascii_digit());
        let root = BASE64.decode(root.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        match (size.parse(), root) {
            (Ok(size), Some(root)) if is_number && !origin.is_empty() => Ok(Self { origin: origin.to_owned(), size, root: Hash(root) }),
            _ => Err(NoteError::Form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::Frontier;

    #[test]
    fn a_checkpoint_is_read_as_it_was_written_and_in_one_way_only() {
        let checkpoint = Checkpoint { origin: "log.example.jp/aozora".into(), size: 12, root: Frontier::default().root() };
        let text = checkpoint.to_string();
        assert_eq!(text, "log.example.jp/aozora\n12\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
        assert_eq!(text.parse(), Ok(checkpoint.clone()));
        assert_eq!(format!("{text}more\n").parse(), Ok(checkpoint));
        for (from, to) in [("12", "012"), ("12", "+12"), ("12", "-1"), ("47D", "4"), ("log.example.jp/aozora", "")] {
            assert_eq!(text.replacen(from, to, 1).parse::<Checkpoint>(), Err(NoteError::Form), "{to}");
        }
    }
}
