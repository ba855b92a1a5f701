//! `tegata get expiring`: what expires when, and who has to act.

use std::time::Duration;

use tegata_api::v1::notice::{Acts, Expiring, Origin};

use crate::get::named::Named;
use crate::output::Look;
use crate::table::{Field, Table};

/// How far ahead is looked, if nobody says: as far as vendors warn.
pub const WITHIN: &str = "90d";

/// Reads a span of time as policies write it: a whole number and `min`, `h`, `d` or `y` (365 days).
pub fn span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = [("min", 60), ("h", 3_600), ("d", 86_400), ("y", 365 * 86_400)].into_iter().find(|(name, _)| *name == unit);
    let span = number.parse::<u32>().ok().zip(unit).map(|(number, (_, seconds))| Duration::from_secs(u64::from(number) * seconds));
    span.ok_or_else(|| "write a whole number and min, h, d or y, such as 90d".to_owned())
}

impl Named for Expiring {
    const WHAT: &'static str = "certificate";

    fn is_called(&self, name: &str) -> bool {
        self.slot == name || self.serial.eq_ignore_ascii_case(name)
    }
}

/// How many are asked for: the most that the server gives at once.
pub const ROWS: usize = 5_000;

/// So many digits of a fingerprint are shown: as many as `tegata adopt` asks for.
const SHOWN: usize = 8;

/// Certificates that expire as a table.
pub fn table(rows: &[Expiring], look: &Look) -> String {
    let mut table = Table::new(look, ["EXPIRES", "DAYS", "SLOT", "SUBJECT", "ISSUER", "KIND", "FINGERPRINT", "ACTS", "WAITS FOR"]);
    for row in rows {
        // Only what was found is taken over by its fingerprint.
        let (kind, fingerprint) = match row.kind {
            Origin::Managed => ("managed", None),
            Origin::Found => ("found", row.serial.get(..SHOWN)),
        };
        let acts = match row.acts {
            Acts::Itself => "by itself",
            Acts::Person => "a person",
            Acts::Nobody => "nobody",
        };
        table.row([
            Field::Moment(row.not_after),
            row.days_left.to_string().into(),
            (*row.slot).into(),
            (*row.subject).into(),
            (*row.issuer).into(),
            kind.into(),
            fingerprint.into(),
            acts.into(),
            row.waits_for.clone().or(row.because.clone()).into(),
        ]);
    }
    let shown = table.or("Nothing expires in this time.");
    if rows.len() < ROWS { shown } else { format!("{shown}\n\nThere may be more: narrow them with --within or --clinic.") }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn what_expires_says_who_has_to_act() {
        let look = test_look();
        let row = |slot: &str, days: i64, acts, waits_for: Option<&str>| Expiring {
            kind: Origin::Managed,
            serial: "4f1c0ddee1a2b3c4d5e6f708192a3b4c".into(),
            slot: slot.into(),
            place: None,
            subject: "CN=pc-1, O=sakura".into(),
            issuer: "own-ca".into(),
            not_after: look.now.unix() + days * 86_400,
            days_left: days,
            acts,
            because: waits_for.map(|_| "not-proven".into()),
            waits_for: waits_for.map(Into::into),
        };
        let found = Expiring { kind: Origin::Found, ..row("sakura/pc-2", 9, Acts::Person, None) };
        let silent = row("sakura/pc-1/karte", -3, Acts::Person, Some("silent-device"));
        let rows = [silent, found, row("sakura/pc-2/karte", 40, Acts::Itself, None)];
        expect![[r#"
            EXPIRES                     DAYS  SLOT               SUBJECT            ISSUER  KIND     FINGERPRINT  ACTS       WAITS FOR
            2026-11-15 20:06 (3 d ago)  -3    sakura/pc-1/karte  CN=pc-1, O=sakura  own-ca  managed  –            a person   silent-device
            2026-11-27 20:06 (in 9 d)   9     sakura/pc-2        CN=pc-1, O=sakura  own-ca  found    4f1c0dde     a person   –
            2026-12-28 20:06 (in 40 d)  40    sakura/pc-2/karte  CN=pc-1, O=sakura  own-ca  managed  –            by itself  –"#]]
        .assert_eq(&table(&rows, &look));
        assert_eq!(table(&[], &look), "Nothing expires in this time.");
    }

    #[test]
    fn spans_are_read_as_policies_write_them() {
        assert_eq!(span("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!((span("1y").unwrap(), span("30min").unwrap()), (Duration::from_secs(365 * 86_400), Duration::from_secs(1_800)));
        for wrong in ["", "d", "90", "90 d", "-1d", "1w", "99999999999d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
