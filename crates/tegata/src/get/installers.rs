//! `tegata get installers`: what became of the files that certificates came in, and what was not looked at.

use tegata_api::hint::visible;
use tegata_api::v1::fleet::{HeldKey, Installer};

use crate::get::named::Named;
use crate::output::Look;
use crate::table::{Field, Table};

/// So many digits of a file's hash are shown; `-o json` has all.
const SHOWN: usize = 12;

impl Named for Installer {
    const WHAT: &'static str = "device or file";

    fn is_called(&self, name: &str) -> bool {
        let is_file = |sha256: &String| name.len() >= SHOWN && sha256.starts_with(&name.to_ascii_lowercase());
        self.device == name || self.sha256.as_ref().is_some_and(is_file)
    }
}

/// Installer files as a table.
pub fn table(rows: &[Installer], look: &Look) -> String {
    let mut table = Table::new(look, ["DEVICE", "STATE", "FILE", "PATH", "KEY OF", "REMOVED", "RETURNS", "EXEMPT UNTIL"]);
    for row in rows {
        table.row([
            (*row.device).into(),
            Field::State(row.state.word().to_owned()),
            row.sha256.as_ref().and_then(|sha256| sha256.get(..SHOWN)).map(str::to_owned).into(),
            row.paths.iter().map(|path| visible(path)).collect::<Vec<_>>().join(", ").into(),
            key_of(row).into(),
            super::moment(row.removed_at),
            Some(row.returns).filter(|returns| *returns > 0).map(|returns| returns.to_string()).into(),
            super::moment(row.exempt_until),
        ]);
    }
    table.or("No installer files: none lies on a PC that was looked at, and none was ever removed.")
}

/// The slots whose certificates have their keys in a file, or those certificates, if they are in none of the clinic.
fn key_of(row: &Installer) -> Option<String> {
    let named = |held: &HeldKey| match &held.slots[..] {
        [] => held.fingerprint.get(..SHOWN).unwrap_or_default().to_owned(),
        slots => slots.join(", "),
    };
    Some(row.certificates.iter().map(named).collect::<Vec<_>>().join(", ")).filter(|named| !named.is_empty())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_api::v1::fleet::InstallerState;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn what_was_left_behind_and_what_was_not_looked_at_is_told() {
        let look = test_look();
        let day = |days: i64| Some(look.now.unix() + days * 86_400);
        let row = |device: &str, state, path: &str| Installer {
            device: device.into(),
            sha256: Some("ab12".repeat(16)),
            state,
            paths: vec![path.into()],
            removed_at: None,
            returns: 0,
            returned_at: None,
            exempt_until: None,
            certificates: vec![],
        };
        let key = |slots: &[&str]| HeldKey { fingerprint: "cd34".repeat(16), slots: slots.iter().map(|slot| (*slot).into()).collect() };
        let recognized =
            Installer { certificates: vec![key(&["sakura/pc-1/karte"])], ..row("sakura/pc-1", InstallerState::Recognized, "~/c.p12") };
        let elsewhere = Installer { certificates: vec![key(&[])], ..row("sakura/pc-1", InstallerState::OtherClinic, "~/d.p12") };
        let present = row("sakura/pc-1", InstallerState::Present, "~/Downloads/a.p12");
        let two =
            Installer { paths: vec!["~/Desktop/\u{202e}a.p12".into(), "~/b.p12".into()], ..row("sakura/pc-2", InstallerState::Asked, "") };
        let exempt = Installer { exempt_until: day(9), ..row("sakura/pc-2", InstallerState::Exempt, "~/Downloads/a.p12") };
        let returned = Installer { removed_at: day(-2), returns: 3, ..row("sakura/pc-3", InstallerState::Removing, "~/Downloads/a.p12") };
        let unread = Installer { sha256: None, ..row("sakura/pc-3", InstallerState::NotLookedAt, "E:\\") };
        let absent = Installer { sha256: None, ..row("sakura/*", InstallerState::NotThere, "~/Wrok/**") };
        expect![[r#"
            DEVICE       STATE          FILE          PATH                              REMOVED                     RETURNS  EXEMPT UNTIL
            sakura/pc-1  present        ab12ab12ab12  ~/Downloads/a.p12                 –                           –        –
            sakura/pc-2  asked          ab12ab12ab12  ~/Desktop/\u{202e}a.p12, ~/b.p12  –                           –        –
            sakura/pc-2  exempt         ab12ab12ab12  ~/Downloads/a.p12                 –                           –        2026-11-27 20:06 (in 9 d)
            sakura/pc-3  removing       ab12ab12ab12  ~/Downloads/a.p12                 2026-11-16 20:06 (2 d ago)  3        –
            sakura/pc-3  not-looked-at  –             E:\                               –                           –        –
            sakura/*     not-there      –             ~/Wrok/**                         –                           –        –"#]].assert_eq(&table(&[present, recognized, elsewhere, two, exempt, returned, unread, absent], &look));
    }
}
