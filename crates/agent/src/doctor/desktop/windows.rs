//! What Windows keeps: `.url` files on the desktop, and which program the user has chosen for links. Shortcuts to programs (`.lnk`) are not
//! read: nothing in them says for certain which page they open.

use reqwest::Url;

use super::links::Shortcut;

/// How files end that open a page.
#[cfg(windows)]
pub(super) const ENDING: &str = "url";

/// What the user has chosen for `https` (Microsoft, "Default Programs").
#[cfg(windows)]
const CHOICE: &str = r"Software\Microsoft\Windows\Shell\Associations\UrlAssociations\https\UserChoice";

/// Reads one: `URL=` in the group `[InternetShortcut]`. The file's own name is the one that is shown. Which program opens it is left to
/// Windows.
pub(super) fn shortcut(stem: &str, bytes: &[u8]) -> Option<Shortcut> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let mut group =
        lines.skip_while(|line| !line.eq_ignore_ascii_case("[InternetShortcut]")).skip(1).take_while(|line| !line.starts_with('['));
    let linked = group.find_map(|line| line.split_once('=').filter(|(key, _)| key.trim().eq_ignore_ascii_case("URL")))?.1;
    Some(Shortcut::new(stem, Url::parse(linked.trim()).ok()?, None))
}

/// The name under which the chosen program is registered, such as `ChromeHTML`.
#[cfg(windows)]
pub(super) fn default_program(_home: &crate::home::Home) -> Option<String> {
    windows_registry::CURRENT_USER.open(CHOICE).ok()?.get_string("ProgId").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortcut_is_known_by_its_file_and_leads_where_it_says() {
        let read = |text: &str| shortcut("カルテ", text.as_bytes()).map(|shortcut| shortcut.url.to_string());
        let usual = "[{000214A0-0000-0000-C000-000000000046}]\r\nProp3=19,2\r\n[InternetShortcut]\r\nIDList=\r\nURL=https://karte.test/d/signin\r\n";
        assert_eq!(read(usual).as_deref(), Some("https://karte.test/d/signin"));
        assert_eq!(read("\u{feff}[internetshortcut]\nurl = http://karte.test/\n").as_deref(), Some("http://karte.test/"));
        for nothing in ["", "URL=https://karte.test/", "[InternetShortcut]\n[Other]\nURL=https://karte.test/", "[InternetShortcut]\nURL=no"]
        {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }

    /// Everything at once: what a user of Windows has, and what is said of it.
    #[cfg(windows)]
    #[test]
    fn a_user_s_files_and_choice_are_seen() {
        use std::collections::BTreeSet;
        use std::fs;

        use tegata_core::diagnosis::{Cause, Difference, Fact};

        let home = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let profile = "AppData/Local/Google/Chrome/User Data/Profile 1";
        write(&format!("{profile}/Bookmarks"), r#"{"roots":{"bookmark_bar":{"name":"カルテ","url":"https://karte.test/d/signin"}}}"#);
        write(&format!("{profile}/Preferences"), "{}");
        write("Desktop/旧カルテ.url", "[InternetShortcut]\r\nURL=http://karte.test/patient/1\r\n");
        let facts = || super::super::facts(home.path(), &BTreeSet::from(["https://karte.test".to_owned()]));
        let choose = |program: &str| windows_registry::CURRENT_USER.create(CHOICE).unwrap().set_string("ProgId", program).unwrap();
        choose("FirefoxURL-308046B0AF4A39CB");
        assert!(facts().contains(&Fact::OpensWith { program: "FirefoxURL-308046B0AF4A39CB".into(), is_supported: false }));
        choose("ChromeHTML");
        let differs = Difference::SchemeOrPort;
        let expected = [
            Fact::OpensWith { program: "ChromeHTML".into(), is_supported: true },
            Fact::Link { name: "旧カルテ".into(), leads_to: "http://karte.test".into(), differs },
            Fact::Fine(Cause::WrongAddress),
            Fact::Fine(Cause::Extension),
        ];
        assert_eq!(facts(), expected);
    }
}
