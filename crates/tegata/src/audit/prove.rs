//! `tegata audit prove`: that one record is in the log, for somebody who has nothing but the log's key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use tegata_tlog::entry;
use tegata_tlog::gather::{self, Part};
use tegata_tlog::merkle::{Hash, Place};
use tegata_tlog::note::VerifierKey;
use tegata_tlog::ticket::Ticket;
use tegata_tlog::tile::{Resource, Tile, WIDTH, subtree};
use tegata_tlog::verify;

use super::source::Source;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Write the proof that one record is in the log, and the record itself
#[derive(Args)]
#[command(
    after_help = "Example:\n  $ tegata audit prove 17 --out record-17\n\nIt writes record-17.json, the record's exact bytes, and record-17.proof (C2SP tlog-proof).\n`tegata-verify KEY record-17.proof record-17.json` checks them; `tegata audit key` prints the key."
)]
pub struct Prove {
    /// The record's number
    #[arg(value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sequence: u64,
    /// Both files, without their endings. Neither may be there yet
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
}

impl Prove {
    /// Proves it. What the server says is checked before anything is written.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let (session, index) = (Session::open(global)?, self.sequence - 1);
        let source = Source::Server(Session::open(global)?);
        let key = source.key().await?;
        let (note, size) = covering(&source, &key, index).await?;
        let parts = gather::inclusion(index, size).ok_or(Failure::NotCovered { sequence: self.sequence, size })?;
        let path = hashes(&session, parts, size).await?;
        let record = record(&session, index, size).await?;
        let ticket = Ticket { index, path, note };
        ticket.check(&record, &key)?;
        let files = [("json", record), ("proof", ticket.to_string().into_bytes())].map(|(ending, bytes)| (named(&self.out, ending), bytes));
        if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
            return Err(Failure::Keep { path: path.clone(), source: std::io::ErrorKind::AlreadyExists.into() });
        }
        for (path, bytes) in files {
            let written = File::create_new(&path).and_then(|mut file| file.write_all(&bytes));
            written.map_err(|source| Failure::Keep { path: path.clone(), source })?;
            output::confirm(global, &path.display().to_string())?;
        }
        Ok(Exit::Fine)
    }
}

/// The checkpoint that witnesses have cosigned; where it does not cover the entry yet, the newest one.
async fn covering(source: &Source, key: &VerifierKey, index: u64) -> Result<(String, u64), Failure> {
    if let Some(note) = source.witnessed().await? {
        let size = verify::checkpoint(&note, key)?.size;
        if index < size {
            return Ok((note, size));
        }
    }
    let note = source.checkpoint().await?;
    let size = verify::checkpoint(&note, key)?.size;
    Ok((note, size))
}

/// The whole name that was given, points included, and the ending behind it.
fn named(out: &Path, ending: &str) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    name.into()
}

/// The hashes of a proof, from as few tiles as they are in.
pub(super) async fn hashes(session: &Session, parts: Vec<Part>, size: u64) -> Result<Vec<Hash>, Failure> {
    let mut tiles: HashMap<Tile, Vec<Hash>> = HashMap::new();
    for (tile, _) in parts.iter().flatten().map(|place| Tile::of(*place)) {
        if let Entry::Vacant(place) = tiles.entry(tile) {
            let bytes = session.get_bytes(&format!("log/tile/{}", Resource::hashes(tile, size))).await?;
            place.insert(bytes.as_chunks::<32>().0.iter().map(|hash| Hash(*hash)).collect());
        }
    }
    let hash = |place: Place| {
        let (tile, range) = Tile::of(place);
        subtree(&tiles[&tile], range).ok_or(Failure::LogCutOff)
    };
    gather::collect(parts, hash)
}

async fn record(session: &Session, index: u64, size: u64) -> Result<Vec<u8>, Failure> {
    let bytes = session.get_bytes(&format!("log/tile/{}", Resource::entries(index / WIDTH, size))).await?;
    let entries = entry::unbundle(&bytes).ok_or(Failure::LogCutOff)?;
    let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
    entries.get(place).map(|entry| entry.to_vec()).ok_or(Failure::LogCutOff)
}
