//! Chrome and Edge on macOS: elements of ours beside those of others in the user's preferences, and the locks of running browsers.
//!
//! A browser takes the preferences of its domain for policies of the recommended level, which is enough to select certificates (Chromium,
//! `policy_loader_mac.mm` and `configuration_policy_handler_list_factory.cc`). What a configuration profile forces overrules them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use plist::Value;
use tegata_api::v1::device::BrowserRule;

use super::running::{Running, Witnesses};
use super::{Browser, BrowserError, is_browser_name, lock};
use crate::disk::{self, DiskError};
use crate::state::State;

mod merge;
mod tools;

use tools::{DEFAULTS, Tools};

/// Where browsers keep their users' data, below the home folder; a link `SingletonLock` in it names the running process.
pub(crate) const USER_DATA: [&str; 5] = [
    "Library/Application Support/Google/Chrome",
    "Library/Application Support/Microsoft Edge",
    "Library/Application Support/Google/Chrome Beta",
    "Library/Application Support/Google/Chrome Canary",
    "Library/Application Support/Chromium",
];

/// The preferences of Chrome and Edge.
pub(super) const DOMAINS: [&str; 2] = ["com.google.Chrome", "com.microsoft.Edge"];
/// The policy that selects certificates.
const SELECT: &str = "AutoSelectCertificateForUrls";
/// What configuration profiles force, for everybody; in a folder with the user's name, for the user.
#[cfg(target_os = "macos")]
const MANAGED: &str = "/Library/Managed Preferences";

/// The browsers of one user.
pub(super) struct Preferences {
    home: PathBuf,
    domains: &'static [&'static str],
    managed: PathBuf,
    /// Per domain, the elements that are ours or were about to be.
    memory: PathBuf,
    tools: Rc<dyn Tools>,
    witnesses: Witnesses,
}

type Memory = BTreeMap<String, BTreeSet<String>>;

impl Preferences {
    /// For the user of `home`.
    #[cfg(target_os = "macos")]
    pub(super) fn new(state: &State, home: &Path, domains: &'static [&'static str]) -> Self {
        Self::with(state, home, domains, Path::new(MANAGED), Rc::new(tools::Real))
    }

    fn with(state: &State, home: &Path, domains: &'static [&'static str], managed: &Path, tools: Rc<dyn Tools>) -> Self {
        let asked = Rc::clone(&tools);
        Self {
            home: home.to_owned(),
            domains,
            managed: managed.to_owned(),
            memory: state.browser_policies(),
            witnesses: Witnesses::of(state, move |process| Some(tools::process(&*asked, process)?.0)),
            tools,
        }
    }

    /// What is meant is remembered before it is done, so that it is known after a crash whose it is.
    fn select_in(&self, domain: &str, wanted: &BTreeSet<String>) -> Result<bool, BrowserError> {
        let remembered = self.memory()?.remove(domain).unwrap_or_default();
        if wanted.is_empty() && remembered.is_empty() {
            return Ok(false);
        }
        let list = self.list(domain)?;
        let (merged, ours) = merge::merged(&list, &remembered, wanted);
        if merged != list {
            self.note_running()?;
            self.remember(domain, remembered.union(&ours).cloned().collect())?;
            self.write(domain, &merged)?;
        }
        self.remember(domain, ours)?;
        Ok(merged != list)
    }

    /// The user's own list.
    fn list(&self, domain: &str) -> Result<Vec<String>, BrowserError> {
        let exported = self.tools.run(DEFAULTS, &["export", domain, "-"])?;
        let no_list = || BrowserError::NoList(format!("{SELECT} in the preferences {domain}"));
        let preferences = Value::from_reader(Cursor::new(exported)).map_err(|_| no_list())?;
        listed(&preferences).map_or(Ok(Vec::new()), |list| list.ok_or_else(no_list))
    }

    fn write(&self, domain: &str, list: &[String]) -> Result<(), BrowserError> {
        let mut arguments = if list.is_empty() { vec!["delete", domain, SELECT] } else { vec!["write", domain, SELECT, "-array"] };
        // A text that begins with a brace would else be read as a property list.
        arguments.extend(list.iter().flat_map(|text| ["-string", text.as_str()]));
        self.tools.run(DEFAULTS, &arguments)?;
        Ok(())
    }

    /// The profile's settings that overrule the user's, if they lack any of the wanted elements.
    fn overruled(&self, domain: &str, wanted: &BTreeSet<String>) -> Option<PathBuf> {
        let user = self.home.file_name().unwrap_or_default();
        let file = format!("{domain}.plist");
        let places = [self.managed.join(user).join(&file), self.managed.join(&file)];
        let (path, forced) = places.into_iter().find_map(|path| {
            let forced = listed(&Value::from_file(&path).ok()?)?;
            Some((path, forced))
        })?;
        // Whoever wrote the profile may have put the parts of an element into another order.
        let read = |text: &String| serde_json::from_str::<serde_json::Value>(text).ok();
        let forced: Vec<_> = forced.unwrap_or_default().iter().map(read).collect();
        wanted.iter().any(|text| !forced.contains(&read(text))).then_some(path)
    }

    fn memory(&self) -> Result<Memory, DiskError> {
        Ok(disk::read_json(&self.memory)?.unwrap_or_default())
    }

    fn remember(&self, domain: &str, ours: BTreeSet<String>) -> Result<(), DiskError> {
        let before = self.memory()?;
        let mut after = before.clone();
        after.insert(domain.to_owned(), ours);
        after.retain(|_, ours| !ours.is_empty());
        if after == before { Ok(()) } else { disk::write_json(&self.memory, &after) }
    }

    fn note_running(&self) -> Result<(), DiskError> {
        self.witnesses.note(USER_DATA.iter().filter_map(|folder| self.running_in(&self.home.join(folder))).collect())
    }

    /// The browser that uses this folder. The host in its lock is not compared: a Mac's name changes with the network that it is in.
    fn running_in(&self, user_data: &Path) -> Option<Running> {
        let (_, process) = lock::holder(user_data)?;
        let (started, program) = tools::process(&*self.tools, process)?;
        let name = Path::new(&program).file_name()?.to_string_lossy().to_lowercase();
        is_browser_name(&name).then_some(Running { process, started })
    }
}

impl Browser for Preferences {
    fn select(&mut self, rules: &BTreeSet<BrowserRule>) -> Result<bool, BrowserError> {
        let wanted = rules.iter().map(BrowserRule::policy_element).collect();
        let mut changed = false;
        for domain in self.domains {
            changed |= self.select_in(domain, &wanted)?;
        }
        let overruled = self.domains.iter().find_map(|domain| self.overruled(domain, &wanted));
        overruled.map_or(Ok(changed), |profile| Err(BrowserError::Overruled { profile: profile.display().to_string() }))
    }

    fn certificates_changed(&mut self) -> Result<(), DiskError> {
        self.note_running()
    }

    fn holds_old(&self) -> Result<bool, DiskError> {
        Ok(!self.witnesses.alive()?.is_empty())
    }
}

/// The list in these preferences; `None` if nothing is said, `Some(None)` if what is said is no list of texts.
fn listed(preferences: &Value) -> Option<Option<Vec<String>>> {
    let texts = |list: &Vec<Value>| list.iter().map(|text| text.as_string().map(str::to_owned)).collect();
    preferences.as_dictionary()?.get(SELECT).map(|value| value.as_array().and_then(texts))
}

#[cfg(test)]
mod tests;
