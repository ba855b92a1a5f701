//! Signed notes (C2SP signed-note): a text, and below it a line for each signature, Ed25519.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};
use thiserror::Error;

/// The longest note that is read, in bytes.
const NOTE_MAX: usize = 64 << 10;
/// The most signatures that are read.
const SIGNATURES_MAX: usize = 64;

/// What a signature says beyond "I have seen this text".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The log's own.
    Log,
    /// A witness's, with the time at which it found the checkpoint consistent (C2SP tlog-cosignature, `cosignature/v1`).
    Witness,
}

impl Kind {
    /// The algorithm's byte of signed-note.
    fn byte(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Witness => 0x04,
        }
    }
}

/// Why a text is no note, or no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoteError {
    /// Not the form of a signed note.
    #[error("this is not a signed note")]
    Form,
    /// Not the form of a key.
    #[error("a key is written as NAME+HASH+KEY")]
    Key,
    /// The wanted key has not signed it.
    #[error("there is no signature of {0}")]
    Unsigned(&'static str),
    /// The signature of the wanted key is not over this text.
    #[error("the signature does not match the text")]
    Forged,
}

/// A key that signatures are checked with: `NAME+HASH+KEY`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    kind: Kind,
    key: [u8; 32],
}

impl VerifierKey {
    /// Of a log or a witness called `name`: not empty, without blanks and `+`.
    pub fn new(name: &str, kind: Kind, key: [u8; 32]) -> Result<Self, NoteError> {
        let is_fine = !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+');
        if is_fine { Ok(Self { name: name.to_owned(), kind, key }) } else { Err(NoteError::Key) }
    }

    /// Whose key it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256 over name and key, by which a signature names its key.
    fn id(&self) -> [u8; 4] {
        let text = [self.name.as_bytes(), b"\n", &[self.kind.byte()], &self.key].concat();
        digest(&SHA256, &text).as_ref()[..4].try_into().expect("four of 32 bytes")
    }

    /// What its signatures say.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// True if both are the same 32 bytes, whatever they are called.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// Checks what this key has signed of a note. Gives the time that a witness tells, in seconds since the Unix epoch, otherwise 0.
    pub fn verify(&self, note: &Note) -> Result<u64, NoteError> {
        let mut error = NoteError::Unsigned(match self.kind {
            Kind::Log => "the log's key",
            Kind::Witness => "the witness's key",
        });
        for line in note.signatures.iter().filter(|line| self.is_named_by(line)) {
            match self.check(&note.text, &line.bytes[4..]) {
                Some(time) => return Ok(time),
                None => error = NoteError::Forged,
            }
        }
        Err(error)
    }

    fn is_named_by(&self, line: &Signature) -> bool {
        line.name == self.name && line.bytes.starts_with(&self.id())
    }

    fn check(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let (time, signature) = match self.kind {
            Kind::Log => (0, signature),
            Kind::Witness => {
                let (time, rest) = signature.split_first_chunk::<8>()?;
                // The specification ends time there.
                (u64::from_be_bytes(*time).min(i64::MAX as u64), rest)
            }
        };
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        key.verify(signed_text(self.kind, text, time).as_bytes(), signature).ok().map(|()| time)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64.encode(&[&[self.kind.byte()], self.key.as_slice()].concat());
        write!(f, "{}+{}+{key}", self.name, HEXLOWER.encode(&self.id()))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        // A key in base64 may have a `+` of its own; a name and a hash have none.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return Err(NoteError::Key) };
        let bytes = BASE64.decode(key.as_bytes()).map_err(|_| NoteError::Key)?;
        let (kind, key) = bytes.split_first().ok_or(NoteError::Key)?;
        let kind = [Kind::Log, Kind::Witness].into_iter().find(|one| one.byte() == *kind).ok_or(NoteError::Key)?;
        let key = Self::new(name, kind, key.try_into().map_err(|_| NoteError::Key)?)?;
        if HEXLOWER.encode(&key.id()) == id { Ok(key) } else { Err(NoteError::Key) }
    }
}

/// What is signed: the text as it is, or, by a witness, below the time.
fn signed_text(kind: Kind, text: &str, time: u64) -> String {
    match kind {
        Kind::Log => text.to_owned(),
        Kind::Witness => format!("cosignature/v1\ntime {time}\n{text}"),
    }
}

/// A key that signs.
pub struct SignerKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl SignerKey {
    /// From the key's 32 secret bytes (RFC 8032, section 5.1.5).
    pub fn new(name: &str, kind: Kind, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::Key)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoteError::Key)?;
        Ok(Self { verifier: VerifierKey::new(name, kind, public)?, pair })
    }

    /// What others check its signatures with.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a note's text. `time`, in seconds since the Unix epoch, is what a witness vouches for too; a log's signature has none.
    pub fn sign(&self, note: &mut Note, time: u64) {
        let kind = self.verifier.kind;
        let signature = self.pair.sign(signed_text(kind, &note.text, time).as_bytes());
        let time = if kind == Kind::Witness { time.to_be_bytes().to_vec() } else { Vec::new() };
        let bytes = [&self.verifier.id(), time.as_slice(), signature.as_ref()].concat();
        note.signatures.push(Signature { name: self.verifier.name.clone(), bytes });
    }
}

/// A text and its signatures. Whoever reads one has checked none of them: that is [`VerifierKey::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: String,
    /// Four bytes that name the key, then the signature.
    bytes: Vec<u8>,
}

impl Note {
    /// A text that nobody has signed yet. It ends with a line's end.
    pub fn new(text: String) -> Result<Self, NoteError> {
        let is_fine = text.ends_with('\n') && !text.chars().any(|c| c.is_control() && c != '\n');
        if is_fine { Ok(Self { text, signatures: Vec::new() }) } else { Err(NoteError::Form) }
    }

    /// What was signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines of its signatures alone.
    pub fn lines(&self) -> String {
        self.signatures.iter().map(Signature::to_string).collect()
    }

    /// Takes over what `key` has signed of this text, out of signature lines that somebody sent; an earlier signature of that key goes.
    /// Gives the time that it tells.
    ///
    /// # Errors
    /// They are no such lines, or none of them is this key's over this text.
    pub fn add(&mut self, lines: &str, key: &VerifierKey) -> Result<u64, NoteError> {
        let sent: Self = format!("{}\n{lines}", self.text).parse()?;
        let time = key.verify(&sent)?;
        self.signatures.retain(|line| !key.is_named_by(line));
        let is_valid = |line: &Signature| key.is_named_by(line) && key.check(&self.text, &line.bytes[4..]).is_some();
        self.signatures.extend(sent.signatures.into_iter().find(is_valid));
        Ok(time)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\u{2014} {} {}", self.name, BASE64.encode(&self.bytes))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.text, self.lines())
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_MAX {
            return Err(NoteError::Form);
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Form)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        let signatures = lines.split('\n').map(signature).collect::<Option<Vec<_>>>().ok_or(NoteError::Form)?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::Form);
        }
        Ok(Self { signatures, ..Self::new(format!("{text}\n"))? })
    }
}

fn signature(line: &str) -> Option<Signature> {
    let (name, bytes) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = BASE64.decode(bytes.as_bytes()).ok()?;
    (!name.is_empty() && bytes.len() > 4).then(|| Signature { name: name.to_owned(), bytes })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(kind: Kind, byte: u8) -> SignerKey {
        SignerKey::new("log.example.jp/aozora", kind, &[byte; 32]).unwrap()
    }

    fn signed(by: &[&SignerKey]) -> Note {
        let mut note = Note::new("log.example.jp/aozora\n3\nAAAA\n".into()).unwrap();
        by.iter().for_each(|key| key.sign(&mut note, 1_795_000_000));
        note
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_its_signatures_hold() {
        let (log, witness) = (key(Kind::Log, 1), key(Kind::Witness, 2));
        let note: Note = signed(&[&log, &witness]).to_string().parse().unwrap();
        assert_eq!(note, signed(&[&log, &witness]));
        assert_eq!(log.verifier().verify(&note), Ok(0));
        assert_eq!(witness.verifier().verify(&note), Ok(1_795_000_000));
        assert_eq!(key(Kind::Log, 3).verifier().verify(&note), Err(NoteError::Unsigned("the log's key")));
    }

    #[test]
    fn a_signature_holds_for_one_text_one_kind_and_one_time() {
        let log = key(Kind::Log, 1);
        let mut note = signed(&[&log]);
        note.text = note.text.replace('3', "4");
        assert_eq!(log.verifier().verify(&note), Err(NoteError::Forged));

        let witness = key(Kind::Witness, 1);
        let mut note = signed(&[&witness]);
        note.signatures[0].bytes[11] ^= 1;
        assert_eq!(witness.verifier().verify(&note), Err(NoteError::Forged), "another time");
        assert_ne!(log.verifier().id(), witness.verifier().id(), "the same bytes as another kind are another key");
    }

    #[test]
    fn keys_are_read_as_they_were_written() {
        for kind in [Kind::Log, Kind::Witness] {
            let key = key(kind, 7).verifier().clone();
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        let written = key(Kind::Log, 7).verifier().to_string();
        for broken in [written.replace("aozora", "midori"), written.replace("+", "-"), String::new(), "a+b".into()] {
            assert_eq!(broken.parse::<VerifierKey>(), Err(NoteError::Key), "{broken}");
        }
    }

    /// The example of the specification's reference implementation (golang.org/x/mod/sumdb/note).
    #[test]
    fn a_note_of_others_is_read() {
        let key: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
            \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert_eq!(key.verify(&note.parse().unwrap()), Ok(0));
    }

    #[test]
    fn of_lines_that_were_sent_only_the_wanted_key_s_are_taken() {
        let (log, witness, other) = (key(Kind::Log, 1), key(Kind::Witness, 2), key(Kind::Witness, 3));
        let mut note = signed(&[&log]);
        let mut later = Note::new(note.text.clone()).unwrap();
        [&other, &witness].iter().for_each(|key| key.sign(&mut later, 1_795_000_060));
        note.add(&signed(&[&witness]).lines(), witness.verifier()).unwrap();
        assert_eq!(note.add(&later.lines(), witness.verifier()), Ok(1_795_000_060));
        assert_eq!(note.signatures.len(), 2, "the newer one instead of the older, and no stranger's");
        assert_eq!((log.verifier().verify(&note), witness.verifier().verify(&note)), (Ok(0), Ok(1_795_000_060)));

        let text = note.text.replace('3', "4");
        let mut elsewhere = Note::new(text).unwrap();
        witness.sign(&mut elsewhere, 1_795_000_060);
        assert_eq!(note.add(&elsewhere.lines(), witness.verifier()), Err(NoteError::Forged));
        assert_eq!(note.add("sorry\n", witness.verifier()), Err(NoteError::Form));
        assert_eq!(note.add("", witness.verifier()), Err(NoteError::Form));
    }

    proptest! {
        #[test]
        fn no_text_of_a_hostile_peer_panics(text in "(?s).{0,200}", key in "(?s).{0,90}") {
            let _ = text.parse::<Note>();
            let _ = key.parse::<VerifierKey>();
        }
    }
}
