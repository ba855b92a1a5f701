//! `tegata audit`: what was intended, what was done, and what a device has seen.

mod as_of;
mod erase;
mod exceptions;
mod export;
mod key;
mod memory;
mod personal;
mod prove;
mod query;
mod report;
mod retention;
mod review;
mod sheet;
mod source;
mod verify;
mod when;
mod witnesses;

use clap::{Args, Subcommand};
use tegata_api::hint::visible;
use tegata_api::v1::audit::{Record, Stage};

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::language;
use crate::output::{self, Look};
use crate::session::Session;
use crate::table::Table;

/// The audit log: what was intended, done, and seen
#[derive(Args)]
pub struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List records, oldest first
    #[command(
        after_help = "Examples:\n  $ tegata audit list --last 20\n  $ tegata audit list --last 20 --object sakura-naika/uketsuke-1\n  $ tegata audit list --after 1200 --limit 1000 -o json"
    )]
    List {
        /// Only those after this number
        #[arg(long, default_value_t = 0, value_name = "N")]
        after: u64,
        /// At most this many
        #[arg(long, default_value_t = 100, value_name = "M", value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// The newest this many
        #[arg(long, value_name = "M", conflicts_with_all = ["after", "limit"], value_parser = clap::value_parser!(u32).range(1..=1000))]
        last: Option<u32>,
        /// Only those about a clinic, device or slot and what belongs to it, or about a document as `Kind/name`
        #[arg(long, value_name = "NAME")]
        object: Option<String>,
    },
    Query(query::Query),
    AsOf(as_of::AsOfDay),
    Exceptions(exceptions::Exceptions),
    Verify(verify::Verify),
    Export(export::Export),
    Report(report::Report),
    Prove(prove::Prove),
    Key(key::Key),
    Witnesses(witnesses::Witnesses),
    Erase(erase::Erase),
    Retention(retention::Retention),
}

impl Audit {
    /// Does what was asked.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let (after, limit, last, object) = match self.what {
            What::List { after, limit, last, object } => (after, limit, last, object),
            What::Query(query) => return query.run(global).await,
            What::AsOf(as_of) => return as_of.run(global).await,
            What::Exceptions(exceptions) => return exceptions.run(global).await,
            What::Report(report) => return report.run(global),
            What::Verify(verify) => return verify.run(global).await,
            What::Export(export) => return export.run(global).await,
            What::Prove(prove) => return prove.run(global).await,
            What::Key(key) => return key.run(global).await,
            What::Witnesses(witnesses) => return witnesses.run(global).await,
            What::Erase(erase) => return erase.run(global).await,
            What::Retention(retention) => return retention.run(global).await,
        };
        let session = Session::open(global)?;
        let records: Vec<Record> = session.get(&format!("audit?{}", asked(after, limit, last, object.as_deref()))).await?;
        let whole = after == 0 && object.is_none();
        let nothing = if records.is_empty() && whole { session.undeclared().await? } else { None };
        output::show(global, &records, |look| match (nothing, last) {
            (Some(nothing), _) => nothing,
            (None, Some(_)) => table(&records, look),
            (None, None) => page(&records, limit, object.as_deref(), look),
        })?;
        Ok(Exit::Fine)
    }
}

/// The query that asks for it. Objects are typed by people, who may type anything.
fn asked(after: u64, limit: u32, last: Option<u32>, object: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    match last {
        Some(last) => query.append_pair("last", &last.to_string()),
        None => query.append_pair("after", &after.to_string()).append_pair("limit", &limit.to_string()),
    };
    query.extend_pairs(object.map(|object| ("object", object))).finish()
}

fn table(records: &[Record], look: &Look) -> String {
    let mut table = Table::new(look, ["#", "TIME", "STAGE", "ACTOR", "ACTION", "OBJECT", "SERIAL", "NOTE"]);
    for record in records {
        let stage = word(record.stage);
        let time = crate::moment::wall_clock(record.at, &look.zone);
        table.row([
            record.sequence.to_string().into(),
            time.into(),
            stage.into(),
            (*record.actor).into(),
            (*record.action).into(),
            (*record.object).into(),
            record.details["serial"].as_str().into(),
            personal::shown(&record.details["note"], language::is_japanese()).filter(|note| !note.is_empty()).into(),
        ]);
    }
    table.or("No records.")
}

fn page(records: &[Record], limit: u32, object: Option<&str>, look: &Look) -> String {
    let list = table(records, look);
    let about = object.map(|object| format!(" --object {}", visible(object))).unwrap_or_default();
    match records.last() {
        Some(last) if records.len() == limit as usize => {
            format!("{list}\nThere may be more: tegata audit list --after {}{about}", last.sequence)
        }
        _ => list,
    }
}

/// The word for a stage.
fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Intended => "intended",
        Stage::Done => "done",
        Stage::Seen => "seen",
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn a_full_page_says_how_to_go_on() {
        let record = |sequence, stage| Record {
            sequence,
            at: 1_795_000_000,
            stage,
            actor: "tegata".into(),
            action: "certificate.issue".into(),
            object: "sakura/uketsuke-1/karte".into(),
            details: serde_json::json!({ "serial": "4f1c" }),
        };
        let noted = Record { details: serde_json::json!({ "serial": "4f1c", "note": "lost" }), ..record(2, Stage::Done) };
        let records = [record(1, Stage::Intended), noted];
        expect![[r#"
            #  TIME              STAGE     ACTOR   ACTION             OBJECT                   SERIAL  NOTE
            1  2026-11-18 20:06  intended  tegata  certificate.issue  sakura/uketsuke-1/karte  4f1c    –
            2  2026-11-18 20:06  done      tegata  certificate.issue  sakura/uketsuke-1/karte  4f1c    lost
            There may be more: tegata audit list --after 2 --object sakura"#]]
        .assert_eq(&page(&records, 2, Some("sakura"), &test_look()));
    }

    #[test]
    fn a_name_asks_for_nothing_but_itself() {
        assert_eq!(asked(3, 9, None, None), "after=3&limit=9");
        assert_eq!(asked(0, 9, Some(5), Some("a/b@c&after=1#あ")), "last=5&object=a%2Fb%40c%26after%3D1%23%E3%81%82");
    }
}
