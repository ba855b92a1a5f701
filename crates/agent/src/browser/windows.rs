//! Chrome and Edge on Windows: elements of ours beside those of others in the registry, and the processes of running browsers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tegata_api::v1::device::BrowserRule;

use super::numbered::{self, Elements};
use super::running::{Running, Witnesses};
use super::{Browser, BrowserError};
use crate::disk::{self, DiskError};
use crate::state::State;
use crate::windows::processes::{self, Process};

mod opening;
mod policies;

use policies::{Policies, Root};

/// Where browsers keep their users' data, below the home folder.
pub(crate) const USER_DATA: [&str; 3] =
    ["AppData/Local/Google/Chrome/User Data", "AppData/Local/Microsoft/Edge/User Data", "AppData/Local/Chromium/User Data"];

/// Where Chrome and Edge read their policies, below either root of the registry (Chromium, `policy_loader_win.cc`; Microsoft Edge, "Configure
/// Microsoft Edge policy settings on Windows").
const USUAL: [&str; 2] = [r"SOFTWARE\Policies\Google\Chrome", r"SOFTWARE\Policies\Microsoft\Edge"];
/// What their programs are called.
const IMAGES: [&str; 2] = ["chrome.exe", "msedge.exe"];

/// The browsers of one user.
pub(super) struct Registered {
    /// Of every browser, what is said for everybody and what is said for the user.
    browsers: Vec<[Policies; 2]>,
    memory: PathBuf,
    witnesses: Witnesses,
}

/// What is ours, or was about to be, in one half of a browser's policies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Ours {
    elements: Elements,
    background: bool,
}

impl Registered {
    /// Chrome and Edge.
    pub(super) fn usual(state: &State) -> Self {
        Self::at(state, &USUAL)
    }

    /// Browsers that read their policies here; there may be none.
    pub(super) fn at(state: &State, paths: &[&str]) -> Self {
        let browser = |path: &&str| [Root::Machine, Root::User].map(|root| Policies::at(root, path));
        Self {
            browsers: paths.iter().map(browser).collect(),
            memory: state.browser_policies(),
            witnesses: Witnesses::of(state, processes::started),
        }
    }

    fn select_in(&self, browser: &[Policies; 2], wanted: &BTreeSet<String>) -> Result<bool, DiskError> {
        let place = if wanted.is_empty() { None } else { Some(self.place(browser, wanted)?) };
        // What comes before what goes.
        let mut halves: Vec<&Policies> = browser.iter().collect();
        halves.sort_by_key(|half| Some(half.root) != place);
        let mut changed = false;
        for half in halves {
            let wanted = if Some(half.root) == place { wanted } else { &BTreeSet::new() };
            changed |= self.make(half, wanted)?;
        }
        self.end_with_the_last_window(browser, place)?;
        Ok(changed)
    }

    /// Where the elements go. Beside those of others, since the list for everybody overrules the user's; else for everybody, if the agent
    /// may; else for the user.
    fn place(&self, browser: &[Policies; 2], wanted: &BTreeSet<String>) -> Result<Root, DiskError> {
        let mut foreign = Vec::new();
        for half in browser {
            if numbered::has_foreign(&half.list()?, &self.ours(half)?.elements) {
                foreign.push(half);
            }
        }
        let candidates = foreign.first().map_or(browser.iter().collect(), |first| vec![*first]);
        for half in &candidates {
            if numbered::change(&half.list()?, &self.ours(half)?.elements, wanted).is_none() || half.is_open()? {
                return Ok(half.root);
            }
        }
        Err(candidates[candidates.len() - 1].closed())
    }

    /// Makes ours the wanted elements. What is meant is remembered before it is done, so that it is known after a crash whose it is.
    fn make(&self, half: &Policies, wanted: &BTreeSet<String>) -> Result<bool, DiskError> {
        let before = self.ours(half)?;
        let change = numbered::change(&half.list()?, &before.elements, wanted);
        if !change.is_none() {
            if !half.is_open()? {
                return Err(half.closed());
            }
            self.note_running()?;
            let elements = before.elements.union(&change.ours).cloned().collect();
            self.remember(half, Ours { elements, ..before.clone() })?;
            half.carry_out(&change)?;
        }
        if wanted.is_empty() && !before.elements.is_empty() {
            half.remove_empty_list()?;
        }
        self.remember(half, Ours { elements: change.ours.clone(), ..before })?;
        Ok(!change.is_none())
    }

    /// Browsers that go on in the background keep an old decision although people have closed them. Left alone where anybody else has said
    /// something about it, and where the agent may not.
    fn end_with_the_last_window(&self, browser: &[Policies; 2], place: Option<Root>) -> Result<(), DiskError> {
        let (mut own, mut is_settled) = (Vec::new(), false);
        for half in browser {
            let said = half.background()?;
            own.push(said == Some(Some(0)) && self.ours(half)?.background);
            is_settled |= said.is_some() && !own[own.len() - 1];
        }
        for (half, is_own) in browser.iter().zip(own) {
            let wanted = Some(half.root) == place && !is_settled;
            if is_own != wanted && half.is_background_open()? {
                self.remember(half, Ours { background: true, ..self.ours(half)? })?;
                half.forbid_background(wanted)?;
            }
            let is_ours = half.background()? == Some(Some(0)) && (wanted || is_own);
            self.remember(half, Ours { background: is_ours, ..self.ours(half)? })?;
        }
        Ok(())
    }

    fn memory(&self) -> Result<BTreeMap<String, Ours>, DiskError> {
        Ok(disk::read_json(&self.memory)?.unwrap_or_default())
    }

    fn ours(&self, half: &Policies) -> Result<Ours, DiskError> {
        Ok(self.memory()?.remove(&half.name()).unwrap_or_default())
    }

    fn remember(&self, half: &Policies, ours: Ours) -> Result<(), DiskError> {
        let before = self.memory()?;
        let mut after = before.clone();
        after.insert(half.name(), ours);
        after.retain(|_, ours| *ours != Ours::default());
        if after == before { Ok(()) } else { disk::write_json(&self.memory, &after) }
    }

    fn note_running(&self) -> Result<(), DiskError> {
        let browsers = browsers(&processes::all(), processes::own_session());
        let running = browsers.into_iter().filter_map(|process| Some(Running { process, started: processes::started(process)? }));
        self.witnesses.note(running.collect())
    }
}

impl Browser for Registered {
    fn select(&mut self, rules: &BTreeSet<BrowserRule>) -> Result<bool, BrowserError> {
        let wanted = rules.iter().map(BrowserRule::policy_element).collect();
        let (mut changed, mut closed) = (false, Vec::new());
        for browser in &self.browsers {
            match self.select_in(browser, &wanted) {
                Ok(wrote) => changed |= wrote,
                Err(problem) if policies::is_closed(&problem) => closed.push(problem),
                Err(problem) => return Err(problem.into()),
            }
        }
        let command = opening::command(closed.iter().map(|problem| problem.path.as_path()));
        closed.into_iter().next().map_or(Ok(changed), |source| Err(BrowserError::Closed { command, source }))
    }

    fn certificates_changed(&mut self) -> Result<(), DiskError> {
        self.note_running()
    }

    fn holds_old(&self) -> Result<bool, DiskError> {
        Ok(!self.witnesses.alive()?.is_empty())
    }
}

/// The browsers among these processes, one number for each: a browser is many processes, and decides in the one that started the others.
/// Those of other people's sessions are theirs; the session of services has no windows, so whoever works from there means all of them.
fn browsers(processes: &[Process], own_session: Option<u32>) -> BTreeSet<u32> {
    let is_browser = |process: &Process| IMAGES.iter().any(|image| process.image.eq_ignore_ascii_case(image));
    let is_near = |process: &Process| own_session.is_none_or(|own| own == processes::SERVICES || process.session == Some(own));
    let all: Vec<&Process> = processes.iter().filter(|process| is_browser(process) && is_near(process)).collect();
    let is_part =
        |process: &Process| all.iter().any(|other| other.id == process.parent && other.image.eq_ignore_ascii_case(&process.image));
    all.iter().filter(|process| !is_part(process)).map(|process| process.id).collect()
}

#[cfg(test)]
mod tests;
