//! Accounts and their quotas as people read them.

use std::fmt::Write;

use tegata_api::hint::visible;
use tegata_api::v1::account::{Account, AccountDetail, Bound, ExpiresWhileClosed, Leaving, Short, SlotDetail, Spare, Tight};
use tegata_api::v1::fleet::Backups;

use crate::output::Look;
use crate::table::{Field, Table};
use crate::{get, moment};

/// Accounts as a table, one row for each bound.
pub fn table(accounts: &[Account], look: &Look) -> String {
    let mut table = Table::new(look, ["ACCOUNT", "STATE", "COUNTS", "USED", "RESERVED", "LIMIT", "PRESSURE", "FULL", "COULD GO"]);
    for account in accounts {
        for bound in &account.bounds {
            table.row([
                (*account.name).into(),
                (*account.state).into(),
                counted(bound).into(),
                bound.used.to_string().into(),
                bound.reserved.to_string().into(),
                bound.limit.to_string().into(),
                Field::State(bound.pressure.clone()),
                bound.exhausted_at.map_or(Field::Nothing, Field::Moment),
                account.spares.len().to_string().into(),
            ]);
        }
    }
    table.or("No account has a quota.")
}

/// An account in full.
pub fn account(detail: &AccountDetail, look: &Look) -> String {
    let account = &detail.account;
    let successor = account.successor.clone().unwrap_or_else(|| "nobody: what is issued under it goes with it".into());
    let lines = [("account", account.name.clone()), ("state", account.state.clone()), ("successor", successor)];
    let mut text = lines.map(|(name, value)| format!("{name:<10} {}", visible(&value))).join("\n");
    let mut section = |title: &str, body: String| {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n\n{title}\n{}", body.trim_end());
    };
    if !account.bounds.is_empty() {
        section("Quota", table(std::slice::from_ref(account), look));
    }
    section("Slots", get::slots(&detail.slots, look));
    if !account.short.is_empty() {
        section("Without a place", lines_of(&sentences(&account.short)));
    }
    if !account.spares.is_empty() {
        section("Certificates that could go, the most useless first", spares(&account.spares, look));
    }
    let title = if account.state == "left" { "Now that its person has left" } else { "If its person left" };
    section(title, leaving(&detail.leaving));
    text
}

/// A slot, and what lies ahead of its certificate.
pub fn slot(detail: &SlotDetail, look: &Look) -> String {
    let told = |at: Option<i64>| at.map_or("–".into(), |at| moment::with_distance(at, look.now, &look.zone));
    let attempts = detail.attempts.map_or("–".into(), |days| format!("{days} open days from then on"));
    let lines = [
        ("slot", detail.slot.name.clone()),
        ("state", detail.slot.state.clone()),
        ("account", detail.slot.account.clone().unwrap_or_else(|| "–".into())),
        ("serial", detail.slot.serial.clone().unwrap_or_else(|| "–".into())),
        ("proven", told(detail.slot.proven_at)),
        ("replaced", told(detail.due)),
        ("last call", told(detail.last_call)),
        ("expires", told(detail.slot.not_after)),
        ("attempts", attempts),
        ("backups", detail.backups.map_or("–".into(), backups)),
    ];
    let text = lines.map(|(name, value)| format!("{name:<10} {}", visible(&value))).join("\n");
    text + &while_closed(detail.closing.as_slice())
}

fn backups(Backups { verified, needed, targets }: Backups) -> String {
    let least = if needed < targets { format!("; {needed} are enough") } else { String::new() };
    format!("verified in {verified} of {targets} targets{least}")
}

/// One line for each slot without a place: what it would be, and what makes one.
pub fn sentences(short: &[Short]) -> Vec<String> {
    let line = |short: &Short| {
        let Short { account, slot, number, limit, per_seconds, until, spares } = short;
        let per = per_seconds.map(|seconds| format!(" in {}", days(seconds))).unwrap_or_default();
        let frees = match (spares.first(), until) {
            (Some(Spare { slot, because, .. }), _) if because == "never-proven" || because == "silent-device" => {
                format!("; taking the device of {slot} ({because}) out of the policy frees a place")
            }
            (Some(Spare { slot, serial, because, .. }), _) => format!("; revoking {serial} ({slot}, {because}) frees a place"),
            (None, Some(until)) => format!("; there is room from {} on", utc(*until)),
            (None, None) => String::new(),
        };
        visible(&format!("{slot} would be number {number} of {limit}{per} of account {account}{frees}")).into_owned()
    };
    short.iter().map(line).collect()
}

/// What gets close to its limit, one line for each bound: empty if nothing does.
pub fn tight(list: &[Tight]) -> String {
    let line = |Tight { account, bound }: &Tight| {
        let taken = u64::from(bound.used) + u64::from(bound.reserved);
        let reserved = if bound.reserved > 0 { format!(", {} of them reserved", bound.reserved) } else { String::new() };
        visible(&format!("warning: account {account} has {taken} of {} places ({}) taken{reserved}", bound.limit, counted(bound)))
            .into_owned()
    };
    list.iter().map(|found| format!("\n{}", line(found))).collect()
}

/// What goes with an account, in sentences.
pub fn leaving(left: &Leaving) -> String {
    let mut text = format!("{} on {}", count(left.certificates as usize, "certificate"), count(left.devices.len(), "device"));
    let _ = match &left.sites[..] {
        [] => writeln!(text, "."),
        sites => writeln!(text, ", for {}.", sites.join(", ")),
    };
    if let Some(first) = left.moves.first() {
        let moved = count(left.moves.len(), "slot");
        let _ = writeln!(text, "{moved} issued anew under {}: the old certificates are revoked once the new ones are proven.", first.to);
    }
    if !left.lost.is_empty() {
        let _ = writeln!(text, "NOBODY SUCCEEDS: {} lost at once, and the certificates revoked:", count(left.lost.len(), "slot"));
        text.push_str(&lines_of(&left.lost));
    }
    if !left.locked_out.is_empty() {
        let _ = writeln!(text, "{} could no longer sign in:", count(left.locked_out.len(), "device"));
        text.push_str(&lines_of(&left.locked_out));
    }
    visible_lines(&text)
}

/// What expires while its clinic is closed, one line for each clinic day: empty if nothing does.
pub fn while_closed(list: &[ExpiresWhileClosed]) -> String {
    let line = |found: &ExpiresWhileClosed| {
        let name = match &found.stretch[..] {
            "year-end" => "年末年始, the turn of the year",
            "golden-week" => "Golden Week",
            "obon" => "お盆, Obon",
            _ => "closed days",
        };
        let attempts = count(found.attempts as usize, "open day");
        let ExpiresWhileClosed { slot, first, last, last_open, .. } = found;
        visible(&format!(
            "warning: {slot} expires while closed ({name}, {first} to {last}); the last open day before is {last_open}, {attempts} to renew it on"
        ))
        .into_owned()
    };
    list.iter().map(|found| format!("\n{}", line(found))).collect()
}

fn spares(spares: &[Spare], look: &Look) -> String {
    let mut table = Table::new(look, ["SERIAL", "SLOT", "BECAUSE", "SINCE"]);
    for spare in spares {
        let since = spare.since.map_or(Field::Nothing, Field::Moment);
        table.row([(*spare.serial).into(), (*spare.slot).into(), Field::State(spare.because.clone()), since]);
    }
    table.or("")
}

fn counted(bound: &Bound) -> String {
    bound.per_seconds.map_or(bound.counting.clone(), |seconds| format!("{} in {}", bound.counting, days(seconds)))
}

fn days(seconds: u64) -> String {
    format!("{} d", seconds / 86_400)
}

fn utc(at: i64) -> String {
    moment::wall_clock(at, &jiff::tz::TimeZone::UTC)
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn lines_of(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

fn visible_lines(text: &str) -> String {
    text.trim_end().lines().map(|line| visible(line).into_owned()).collect::<Vec<_>>().join("\n")
}

/// A slot without a place, for tests.
#[cfg(test)]
pub fn test_short() -> Short {
    let serial = "4f1c0ddee1a2b3c4d5e6f708192a3b4c".into();
    let spare = Spare { slot: "sakura/pc-3/karte".into(), serial, because: "duplicate".into(), since: Some(1_790_000_000) };
    Short {
        account: "sakura/reception".into(),
        slot: "sakura/pc-51/karte".into(),
        number: 51,
        limit: 50,
        per_seconds: None,
        until: None,
        spares: vec![spare],
    }
}

/// A bound that gets close to its limit, for tests.
#[cfg(test)]
pub fn test_tight() -> Tight {
    let (counting, pressure) = ("alive".into(), "tight".into());
    let bound = Bound { limit: 50, per_seconds: None, counting, used: 38, reserved: 3, pressure, exhausted_at: None };
    Tight { account: "sakura/reception".into(), bound }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_api::v1::account::Move;

    use super::*;
    use crate::output::test_look;

    fn reception() -> Account {
        let bound = |limit, per_seconds, counting: &str, used, pressure: &str| Bound {
            limit,
            per_seconds,
            counting: counting.into(),
            used,
            reserved: 2,
            pressure: pressure.into(),
            exhausted_at: per_seconds.map(|_| 1_795_000_000 + 30 * 86_400),
        };
        Account {
            name: "sakura/reception".into(),
            state: "active".into(),
            successor: Some("sakura/doctor".into()),
            bounds: vec![bound(50, None, "alive", 12, "ample"), bound(25, Some(63_072_000), "unrevoked", 20, "tight")],
            short: vec![test_short()],
            spares: test_short().spares,
        }
    }

    #[test]
    fn an_account_is_told_from_its_quota_to_what_goes_with_it() {
        let leaving = Leaving {
            account: "sakura/reception".into(),
            certificates: 3,
            devices: vec!["sakura/pc-1".into(), "sakura/pc-2".into()],
            sites: vec!["https://sakura.karte.example.jp".into()],
            moves: vec![Move { slot: "sakura/pc-1/karte".into(), to: "sakura/doctor".into() }],
            lost: vec!["sakura/pc-2/karte".into()],
            locked_out: vec!["sakura/pc-2".into()],
        };
        let detail = AccountDetail { account: reception(), slots: Vec::new(), leaving };
        let read: AccountDetail = serde_json::from_str(&serde_json::to_string(&detail).unwrap()).unwrap();
        assert_eq!(read, detail, "what one side writes, the other can read");
        expect![[r#"
            account    sakura/reception
            state      active
            successor  sakura/doctor

            Quota
            ACCOUNT           STATE   COUNTS              USED  RESERVED  LIMIT  PRESSURE  FULL                        COULD GO
            sakura/reception  active  alive               12    2         50     ample     –                           1
            sakura/reception  active  unrevoked in 730 d  20    2         25     tight     2026-12-18 20:06 (in 30 d)  1

            Slots
            No slots: policy puts no certificate anywhere yet.

            Without a place
              sakura/pc-51/karte would be number 51 of 50 of account sakura/reception; revoking 4f1c0ddee1a2b3c4d5e6f708192a3b4c (sakura/pc-3/karte, duplicate) frees a place

            Certificates that could go, the most useless first
            SERIAL                            SLOT               BECAUSE    SINCE
            4f1c0ddee1a2b3c4d5e6f708192a3b4c  sakura/pc-3/karte  duplicate  2026-09-21 23:13 (57 d ago)

            If its person left
            3 certificates on 2 devices, for https://sakura.karte.example.jp.
            1 slot issued anew under sakura/doctor: the old certificates are revoked once the new ones are proven.
            NOBODY SUCCEEDS: 1 slot lost at once, and the certificates revoked:
              sakura/pc-2/karte
            1 device could no longer sign in:
              sakura/pc-2"#]].assert_eq(&account(&detail, &test_look()));
    }

    #[test]
    fn a_slot_that_expires_while_closed_says_so() {
        let closing = ExpiresWhileClosed {
            slot: "sakura/pc-1/karte".into(),
            not_after: 1_798_700_000,
            stretch: "year-end".into(),
            first: "2026-12-29".into(),
            last: "2027-01-03".into(),
            last_open: "2026-12-28".into(),
            attempts: 21,
        };
        let slot = tegata_api::v1::fleet::Slot {
            name: "sakura/pc-1/karte".into(),
            state: "ready".into(),
            serial: Some("4f1c0ddee1a2b3c4d5e6f708192a3b4c".into()),
            not_after: Some(1_798_700_000),
            proven_at: Some(1_790_000_000),
            account: None,
        };
        let detail = SlotDetail {
            slot,
            due: Some(1_796_000_000),
            last_call: Some(1_798_000_000),
            attempts: Some(21),
            closing: Some(closing),
            backups: Some(Backups { verified: 2, needed: 2, targets: 3 }),
        };
        expect![[r#"
            slot       sakura/pc-1/karte
            state      ready
            account    –
            serial     4f1c0ddee1a2b3c4d5e6f708192a3b4c
            proven     2026-09-21 23:13 (57 d ago)
            replaced   2026-11-30 09:53 (in 11 d)
            last call  2026-12-23 13:26 (in 34 d)
            expires    2026-12-31 15:53 (in 42 d)
            attempts   21 open days from then on
            backups    verified in 2 of 3 targets; 2 are enough
            warning: sakura/pc-1/karte expires while closed (年末年始, the turn of the year, 2026-12-29 to 2027-01-03); the last open day before is 2026-12-28, 21 open days to renew it on"#]].assert_eq(&super::slot(&detail, &test_look()));
    }
}
