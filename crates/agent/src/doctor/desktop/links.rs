//! Bookmarks and shortcuts that lead somewhere beside the chart.

use std::path::{Path, PathBuf};

use reqwest::Url;
use serde_json::Value;
use tegata_core::diagnosis::{Cause, Difference, Fact};

use super::{Charts, SIZE_MAX, json, os, shown};
use crate::home::Home;
use crate::sweep;

/// A file on the user's desktop that opens a page.
pub(super) struct Shortcut {
    name: String,
    pub(super) url: Url,
    /// The program that it starts; `None` if it leaves that to the system.
    pub(super) program: Option<String>,
}

/// The user's shortcuts, and whether all could be read.
pub(super) fn shortcuts(home: &Home, path: &Path) -> (Vec<Shortcut>, bool) {
    let (mut found, mut is_whole) = (Vec::new(), true);
    for place in sweep::places::own(path, "Desktop") {
        let Ok(names) = home.list(&place) else {
            is_whole = false;
            continue;
        };
        for name in names.iter().filter(|name| opens_something(Path::new(name))) {
            match home.read(&place.join(name), SIZE_MAX) {
                Ok(bytes) => found.extend(bytes.and_then(|bytes| os::shortcut(&Path::new(name).file_stem()?.to_string_lossy(), &bytes))),
                Err(_) => is_whole = false,
            }
        }
    }
    (found, is_whole)
}

fn opens_something(name: &Path) -> bool {
    name.extension().is_some_and(|ending| os::ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// The page that a program is given among these words, perhaps as a window of its own (Chromium's `--app`).
#[cfg(any(not(target_os = "macos"), test))]
pub(super) fn page_in<'a>(words: &[&'a str]) -> Option<&'a str> {
    let is_page = |word: &&str| word.starts_with("https://") || word.starts_with("http://");
    words.iter().map(|word| word.strip_prefix("--app=").unwrap_or(word)).find(is_page)
}

impl Shortcut {
    pub(super) fn new(name: &str, url: Url, program: Option<&str>) -> Self {
        Self { name: shown(name), url, program: program.map(str::to_owned) }
    }
}

/// Nothing is said to be fine unless everything was read and something leads to a chart.
pub(super) fn facts(home: &Home, profiles: &[PathBuf], shortcuts: &[Shortcut], is_whole: bool, charts: &Charts) -> Vec<Fact> {
    let mut links: Vec<(String, Url)> = shortcuts.iter().map(|shortcut| (shortcut.name.clone(), shortcut.url.clone())).collect();
    let mut is_whole = is_whole;
    for profile in profiles {
        match json(home, &profile.join("Bookmarks")) {
            Ok(tree) => bookmarks(&tree.unwrap_or_default()["roots"], &mut links),
            Err(_) => is_whole = false,
        }
    }
    let mut facts: Vec<Fact> = links.iter().filter_map(|(name, url)| astray(name, url, charts)).collect();
    let is_fine = is_whole && links.iter().any(|(_, url)| charts.has_origin(url));
    facts.push(if is_fine { Fact::Fine(Cause::WrongAddress) } else { Fact::Unchecked(Cause::WrongAddress) });
    facts
}

/// Every bookmark of a tree as Chromium writes it. Its depth is bounded by the reader of JSON.
fn bookmarks(tree: &Value, found: &mut Vec<(String, Url)>) {
    if let (Some(name), Some(url)) = (tree["name"].as_str(), tree["url"].as_str()) {
        found.extend(Url::parse(url).ok().map(|url| (shown(name), url)));
    }
    let within: Vec<&Value> = match tree {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    within.into_iter().for_each(|part| bookmarks(part, found));
}

fn astray(name: &str, url: &Url, charts: &Charts) -> Option<Fact> {
    let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https") && !charts.has_origin(url))?;
    let differs = if charts.has_host(host) {
        Difference::SchemeOrPort
    } else if charts.has_neighbour(host) {
        Difference::Host
    } else {
        return None;
    };
    // Only so much of it: the rest of an address may say something about a patient.
    Some(Fact::Link { name: name.to_owned(), leads_to: url.origin().ascii_serialization(), differs })
}
