//! `tegata audit export`: a log or a part of it to take away, and to verify without the server.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;
use tegata_api::v1::audit::Record;
use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::entry;
use tegata_tlog::gather;
use tegata_tlog::period::Period;
use tegata_tlog::verify;

use super::personal::PERSONAL;
use super::report::{self, About};
use super::source::{CHECKPOINT, KEY, PERIOD, RECORDS, Source, WITNESSED, parsed};
use super::when::{When, when, zone};
use super::{prove, source};
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// The longest that an answer may take: ten million records.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Write the log, or a period of it, into a folder, with what it takes to verify it without the server, a table and a report
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata audit export --out ./whole\n  $ tegata audit export --since 2026-05-01 --until 2026-05-31 --zone Asia/Tokyo --out ./2026-05\n\nThe folder gets: records.jsonl, the records' exact bytes; period.txt, which part of the log they are, with proofs; checkpoint.txt and key.txt;\npersonal.jsonl, the texts that may name a person: records hold salted hashes of them; records.csv and report.ja.html, report.en.html, made of\nthese alone: `tegata audit verify` makes them again and compares. Texts can be erased on the server (`tegata audit erase`); from an export\nthat was taken before, take out their lines and run `tegata audit report` on it."
)]
pub struct Export {
    /// The folder. It is made, and must not be there yet
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// From the first record of this day or time on
    #[arg(long, value_name = "DATE[TIME]", value_parser = when)]
    since: Option<When>,
    /// Up to the last record of this day, or before this time
    #[arg(long, value_name = "DATE[TIME]", value_parser = when)]
    until: Option<When>,
    /// By whose clock days begin, and times are shown [default: this machine's]
    #[arg(long, value_name = "NAME", value_parser = zone)]
    zone: Option<TimeZone>,
}

impl Export {
    /// Exports what holds. What is cut off in the middle has no checkpoint, and so is no export.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let (session, source) = (Session::open(global)?, Source::Server(Session::open(global)?));
        let (key, witnessed, note) = (source.key().await?, source.witnessed().await?, source.checkpoint().await?);
        let checkpoint = verify::checkpoint(&note, &key)?;
        let about = self.about()?;
        let (first, end) = bounds(&session, &about, checkpoint.size).await?;
        // What witnesses vouch for is the better evidence, as soon as it goes so far.
        let cosigned = witnessed.as_ref().map(|note| verify::checkpoint(note, &key)).transpose()?.filter(|cosigned| cosigned.size >= end);
        let (checkpoint, note) = cosigned.zip(witnessed.clone()).unwrap_or((checkpoint, note));
        let period = period(&session, first, end, checkpoint.size).await?;
        fs::create_dir(&self.out).map_err(kept(&self.out))?;
        self.records(&session, &period, &checkpoint).await?;
        self.texts(&session, &period).await?;
        let about_text = output::json(&about)?;
        let texts = [(KEY, format!("{key}\n")), (PERIOD, period.to_string()), (report::ABOUT, about_text + "\n"), (CHECKPOINT, note)];
        let texts = texts.into_iter().chain(witnessed.map(|note| (WITNESSED, note)));
        for (name, text) in texts {
            let path = self.out.join(name);
            fs::write(&path, text).map_err(kept(&path))?;
        }
        report::make(&self.out, &self.out)?;
        let verify = format!("tegata audit verify {}", self.out.display());
        output::confirm(global, &format!("{} records in {}; check them with `{verify}`", period.count, self.out.display()))?;
        Ok(Exit::Fine)
    }

    fn about(&self) -> Result<About, Failure> {
        let zone = self.zone.clone().unwrap_or_else(TimeZone::system);
        let since = self.since.map(|since| since.begin(&zone)).transpose()?;
        let until = self.until.map(|until| until.end(&zone)).transpose()?;
        let zone = zone.iana_name().unwrap_or("UTC").to_owned();
        Ok(About { since, until, zone, version: env!("CARGO_PKG_VERSION").into() })
    }

    /// Writes the records, each after it was seen to be the next one of the log.
    async fn records(&self, session: &Session, period: &Period, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let path = self.out.join(RECORDS);
        let mut file = BufWriter::new(File::create_new(&path).map_err(kept(&path))?);
        let mut stretch = period.clone().against(checkpoint.clone(), vec![])?;
        if period.count > 0 {
            let asked = format!("audit/query?after={}&limit={}", period.first, period.count);
            let take = |line: &[u8]| {
                stretch.push(&entry::of(&source::text(line)))?;
                file.write_all(&[line, b"\n"].concat()).map_err(kept(&path))
            };
            session.get_lines(&asked, PATIENCE, take).await?;
        }
        stretch.finish()?;
        file.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all()).map_err(kept(&path))
    }

    /// Writes the texts that these records commit to, as far as they are still there.
    async fn texts(&self, session: &Session, period: &Period) -> Result<(), Failure> {
        let path = self.out.join(PERSONAL);
        let mut file = BufWriter::new(File::create_new(&path).map_err(kept(&path))?);
        let asked = format!("audit/personal?after={}&through={}", period.first, period.end());
        session.get_lines(&asked, PATIENCE, |line| file.write_all(&[line, b"\n"].concat()).map_err(kept(&path))).await?;
        file.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all()).map_err(kept(&path))
    }
}

/// Which records it is, in one piece: from the first that was written since then, until before the first that was written later.
async fn bounds(session: &Session, about: &About, size: u64) -> Result<(u64, u64), Failure> {
    let end = match about.until {
        Some(until) => first_since(session, until).await?.map_or(size, |sequence| size.min(sequence.saturating_sub(1))),
        None => size,
    };
    let first = match about.since {
        Some(since) => first_since(session, since).await?.map_or(end, |sequence| end.min(sequence.saturating_sub(1))),
        None => 0,
    };
    Ok((first, end))
}

/// What shows that they stand there, in a log of `size`.
async fn period(session: &Session, first: u64, end: u64, size: u64) -> Result<Period, Failure> {
    let after = gather::after(end, size).ok_or(Failure::LogCutOff)?;
    let before = prove::hashes(session, gather::before(first), size).await?;
    let after = prove::hashes(session, after, size).await?;
    Ok(Period { first, count: end - first, before, after })
}

/// The number of the first record that was not written before a moment.
async fn first_since(session: &Session, moment: i64) -> Result<Option<u64>, Failure> {
    let mut found = None;
    let take = |line: &[u8]| {
        let record: Record = parsed(line)?;
        found.get_or_insert(record.sequence);
        Ok(())
    };
    session.get_lines(&format!("audit/query?since={moment}&limit=1"), PATIENCE, take).await?;
    Ok(found)
}

pub(super) fn kept(path: &Path) -> impl FnOnce(std::io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |source| Failure::Keep { path, source }
}
