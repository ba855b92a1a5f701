//! `tegata audit erase`: texts that name a person go; the log and its proofs stay what they are.

use clap::Args;
use tegata_api::hint::visible;
use tegata_api::v1::audit::{EraseRequest, Erasure};

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::moment::wall_clock;
use crate::output::{self, Look};
use crate::session::Session;
use crate::table::Table;

/// Erase texts of records that may name a person; without --yes only show which, and end with 11
///
/// Reasons that people wrote, paths, mail addresses, host names and file names stand in records as salted hashes. Their texts lie beside the log,
/// and go for good. Records, the log's root and every proof stay what they are.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata audit erase --record 1204 --record 1310\n  $ tegata audit erase --due\n  $ tegata audit erase --text 'C:\\Users\\sato\\Downloads\\client.p12' --why 'request of 12 May' --yes\n\nWho has erased texts of which records, and why, becomes a record; so do not repeat the text in --why.\nBackups of the server's state, exports and collectors that have got the texts before still hold them: erase again after such a backup was put back,\nand make backups anew when older ones have to go. Records of earlier versions hold their texts themselves: those stay."
)]
pub struct Erase {
    #[command(flatten)]
    which: Which,
    /// Why, for the audit log
    #[arg(long, required_if_eq("yes", "true"))]
    why: Option<String>,
    /// With --due, for how many years after what they name is over records have to be provable
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u32).range(7..=100))]
    years: u32,
    /// Do it
    #[arg(long)]
    yes: bool,
}

/// Which texts are meant.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// All texts of the record of this number
    #[arg(long = "record", value_name = "N")]
    records: Vec<u64>,
    /// Every text that says exactly this, in whichever record
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// The texts of all records that do not have to be provable any more, as `tegata audit retention` says it
    #[arg(long)]
    due: bool,
}

impl Erase {
    /// Shows it, or does it.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let session = Session::open(global)?;
        let Which { records, text, due } = self.which;
        let due = due.then_some(self.years);
        let request = EraseRequest { records, text, due, why: self.why.unwrap_or_default(), sure: self.yes };
        let mut erasure: Erasure = session.post("audit/erase", &request).await?;
        while self.yes && erasure.more {
            let next: Erasure = session.post("audit/erase", &request).await?;
            erasure.texts.extend(next.texts);
            erasure.more = next.more;
        }
        output::show(global, &erasure, |look| shown(&erasure, self.yes, look))?;
        Ok(if self.yes || erasure.texts.is_empty() { Exit::Fine } else { Exit::Unconfirmed })
    }
}

fn shown(erasure: &Erasure, is_done: bool, look: &Look) -> String {
    if erasure.texts.is_empty() {
        return "No such text is there: it was erased before, or never kept.".into();
    }
    let mut table = Table::new(look, ["#", "TIME", "ACTION", "OBJECT", "COMMITMENT"]);
    for text in &erasure.texts {
        table.row([
            text.sequence.to_string().into(),
            wall_clock(text.at, &look.zone).into(),
            visible(&text.action).into_owned().into(),
            visible(&text.object).into_owned().into(),
            text.commitment.get(..16).into(),
        ]);
    }
    let list = table.or("").trim_end().to_owned();
    let (count, more) = (erasure.texts.len(), if erasure.more { " and more" } else { "" });
    match is_done {
        true => format!("{list}\n\n{count} texts are erased. What these records commit to stays, and so does every proof."),
        false => format!(
            "{list}\n\n{count} texts{more} would go, for good.\nNothing was done. To do it, say the same again with --why and --yes."
        ),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_api::v1::audit::Erased;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn what_would_go_is_shown_by_its_records_and_never_said() {
        let (at, action, object) = (1_795_000_000, "certificate.revoke".into(), "sakura/pc-1/karte".into());
        let erasure = Erasure { texts: vec![Erased { sequence: 12, commitment: "ab".repeat(32), at, action, object }], more: true };
        expect![[r#"
            #   TIME              ACTION              OBJECT             COMMITMENT
            12  2026-11-18 20:06  certificate.revoke  sakura/pc-1/karte  abababababababab

            1 texts and more would go, for good.
            Nothing was done. To do it, say the same again with --why and --yes."#]]
        .assert_eq(&shown(&erasure, false, &test_look()));
        assert!(shown(&Erasure { more: false, ..erasure }, true, &test_look()).ends_with("and so does every proof."));
        assert!(shown(&Erasure::default(), true, &test_look()).starts_with("No such text"));
    }
}
