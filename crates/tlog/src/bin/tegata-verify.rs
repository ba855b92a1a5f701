//! Verifies what was taken away from a Tegata server, on a machine that knows nothing of it: no network, no settings, nothing written.
//!
//! This program and the library beside it are all that has to be read before it is believed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use tegata_tlog::entry;
use tegata_tlog::note::VerifierKey;
use tegata_tlog::period::Period;
use tegata_tlog::ticket::Ticket;
use tegata_tlog::verify;

const USAGE: &str = "usage: tegata-verify KEY FOLDER [CHECKPOINT...]   an export, and checkpoints that were kept of the same log before
       tegata-verify KEY PROOF RECORD            one record (a file with its exact bytes), and the proof that was made of it
KEY is the log's key as its operator has published it, not as it lies in the folder. Exit code 0: all of it holds; 1: something does not.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [key, folder, kept @ ..] if Path::new(folder).is_dir() => export(key, Path::new(folder), kept),
        [key, proof, record] => single(key, proof, record),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Every record, against the checkpoint that came with it and those that were kept.
fn export(key: &str, folder: &Path, kept: &[&str]) -> Result<String, String> {
    let key = read_key(key)?;
    let now = verify::checkpoint(&read(&folder.join("checkpoint.txt"))?, &key).map_err(said)?;
    let mut checkpoints = Vec::new();
    for path in kept {
        let before = verify::checkpoint(&read(Path::new(path))?, &key).map_err(|fault| format!("{path}: {fault}"))?;
        verify::goes_on(&before, &now).map_err(said)?;
        checkpoints.push(before);
    }
    let period: Period = read(&folder.join("period.txt"))?.parse().map_err(|_| "period.txt says no part of a log")?;
    let (first, count) = (period.first, period.count);
    let path = folder.join("records.jsonl");
    let unreadable = |problem| format!("cannot read {}: {problem}", path.display());
    let mut stretch = period.against(now.clone(), checkpoints).map_err(said)?;
    for (number, line) in (first + 1..).zip(BufReader::new(File::open(&path).map_err(unreadable)?).split(b'\n')) {
        let record = String::from_utf8(line.map_err(unreadable)?).map_err(|_| format!("record {number} is not text"))?;
        stretch.push(&entry::of(&record)).map_err(said)?;
    }
    stretch.finish().map_err(said)?;
    let which = if count == now.size { String::new() } else { format!(" ({} to {} of {})", first + 1, first + count, now.size) };
    Ok(format!("{}: {count} records{which}, none changed, left out, put in or moved", now.origin))
}

fn single(key: &str, proof: &str, record: &str) -> Result<String, String> {
    let ticket: Ticket = read(Path::new(proof))?.parse().map_err(|_| format!("{proof} is not a proof"))?;
    let record = read(Path::new(record))?;
    let size = ticket.check(&entry::of(record.trim_end_matches('\n')), &read_key(key)?).map_err(said)?;
    Ok(format!("this is record {} of {size}", ticket.index + 1))
}

fn read_key(text: &str) -> Result<VerifierKey, String> {
    text.parse().map_err(said)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|problem| format!("cannot read {}: {problem}", path.display()))
}

fn said(problem: impl std::fmt::Display) -> String {
    problem.to_string()
}
