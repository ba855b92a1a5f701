//! `tegata-agent switch`: for which clinic people work at this PC now. Needs neither network nor server, nor the running agent: what is
//! remembered and what browsers are told change together, and whoever tells browsers reads first what is remembered.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tegata_core::name::ClinicName;

use crate::browser::{self, Browser, BrowserError};
use crate::disk::{self, DiskError};
use crate::inventory::Inventory;
use crate::journal::Journal;
use crate::manifest::Manifest;
use crate::selection::{Selection, Site};
use crate::settings::Settings;
use crate::state::State;
use crate::words::{ClinicPhrase, Language, Phrase, say};

/// Why there is nothing to switch, or it was not switched.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The server has not told this PC yet what it should have.
    #[error("this PC was not told of any clinic yet: {0} has no manifest.json; tegata-agent run fetches it")]
    NothingYet(String),
    /// The PC does not work for this clinic.
    #[error("this PC does not work for a clinic {asked}; it does for {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The choice is remembered, and browsers do not know of it yet.
    #[error("the clinic in use is {clinic}, but browsers were not told")]
    Untold {
        /// The choice.
        clinic: String,
        /// Why not.
        #[source]
        source: BrowserError,
    },
    /// The disk is in the way.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What is remembered.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remembered {
    clinic: String,
}

/// The clinics whose certificates the browsers of this PC may show, and its own.
pub fn clinics(manifest: &Manifest) -> BTreeSet<&ClinicName> {
    let told = manifest.slots.iter().filter(|slot| slot.is_for_browser());
    told.map(|slot| &slot.id.clinic).chain([&manifest.device.clinic]).collect()
}

/// The clinic that is worked for: the one that was chosen last, or the PC's own if there was no choice or the PC has left that clinic.
pub fn active(state: &State, manifest: &Manifest) -> Result<ClinicName, DiskError> {
    let chosen = disk::read_json::<Remembered>(&state.active_clinic())?.map(|remembered| remembered.clinic);
    let known = clinics(manifest).into_iter().find(|clinic| Some(clinic.as_str()) == chosen.as_deref());
    Ok(known.unwrap_or(&manifest.device.clinic).clone())
}

/// Remembers the choice, then tells browsers. Should the plug be pulled in between, the agent tells them, or whoever chooses again.
pub fn switch(state: &State, browser: &mut dyn Browser, clinic: &str) -> Result<(), SwitchError> {
    // Before anything is read: nobody may tell browsers what is older.
    let _alone = state.hold_browsers()?;
    let manifest = kept(state)?;
    let known = clinics(&manifest);
    if !known.iter().any(|known| known.as_str() == clinic) {
        return Err(SwitchError::Unknown { asked: clinic.into(), known: known.into_iter().map(ToString::to_string).collect() });
    }
    disk::write_json(&state.active_clinic(), &Remembered { clinic: clinic.into() })?;
    let selection = Selection::of(&manifest, &Journal::open(state)?, active(state, &manifest)?, None);
    let told = browser.select(&selection.rules());
    told.map(drop).map_err(|source| SwitchError::Untold { clinic: clinic.into(), source })
}

fn kept(state: &State) -> Result<Manifest, SwitchError> {
    Manifest::kept(state)?.ok_or_else(|| SwitchError::NothingYet(state.root().display().to_string()))
}

/// The clinics of a PC, and whose certificates its browsers show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Clinics {
    /// The clinic that is worked for.
    pub active: String,
    /// The clinic where the PC stands.
    pub home: String,
    /// All of them.
    pub clinics: Vec<String>,
    /// The sites.
    pub sites: Vec<Shown>,
    /// True while a browser runs that has to be restarted once.
    pub restart_browser: bool,
}

/// Whose certificate is shown at one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// `https://host`, perhaps with a port.
    pub site: String,
    /// The clinic; absent if browsers ask, because several clinics use the site and the active one does not.
    pub clinic: Option<String>,
    /// True if that clinic's certificate has come. Until then browsers ask.
    pub installed: bool,
    /// Every clinic that uses it.
    pub clinics: Vec<String>,
    /// Clinics whose certificates browsers cannot tell from the shown one.
    pub alike: Vec<String>,
}

impl Clinics {
    /// Reads it; also while the agent runs.
    pub fn read(state: &State, settings: &Settings) -> Result<Self, SwitchError> {
        let manifest = kept(state)?;
        let selection = Selection::of(&manifest, &Journal::open(state)?, active(state, &manifest)?, None);
        let inventory = Inventory::open(state)?;
        Ok(Self {
            active: selection.active().to_string(),
            home: manifest.device.clinic.to_string(),
            clinics: clinics(&manifest).into_iter().map(ToString::to_string).collect(),
            sites: selection.sites().map(|(name, site)| Shown::at(name, site, selection.active(), &inventory)).collect(),
            restart_browser: browser::of_this_pc(state, settings).holds_old()?,
        })
    }

    /// Tells people all of it.
    pub fn tell(&self, language: Language) -> String {
        let mark = |clinic: &String| ClinicPhrase::Listed {
            name: clinic.clone(),
            is_active: *clinic == self.active,
            is_home: *clinic == self.home,
        };
        self.said(language, [ClinicPhrase::List].into_iter().chain(self.clinics.iter().map(mark)))
    }

    /// Tells people what has become of their choice.
    pub fn tell_switched(&self, language: Language) -> String {
        self.said(language, [ClinicPhrase::Switched(self.active.clone())].into_iter())
    }

    fn said(&self, language: Language, first: impl Iterator<Item = ClinicPhrase>) -> String {
        let sites = self.sites.iter().flat_map(Shown::phrases);
        let last = self.restart_browser.then_some(Phrase::RestartBrowser);
        first.chain(sites).map(Phrase::Clinic).chain(last).map(|phrase| say(language, &phrase) + "\n").collect()
    }
}

impl Shown {
    fn at(name: &str, site: &Site, active: &ClinicName, inventory: &Inventory) -> Self {
        let shown = site.shown(active);
        Self {
            site: name.to_owned(),
            clinic: shown.map(ToString::to_string),
            installed: shown.is_some_and(|shown| site.slots(shown).any(|slot| inventory.holds(slot))),
            clinics: site.clinics().map(ToString::to_string).collect(),
            alike: shown.into_iter().flat_map(|shown| site.alike(shown)).map(ToString::to_string).collect(),
        }
    }

    fn phrases(&self) -> Vec<ClinicPhrase> {
        let site = self.site.clone();
        match &self.clinic {
            None => vec![ClinicPhrase::SiteAsks(site, self.clinics.join(", "))],
            Some(clinic) if !self.installed => vec![ClinicPhrase::SiteAwaits(site, clinic.clone())],
            Some(clinic) if self.alike.is_empty() => vec![ClinicPhrase::SiteShows(site, clinic.clone())],
            Some(clinic) => {
                vec![ClinicPhrase::SiteShows(site.clone(), clinic.clone()), ClinicPhrase::SiteAlike(site, self.alike.join(", "))]
            }
        }
    }
}

#[cfg(test)]
mod tests;
