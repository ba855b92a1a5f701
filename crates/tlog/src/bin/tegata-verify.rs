//! Verifies what was taken away from a Tegata server, on a machine that knows nothing of it: no network, no settings, nothing written.
//!
//! This program and the library beside it are all that has to be read before it is believed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::entry;
use tegata_tlog::note::VerifierKey;
use tegata_tlog::period::Period;
use tegata_tlog::policy::Policy;
use tegata_tlog::ticket::Ticket;
use tegata_tlog::verify::{self, Fault};

const USAGE: &str =
    "usage: tegata-verify [--witnesses POLICY] KEY FOLDER [CHECKPOINT...]   an export, and checkpoints that were kept of the same log before
       tegata-verify [--witnesses POLICY] KEY PROOF RECORD            one record (a file with its exact bytes), and the proof that was made of it
KEY is the log's key as its operator has published it, not as it lies in the folder. POLICY (C2SP tlog-policy) says which witnesses have to vouch for
the log: without them, whoever has the log's key can have written all of it anew.
Exit code 0: all of it holds; 1: something does not; 13: not as many witnesses as the policy asks for vouch for it.";
/// Not as many witnesses as it takes.
const UNWITNESSED: u8 = 13;

/// What does not hold, and the exit code that says so.
struct Problem(u8, String);

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self(if matches!(fault, Fault::Unwitnessed(_)) { UNWITNESSED } else { 1 }, fault.to_string())
    }
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self(1, problem)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(Problem(code, problem)) => {
            eprintln!("{problem}");
            code.into()
        }
    }
}

fn run(arguments: &[&str]) -> Result<String, Problem> {
    let (policy, rest) = match arguments {
        ["--witnesses", policy, rest @ ..] => {
            let read: Policy = read(Path::new(policy))?.parse().map_err(|fault| format!("{policy}: {fault}"))?;
            (Some(read), rest)
        }
        rest => (None, rest),
    };
    match rest {
        [key, folder, kept @ ..] if Path::new(folder).is_dir() => export(key, Path::new(folder), kept, policy.as_ref()),
        [key, proof, record] => single(key, proof, record, policy.as_ref()),
        _ => Err(USAGE.to_owned().into()),
    }
}

/// Every record, against the checkpoint that came with it, the one that witnesses have cosigned, and those that were kept.
fn export(key: &str, folder: &Path, kept: &[&str], policy: Option<&Policy>) -> Result<String, Problem> {
    let key = read_key(key)?;
    let now = verify::checkpoint(&read(&folder.join("checkpoint.txt"))?, &key)?;
    let period: Period = read(&folder.join("period.txt"))?.parse().map_err(|_| "period.txt says no part of a log".to_owned())?;
    let (first, count) = (period.first, period.count);
    let (mut checkpoints, mut vouched) = (Vec::new(), String::new());
    let cosigned = folder.join("witnessed.txt");
    if policy.is_none() && cosigned.exists() {
        checkpoints.push(verify::checkpoint(&read(&cosigned)?, &key)?);
    }
    if let Some(policy) = policy {
        if !cosigned.exists() {
            return Err(Problem(UNWITNESSED, "the export has no checkpoint that witnesses have cosigned (witnessed.txt)".into()));
        }
        let (checkpoint, seen) = verify::witnessed(&read(&cosigned)?, &key, policy)?;
        vouched = format!("\n{} of them {}", checkpoint.size, vouched_for(seen));
        checkpoints.push(checkpoint);
    }
    let cosigned = checkpoints.first().cloned().filter(|_| policy.is_some());
    for path in kept {
        checkpoints.push(verify::checkpoint(&read(Path::new(path))?, &key).map_err(|fault| format!("{path}: {fault}"))?);
    }
    checkpoints.iter().try_for_each(|before| verify::goes_on(before, &now))?;
    if let Some(Checkpoint { size, .. }) = cosigned.filter(|cosigned| !period.is_bound_by(cosigned, &now)) {
        return Err(Problem(UNWITNESSED, format!("witnesses vouch for the first {size} records, and not for this part of them")));
    }
    let path = folder.join("records.jsonl");
    let unreadable = |problem| format!("cannot read {}: {problem}", path.display());
    let mut stretch = period.against(now.clone(), checkpoints)?;
    for (number, line) in (first + 1..).zip(BufReader::new(File::open(&path).map_err(unreadable)?).split(b'\n')) {
        let record = String::from_utf8(line.map_err(unreadable)?).map_err(|_| format!("record {number} is not text"))?;
        stretch.push(&entry::of(&record))?;
    }
    stretch.finish()?;
    let which = if count == now.size { String::new() } else { format!(" ({} to {} of {})", first + 1, first + count, now.size) };
    Ok(format!("{}: {count} records{which}, none changed, left out, put in or moved{vouched}", now.origin))
}

fn single(key: &str, proof: &str, record: &str, policy: Option<&Policy>) -> Result<String, Problem> {
    let ticket: Ticket = read(Path::new(proof))?.parse().map_err(|_| format!("{proof} is not a proof"))?;
    let (record, key) = (read(Path::new(record))?, read_key(key)?);
    let entry = entry::of(record.trim_end_matches('\n'));
    let Some(policy) = policy else { return Ok(format!("this is record {} of {}", ticket.index + 1, ticket.check(&entry, &key)?)) };
    let (size, seen) = ticket.check_witnessed(&entry, &key, policy)?;
    Ok(format!("this is record {} of {size}\nthey {}", ticket.index + 1, vouched_for(seen)))
}

/// What witnesses say. Whether that is lately is for people to judge: this program asks no clock.
fn vouched_for(seen: Option<u64>) -> String {
    seen.map_or("need no witness by this policy".into(), |seen| format!("are vouched for by a quorum of witnesses, as of {}", utc(seen)))
}

/// A time as people write it, from seconds since the Unix epoch (days to civil date in the Gregorian calendar, counted from 1 March of year 0).
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3_600, second / 60 % 60, second % 60)
}

fn read_key(text: &str) -> Result<VerifierKey, Problem> {
    text.parse().map_err(|fault: tegata_tlog::note::NoteError| fault.to_string().into())
}

fn read(path: &Path) -> Result<String, Problem> {
    fs::read_to_string(path).map_err(|problem| format!("cannot read {}: {problem}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn a_time_is_told_as_people_write_it() {
        for (seconds, told) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_795_000_000, "2026-11-18 11:06:40 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(seconds), told);
        }
    }
}
