//! `tegata audit query`: records by what they are about, however many there are.

use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use tegata_api::v1::audit::Record;

use super::table;
use super::when::{When, when, zone, zone_of};
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, Look};
use crate::session::Session;

/// How many records are shown as one document, if nobody says.
const SHOWN: u64 = 100;
/// The longest that an answer may take: ten million records.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Find records by what they are about. All that is said has to fit
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata audit query --device sakura/uketsuke-1 --since 2026-05-01 --until 2026-05-31\n  $ tegata audit query --certificate 4f1c0ddee1a2b3c4d5e6f708192a3b4c\n  $ tegata audit query --clinic sakura --kind certificate.revoke --lines\n\nThe question itself becomes a record. --until takes in the whole day that it names."
)]
pub struct Query {
    /// About something in this clinic
    #[arg(long, value_name = "NAME")]
    clinic: Option<String>,
    /// By or about this device
    #[arg(long, value_name = "CLINIC/DEVICE")]
    device: Option<String>,
    /// About this slot
    #[arg(long, value_name = "CLINIC/DEVICE/PROFILE")]
    slot: Option<String>,
    /// About a certificate, by its serial number, its fingerprint or its order
    #[arg(long, value_name = "HEX")]
    certificate: Option<String>,
    /// About an account
    #[arg(long, value_name = "CLINIC/ACCOUNT")]
    account: Option<String>,
    /// By whom, as records say it, such as person:ito
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// About a document of policy, or about slots of a profile
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// What was done, such as certificate.revoke, or its first word
    #[arg(long, value_name = "ACTION")]
    kind: Option<String>,
    /// Whether it was about to happen, had happened, or was witnessed
    #[arg(long, value_enum, value_name = "intended|done|seen", hide_possible_values = true)]
    stage: Option<StageName>,
    /// Not before this day or time
    #[arg(long, value_name = "DATE[TIME]", value_parser = when)]
    since: Option<When>,
    /// Not after this day, or before this time
    #[arg(long, value_name = "DATE[TIME]", value_parser = when)]
    until: Option<When>,
    /// By whose clock days begin [default: the clinic's, if one is named, else this machine's]
    #[arg(long, value_name = "NAME", value_parser = zone)]
    zone: Option<TimeZone>,
    /// Only those after this number
    #[arg(long, default_value_t = 0, value_name = "N")]
    after: u64,
    /// At most this many [default: 100; with --lines, all]
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Write each record on a line of its own, as its exact bytes, as it comes (JSON Lines), whatever --output says. Texts that may name a person are commitments in them
    #[arg(long)]
    lines: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StageName {
    Intended,
    Done,
    Seen,
}

impl Query {
    /// Asks, and shows what comes.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let session = Session::open(global)?;
        let zone = self.zone(&session).await?;
        let limit = if self.lines { self.limit } else { Some(self.limit.unwrap_or(SHOWN)) };
        let texts = if self.lines { "" } else { "&texts=true" };
        let path = format!("audit/query?{}{texts}", self.asked(&zone, limit)?);
        if self.lines {
            session.get_lines(&path, PATIENCE, |line| output::print(&String::from_utf8_lossy(line))).await?;
            return Ok(Exit::Fine);
        }
        let mut records: Vec<Record> = Vec::new();
        let take = |line: &[u8]| {
            records.push(serde_json::from_slice(line).map_err(|error| Failure::Format { format: "a record", problem: error.to_string() })?);
            Ok(())
        };
        session.get_lines(&path, PATIENCE, take).await?;
        // Whoever looks at Tokyo's days sees Tokyo's clock.
        let look = Look { zone, ..output::look(global) };
        match global.output {
            Format::Table => output::print(&shown(&records, limit.unwrap_or(u64::MAX), &look))?,
            _ => output::show(global, &records, |_| String::new())?,
        }
        Ok(Exit::Fine)
    }

    /// Only days and tables need one.
    async fn zone(&self, session: &Session) -> Result<TimeZone, Failure> {
        let place = self.clinic.as_ref().or(self.device.as_ref()).or(self.slot.as_ref()).or(self.account.as_ref());
        let clinic = place.and_then(|place| place.split('/').next());
        zone_of(session, self.zone.as_ref(), clinic).await
    }

    fn asked(&self, zone: &TimeZone, limit: Option<u64>) -> Result<String, Failure> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let stage = self.stage.and_then(|stage| stage.to_possible_value()).map(|stage| stage.get_name().to_owned());
        let texts = [
            ("clinic", &self.clinic),
            ("device", &self.device),
            ("object", &self.slot),
            ("certificate", &self.certificate),
            ("account", &self.account),
            ("actor", &self.actor),
            ("policy", &self.policy),
            ("kind", &self.kind),
            ("stage", &stage),
        ];
        query.extend_pairs(texts.into_iter().filter_map(|(name, text)| text.as_ref().map(|text| (name, text))));
        let since = self.since.map(|since| since.begin(zone)).transpose()?;
        let until = self.until.map(|until| until.end(zone)).transpose()?;
        for (name, number) in [("since", since), ("until", until)] {
            query.extend_pairs(number.map(|number| (name, number.to_string())));
        }
        query.extend_pairs((self.after > 0).then(|| ("after", self.after.to_string())));
        query.extend_pairs(limit.map(|limit| ("limit", limit.to_string())));
        Ok(query.finish())
    }
}

fn shown(records: &[Record], limit: u64, look: &Look) -> String {
    let list = table(records, look);
    match records.last() {
        Some(last) if records.len() as u64 == limit => {
            format!("{list}\nThere may be more: the same with --after {}", last.sequence)
        }
        _ => list,
    }
}
