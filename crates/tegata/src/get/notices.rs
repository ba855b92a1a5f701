//! `tegata get notices`: what was told when, to whom, and what failed.

use tegata_api::v1::notice::{Delivery, DeliveryState, Notice};

use crate::get::named::Named;
use crate::output::Look;
use crate::table::{Field, Table};

impl Named for Notice {
    const WHAT: &'static str = "notice";

    fn is_called(&self, name: &str) -> bool {
        self.id == name
    }
}

/// Notices as a table: one row for each recipient.
pub fn table(notices: &[Notice], look: &Look) -> String {
    let mut table = Table::new(look, ["TOLD", "CLINIC", "ABOUT", "TO", "STATE", "TRIES", "PROBLEM"]);
    for notice in notices {
        let mut row = |to: Field, state: &str, tries: Field, problem: Field| {
            let clinic = (*notice.bulletin.clinic).into();
            table.row([Field::Moment(notice.at), clinic, about(notice).into(), to, Field::State(state.to_owned()), tries, problem]);
        };
        if notice.deliveries.is_empty() {
            row(Field::Nothing, "console", Field::Nothing, Field::Nothing);
        }
        for Delivery { channel, to, state, attempts, problem, .. } in &notice.deliveries {
            row(format!("{channel} {to}").into(), word(*state), attempts.to_string().into(), problem.clone().into());
        }
    }
    table.or("Nobody was told of anything yet.")
}

/// The slots, as far as they fit on a line, and the rung of the first.
fn about(notice: &Notice) -> String {
    let items = &notice.bulletin.items;
    match &items[..] {
        [] => "–".to_owned(),
        [one] => format!("{} ({})", one.slot, one.rung),
        [first, ..] => format!("{} ({}) and {} more", first.slot, first.rung, items.len() - 1),
    }
}

fn word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Done => "done",
        DeliveryState::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_api::v1::notice::Bulletin;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn every_recipient_has_a_line_and_so_has_a_notice_without_any() {
        let look = test_look();
        let delivery = |channel: &str, to: &str, state, problem: Option<&str>| Delivery {
            id: "n-1".into(),
            channel: channel.into(),
            to: to.into(),
            state,
            attempts: 1,
            at: look.now.unix(),
            problem: problem.map(Into::into),
        };
        let item: tegata_api::v1::notice::Item = serde_json::from_value(serde_json::json!({
            "kind": "certificate", "object": "4f", "slot": "sakura/pc-1/karte", "subject": "CN=pc-1, O=sakura", "issuer": "own-ca",
            "deadline": 0, "deadlineLocal": "", "daysLeft": 7, "rung": "7d", "acts": "person",
        }))
        .unwrap();
        let told = |items, deliveries| Notice {
            id: "n".into(),
            at: look.now.unix() - 3_600,
            bulletin: Bulletin {
                tenant: "aozora".into(),
                clinic: "sakura".into(),
                display_name: "さくら".into(),
                date: "2026-11-18".into(),
                items,
            },
            deliveries,
        };
        let deliveries = vec![
            delivery("mail", "incho@example.jp", DeliveryState::Done, None),
            delivery("webhook", "https://hooks.example.jp", DeliveryState::Waiting, Some("it answered 500")),
        ];
        let notices = [told(vec![item.clone(), item.clone()], deliveries), told(vec![item], vec![])];
        expect![[r#"
            TOLD                           CLINIC  ABOUT                              TO                                STATE    TRIES  PROBLEM
            2026-11-18 19:06 (60 min ago)  sakura  sakura/pc-1/karte (7d) and 1 more  mail incho@example.jp             done     1      –
            2026-11-18 19:06 (60 min ago)  sakura  sakura/pc-1/karte (7d) and 1 more  webhook https://hooks.example.jp  waiting  1      it answered 500
            2026-11-18 19:06 (60 min ago)  sakura  sakura/pc-1/karte (7d)             –                                 console  –      –"#]].assert_eq(&table(&notices, &look));
    }
}
