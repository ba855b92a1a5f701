//! Which program opens links, and which one shortcuts to the chart start.

use tegata_core::diagnosis::{Cause, Fact};

use super::links::Shortcut;
use super::{Charts, os, shown};
use crate::browser::is_browser_name;
use crate::home::Home;

/// Browsers that use another store of certificates, or other policies. Of a program that nobody here knows, such as `env` or `flatpak`,
/// nothing is said.
const OTHERS: [&str; 12] =
    ["firefox", "librewolf", "epiphany", "konqueror", "falkon", "midori", "opera", "vivaldi", "brave", "safari", "ie.http", "iexplore"];

pub(super) fn facts(home: &Home, shortcuts: &[Shortcut], charts: &Charts) -> Vec<Fact> {
    let started = shortcuts.iter().filter(|shortcut| charts.has_host(shortcut.url.host_str().unwrap_or_default()));
    let started = started.filter_map(|shortcut| opens_with(shortcut.program.as_deref()?));
    let default = os::default_program(home).and_then(|program| opens_with(&program));
    started.chain([default.unwrap_or(Fact::Unchecked(Cause::WrongBrowser))]).collect()
}

fn opens_with(program: &str) -> Option<Fact> {
    let name = program.to_ascii_lowercase();
    let is_supported = is_browser_name(&name);
    let is_known = is_supported || OTHERS.iter().any(|other| name.contains(other));
    is_known.then(|| Fact::OpensWith { program: shown(program), is_supported })
}
