//! A witness (C2SP tlog-witness): it remembers how far it has seen each log, and cosigns a checkpoint only if it goes on from there.
//!
//! It runs where the people who run the log have no say. Whoever steals a log's key can sign a second history, but not have it cosigned:
//! the witness has signed for the first one, and knows. It depends on nothing of Tegata but the formats, so that it is quickly read.

mod cosigner;
mod door;
mod folder;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use tegata_tlog::note::NoteError;

pub use self::cosigner::{CosignError, Cosigner};
pub use self::door::Door;

/// Why a witness does not start, or stops remembering.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Reading or writing failed.
    #[error("cannot use {}; check that it exists, and that the user of the witness may write there", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// Another witness uses the folder.
    #[error("another witness uses {}; stop that one first, or give this one a folder of its own with --state", .0.display())]
    InUse(PathBuf),
    /// Others may read the key.
    #[error("others may read {} (mode {mode:03o}); run: chmod 600 {0}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key's file is none, or another witness's: a key is known by one name.
    #[error("{} is not the key of '{name}'; call the witness as it was called first, or give it another folder with --state", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// What the witness is to be called.
        name: String,
    },
    /// A name that no key can have.
    #[error("'{0}' cannot be a witness's name: write it without blanks and `+`, such as witness.example.jp/audit")]
    Name(String),
    /// What is remembered of a log cannot be read. It is never taken for nothing.
    #[error("{} is damaged: what was cosigned last is not known, so that nothing can be", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: NoteError,
    },
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}; choose another address or port with --listen")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}
