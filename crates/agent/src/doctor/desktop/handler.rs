//! Which program opens links, and which one shortcuts to the chart start.

use std::path::Path;

use tegata_core::diagnosis::{Cause, Fact};

use super::links::Shortcut;
use super::{Charts, SIZE_MAX, shown};
use crate::browser::is_browser_name;
use crate::home::Home;

/// Where the user says it (freedesktop.org, Association between MIME types and applications, "File name and location").
const USERS: [&str; 2] = [".config/mimeapps.list", ".local/share/applications/mimeapps.list"];
/// Where the PC says it for users who said nothing.
const SYSTEMS: [&str; 2] = ["/etc/xdg/mimeapps.list", "/usr/share/applications/mimeapps.list"];

/// Browsers that use another store of certificates, or other policies. Of a program that nobody here knows, such as `env` or `flatpak`,
/// nothing is said.
const OTHERS: [&str; 9] = ["firefox", "librewolf", "epiphany", "konqueror", "falkon", "midori", "opera", "vivaldi", "brave"];

pub(super) fn facts(home: &Home, shortcuts: &[Shortcut], charts: &Charts) -> Vec<Fact> {
    let started = shortcuts.iter().filter(|shortcut| charts.has_host(shortcut.url.host_str().unwrap_or_default()));
    let started = started.filter_map(|shortcut| opens_with(shortcut.program.as_deref()?));
    let default = default_program(home).and_then(|program| opens_with(&program));
    started.chain([default.unwrap_or(Fact::Unchecked(Cause::WrongBrowser))]).collect()
}

fn opens_with(program: &str) -> Option<Fact> {
    let name = program.to_ascii_lowercase();
    let is_supported = is_browser_name(&name);
    let is_known = is_supported || OTHERS.iter().any(|other| name.contains(other));
    is_known.then(|| Fact::OpensWith { program: shown(program), is_supported })
}

fn default_program(home: &Home) -> Option<String> {
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
