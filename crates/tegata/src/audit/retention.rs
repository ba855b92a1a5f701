//! `tegata audit retention`: how long the log has to be kept, and why. It plans, and does nothing.

use clap::Args;
use tegata_api::v1::audit::Retention as Plan;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::moment::wall_clock;
use crate::output::{self, Look};
use crate::session::Session;
use crate::table::Table;

/// Show how long the log has to be provable, from which record on, and why
///
/// A record has to be provable until the last certificate that it names has expired, and then for the period; one that names none, for the period
/// after it was made; one that names a certificate whose end nobody knows, for ever.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata audit retention\n  $ tegata audit retention --years 10 -o json\n\nIt reads every record once and erases nothing. Whoever proves one record needs all from some number on, so the oldest that still counts decides.\nTexts that name a person can go by themselves: `tegata audit erase --due`."
)]
pub struct Retention {
    /// The period. It can be longer than 7 years, and not shorter: no record would tell later that it had been longer once
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u32).range(7..=100))]
    years: u32,
}

impl Retention {
    /// Asks, and shows the answer.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let plan: Plan = Session::open(global)?.get(&format!("audit/retention?years={}", self.years)).await?;
        output::show(global, &plan, |look| shown(&plan, look))?;
        Ok(Exit::Fine)
    }
}

fn shown(plan: &Plan, look: &Look) -> String {
    let mut table = Table::new(look, ["LOG", "RECORDS", "OVER", "NEEDED FROM", "UNTIL", "BECAUSE OF", "TEXTS", "DUE"]);
    let day = |second: i64| wall_clock(second, &look.zone).chars().take(10).collect::<String>();
    let until = plan.oldest.as_ref().map(|oldest| oldest.until.map_or("for ever".to_owned(), day));
    let because = plan.oldest.as_ref().map(|oldest| oldest.because.clone().unwrap_or_else(|| "its own time".into()));
    table.row([
        (*plan.log).into(),
        plan.records.to_string().into(),
        plan.over.to_string().into(),
        plan.oldest.as_ref().map(|oldest| oldest.sequence.to_string()).into(),
        until.into(),
        because.into(),
        plan.texts.to_string().into(),
        plan.due.to_string().into(),
    ]);
    let list = table.or("").trim_end().to_owned();
    let needed = match &plan.oldest {
        None => "No record has to be provable any more.".to_owned(),
        Some(oldest) => {
            format!("Everything from number {} on has to be provable: {} years after what it names is over.", oldest.sequence, plan.years)
        }
    };
    let due =
        if plan.due > 0 { format!("\n{} texts may go: tegata audit erase --due --years {}", plan.due, plan.years) } else { String::new() };
    format!("{list}\n\n{needed}{due}")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_api::v1::audit::Oldest;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn what_is_needed_is_told_with_the_reason() {
        let (at, because) = (1_795_000_000, Some("4f1c".to_owned()));
        let oldest = Some(Oldest { sequence: 3, until: Some(at), because });
        let plan = Plan { log: "aozora".into(), at, years: 7, records: 20, over: 4, oldest, longest: None, texts: 6, due: 2 };
        expect![[r#"
            LOG     RECORDS  OVER  NEEDED FROM  UNTIL       BECAUSE OF  TEXTS  DUE
            aozora  20       4     3            2026-11-18  4f1c        6      2

            Everything from number 3 on has to be provable: 7 years after what it names is over.
            2 texts may go: tegata audit erase --due --years 7"#]]
        .assert_eq(&shown(&plan, &test_look()));
        let ever = Plan { oldest: Some(Oldest { sequence: 1, until: None, because: None }), due: 0, ..plan.clone() };
        assert!(shown(&ever, &test_look()).contains("for ever  its own time"));
        assert!(shown(&Plan { oldest: None, due: 0, ..plan }, &test_look()).ends_with("No record has to be provable any more."));
    }
}
