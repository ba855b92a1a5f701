//! `tegata get backups`: what lies where, when it was last read back, and what is wrong.

use tegata_api::v1::backup::Backup;

use crate::get::named::Named;
use crate::language::is_japanese;
use crate::output::Look;
use crate::table::{Field, Table};

impl Named for Backup {
    const WHAT: &'static str = "backup";

    fn is_called(&self, name: &str) -> bool {
        self.slot == name || self.id == name
    }
}

/// Backups as a table, and below it what is wrong with those that fail.
pub fn table(backups: &[Backup], look: &Look) -> String {
    let mut table = Table::new(look, ["SLOT", "KIND", "TARGET", "STATE", "VERIFIED", "OPENED", "NEXT", "TROUBLE"]);
    for backup in backups {
        table.row([
            (*backup.slot).into(),
            (*backup.kind).into(),
            (*backup.target).into(),
            Field::State(backup.state.clone()),
            super::moment(backup.verified_at),
            super::moment(backup.opened_at),
            super::moment(backup.next_at),
            backup.trouble.as_ref().map(|trouble| trouble.code.clone()).into(),
        ]);
    }
    let mut said: Vec<String> = backups.iter().filter_map(sentence).collect();
    said.sort();
    said.dedup();
    let table = table.or("No backups: no file came from a vendor since the clinic's policy names a BackupTarget.");
    [vec![table], said].concat().join("\n")
}

/// What is wrong with a target, in the language of the surroundings.
fn sentence(backup: &Backup) -> Option<String> {
    let trouble = backup.trouble.as_ref()?;
    Some(format!("{}: {}", backup.target, if is_japanese() { &trouble.ja } else { &trouble.en }))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_api::v1::backup::said;
    use tegata_core::backup::Trouble;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn a_backup_says_where_it_lies_and_what_is_wrong_there() {
        let look = test_look();
        let whole = Backup {
            slot: "sakura/uketsuke-1/weborca".into(),
            kind: "file".into(),
            id: "01".repeat(16),
            fingerprint: "00".repeat(32),
            target: "nas".into(),
            state: "verified".into(),
            stored_at: Some(look.now.unix() - 86_400),
            verified_at: Some(look.now.unix() - 60),
            opened_at: Some(look.now.unix() - 86_400 * 3),
            next_at: Some(look.now.unix() + 86_400 * 7),
            trouble: None,
        };
        let failing = Backup {
            target: "offsite".into(),
            state: "failing".into(),
            verified_at: None,
            opened_at: None,
            next_at: Some(look.now.unix() + 60),
            trouble: Some(said(Trouble::WrongHostKey)),
            ..whole.clone()
        };
        expect![[r#"
            SLOT                       KIND  TARGET   STATE     VERIFIED                     OPENED                      NEXT                        TROUBLE
            sakura/uketsuke-1/weborca  file  nas      verified  2026-11-18 20:05 (60 s ago)  2026-11-15 20:06 (3 d ago)  2026-11-25 20:06 (in 7 d)   –
            sakura/uketsuke-1/weborca  file  offsite  failing   –                            –                           2026-11-18 20:07 (in 60 s)  wrong-host-key
            offsite: It shows another host key than policy pins as hostKey, so nothing was sent. Unless the machine was replaced, suspect an impostor."#]]
        .assert_eq(&table(&[whole, failing], &look));
    }
}
