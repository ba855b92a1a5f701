//! `tegata audit report`: what an export says, for people; made of its records alone, so that everybody gets the same.

mod words;

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::tz::TimeZone;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tegata_api::hint::visible;
use tegata_api::v1::audit::{Record, Stage, reveal};
use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::note::Note;
use tegata_tlog::period::Period;
use tegata_tlog::verify::Fault;

use super::exceptions::why;
use super::export::kept;
use super::personal::Disclosures;
use super::review::{Exception, Review};
use super::sheet::Sheet;
use super::source::{self, CHECKPOINT, Source, parsed};
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::moment::wall_clock;
use crate::output;
use words::{Words, chapters};

/// What was asked for when the export was made.
pub const ABOUT: &str = "about.json";
const SHEET: &str = "records.csv";
const REPORTS: [(&str, bool); 2] = [("report.ja.html", true), ("report.en.html", false)];
/// How many rows a list of the report has at most; the table has them all.
const ROWS_MAX: usize = 2_000;

/// Make records.csv and the reports of an export anew
#[derive(Args)]
#[command(
    after_help = "Example:\n  $ tegata audit report ./2026-05\n\nNeeds no network. It believes the records; `tegata audit verify` checks them."
)]
pub struct Report {
    /// The folder of the export
    #[arg(value_name = "FOLDER")]
    export: PathBuf,
}

impl Report {
    /// Makes them.
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        make(&self.export, &self.export)?;
        output::confirm(global, &self.export.join(REPORTS[usize::from(!crate::language::is_japanese())].0).display().to_string())?;
        Ok(Exit::Fine)
    }
}

/// What an export was asked to be. No record depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// From this second on, since the Unix epoch.
    pub since: Option<i64>,
    /// Before this second.
    pub until: Option<i64>,
    /// The clock by which times are shown.
    pub zone: String,
    /// The version of Tegata that has made it.
    pub version: String,
}

/// A certificate that was signed, taken in or taken back.
#[derive(Serialize)]
struct Certificate {
    sequence: u64,
    time: String,
    place: String,
    serial: String,
    action: String,
}

/// What the reports are filled with.
struct Contents {
    about: About,
    period: Period,
    checkpoint: Checkpoint,
    review: Review,
    certificates: Vec<Certificate>,
    more: usize,
}

/// Writes what is made of the records of an export `from` a folder, `to` another or the same.
pub fn make(from: &Path, to: &Path) -> Result<(), Failure> {
    let path = to.join(SHEET);
    let contents = contents(from, &path)?;
    for (name, is_japanese) in REPORTS {
        let path = to.join(name);
        fs::write(&path, page(&contents, is_japanese)).map_err(kept(&path))?;
    }
    Ok(())
}

/// Whether what lies in the folder is what this version makes of its records. What is not there says nothing wrong.
pub fn check(folder: &Path) -> Result<bool, Failure> {
    let about: About = parsed(source::read(&folder.join(ABOUT))?.as_bytes())?;
    if about.version != env!("CARGO_PKG_VERSION") {
        return Ok(false);
    }
    let anew = tempfile::tempdir().map_err(kept(folder))?;
    make(folder, anew.path())?;
    for name in [SHEET, REPORTS[0].0, REPORTS[1].0] {
        if folder.join(name).exists() && !is_same(&folder.join(name), &anew.path().join(name))? {
            return Err(Failure::NotDerived { name });
        }
    }
    Ok(true)
}

fn is_same(one: &Path, other: &Path) -> Result<bool, Failure> {
    let open = |path: &Path| File::open(path).map(BufReader::new).map_err(|source| Failure::Read { path: path.to_owned(), source });
    let (one, other) = (open(one)?.bytes(), open(other)?.bytes());
    Ok(one.map(Result::ok).eq(other.map(Result::ok)))
}

/// Reads every record once.
fn contents(folder: &Path, sheet: &Path) -> Result<Contents, Failure> {
    let source = Source::Folder(folder.to_owned());
    let about: About = parsed(source::read(&folder.join(ABOUT))?.as_bytes())?;
    let zone = TimeZone::get(&about.zone).unwrap_or(TimeZone::UTC);
    let note: Note = source::read(&folder.join(CHECKPOINT))?.parse().map_err(Fault::Checkpoint)?;
    let checkpoint: Checkpoint = note.text().parse().map_err(Fault::Checkpoint)?;
    let mut rows = File::create(sheet).and_then(|file| Sheet::new(BufWriter::new(file), zone.clone())).map_err(kept(sheet))?;
    let (mut review, mut certificates, mut more) = (Review::default(), Vec::new(), 0);
    let mut disclosures = Disclosures::of(folder)?;
    source.records(|bytes| {
        let mut record: Record = parsed(bytes.as_bytes())?;
        let texts = disclosures.of_record(record.sequence)?.into_iter().map(|told| (told.commitment, told.text)).collect();
        reveal(&mut record.details, &texts);
        review.push(&record);
        match certificate(&record, &zone) {
            Some(certificate) if certificates.len() < ROWS_MAX => certificates.push(certificate),
            Some(_) => more += 1,
            None => {}
        }
        rows.push(&record).map_err(kept(sheet))
    })?;
    rows.finish().and_then(|mut file| file.flush()).map_err(kept(sheet))?;
    let period = source.period(checkpoint.size)?;
    Ok(Contents { about, period, checkpoint, review, certificates, more })
}

fn certificate(record: &Record, zone: &TimeZone) -> Option<Certificate> {
    let told = ["certificate.issue", "certificate.import", "certificate.adopt", "certificate.renewed", "portal.issue"];
    let is_told = record.stage == Stage::Done && (told.contains(&&*record.action) || record.action.ends_with(".revoke"));
    let serial = record.details["serial"].as_str().filter(|_| is_told)?;
    Some(Certificate {
        sequence: record.sequence,
        time: wall_clock(record.at, zone),
        place: visible(&record.object).into_owned(),
        serial: visible(serial).into_owned(),
        action: visible(&record.action).into_owned(),
    })
}

/// One page, without anything that it would have to fetch.
fn page(contents: &Contents, is_japanese: bool) -> String {
    let zone = TimeZone::get(&contents.about.zone).unwrap_or(TimeZone::UTC);
    let moment = |second: Option<i64>| second.map(|second| wall_clock(second, &zone));
    let (exceptions, completeness) = contents.review.findings();
    let row = |exception: &Exception| {
        let [action, object, actor, about] =
            [&exception.action, &exception.object, &exception.actor, &exception.about].map(|text| visible(text).into_owned());
        let (why, time) = (why(exception.matter, is_japanese), wall_clock(exception.at, &zone));
        json!({ "sequence": exception.sequence, "time": time, "why": why, "action": action, "object": object, "actor": actor, "about": about })
    };
    let kind = |((action, stage), count): (&(String, &str), &u64)| json!({ "action": visible(action), "stage": stage, "count": count });
    let filled = json!({
        "t": Words::of(is_japanese),
        "lang": if is_japanese { "ja" } else { "en" },
        "origin": contents.checkpoint.origin,
        "size": contents.checkpoint.size,
        "root": contents.checkpoint.root.to_string(),
        "first": contents.period.first + 1,
        "last": contents.period.end(),
        "count": contents.period.count,
        "since": moment(contents.about.since),
        "until": moment(contents.about.until),
        "zone": contents.about.zone,
        "oldest": moment(contents.review.times.map(|(first, _)| first)),
        "newest": moment(contents.review.times.map(|(_, last)| last)),
        "holds": completeness.holds(),
        "completeness": completeness,
        "kinds": contents.review.kinds.iter().map(kind).collect::<Vec<_>>(),
        "exceptions": exceptions.iter().take(ROWS_MAX).map(row).collect::<Vec<_>>(),
        "more_exceptions": exceptions.len().saturating_sub(ROWS_MAX),
        "certificates": contents.certificates,
        "more_certificates": contents.more,
        "chapters": chapters(is_japanese),
    });
    let mut pages = Environment::new();
    pages.set_undefined_behavior(UndefinedBehavior::Strict);
    pages.set_auto_escape_callback(|_| AutoEscape::Html);
    pages.render_str(include_str!("report/page.html"), Serde(&filled)).expect("the page is part of the program and tested with it")
}

#[cfg(test)]
mod tests;
