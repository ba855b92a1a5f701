//! `tegata approve`: agrees to what somebody else has asked for.

use clap::Args;
use tegata_api::v1::access::Approval;
use tegata_api::v1::backup::ApproveRequest;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output::{self, Look};
use crate::session::Session;
use crate::table::{Field, Table};

/// Agree to what somebody else has asked for, where it takes two people; without a name, list what waits
///
/// Whoever asked was told the request's name, and may then do exactly that, once, within the hour. Asking, agreeing and doing are on record.
#[derive(Args)]
#[command(after_help = "Examples:\n  $ tegata approve\n  $ tegata approve K5QXG2LD")]
pub struct Approve {
    /// The request, as whoever asked was told
    id: Option<String>,
}

impl Approve {
    /// Agrees, or lists.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let session = Session::open(global)?;
        match self.id {
            None => {
                let waiting: Vec<Approval> = session.get("approvals").await?;
                output::show(global, &waiting, |look| table(&waiting, look))?;
            }
            Some(id) => {
                let approved: Approval = session.post("approvals", &ApproveRequest { id }).await?;
                output::show(global, &approved, |_| format!("{} may do that once now, within the hour.", approved.asked_by))?;
            }
        }
        Ok(Exit::Fine)
    }
}

fn table(waiting: &[Approval], look: &Look) -> String {
    let mut table = Table::new(look, ["REQUEST", "WHAT", "TO", "DEVICES", "ASKED BY", "UNTIL", "APPROVED BY"]);
    for one in waiting {
        table.row([
            (*one.id).into(),
            (*one.what).into(),
            (*one.object).into(),
            if one.devices == 0 { Field::Nothing } else { one.devices.to_string().into() },
            (*one.asked_by).into(),
            Field::Moment(one.expires_at),
            one.approved_by.clone().into(),
        ]);
    }
    table.or("Nothing waits for a second person.")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn what_waits_says_how_far_it_reaches_and_who_asked() {
        let look = test_look();
        let waiting = Approval {
            id: "K5QXG2LD".into(),
            what: "revoke-many".into(),
            object: "9f86d0".into(),
            devices: 40,
            asked_by: "person:ito".into(),
            expires_at: look.now.unix() + 1_800,
            approved_by: None,
        };
        expect![[r#"
            REQUEST   WHAT         TO      DEVICES  ASKED BY    UNTIL                         APPROVED BY
            K5QXG2LD  revoke-many  9f86d0  40       person:ito  2026-11-18 20:36 (in 30 min)  –"#]]
        .assert_eq(&table(&[waiting], &look));
    }
}
