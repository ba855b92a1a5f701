//! What browsers are told. They know a site by its address alone and take one certificate for it: where several clinics of this PC use
//! the same site, the rules of the one that is worked for now are in force. Those of a site that only one clinic uses always are.

use std::collections::{BTreeMap, BTreeSet};

use tegata_api::v1::device::{BrowserRule, origin};
use tegata_core::install::Stage;
use tegata_core::name::{ClinicName, SlotId};

use crate::journal::{Entry, Journal};
use crate::manifest::{Manifest, Slot};

/// What browsers are told while one clinic is worked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    active: ClinicName,
    sites: BTreeMap<String, Site>,
}

/// The rules for one site, clinic by clinic, and which slot each is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    rules: BTreeMap<ClinicName, BTreeSet<(BrowserRule, SlotId)>>,
}

impl Selection {
    /// While a slot is `installing`, its journal does not say yet that its certificate is there.
    pub fn of(manifest: &Manifest, journal: &Journal, active: ClinicName, installing: Option<&SlotId>) -> Self {
        let mut sites: BTreeMap<String, Site> = BTreeMap::new();
        for slot in manifest.slots.iter().filter(|slot| slot.is_for_browser()) {
            for rule in rules(slot, journal.entry(&slot.id), installing == Some(&slot.id)) {
                let site = sites.entry(origin(&rule.pattern)).or_default();
                site.rules.entry(slot.id.clinic.clone()).or_default().insert((rule, slot.id.clone()));
            }
        }
        Self { active, sites }
    }

    /// The clinic that is worked for.
    pub fn active(&self) -> &ClinicName {
        &self.active
    }

    /// Every site that there is a rule for.
    pub fn sites(&self) -> impl Iterator<Item = (&str, &Site)> {
        self.sites.iter().map(|(origin, site)| (origin.as_str(), site))
    }

    /// The rules in force.
    pub fn rules(&self) -> BTreeSet<BrowserRule> {
        self.in_force().map(|(rule, _)| rule.clone()).collect()
    }

    /// True if browsers are to show the slot's certificate anywhere.
    pub fn shows(&self, slot: &SlotId) -> bool {
        self.in_force().any(|(_, of)| of == slot)
    }

    fn in_force(&self) -> impl Iterator<Item = &(BrowserRule, SlotId)> {
        self.sites.values().filter_map(|site| site.rules.get(site.shown(&self.active)?)).flatten()
    }
}

impl Site {
    /// Every clinic that uses it.
    pub fn clinics(&self) -> impl Iterator<Item = &ClinicName> {
        self.rules.keys()
    }

    /// The slots of a clinic whose certificates are for it.
    pub fn slots(&self, clinic: &ClinicName) -> impl Iterator<Item = &SlotId> {
        self.rules.get(clinic).into_iter().flatten().map(|(_, slot)| slot)
    }

    /// The clinic whose certificate is shown while `active` is worked for. None if several use the site and it is not among them: to
    /// guess would open somebody's charts, so browsers ask.
    pub fn shown<'a>(&'a self, active: &'a ClinicName) -> Option<&'a ClinicName> {
        let (only, _) = self.rules.first_key_value()?;
        if self.rules.len() == 1 { Some(only) } else { Some(active).filter(|active| self.rules.contains_key(*active)) }
    }

    /// Clinics whose certificates the rules of the shown one select as well. Browsers take whichever lives longest.
    pub fn alike(&self, shown: &ClinicName) -> impl Iterator<Item = &ClinicName> {
        let taken = |rule: &BrowserRule| self.rules.get(shown).into_iter().flatten().any(|(shown, _)| shown.covers(rule));
        let others = self.rules.iter().filter(move |(clinic, _)| *clinic != shown);
        others.filter(move |(_, rules)| rules.iter().any(|(rule, _)| taken(rule))).map(|(clinic, _)| clinic)
    }
}

/// The rules for one slot. Until its newest order is proven, those of what was proven before stay too.
fn rules(slot: &Slot, entry: Option<&Entry>, is_installing: bool) -> BTreeSet<BrowserRule> {
    let is_proven = entry.is_none_or(|entry| entry.stage >= Stage::Proven && entry.stage <= Stage::Settled);
    let is_installed = is_proven || is_installing || entry.is_some_and(|entry| entry.stage == Stage::Installed);
    let mut rules = entry.filter(|_| !is_proven).map(|entry| entry.proven_rules.clone()).unwrap_or_default();
    if is_installed || rules.is_empty() {
        rules.extend(slot.select.iter().cloned());
    }
    rules
}

#[cfg(test)]
mod tests {
    use tegata_api::v1::device as wire;

    use super::*;
    use crate::pretend::World;

    const SHARED: &str = "https://karte.example.jp";

    fn rule(pattern: &str, organization: &str) -> BrowserRule {
        BrowserRule {
            pattern: pattern.into(),
            issuer_common_name: "Aozora CA".into(),
            subject_organization: organization.into(),
            subject_common_name: None,
        }
    }

    fn slot(id: &str, stores: &[&str], select: &[BrowserRule]) -> wire::SlotManifest {
        wire::SlotManifest {
            backup: vec![],
            quorum: None,
            source: wire::Source::Request,
            slot: id.into(),
            order: None,
            key: "ecdsa-p256".into(),
            label: "Karte".into(),
            stores: stores.iter().map(ToString::to_string).collect(),
            select: select.to_vec(),
            probe: None,
            replaces: vec![],
        }
    }

    /// What browsers of a PC of clinic `a` are told while `active` is worked for.
    fn told(slots: Vec<wire::SlotManifest>, active: &str) -> Selection {
        let manifest = wire::Manifest { generation: 1, device: "a/pc".into(), slots, ..Default::default() };
        let journal = Journal::open(&World::new().state).unwrap();
        Selection::of(&Manifest::try_from(&manifest).unwrap(), &journal, active.parse().unwrap(), None)
    }

    fn three() -> Vec<wire::SlotManifest> {
        vec![
            slot("a/pc/karte", &["browser"], &[rule(SHARED, "a"), rule("https://a.example.jp", "a")]),
            slot("b/pc@a/karte", &["browser"], &[rule("https://KARTE.example.jp:443", "b"), rule("https://b.example.jp", "b")]),
            slot("c/pc@a/other", &["browser"], &[rule("https://c.example.jp", "c")]),
        ]
    }

    #[test]
    fn of_a_shared_site_the_active_clinics_rules_are_in_force_and_of_the_others_always_all() {
        let always = [rule("https://a.example.jp", "a"), rule("https://b.example.jp", "b"), rule("https://c.example.jp", "c")];
        for (active, shared) in [("a", Some(rule(SHARED, "a"))), ("b", Some(rule("https://KARTE.example.jp:443", "b"))), ("c", None)] {
            let expected: BTreeSet<_> = always.iter().cloned().chain(shared).collect();
            assert_eq!(told(three(), active).rules(), expected, "{active}");
        }
    }

    #[test]
    fn browsers_ask_where_the_active_clinic_has_no_certificate_and_several_others_have() {
        let selection = told(three(), "c");
        let shown: Vec<_> = selection.sites().map(|(name, site)| (name, site.shown(selection.active()).map(ClinicName::as_str))).collect();
        assert_eq!(
            shown,
            [("https://a.example.jp", Some("a")), ("https://b.example.jp", Some("b")), ("https://c.example.jp", Some("c")), (SHARED, None)]
        );
    }

    #[test]
    fn a_slot_that_is_shown_nowhere_is_known() {
        let only_shared =
            || ["a/pc/karte", "b/pc@a/karte"].map(|id| slot(id, &["browser"], &[rule(SHARED, &id[..1])])).into_iter().collect::<Vec<_>>();
        for (active, shows) in [("a", [true, false]), ("b", [false, true])] {
            let selection = told(only_shared(), active);
            assert_eq!(["a/pc/karte", "b/pc@a/karte"].map(|id| selection.shows(&id.parse().unwrap())), shows);
        }
    }

    #[test]
    fn a_certificate_that_no_browser_has_takes_no_site_from_others() {
        let elsewhere = slot("b/pc@a/karte", &["file"], &[rule(SHARED, "b")]);
        let own = slot("a/pc/karte", &["browser"], &[rule(SHARED, "a")]);
        assert_eq!(told(vec![own, elsewhere], "b").rules(), [rule(SHARED, "a")].into());
    }

    #[test]
    fn certificates_that_browsers_cannot_tell_apart_are_named() {
        let of = |id: &str, organization| slot(id, &["browser"], &[rule(SHARED, organization)]);
        let alike = |slots, active: &str| {
            let selection = told(slots, active);
            let (_, site) = selection.sites().next().unwrap();
            site.alike(selection.active()).map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(alike(vec![of("a/pc/karte", "a"), of("b/pc@a/karte", "b")], "a"), [""; 0]);
        assert_eq!(alike(vec![of("a/pc/karte", "u1"), of("b/pc@a/karte", "u1"), of("c/pc@a/karte", "c")], "a"), ["b"]);
        assert_eq!(alike(vec![of("a/pc/karte", ""), of("b/pc@a/karte", "u1")], "a"), ["b"]);
        assert_eq!(alike(vec![of("a/pc/karte", ""), of("b/pc@a/karte", "u1")], "b"), [""; 0]);
    }
}
