//! The texts beside an export's records that may name a person: `personal.jsonl`, by the numbers of their records.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Lines};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::Value;
use tegata_api::v1::audit::{Disclosure, Record, commitments, is_commitment};
use tegata_tlog::personal::commitment;

use super::source::{Source, parsed};
use crate::failure::Failure;

/// The file.
pub const PERSONAL: &str = "personal.jsonl";

/// A text, or that it was erased; nothing if it is neither.
pub fn shown(value: &Value, is_japanese: bool) -> Option<&str> {
    let erased = if is_japanese { "（消去済み / erased）" } else { "(erased)" };
    value.as_str().or_else(|| is_commitment(value).map(|_| erased))
}

/// The texts of an export while its records are read.
pub struct Disclosures {
    path: PathBuf,
    lines: Option<Lines<BufReader<File>>>,
    /// The first one that was not given yet.
    next: Option<Disclosure>,
    told: u64,
}

impl Disclosures {
    /// Those of a folder. An export of a version that kept no texts apart has none.
    pub fn of(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(PERSONAL);
        let lines = match File::open(&path) {
            Ok(file) => Some(BufReader::new(file).lines()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(source) => return Err(Failure::Read { path, source }),
        };
        let mut disclosures = Self { path, lines, next: None, told: 0 };
        disclosures.advance()?;
        Ok(disclosures)
    }

    /// Those of a record; to be asked for every record, in order.
    ///
    /// One of a record that was passed is of none: [`Failure::Undisclosed`].
    pub fn of_record(&mut self, sequence: u64) -> Result<Vec<Disclosure>, Failure> {
        let mut found = Vec::new();
        while let Some(next) = self.next.take_if(|next| next.sequence <= sequence) {
            if next.sequence < sequence {
                return Err(Failure::Undisclosed { sequence: next.sequence });
            }
            found.push(next);
            self.advance()?;
        }
        Ok(found)
    }

    fn advance(&mut self) -> Result<(), Failure> {
        let Some(line) = self.lines.as_mut().and_then(Iterator::next) else { return Ok(()) };
        let line = line.map_err(|source| Failure::Read { path: self.path.clone(), source })?;
        self.next = Some(parsed(line.as_bytes())?);
        self.told += 1;
        Ok(())
    }
}

/// What was found of an export's texts.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Texts that are what their records commit to.
    texts: u64,
    /// Commitments whose text is not there.
    erased: u64,
}

impl Found {
    /// In a sentence; nothing if no record commits to a text.
    pub fn told(&self) -> String {
        if *self == (Self { texts: 0, erased: 0 }) {
            return String::new();
        }
        format!("\n{} texts are what their records commit to, {} were erased.", self.texts, self.erased)
    }
}

/// Checks every text of an export against the record that commits to it. The records are believed already.
///
/// # Errors
/// [`Failure::Undisclosed`]: one is not that text, or is of no record of the export, or there twice.
pub fn check(folder: &Path) -> Result<Found, Failure> {
    let mut disclosures = Disclosures::of(folder)?;
    let mut found = Found { texts: 0, erased: 0 };
    Source::Folder(folder.to_owned()).records(|bytes| {
        let record: Record = parsed(bytes.as_bytes())?;
        let mut open: BTreeSet<&str> = commitments(&record.details);
        for told in disclosures.of_record(record.sequence)? {
            if !(holds(&told) && open.remove(&*told.commitment)) {
                return Err(Failure::Undisclosed { sequence: record.sequence });
            }
            found.texts += 1;
        }
        found.erased += open.len() as u64;
        Ok(())
    })?;
    match disclosures.next {
        Some(left) => Err(Failure::Undisclosed { sequence: left.sequence }),
        None => Ok(found),
    }
}

fn holds(told: &Disclosure) -> bool {
    let salt: Option<[u8; 32]> = HEXLOWER.decode(told.salt.as_bytes()).ok().and_then(|salt| salt.try_into().ok());
    salt.is_some_and(|salt| HEXLOWER.encode(&commitment(&salt, &told.text)) == told.commitment)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;
    use tegata_api::v1::audit::Stage;

    use super::*;

    fn told(sequence: u64, text: &str) -> Disclosure {
        let salt = [u8::try_from(sequence).unwrap(); 32];
        let commitment = HEXLOWER.encode(&commitment(&salt, text));
        Disclosure { sequence, commitment, salt: HEXLOWER.encode(&salt), text: text.into() }
    }

    fn record(sequence: u64, details: Value) -> Record {
        let (actor, action, object) = ("person:ito".into(), "certificate.revoke".into(), "sakura/pc-1/karte".into());
        Record { sequence, at: 1_795_000_000, stage: Stage::Done, actor, action, object, details }
    }

    fn checked(texts: &[Disclosure]) -> Result<Found, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let note = |told: &Disclosure| json!({ "note": { "personal": told.commitment } });
        let records = [record(1, note(&told(1, "佐藤"))), record(2, json!({ "note": "in clear" })), record(3, note(&told(3, "鈴木")))];
        let lines = |values: Vec<Value>| values.iter().map(|value| format!("{value}\n")).collect::<String>();
        fs::write(folder.path().join("records.jsonl"), lines(records.iter().map(|record| json!(record)).collect())).unwrap();
        fs::write(folder.path().join(PERSONAL), lines(texts.iter().map(|told| json!(told)).collect())).unwrap();
        check(folder.path())
    }

    #[test]
    fn a_text_is_the_one_that_was_committed_to_or_it_is_named() {
        let (one, three) = (told(1, "佐藤"), told(3, "鈴木"));
        assert_eq!(checked(&[one.clone(), three.clone()]).unwrap(), Found { texts: 2, erased: 0 });
        assert_eq!(checked(std::slice::from_ref(&three)).unwrap(), Found { texts: 1, erased: 1 });
        assert_eq!(checked(&[]).unwrap(), Found { texts: 0, erased: 2 });
        let other = Disclosure { text: "高橋".into(), ..three.clone() };
        let salted = Disclosure { salt: "00".repeat(32), ..three.clone() };
        let made_up = told(3, "高橋");
        for (what, texts, number) in [
            ("another text", vec![one.clone(), other], 3),
            ("another salt", vec![one.clone(), salted], 3),
            ("a commitment that is in no record", vec![one.clone(), made_up], 3),
            ("one of another record", vec![Disclosure { sequence: 3, ..one.clone() }], 3),
            ("one of a record that commits to nothing", vec![told(2, "in clear")], 2),
            ("one of no record", vec![one.clone(), three.clone(), told(4, "")], 4),
            ("one before the first", vec![told(0, "")], 0),
            ("out of order", vec![three.clone(), one.clone()], 1),
            ("twice", vec![one.clone(), one.clone()], 1),
        ] {
            assert!(matches!(checked(&texts), Err(Failure::Undisclosed { sequence }) if sequence == number), "{what}");
        }
    }
}
