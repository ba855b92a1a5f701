//! What Windows keeps: `.url` and `.lnk` files on the desktop, and which program the user has chosen for links.

use reqwest::Url;

use super::links::{Shortcut, page_in};
use super::lnk;

/// How files end that open a page.
#[cfg(windows)]
pub(super) const ENDINGS: [&str; 2] = ["url", "lnk"];

/// What the user has chosen for `https` (Microsoft, "Default Programs").
#[cfg(windows)]
const CHOICE: &str = r"Software\Microsoft\Windows\Shell\Associations\UrlAssociations\https\UserChoice";

/// Reads one. The file's own name is the one that is shown.
pub(super) fn shortcut(stem: &str, bytes: &[u8]) -> Option<Shortcut> {
    lnk::read(bytes).map_or_else(|| to_page(stem, bytes), |link| to_program(stem, &link))
}

/// A program that is given a page.
fn to_program(stem: &str, link: &lnk::Link) -> Option<Shortcut> {
    let words: Vec<&str> = link.arguments.split_whitespace().map(|word| word.trim_matches('"')).collect();
    Some(Shortcut::new(stem, Url::parse(page_in(&words)?).ok()?, Some(&link.program)))
}

/// `URL=` in the group `[InternetShortcut]`. Which program opens it is left to Windows.
fn to_page(stem: &str, bytes: &[u8]) -> Option<Shortcut> {
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

    #[test]
    fn a_shortcut_to_a_program_leads_to_the_page_that_it_is_given() {
        let read = |target: &str, arguments: &str| {
            let shortcut = shortcut("カルテ", &lnk::tests::written(target, arguments))?;
            Some((shortcut.url.to_string(), shortcut.program?))
        };
        for arguments in ["https://karte.test/d", "--kiosk \"https://karte.test/d\"", "\"--app=https://karte.test/d\" --new-window"] {
            assert_eq!(read(r"C:\Chrome\chrome.exe", arguments), Some(("https://karte.test/d".into(), "chrome.exe".into())), "{arguments}");
        }
        assert_eq!(read(r"C:\iexplore.exe", "http://karte.test"), Some(("http://karte.test/".into(), "iexplore.exe".into())));
        assert_eq!(read(r"C:\Chrome\chrome.exe", "--profile-directory=Default"), None);
        assert_eq!(read(r"C:\notepad.exe", r"C:\https.txt"), None);
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
        let started = home.path().join("Desktop/カルテ (IE).lnk");
        fs::write(started, lnk::tests::written(r"C:\Program Files\Internet Explorer\iexplore.exe", "https://karte.test/d")).unwrap();
        let facts = || super::super::facts(home.path(), &BTreeSet::from(["https://karte.test".to_owned()]));
        let choose = |program: &str| windows_registry::CURRENT_USER.create(CHOICE).unwrap().set_string("ProgId", program).unwrap();
        choose("FirefoxURL-308046B0AF4A39CB");
        assert!(facts().contains(&Fact::OpensWith { program: "FirefoxURL-308046B0AF4A39CB".into(), is_supported: false }));
        choose("ChromeHTML");
        let differs = Difference::SchemeOrPort;
        let expected = [
            Fact::OpensWith { program: "iexplore.exe".into(), is_supported: false },
            Fact::OpensWith { program: "ChromeHTML".into(), is_supported: true },
            Fact::Link { name: "旧カルテ".into(), leads_to: "http://karte.test".into(), differs },
            Fact::Fine(Cause::WrongAddress),
            Fact::Fine(Cause::Extension),
        ];
        assert_eq!(facts(), expected);
    }
}
