//! `tegata audit witnesses`: whether others than the server vouch for the log, and what each of them said.

use clap::Args;
use tegata_api::v1::audit::{Vouched, Witnesses as Answer};

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::moment::wall_clock;
use crate::output::{self, Look};
use crate::session::Session;
use crate::table::{Field, Table};

/// Show who vouches for the log, how far, and what went wrong last
#[derive(Args)]
#[command(
    after_help = "Example:\n  $ tegata audit witnesses\n\nExit code 13: the server asks witnesses, and no quorum of them has vouched for the log in the last 15 minutes."
)]
pub struct Witnesses {}

impl Witnesses {
    /// Asks, and shows the answer.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let answer: Answer = Session::open(global)?.get("log/witnesses").await?;
        output::show(global, &answer, |look| table(&answer, look))?;
        Ok(if answer.vouched == Vouched::Unwitnessed { Exit::Unwitnessed } else { Exit::Fine })
    }
}

fn table(answer: &Answer, look: &Look) -> String {
    let mut table = Table::new(look, ["WITNESS", "RECORDS", "SEEN", "LAST PROBLEM", "AT"]);
    let moment = |at: Option<i64>| -> Field { at.map(|at| wall_clock(at, &look.zone)).into() };
    for witness in &answer.witnesses {
        table.row([
            (*witness.name).into(),
            witness.size.map(|size| size.to_string()).into(),
            moment(witness.seen_at),
            witness.problem.clone().into(),
            moment(witness.problem_at),
        ]);
    }
    let list = table.or("The server asks no witness about this log.");
    let quorum = match (answer.vouched, answer.witnessed_size.zip(answer.witnessed_at)) {
        (Vouched::Unasked, _) => return list,
        (_, None) => format!("No quorum has vouched for any of the {} records.", answer.size),
        (vouched, Some((size, at))) => {
            let (at, late) = (wall_clock(at, &look.zone), if vouched == Vouched::Unwitnessed { ", too long ago" } else { "" });
            format!("A quorum vouched for the first {size} of {} records on {at}{late}.", answer.size)
        }
    };
    format!("{}\n{quorum}", list.trim_end())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_api::v1::audit::Witness;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn who_does_not_vouch_is_named_with_the_reason() {
        let now = test_look().now.unix();
        let witness = |name: &str, size, problem: Option<&str>| Witness {
            name: name.into(),
            key: "key".into(),
            url: Some("http://127.0.0.1:7380".into()),
            size,
            seen_at: size.map(|_| now - 60),
            problem: problem.map(Into::into),
            problem_at: problem.map(|_| now),
        };
        let witnesses = vec![witness("office", Some(12), None), witness("second-site", None, Some("no answer: not in time"))];
        let answer = Answer { vouched: Vouched::Witnessed, size: 14, witnessed_size: Some(12), witnessed_at: Some(now - 60), witnesses };
        expect![[r#"
            WITNESS      RECORDS  SEEN              LAST PROBLEM            AT
            office       12       2026-11-18 20:05  –                       –
            second-site  –        –                 no answer: not in time  2026-11-18 20:06
            A quorum vouched for the first 12 of 14 records on 2026-11-18 20:05."#]]
        .assert_eq(&table(&answer, &test_look()));
        let late = Answer { vouched: Vouched::Unwitnessed, ..answer.clone() };
        assert!(table(&late, &test_look()).ends_with("20:05, too long ago."));
        let never = Answer { witnessed_size: None, witnessed_at: None, ..late };
        assert!(table(&never, &test_look()).ends_with("No quorum has vouched for any of the 14 records."));
        let nobody = Answer { vouched: Vouched::Unasked, witnesses: vec![], ..never };
        assert_eq!(table(&nobody, &test_look()), "The server asks no witness about this log.");
    }
}
