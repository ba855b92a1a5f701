//! What the user's own files say: which program opens the chart, where bookmarks and shortcuts lead, which extensions are on.
//!
//! These files are the user's. They are read within bounds, no link is followed, and one that cannot be read is never taken for one that says nothing.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde_json::Value;
use tegata_core::diagnosis::Fact;

use crate::browser::USER_DATA;
use crate::home::Home;

mod extensions;
mod handler;
mod links;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(windows, test))]
mod lnk;
#[cfg(any(target_os = "macos", all(test, target_os = "linux")))]
mod macos;
#[cfg(any(windows, test))]
mod windows;

#[cfg(target_os = "linux")]
use linux as os;
#[cfg(target_os = "macos")]
use macos as os;
#[cfg(windows)]
use windows as os;

/// The largest file that is read, in bytes.
const SIZE_MAX: u64 = 16 << 20;
/// The longest name of the user's that is told, in characters.
const NAME_MAX: usize = 60;

/// Everything that can be seen in a home of a user whose charts lie at these addresses.
pub(super) fn facts(home: &Path, addresses: &BTreeSet<String>) -> Vec<Fact> {
    let charts = Charts::at(addresses);
    let Ok(opened) = Home::open(home) else { return Vec::new() };
    let (shortcuts, is_whole) = links::shortcuts(&opened, home);
    let mut facts = handler::facts(&opened, &shortcuts, &charts);
    let Ok(profiles) = profiles(&opened) else { return facts };
    facts.extend(links::facts(&opened, &profiles, &shortcuts, is_whole, &charts));
    facts.extend(extensions::facts(&opened, &profiles, &charts));
    facts
}

/// The program that opens links for the user of this home, as the system names it.
pub(crate) fn default_browser(home: &Path) -> Option<String> {
    os::default_program(&Home::open(home).ok()?).map(|program| shown(&program))
}

/// The profiles of every browser, below the home.
fn profiles(home: &Home) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for data in USER_DATA.map(Path::new) {
        let names = home.list(data)?;
        let profiles = names.iter().filter(|name| *name == "Default" || name.to_string_lossy().starts_with("Profile "));
        found.extend(profiles.map(|name| data.join(name)));
    }
    Ok(found)
}

/// Reads JSON; `None` if the file is not there.
fn json(home: &Home, path: &Path) -> io::Result<Option<Value>> {
    let bytes = home.read(path, SIZE_MAX)?;
    Ok(bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose()?)
}

/// A name of the user's, as it can be shown.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect()
}

/// The addresses of the charts.
struct Charts {
    urls: Vec<Url>,
}

impl Charts {
    /// Patterns that are no address, such as those with an asterisk, are left out.
    fn at(addresses: &BTreeSet<String>) -> Self {
        Self { urls: addresses.iter().filter_map(|address| Url::parse(address).ok()).filter(|url| url.host_str().is_some()).collect() }
    }

    fn has_origin(&self, url: &Url) -> bool {
        self.urls.iter().any(|chart| chart.origin() == url.origin())
    }

    fn has_host(&self, host: &str) -> bool {
        self.urls.iter().any(|chart| chart.host_str() == Some(host))
    }

    /// True if a chart has the same domain above its host: `old.karte.example.jp` beside `karte.example.jp` has not.
    fn has_neighbour(&self, host: &str) -> bool {
        let domain = domain(host);
        domain.is_some() && self.urls.iter().filter_map(Url::host_str).any(|chart| self::domain(chart) == domain)
    }
}

/// What follows the first label, if it is somebody's: `medley.life` of `karte.medley.life`, but nothing of `karte.co.jp`.
fn domain(host: &str) -> Option<&str> {
    let (_, domain) = host.split_once('.')?;
    let labels: Vec<&str> = domain.rsplit('.').collect();
    let is_registry = |labels: &[&str]| match labels {
        [_] => true,
        [top, second] => top.len() == 2 && second.len() <= 3,
        _ => false,
    };
    let is_address = host.parse::<std::net::Ipv4Addr>().is_ok();
    (!is_registry(&labels) && !is_address).then_some(domain)
}
