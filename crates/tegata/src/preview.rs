//! What applying would do, or did, as a person reads it: documents, then what follows from them, then who is locked out.

use std::fmt::Write;

use tegata_api::hint::visible;
use tegata_api::v1::account::Short;
use tegata_api::v1::fleet::{Action, Change, DocumentChange, Preview};

use crate::output::Look;
use crate::quotas;
use crate::table::{Field, Table};

/// True if applying would change anything.
pub fn changes(preview: &Preview) -> bool {
    !preview.documents.is_empty() || !preview.actions.is_empty()
}

/// What applying would do.
pub fn planned(preview: &Preview, look: &Look) -> String {
    told(preview, look, "Nothing to do: this is what is in force already.", "would change")
}

/// What applying did.
pub fn applied(preview: &Preview, look: &Look) -> String {
    told(preview, look, "Nothing to do: this was in force already.", "changed")
}

fn told(preview: &Preview, look: &Look, nothing: &str, verb: &str) -> String {
    if !changes(preview) {
        return nothing.to_owned();
    }
    let mut text = String::new();
    for change in &preview.documents {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", document(change));
    }
    if !preview.actions.is_empty() {
        let _ = write!(text, "\n{}\n", actions(&preview.actions, look));
    }
    let waiting = preview.actions.iter().filter(|action| ["hold", "keep-installer"].contains(&&*action.action)).count();
    let _ = write!(text, "\n{} {verb}; {}", count(preview.documents.len(), "document"), count(preview.actions.len(), "action"));
    let _ = match waiting {
        0 => writeln!(text, "."),
        some => writeln!(text, ", {some} of them waiting."),
    };
    for left in &preview.leaving {
        let _ = writeln!(text, "account {} leaves: {}", left.account, quotas::leaving(left));
    }
    let warnings = quotas::tight(&preview.tight) + &quotas::while_closed(&preview.expires_while_closed);
    text + &locked_out(&preview.locked_out) + &over_quota(&preview.over_quota) + &warnings
}

fn over_quota(short: &[Short]) -> String {
    if short.is_empty() {
        return String::new();
    }
    let list: String = quotas::sentences(short).iter().map(|line| format!("\n  {line}")).collect();
    format!(
        "\n{} no place under the quota of an account:{list}",
        if short.len() == 1 { "1 slot finds".into() } else { format!("{} slots find", short.len()) }
    )
}

fn document(change: &DocumentChange) -> String {
    let sign = match change.change {
        Change::Created => '+',
        Change::Changed => '~',
        Change::Deleted => '-',
    };
    let paths: String = change.paths.iter().map(|path| format!("\n      {}", visible(path))).collect();
    format!("  {sign} {} {}{paths}", change.kind, change.name)
}

/// Actions as a table.
pub fn actions(actions: &[Action], look: &Look) -> String {
    let mut table = Table::new(look, ["CLINIC", "ACTION", "OBJECT", "BECAUSE", "WAITS FOR", "UNTIL", "SERIAL"]);
    for action in actions {
        table.row([
            (*action.clinic).into(),
            (*action.action).into(),
            (*action.object).into(),
            Field::State(action.because.clone()),
            waits_for(action).into(),
            action.until.map_or(Field::Nothing, Field::Moment),
            action.serial.clone().into(),
        ]);
    }
    table.or("Nothing is planned: every slot is right.")
}

fn waits_for(action: &Action) -> Option<String> {
    let waits_for = action.waits_for.clone()?;
    Some(action.backups.map_or(waits_for.clone(), |backups| format!("{waits_for} ({} of {})", backups.verified, backups.needed)))
}

fn locked_out(devices: &[String]) -> String {
    if devices.is_empty() {
        return "No device loses the ability to sign in.".to_owned();
    }
    let list: String = devices.iter().map(|device| format!("\n  {device}")).collect();
    format!("{} could no longer sign in tomorrow:{list}", count(devices.len(), "device"))
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_api::v1::fleet::Backups;

    use super::*;
    use crate::output::test_look;

    fn change(kind: &str, name: &str, change: Change, paths: &[&str]) -> DocumentChange {
        DocumentChange { kind: kind.into(), name: name.into(), change, paths: paths.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_preview_reads_from_cause_to_consequence() {
        let issue = Action {
            clinic: "sakura".into(),
            action: "issue".into(),
            object: "sakura/uketsuke-1/karte".into(),
            because: "missing".into(),
            waits_for: None,
            until: None,
            serial: None,
            file: None,
            backups: None,
        };
        let hold = Action {
            action: "hold".into(),
            object: "sakura/uketsuke-2/karte".into(),
            because: "not-enrolled".into(),
            waits_for: Some("enrolment".into()),
            ..issue.clone()
        };
        let backups = Backups { verified: 2, needed: 3, targets: 4 };
        let (because, waits_for) = ("not-backed-up".into(), Some("backup-target".into()));
        let unkept = Action { because, waits_for, backups: Some(backups), ..hold.clone() };
        let preview = Preview {
            documents: vec![
                change("CertificateProfile", "karte", Change::Changed, &["/spec/renewal/window"]),
                change("ClinicNetwork", "sakura", Change::Created, &[]),
            ],
            actions: vec![issue, hold, unkept],
            locked_out: vec!["sakura/uketsuke-2".into()],
            over_quota: vec![quotas::test_short()],
            tight: vec![quotas::test_tight()],
            ..Preview::default()
        };
        expect![[r#"
              ~ CertificateProfile karte
                  /spec/renewal/window
              + ClinicNetwork sakura

            CLINIC  ACTION  OBJECT                   BECAUSE        WAITS FOR               UNTIL  SERIAL
            sakura  issue   sakura/uketsuke-1/karte  missing        –                       –      –
            sakura  hold    sakura/uketsuke-2/karte  not-enrolled   enrolment               –      –
            sakura  hold    sakura/uketsuke-2/karte  not-backed-up  backup-target (2 of 3)  –      –

            2 documents would change; 3 actions, 2 of them waiting.
            1 device could no longer sign in tomorrow:
              sakura/uketsuke-2
            1 slot finds no place under the quota of an account:
              sakura/pc-51/karte would be number 51 of 50 of account sakura/reception; revoking 4f1c0ddee1a2b3c4d5e6f708192a3b4c (sakura/pc-3/karte, duplicate) frees a place
            warning: account sakura/reception has 41 of 50 places (alive) taken, 3 of them reserved"#]]
        .assert_eq(&planned(&preview, &test_look()));
    }

    #[test]
    fn silence_is_success() {
        assert_eq!(applied(&Preview::default(), &test_look()), "Nothing to do: this was in force already.");
        assert!(!changes(&Preview::default()));
    }
}
