//! `tegata get sessions`: who is signed in.

use tegata_api::v1::sign_in::Session;

use crate::get::named::Named;
use crate::output::Look;
use crate::table::{Field, Table};

impl Named for Session {
    const WHAT: &'static str = "session";

    fn is_called(&self, name: &str) -> bool {
        self.id == name
    }
}

/// Sessions as a table.
pub fn table(sessions: &[Session], look: &Look) -> String {
    let mut table = Table::new(look, ["ID", "WHO", "PROVIDER", "STATE", "SINCE", "UNTIL"]);
    for session in sessions {
        table.row([
            (*session.id).into(),
            (*session.subject).into(),
            (*session.issuer).into(),
            Field::State(session.state.clone()),
            Field::Moment(session.created_at),
            Field::Moment(session.expires_at),
        ]);
    }
    table.or("Nobody is signed in, or was within a day.")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn a_session_says_whose_it_is() {
        let look = test_look();
        let session = Session {
            id: "0123456789abcdef".into(),
            issuer: "https://id.example.jp".into(),
            subject: "8d1e".into(),
            created_at: look.now.unix() - 60,
            expires_at: look.now.unix() + 3_600,
            state: "in-force".into(),
        };
        expect![[""]].assert_eq(&table(&[session], &look));
    }
}
