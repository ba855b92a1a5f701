//! Where a log is read from: the server, or a folder that was exported from one.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use tegata_tlog::entry;
use tegata_tlog::note::VerifierKey;
use tegata_tlog::period::Period;
use tegata_tlog::tile::{Resource, WIDTH};

use crate::failure::Failure;
use crate::session::Session;

/// The files of an export.
pub const RECORDS: &str = "records.jsonl";
pub const CHECKPOINT: &str = "checkpoint.txt";
pub const KEY: &str = "key.txt";
pub const PERIOD: &str = "period.txt";
pub const WITNESSED: &str = "witnessed.txt";

/// Where a log is read from.
pub enum Source {
    /// The server that keeps it.
    Server(Session),
    /// What [`export`](super::export) wrote.
    Folder(PathBuf),
}

impl Source {
    /// The key that the source says its checkpoints are signed with.
    pub async fn key(&self) -> Result<VerifierKey, Failure> {
        let text = match self {
            Self::Server(session) => text(&session.get_bytes("log/key").await?),
            Self::Folder(folder) => read(&folder.join(KEY))?,
        };
        text.trim_end().parse().map_err(Failure::LogKey)
    }

    /// The newest checkpoint, as it was signed.
    pub async fn checkpoint(&self) -> Result<String, Failure> {
        match self {
            Self::Server(session) => Ok(text(&session.get_bytes("log/checkpoint").await?)),
            Self::Folder(folder) => read(&folder.join(CHECKPOINT)),
        }
    }

    /// Which part of a log of `size` it has: all of it, unless it is an export of a part.
    pub fn period(&self, size: u64) -> Result<Period, Failure> {
        match self {
            Self::Server(_) => Ok(Period::whole(size)),
            Self::Folder(folder) => read(&folder.join(PERIOD))?.parse().map_err(Failure::LogPeriod),
        }
    }

    /// The newest checkpoint that a quorum of the server's witnesses has cosigned, if there is one. Whoever asks for it before the newest one
    /// of all gets none that covers more.
    pub async fn witnessed(&self) -> Result<Option<String>, Failure> {
        match self {
            Self::Server(session) => Ok(Some(text(&session.get_bytes("log/witnessed").await?)).filter(|note| !note.is_empty())),
            Self::Folder(folder) => {
                let path = folder.join(WITNESSED);
                if path.exists() { read(&path).map(Some) } else { Ok(None) }
            }
        }
    }

    /// Gives every entry to `take`, in order; a server those of the first `size`. There may be more or fewer: that is for whoever takes
    /// them to find out.
    pub async fn entries(&self, size: u64, mut take: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        match self {
            Self::Server(session) => {
                for index in 0..size.div_ceil(WIDTH) {
                    let bytes = session.get_bytes(&format!("log/tile/{}", Resource::entries(index, size))).await?;
                    let entries = entry::unbundle(&bytes).ok_or(Failure::LogCutOff)?;
                    entries.into_iter().try_for_each(&mut take)?;
                }
                Ok(())
            }
            Self::Folder(_) => self.records(|record| take(&entry::of(record))),
        }
    }

    /// Gives every record of an export to `take`, in order, as its exact bytes.
    pub fn records(&self, take: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
        match self {
            Self::Server(_) => Ok(()),
            Self::Folder(folder) => lines(&folder.join(RECORDS), take),
        }
    }
}

/// Reads a record, or whatever else is written as JSON.
pub fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| Failure::Format { format: "a record", problem: error.to_string() })
}

/// What no signature covers is not believed anyway, so that a letter that is none may become any other.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|source| Failure::Read { path: path.to_owned(), source })
}

fn lines(path: &Path, mut take: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    let unreadable = |source| Failure::Read { path: path.to_owned(), source };
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut line = String::new();
    while file.read_line(&mut line).map_err(unreadable)? > 0 {
        // One end of a line was written, so one is taken off: a blank more is a change like any other.
        take(line.strip_suffix('\n').unwrap_or(&line))?;
        line.clear();
    }
    Ok(())
}
