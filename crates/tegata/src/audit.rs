//! `tegata audit`: what was intended, what was done, and what a device has seen.

use clap::{Args, Subcommand};
use tegata_api::v1::audit::{Record, Stage};

use crate::cli::Global;
use crate::failure::{Exit, Failure};
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
    #[command(after_help = "Examples:\n  $ tegata audit list --last 20\n  $ tegata audit list --after 1200 --limit 1000 -o json")]
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
    },
}

impl Audit {
    /// Lists them.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let What::List { after, limit, last } = self.what;
        let session = Session::open(global)?;
        let asked = last.map_or_else(|| format!("after={after}&limit={limit}"), |last| format!("last={last}"));
        let records: Vec<Record> = session.get(&format!("audit?{asked}")).await?;
        output::show(global, &records, |look| match last {
            Some(_) => table(&records, look),
            None => page(&records, limit, look),
        })?;
        Ok(Exit::Fine)
    }
}

fn table(records: &[Record], look: &Look) -> String {
    let mut table = Table::new(look, ["#", "TIME", "STAGE", "ACTOR", "ACTION", "OBJECT", "SERIAL"]);
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
        ]);
    }
    table.or("No records.")
}

fn page(records: &[Record], limit: u32, look: &Look) -> String {
    let list = table(records, look);
    match records.last() {
        Some(last) if records.len() == limit as usize => format!("{list}\nThere may be more: tegata audit list --after {}", last.sequence),
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
        let records = [record(1, Stage::Intended), record(2, Stage::Done)];
        expect![[r#"
            #  TIME              STAGE     ACTOR   ACTION             OBJECT                   SERIAL
            1  2026-11-18 20:06  intended  tegata  certificate.issue  sakura/uketsuke-1/karte  4f1c
            2  2026-11-18 20:06  done      tegata  certificate.issue  sakura/uketsuke-1/karte  4f1c
            There may be more: tegata audit list --after 2"#]]
        .assert_eq(&page(&records, 2, &test_look()));
    }
}
