//! What Linux desktops keep: `.desktop` files, and lists of which program opens what.

use std::path::Path;

use reqwest::Url;

use super::SIZE_MAX;
use super::links::{Shortcut, page_in};
use crate::home::Home;

/// Where the user says it (freedesktop.org, Association between MIME types and applications, "File name and location").
const USERS: [&str; 2] = [".config/mimeapps.list", ".local/share/applications/mimeapps.list"];
/// Where the PC says it for users who said nothing.
const SYSTEMS: [&str; 2] = ["/etc/xdg/mimeapps.list", "/usr/share/applications/mimeapps.list"];

/// How files end that open a page.
pub(super) const ENDINGS: [&str; 1] = ["desktop"];

/// Reads one (freedesktop.org, Desktop Entry Specification).
pub(super) fn shortcut(_stem: &str, bytes: &[u8]) -> Option<Shortcut> {
    let text = String::from_utf8_lossy(bytes);
    let group = text.lines().map(str::trim).skip_while(|line| *line != "[Desktop Entry]").skip(1);
    let entries: Vec<(&str, &str)> = group.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('=')).collect();
    let value = |key: &str| entries.iter().find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim());
    let words: Vec<&str> = value("Exec").unwrap_or_default().split_whitespace().map(|word| word.trim_matches('"')).collect();
    let linked = page_in(&value("URL").into_iter().chain(words.iter().copied()).collect::<Vec<_>>())?;
    let program = words.first().and_then(|word| Path::new(word).file_name()?.to_str()).filter(|program| *program != "xdg-open");
    Some(Shortcut::new(value("Name").unwrap_or_default(), Url::parse(linked).ok()?, program))
}

/// The program that opens links.
pub(super) fn default_program(home: &Home) -> Option<String> {
    for path in USERS {
        // What cannot be read may say something else than what follows it.
        if let Some(bytes) = home.read(Path::new(path), SIZE_MAX).ok()?
            && let Some(program) = program_in(&String::from_utf8_lossy(&bytes))
        {
            return Some(program);
        }
    }
    SYSTEMS.iter().find_map(|path| program_in(&std::fs::read_to_string(path).ok()?))
}

/// The first program for `https` in the group of defaults.
fn program_in(text: &str) -> Option<String> {
    let group = text.lines().map(str::trim).skip_while(|line| *line != "[Default Applications]").skip(1);
    let mut entries = group.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('='));
    let (_, programs) = entries.find(|(key, _)| key.trim() == "x-scheme-handler/https")?;
    programs.split(';').map(str::trim).find(|program| !program.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_program_is_the_first_of_its_group() {
        let list = "[Added Associations]\nx-scheme-handler/https=other.desktop;\n\n[Default Applications]\ntext/html=a.desktop\n\
                    x-scheme-handler/https = google-chrome.desktop;firefox.desktop;\n[Removed Associations]\n";
        assert_eq!(program_in(list).as_deref(), Some("google-chrome.desktop"));
        assert_eq!(program_in(&list.replace("/https =", "/http =")), None);
        assert_eq!(program_in("x-scheme-handler/https=a.desktop"), None);
    }
}
