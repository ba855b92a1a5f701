//! What a look for installer files costs a PC on which there are a million other files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tegata_agent::sweep::{Looked, Memory, Pace, look};
use tegata_api::v1::device::FileHash;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::Authority;
use tegata_pki::key::sha256;
use tegata_pki::pkcs12::{self, Flavor};

use crate::{Bound, Row, proc};

/// Half of the files are in one folder.
const LARGE: usize = 500_000;
/// The others are in so many folders.
const FOLDERS: usize = 100;
/// So many in each.
const EACH: usize = 5_000;
/// What is looked for, and lies in every tenth folder.
const PLANTED: usize = 11;
/// The word of policy's for all of them.
const WORD: &str = "~/Scans/**";

/// Measures looks through a million files.
pub fn measure() -> Result<Vec<Row>> {
    let home = tempfile::tempdir()?;
    let wanted: BTreeSet<FileHash> = [make(home.path())?].into();
    let mut pc = Pc { home: home.path(), wanted, memory: Memory::default() };
    let own = std::process::id();
    let before = proc::forget_peak(own)?;
    let unhurried = Pace { rest: Duration::ZERO, ..Pace::default() };
    let first = pc.round(unhurried)?;
    let grown = (proc::peak_kib(own)? - before) / 1024.0;
    ensure!(first.found == PLANTED, "{} of {PLANTED} were found", first.found);
    let second = pc.round(unhurried)?;
    ensure!(second.found == PLANTED && second.looks == 1, "{} were found again in {} looks", second.found, second.looks);
    // As it is on a PC: with its rests, behind everything else.
    pc.memory = Memory::default();
    let (start, cpu) = (Instant::now(), proc::cpu_seconds(own)?);
    let one = pc.look(Pace::default())?;
    let (took, cpu) = (start.elapsed().as_secs_f64(), proc::cpu_seconds(own)? - cpu);
    let rate = f64::from(one.names) / took;
    let most = f64::from(Pace::default().names_max);
    Ok(vec![
        Row::bound("look: a million files, names in one look at most", f64::from(first.names_most), "names", Bound::AtMost(most)),
        Row::told("look: looks until each file was looked at once", f64::from(first.looks), "looks"),
        Row::told("look: names looked at, without rests", first.names as f64 / first.seconds, "1/s"),
        Row::told("look: names looked at, with them", rate, "1/s"),
        Row::told("look: share of a processor that it takes meanwhile", 100.0 * cpu / took, "%"),
        Row::bound("look: memory that looking takes at most", grown, "MiB", Bound::AtMost(32.0)),
        Row::bound("look: a second round in which nothing changed ÷ the first", second.seconds / first.seconds, "", Bound::AtMost(0.01)),
    ])
}

/// How long folders have to rest until a look believes that they have not changed: file systems count in steps of up to two seconds.
const SETTLED: Duration = Duration::from_secs(3);

fn make(home: &Path) -> Result<FileHash> {
    let bundle = bundle()?;
    let scans = home.join("Scans");
    for (folder, files) in (0..FOLDERS).map(|number| (format!("{number:03}"), EACH)).chain([("large".to_owned(), LARGE)]) {
        let folder = scans.join(folder);
        fs::create_dir_all(&folder)?;
        for number in 0..files {
            File::create(folder.join(format!("scan-{number:07}.jpg")))?;
        }
    }
    for number in 0..PLANTED {
        let folder = if number == 0 { "large".to_owned() } else { format!("{:03}", 10 * number - 1) };
        fs::write(scans.join(folder).join("zz-renamed.dat"), &bundle)?;
    }
    std::thread::sleep(SETTLED);
    Ok(FileHash { sha256: sha256(&bundle).to_string(), size: bundle.len() as u64 })
}

fn bundle() -> Result<Vec<u8>> {
    let now = Timestamp::from_unix(1_800_000_000);
    let vendor = Authority::new_root("Vendor", "Vendor", now, now.after(DAY))?;
    Ok(pkcs12::write(Flavor::Legacy, vendor.key(), &[vendor.certificate().to_vec()], "client1210", "pass")?)
}

/// A PC and what the agent remembers of it.
struct Pc<'a> {
    home: &'a Path,
    wanted: BTreeSet<FileHash>,
    memory: Memory,
}

/// Looks until everything was looked at.
#[derive(Default)]
struct Round {
    seconds: f64,
    looks: u32,
    names: u64,
    names_most: u32,
    found: usize,
}

impl Pc<'_> {
    fn look(&mut self, pace: Pace) -> Result<Looked> {
        Ok(look(self.home, &[WORD.to_owned()].into(), &self.wanted, &mut self.memory, pace)?)
    }

    fn round(&mut self, pace: Pace) -> Result<Round> {
        let (start, mut round) = (Instant::now(), Round::default());
        while round.looks < 1_000 {
            let looked = self.look(pace)?;
            round.looks += 1;
            round.names += u64::from(looked.names);
            round.names_most = round.names_most.max(looked.names);
            if looked.is_whole() {
                (round.found, round.seconds) = (looked.found().len(), start.elapsed().as_secs_f64());
                return Ok(round);
            }
        }
        None.context("the looks come to no end")
    }
}
