//! `tegata-agent doctor`: why a chart does not open. Tries everything at once, names the first cause, and changes nothing.
//!
//! What is seen here is judged by [`tegata_core::diagnosis`].

use std::collections::BTreeSet;

use futures::future::join_all;
use tegata_core::diagnosis::{Cause, Fact, Shown};
use tegata_core::install::Stage;
use tegata_core::name::Sha256;
use tegata_core::time::Timestamp;

use crate::browser::{self, Browser};
use crate::disk::{self, DiskError};
use crate::inventory::Inventory;
use crate::journal::{Entry, Journal};
use crate::keystore::{self, KeystoreError, Keystores};
use crate::manifest::{Manifest, Slot};
use crate::probe::{self, Prober};
use crate::settings::Settings;
use crate::state::State;
use crate::switch::Clinics;

mod certificate;
mod desktop;
mod list;
mod look;
mod told;

pub(crate) use desktop::default_browser;
pub use told::{Told, exit_code};

/// Who looks, and with what.
pub struct Doctor<'a> {
    /// The agent's own folder.
    pub state: &'a State,
    /// What `enroll` was told.
    pub settings: &'a Settings,
    /// The stores.
    pub keystores: &'a Keystores,
    /// Makes handshakes.
    pub prober: &'a dyn Prober,
    /// The browsers.
    pub browser: &'a dyn Browser,
}

/// A slot, and what the agent's own files say of it.
struct Chart {
    slot: Slot,
    entry: Option<Entry>,
    /// What the agent has installed for it, or was about to.
    installed: BTreeSet<Sha256>,
}

/// Looks at everything of the PC whose agent works in this folder, with its real stores and browsers.
pub async fn examine(state: &State, settings: &Settings, now: Timestamp) -> Result<Vec<Fact>, ExamineError> {
    let keystores = keystore::available(state, &settings.home, settings.keystore)?;
    let (prober, browser) = (probe::Online::new(state, &settings.resolve), browser::of_this_pc(state, settings));
    let doctor = Doctor { state, settings, keystores: &keystores, prober: &prober, browser: &*browser };
    Ok(doctor.examine(now).await?)
}

/// Why the doctor could not look.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// A keystore is not there.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The agent's files cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Doctor<'_> {
    /// Looks at everything. `now` is what the clock of this PC says.
    pub async fn examine(&self, now: Timestamp) -> Result<Vec<Fact>, DiskError> {
        let charts = self.charts()?;
        let certificates = join_all(charts.iter().map(|chart| self.certificate(chart, now)));
        let (clock, certificates) = tokio::join!(self.clock(&charts, now), certificates);
        let mut facts: Vec<Fact> = clock.into_iter().chain(certificates.into_iter().flatten()).collect();
        facts.extend(self.clinics());
        facts.extend(self.browser.holds_old().ok().map(|holds| if holds { Fact::HoldsOld } else { Fact::Fine(Cause::OldDecision) }));
        facts.extend(desktop::facts(&self.settings.home, &addresses(&charts)));
        Ok(facts)
    }

    fn charts(&self) -> Result<Vec<Chart>, DiskError> {
        let Some(manifest) = Manifest::kept(self.state)? else { return Ok(Vec::new()) };
        let (journal, inventory) = (Journal::open(self.state)?, Inventory::open(self.state)?);
        let chart = |slot: Slot| Chart { entry: journal.entry(&slot.id).cloned(), installed: inventory.of_slot(&slot.id).collect(), slot };
        Ok(manifest.slots.into_iter().map(chart).collect())
    }

    /// How far this clock is from that of the server, or of a chart's site if the server does not answer.
    async fn clock(&self, charts: &[Chart], now: Timestamp) -> Option<Fact> {
        let ours = look::Trust::Only(disk::read_text(&self.state.authorities()).ok()??);
        let sites = charts.iter().filter_map(|chart| chart.slot.probe.as_deref());
        let asked = join_all(sites.map(|site| look::at(self, site, look::Trust::Usual)));
        let (server, sites) = tokio::join!(look::at(self, &self.settings.server, ours), asked);
        let theirs = std::iter::once(server).chain(sites).find_map(|seen| seen.date)?;
        Some(Fact::ClockAhead(now.unix().saturating_sub(theirs.unix())))
    }

    fn clinics(&self) -> Vec<Fact> {
        let Ok(told) = Clinics::read(self.state, self.settings) else { return Vec::new() };
        let shared = told.sites.into_iter().filter(|site| site.clinics.len() > 1);
        let fact = |site: crate::switch::Shown| Fact::Shared {
            shown: match site.clinic {
                None => Shown::Nobodys,
                Some(clinic) if site.alike.is_empty() => Shown::Of(clinic),
                Some(clinic) => Shown::Alike(clinic),
            },
            site: site.site,
        };
        let facts: Vec<Fact> = shared.map(fact).collect();
        if facts.is_empty() { vec![Fact::Fine(Cause::OtherClinic)] } else { facts }
    }
}

impl Chart {
    /// True if a certificate was proven at the slot's site once.
    fn was_open(&self) -> bool {
        let is_proven = |entry: &Entry| matches!(entry.stage, Stage::Proven | Stage::Settled) || !entry.proven_rules.is_empty();
        self.slot.probe.is_some() && self.entry.as_ref().is_some_and(is_proven)
    }
}

/// Every address that browsers open with a certificate.
fn addresses(charts: &[Chart]) -> BTreeSet<String> {
    let told = charts.iter().filter(|chart| chart.slot.is_for_browser());
    told.flat_map(|chart| chart.slot.select.iter().map(|rule| rule.pattern.clone()).chain(chart.slot.probe.clone())).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
