//! `tegata audit as-of`: who could open a clinic's charts on a day.

use clap::Args;
use jiff::tz::TimeZone;
use tegata_api::v1::audit::{Access, AsOf, Ending};

use super::when::{When, when, zone, zone_of};
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::moment::wall_clock;
use crate::output::{self, Look};
use crate::session::Session;
use crate::table::{Field, Table};

/// Show who could open a clinic's charts at a moment
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata audit as-of 2026-05-03 --clinic sakura\n  $ tegata audit as-of 2026-05-03T12:00 --clinic sakura --zone Asia/Tokyo\n\nA day stands for its last second. It is told from records alone: of a device that was silent for more than 37 days, and of a file that a\nperson has got from the portal, it is said since when nothing is known. The question itself becomes a record."
)]
pub struct AsOfDay {
    /// The day or time
    #[arg(value_name = "DATE[TIME]", value_parser = when)]
    at: When,
    /// Whose charts; without it, those of all clinics
    #[arg(long, value_name = "NAME")]
    clinic: Option<String>,
    /// By whose clock [default: the clinic's, if one is named, else this machine's]
    #[arg(long, value_name = "NAME", value_parser = zone)]
    zone: Option<TimeZone>,
}

impl AsOfDay {
    /// Asks, and shows the answer.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let session = Session::open(global)?;
        let zone = zone_of(&session, self.zone.as_ref(), self.clinic.as_deref()).await?;
        let at = match self.at {
            When::Day(_) => self.at.end(&zone)? - 1,
            _ => self.at.begin(&zone)?,
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("at", &at.to_string()).extend_pairs(self.clinic.iter().map(|clinic| ("clinic", clinic)));
        let answer: AsOf = session.get(&format!("audit/as-of?{}", query.finish())).await?;
        output::show(global, &answer, |look| table(&answer, &Look { zone: zone.clone(), ..*look }))?;
        Ok(Exit::Fine)
    }
}

fn table(answer: &AsOf, look: &Look) -> String {
    let mut table =
        Table::new(look, ["PLACE", "SERIAL", "FINGERPRINT", "ISSUER", "SINCE", "INSTALLED", "PROVEN", "UNTIL", "HEARD", "UNKNOWN SINCE"]);
    let moment = |at: Option<i64>| -> Field { at.map(|at| wall_clock(at, &look.zone)).into() };
    for access in &answer.accesses {
        table.row([
            (*access.place).into(),
            (*access.serial).into(),
            access.fingerprint.get(..16).into(),
            access.issuer.clone().into(),
            moment(Some(access.issued_at)),
            moment(access.installed_at),
            moment(access.proven_at),
            format!("{} ({})", wall_clock(access.until, &look.zone), ending(access)).into(),
            moment(access.heard_at),
            moment(access.unknown_since),
        ]);
    }
    let list = table.or("Nobody could open these charts.");
    format!("{}\nAs of {}, by the records up to number {}.", list.trim_end(), wall_clock(answer.at, &look.zone), answer.through)
}

fn ending(access: &Access) -> &'static str {
    match access.ending {
        Ending::Revoked => "revoked",
        Ending::Gone => "seen gone",
        Ending::Expired => "expires",
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn silence_stands_beside_what_is_known() {
        let now = test_look().now.unix();
        let known = Access {
            place: "sakura/pc-1/karte".into(),
            serial: "4f1c".into(),
            fingerprint: "ab".repeat(32),
            issuer: Some("own-ca".into()),
            issued_at: now,
            installed_at: Some(now + 60),
            proven_at: Some(now + 120),
            until: now + 86_400,
            ending: Ending::Revoked,
            heard_at: Some(now + 120),
            unknown_since: None,
        };
        let fetched = Access {
            place: "sakura/accounts/\u{1b}[2Ja".into(),
            installed_at: None,
            proven_at: None,
            heard_at: None,
            unknown_since: Some(now),
            ..known.clone()
        };
        let answer = AsOf { at: now + 300, through: 12, accesses: vec![known, fetched] };
        expect![[r#"
            PLACE                       SERIAL  FINGERPRINT       ISSUER  SINCE             INSTALLED         PROVEN            UNTIL                       HEARD             UNKNOWN SINCE
            sakura/pc-1/karte           4f1c    abababababababab  own-ca  2026-11-18 20:06  2026-11-18 20:07  2026-11-18 20:08  2026-11-19 20:06 (revoked)  2026-11-18 20:08  –
            sakura/accounts/\u{1b}[2Ja  4f1c    abababababababab  own-ca  2026-11-18 20:06  –                 –                 2026-11-19 20:06 (revoked)  –                 2026-11-18 20:06
            As of 2026-11-18 20:11, by the records up to number 12."#]].assert_eq(&table(&answer, &test_look()));
        assert!(table(&AsOf { accesses: vec![], ..answer }, &test_look()).starts_with("Nobody could open"));
    }
}
