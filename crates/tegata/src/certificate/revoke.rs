//! `tegata certificate revoke`: first what would go, then exactly that.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::json;
use tegata_api::v1::revocation::{Blast, Cause, Mode, RevokeMany, RevokedMany, Selection};
use tegata_core::name::{AccountName, DeviceId, IssuerName, ProfileName, Serial};

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output::{self, Look};
use crate::session::Session;
use crate::table::Table;

/// How long a hundred thousand revocations may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Revoke certificates, or have them replaced first; without --yes only show what would go, and end with 11
///
/// Whatever is said about certificates has to apply to all that are meant.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata certificate revoke --device sakura-naika/uketsuke-1 --reason key-compromise\n  $ tegata certificate revoke --issuer own-ca --issued-between 2026-11-01/2026-11-03T12:00 --replace\n  $ tegata certificate revoke 4f1c0ddee1a2b3c4d5e6f708192a3b4c --yes"
)]
pub struct Revoke {
    #[command(flatten)]
    which: Which,
    /// Why, as those who check certificates are told
    #[arg(long, value_enum, default_value_t = Reason::Unspecified, value_name = "REASON")]
    reason: Reason,
    /// Why, for the audit log
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    /// Replace each first: the old one is revoked as soon as the new one is proven, so that nobody is locked out
    #[arg(long)]
    replace: bool,
    /// Do it
    #[arg(long)]
    yes: bool,
    /// Do it only if these are still the certificates that were shown: the digest that was shown with them
    #[arg(long, requires = "yes", value_name = "DIGEST")]
    expect: Option<String>,
}

/// Which certificates are meant.
#[derive(Args)]
#[group(required = true, multiple = true)]
struct Which {
    /// Those with these serial numbers, as `tegata get certificates` shows them
    #[arg(value_name = "SERIAL")]
    serials: Vec<Serial>,
    /// Those that were issued to this device, `clinic/device`
    #[arg(long)]
    device: Option<DeviceId>,
    /// Those that count against this account
    #[arg(long)]
    account: Option<AccountName>,
    /// Those of this profile
    #[arg(long)]
    profile: Option<ProfileName>,
    /// Those by this issuer
    #[arg(long)]
    issuer: Option<IssuerName>,
    /// Those that were signed from one moment on and before another, such as 2026-11-01/2026-11-03T12:00, in local time unless it says otherwise
    #[arg(long, value_name = "FROM/UNTIL")]
    issued_between: Option<Between>,
}

/// Why certificates are revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reason {
    /// Nobody says
    Unspecified,
    /// Keys are, or may be, in the wrong hands
    KeyCompromise,
    /// Whom they name has left, or is called something else
    AffiliationChanged,
    /// Newer ones have taken their place
    Superseded,
    /// They are not needed any more
    CessationOfOperation,
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::AffiliationChanged => Self::AffiliationChanged,
            Reason::Superseded => Self::Superseded,
            Reason::CessationOfOperation => Self::CessationOfOperation,
        }
    }
}

/// A span of time, seconds since the Unix epoch: its first moment, and the first after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Between {
    from: i64,
    until: i64,
}

impl FromStr for Between {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text, &TimeZone::system())
    }
}

impl Between {
    fn read(text: &str, zone: &TimeZone) -> Result<Self, String> {
        let (from, until) = text.split_once('/').ok_or("two moments with a slash between them, such as 2026-11-01/2026-11-03T12:00")?;
        let between = Self { from: moment(from, zone)?, until: moment(until, zone)? };
        if between.from < between.until { Ok(between) } else { Err("the second moment has to be after the first".into()) }
    }
}

/// A day is its first moment. One that says its offset, such as `2026-11-01T00:00Z`, is that everywhere.
fn moment(text: &str, zone: &TimeZone) -> Result<i64, String> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Ok(moment.as_second());
    }
    let local: DateTime =
        text.parse().map_err(|_| format!("'{text}' is no moment: write 2026-11-03, 2026-11-03T12:00 or 2026-11-03T12:00Z"))?;
    let zoned = local.to_zoned(zone.clone()).map_err(|error| format!("'{text}': {error}"))?;
    Ok(zoned.timestamp().as_second())
}

impl Which {
    fn selection(&self) -> Selection {
        Selection {
            serials: self.serials.iter().map(ToString::to_string).collect(),
            device: self.device.as_ref().map(ToString::to_string),
            account: self.account.as_ref().map(ToString::to_string),
            profile: self.profile.as_ref().map(ToString::to_string),
            issuer: self.issuer.as_ref().map(ToString::to_string),
            issued_from: self.issued_between.map(|between| between.from),
            issued_until: self.issued_between.map(|between| between.until),
        }
    }
}

impl Revoke {
    /// Shows it, or does it.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let session = Session::open(global)?;
        let selection = self.which.selection();
        let digest = match self.expect.clone() {
            Some(digest) => digest,
            None => {
                let blast: Blast = session.post_within("revocations/preview", &selection, PATIENCE).await?;
                if !self.yes || blast.certificates == 0 {
                    return self.show(global, &blast);
                }
                blast.digest
            }
        };
        let mode = if self.replace { Mode::Replace } else { Mode::Now };
        let wish = RevokeMany { selection, digest, reason: self.reason.into(), note: self.note, mode };
        let done: RevokedMany = session.post_within("revocations", &wish, PATIENCE).await?;
        output::show(global, &done, |_| told(&done))?;
        Ok(Exit::Fine)
    }

    fn show(&self, global: &Global, blast: &Blast) -> Result<Exit, Failure> {
        let (answer, replace) = (json!(blast), self.replace);
        output::show(global, &answer, |look| shown(blast, replace, look))?;
        Ok(if blast.certificates == 0 { Exit::Fine } else { Exit::Unconfirmed })
    }
}

fn told(done: &RevokedMany) -> String {
    let mut told = format!("{} revoked: OCSP says so now, the next revocation lists name them.", certificates(done.revoked));
    if done.replacing > 0 {
        told.push_str(&format!(
            "\n{} being replaced: each is revoked when its successor is proven. `tegata get slots` shows how far they are.",
            certificates(done.replacing)
        ));
    }
    if done.left > 0 {
        told.push_str(&format!(
            "\n{} from a portal stayed: their holders have to renew them there first. Then say this again, or say it without --replace.",
            certificates(done.left)
        ));
    }
    told
}

fn shown(blast: &Blast, replace: bool, look: &Look) -> String {
    if blast.certificates == 0 {
        return "No certificate is meant that is neither revoked nor expired.".into();
    }
    let mut table = Table::new(look, ["CLINIC", "CERTIFICATES", "PCS THAT DEPEND ON THEM"]);
    for clinic in &blast.clinics {
        table.row([clinic.clinic.clone().into(), clinic.certificates.to_string().into(), clinic.cut_off.to_string().into()]);
    }
    let effect = if replace {
        format!(
            "{} would be replaced, and revoked once their successors are proven; nobody is locked out.",
            certificates(blast.certificates)
        )
    } else {
        format!("{} would be revoked; {} could no longer sign in.", certificates(blast.certificates), pcs(blast.cut_off))
    };
    let portal = match blast.from_portal {
        0 => String::new(),
        some => format!("\n{} came from a portal; PCs without an agent that use them are not counted.", certificates(some)),
    };
    format!(
        "{}\n\n{effect}{portal}\nNothing was done. To do exactly this, say the same again with --yes --expect {}",
        table.or("").trim_end(),
        blast.digest
    )
}

fn certificates(count: u64) -> String {
    if count == 1 { "1 certificate".into() } else { format!("{count} certificates") }
}

fn pcs(count: u64) -> String {
    if count == 1 { "1 PC".into() } else { format!("{count} PCs") }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_api::v1::revocation::ClinicBlast;

    use super::*;

    #[test]
    fn a_span_is_read_in_local_time_unless_it_says_otherwise() {
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        let read = |text| Between::read(text, &tokyo).map(|between| (between.from, between.until));
        assert_eq!(read("2026-11-01/2026-11-03T12:00"), Ok((1_793_458_800, 1_793_674_800)));
        assert_eq!(read("2026-11-01T00:00Z/2026-11-01T09:30:00+09:00"), Ok((1_793_491_200, 1_793_493_000)));
        for nonsense in ["", "2026-11-01", "yesterday/today", "2026-11-03/2026-11-01", "2026-11-01/2026-11-01", "2026-02-30/2026-03-01"] {
            assert!(read(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn what_would_go_is_said_by_clinic_and_how_to_do_exactly_that() {
        let clinic = |name: &str, certificates, cut_off| ClinicBlast { clinic: name.into(), certificates, cut_off };
        let clinics = vec![clinic("momiji-shonika", 1, 0), clinic("sakura-naika", 3, 2)];
        let blast = Blast { certificates: 4, digest: "ab".repeat(4), cut_off: 2, from_portal: 1, clinics };
        expect![[r#"
            CLINIC          CERTIFICATES  PCS THAT DEPEND ON THEM
            momiji-shonika  1             0
            sakura-naika    3             2

            4 certificates would be revoked; 2 PCs could no longer sign in.
            1 certificate came from a portal; PCs without an agent that use them are not counted.
            Nothing was done. To do exactly this, say the same again with --yes --expect abababab
        "#]]
        .assert_eq(&format!("{}\n", trimmed(&shown(&blast, false, &output::test_look()))));
        assert!(shown(&blast, true, &output::test_look()).contains("4 certificates would be replaced"));
        let none = Blast { certificates: 0, clinics: vec![], ..blast };
        assert!(shown(&none, false, &output::test_look()).contains("No certificate"));
    }

    fn trimmed(text: &str) -> String {
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}
