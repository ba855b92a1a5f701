//! `tegata audit exceptions`: what an auditor would stop at.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tegata_api::hint::visible;
use tegata_api::v1::audit::Record;

use super::review::{Exception, Matter, Review};
use super::source::{Source, parsed};
use super::when::{When, when, zone, zone_of};
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::language::is_japanese;
use crate::moment::wall_clock;
use crate::output::{self, Look};
use crate::session::Session;
use crate::table::Table;

/// The longest that an answer may take: ten million records.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// List what was to be done and was not, certificates that the log does not know, and what was refused
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata audit exceptions --since 2026-05-01 --until 2026-05-31\n  $ tegata audit exceptions --clinic sakura -o json\n  $ tegata audit exceptions ./2026-05\n\nIt is found in the records alone, here: with an export, nobody else has to be believed. What was intended shortly before the last\nrecord is not late yet. Without a folder, the question itself becomes a record."
)]
pub struct Exceptions {
    /// The folder of an export, instead of the server. Needs no network
    #[arg(value_name = "FOLDER", conflicts_with_all = ["clinic", "since", "until"])]
    export: Option<PathBuf>,
    /// Only about this clinic
    #[arg(long, value_name = "NAME")]
    clinic: Option<String>,
    /// Not before this day or time
    #[arg(long, value_name = "DATE[TIME]", value_parser = when)]
    since: Option<When>,
    /// Not after this day, or before this time
    #[arg(long, value_name = "DATE[TIME]", value_parser = when)]
    until: Option<When>,
    /// By whose clock days begin [default: the clinic's, if one is named, else this machine's]
    #[arg(long, value_name = "NAME", value_parser = zone)]
    zone: Option<jiff::tz::TimeZone>,
}

impl Exceptions {
    /// Reads the records, and shows what is to be looked at.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let mut look = output::look(global);
        let mut review = Review::default();
        let mut take = |line: &[u8]| parsed(line).map(|record: Record| review.push(&record));
        match &self.export {
            Some(folder) => Source::Folder(folder.clone()).records(|record| take(record.as_bytes()))?,
            None => {
                let session = Session::open(global)?;
                look.zone = zone_of(&session, self.zone.as_ref(), self.clinic.as_deref()).await?;
                session.get_lines(&self.asked(&look)?, PATIENCE, take).await?;
            }
        }
        let (mut exceptions, _) = review.findings();
        // What was intended until then may have been done after it.
        if let Some(until) = self.until.map(|until| until.end(&look.zone)).transpose()? {
            exceptions.retain(|exception| exception.at < until);
        }
        output::show(global, &exceptions, |_| table(&exceptions, &look, is_japanese()))?;
        Ok(Exit::Fine)
    }

    fn asked(&self, look: &Look) -> Result<String, Failure> {
        let since = self.since.map(|since| since.begin(&look.zone)).transpose()?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.clinic.iter().map(|clinic| ("clinic", clinic)));
        query.extend_pairs(since.map(|since| ("since", since.to_string())));
        Ok(format!("audit/query?{}", query.finish()))
    }
}

fn table(exceptions: &[Exception], look: &Look, is_japanese: bool) -> String {
    let mut table = Table::new(look, ["#", "TIME", "WHY", "ACTION", "OBJECT", "ACTOR", "ABOUT"]);
    for exception in exceptions {
        table.row([
            exception.sequence.to_string().into(),
            wall_clock(exception.at, &look.zone).into(),
            why(exception.matter, is_japanese).into(),
            (*exception.action).into(),
            (*exception.object).into(),
            (*exception.actor).into(),
            Some(&*visible(&exception.about)).filter(|about| !about.is_empty()).into(),
        ]);
    }
    table.or(if is_japanese { "目を留めるべき記録はありません。" } else { "Nothing to look at." })
}

/// Why somebody should look at it, for people.
pub fn why(matter: Matter, is_japanese: bool) -> &'static str {
    match (matter, is_japanese) {
        (Matter::Unfinished, false) => "intended, and nothing says that it was done",
        (Matter::Unfinished, true) => "予定されたが、結果の記録がない",
        (Matter::Unrecorded, false) => "a PC has a certificate that the log does not know",
        (Matter::Unrecorded, true) => "記録にない証明書がパソコンにある",
        (Matter::Ahead, false) => "a device is further than the server",
        (Matter::Ahead, true) => "端末の状態がサーバーの記録より先に進んでいる",
        (Matter::Unwitnessed, false) => "no quorum of witnesses vouched for the log",
        (Matter::Unwitnessed, true) => "監査記録を証人が確認していない期間がある",
        (Matter::Contradicted, false) => "a device knows another history of the log",
        (Matter::Contradicted, true) => "端末が知っている監査記録とつながらない",
        (Matter::Refused, false) => "refused",
        (Matter::Refused, true) => "拒否された",
    }
}
