//! Extensions that may change or block the chart: those that are on, were added by somebody, and may reach its site.

use std::path::PathBuf;

use reqwest::Url;
use serde_json::Value;
use tegata_core::diagnosis::{Cause, Fact};

use super::{Charts, json, shown};
use crate::home::Home;

/// `ManifestLocation` of parts of the browser itself: `kComponent` and `kExternalComponent`.
const PARTS_OF_BROWSER: [u64; 2] = [5, 10];
/// Most systems keep extensions in the first, those that protect settings against change in the second.
const FILES: [&str; 2] = ["Preferences", "Secure Preferences"];

pub(super) fn facts(home: &Home, profiles: &[PathBuf], charts: &Charts) -> Vec<Fact> {
    let mut facts = Vec::new();
    for path in profiles.iter().flat_map(|profile| FILES.map(|file| profile.join(file))) {
        match json(home, &path) {
            Ok(settings) => facts.extend(reaching(&settings.unwrap_or_default()["extensions"]["settings"], charts)),
            Err(_) => facts.push(Fact::Unchecked(Cause::Extension)),
        }
    }
    if !profiles.is_empty() && facts.is_empty() {
        facts.push(Fact::Fine(Cause::Extension));
    }
    facts
}

fn reaching(settings: &Value, charts: &Charts) -> Vec<Fact> {
    let extensions = settings.as_object().into_iter().flatten();
    let on = extensions.filter(|(_, extension)| is_on(extension) && reaches(&extension["active_permissions"], charts));
    on.map(|(id, extension)| Fact::Extension(shown(extension["manifest"]["name"].as_str().unwrap_or(id)))).collect()
}

fn is_on(extension: &Value) -> bool {
    let reasons = &extension["disable_reasons"];
    let is_disabled = reasons.as_array().is_some_and(|reasons| !reasons.is_empty()) || reasons.as_u64().is_some_and(|bits| bits != 0);
    // Older versions have a state beside it: 1 is on.
    let was_off = extension["state"].as_u64().is_some_and(|state| state != 1);
    let is_part = extension["location"].as_u64().is_none_or(|location| PARTS_OF_BROWSER.contains(&location));
    !is_disabled && !was_off && !is_part
}

fn reaches(permissions: &Value, charts: &Charts) -> bool {
    let patterns = ["explicit_host", "scriptable_host"].into_iter().filter_map(|kind| permissions[kind].as_array()).flatten();
    patterns.filter_map(Value::as_str).any(|pattern| charts.urls.iter().any(|chart| matches(pattern, chart)))
}

/// Chrome's match patterns: `scheme://host/path`, of which the path is not asked for here.
fn matches(pattern: &str, chart: &Url) -> bool {
    if pattern == "<all_urls>" {
        return true;
    }
    let Some((scheme, rest)) = pattern.split_once("://") else { return false };
    let (host, own) = (rest.split('/').next().unwrap_or_default(), chart.host_str().unwrap_or_default());
    let fits_host = match host.strip_prefix("*.") {
        Some(domain) => own == domain || own.strip_suffix(domain).is_some_and(|above| above.ends_with('.')),
        None => host == "*" || host == own,
    };
    fits_host && (scheme == "*" || scheme == chart.scheme())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_reach_what_chrome_says_they_reach() {
        let chart = Url::parse("https://karte.example.jp/d/signin").unwrap();
        for pattern in
            ["<all_urls>", "*://*/*", "https://*/*", "https://karte.example.jp/*", "*://*.example.jp/*", "*://*.karte.example.jp/"]
        {
            assert!(matches(pattern, &chart), "{pattern}");
        }
        for pattern in ["http://*/*", "https://example.jp/*", "*://*.ample.jp/*", "chrome://favicon/*", "file:///*", "karte.example.jp", ""]
        {
            assert!(!matches(pattern, &chart), "{pattern}");
        }
    }
}
