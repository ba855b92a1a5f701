//! A PC that works for two clinics with one chart site: which rules are in force, and that nobody brings older ones back.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tegata_core::name::ClinicName;

use super::*;
use crate::browser::BrowserError;
use crate::disk::Readers;

const HOME: &str = SLOT;
const GUEST: &str = "momiji/uketsuke-1@sakura/karte";

fn rule_of(clinic: &str, site: &str) -> BrowserRule {
    BrowserRule { subject_organization: clinic.into(), ..rule(site) }
}

fn shared(clinic: &str) -> BrowserRule {
    rule_of(clinic, "https://karte.example.jp")
}

/// The PC's own clinic and one that it is a guest of; both use one site, and the guest another one too.
fn two_clinics() -> wire::Manifest {
    let own = wire::SlotManifest { select: vec![shared("sakura")], ..slot(Some(order(1)), &[]) };
    let lab = rule_of("momiji", "https://lab.example.jp");
    let guest = wire::SlotManifest { slot: GUEST.into(), select: vec![shared("momiji"), lab], ..slot(Some(order(2)), &[]) };
    wire::Manifest { generation: 1, device: "sakura/uketsuke-1".into(), slots: vec![own, guest], ..Default::default() }
}

/// The same without the site that is the guest's alone.
fn only_shared() -> wire::Manifest {
    let mut manifest = two_clinics();
    manifest.slots[1].select.pop();
    manifest
}

fn read(manifest: &wire::Manifest) -> Manifest {
    Manifest::try_from(manifest).unwrap()
}

/// The manifest as the agent keeps it, and one pass over it.
async fn follow(world: &World, manifest: &wire::Manifest) {
    disk::write_json(&world.state.manifest(), manifest).unwrap();
    pass(world, &read(manifest)).await;
}

fn switch_to(world: &World, clinic: &str) {
    switch::switch(&world.state, &mut Rc::clone(&world.browser), clinic).unwrap();
}

/// Whose certificate the browser shows at the shared site.
fn shown(world: &World) -> Vec<String> {
    let rules = world.browser.rules.borrow();
    rules.iter().filter(|rule| rule.pattern == "https://karte.example.jp").map(|rule| rule.subject_organization.clone()).collect()
}

#[tokio::test]
async fn a_switch_counts_at_once_and_the_agent_does_not_bring_the_old_rules_back() {
    let world = World::new();
    let mut running = world.parts();
    follow(&world, &two_clinics()).await;
    assert_eq!((shown(&world), world.browser.rules.borrow().len()), (vec!["sakura".to_owned()], 2), "the other site is the guest's always");
    switch_to(&world, "momiji");
    assert_eq!(shown(&world), ["momiji"]);
    running.converge(&read(&two_clinics()), &mut Retries::default()).await;
    pass(&world, &read(&two_clinics())).await;
    assert_eq!((shown(&world), world.browser.rules.borrow().len()), (vec!["momiji".to_owned()], 2));
    switch_to(&world, "sakura");
    assert_eq!(shown(&world), ["sakura"]);
}

/// Its proof is a handshake of the agent's own; no browser has a part in it.
#[tokio::test]
async fn the_certificate_of_a_clinic_that_is_not_worked_for_is_proven_and_renewed_and_no_browser_has_to_be_restarted() {
    let world = World::new();
    let mut renewal = only_shared();
    follow(&world, &renewal).await;
    let before = world.browser.changes.get();
    renewal.slots[1].order = Some(order(3).to_string());
    follow(&world, &renewal).await;
    let renewed = world.server.issued(order(3)).unwrap();
    assert!(world.site.accepted.borrow().contains(&renewed));
    let entry = world.parts().journal.entry(&GUEST.parse().unwrap()).unwrap().clone();
    assert_eq!((entry.stage, entry.report().trouble), (Stage::Settled, None));
    assert_eq!((world.browser.changes.get(), shown(&world)), (before, vec!["sakura".to_owned()]));
    renewal.slots[0].order = Some(order(4).to_string());
    follow(&world, &renewal).await;
    assert_eq!(world.browser.changes.get(), before + 1, "a browser that shows the renewed one has to be");
}

#[tokio::test]
async fn browsers_that_cannot_be_told_are_the_trouble_of_those_slots_only_that_they_would_show() {
    let world = World::new();
    world.browser.is_closed.set(true);
    follow(&world, &only_shared()).await;
    let troubles = || [HOME, GUEST].map(|slot| world.parts().journal.entry(&slot.parse().unwrap()).unwrap().untold.is_some());
    assert_eq!(troubles(), [true, false]);
    let refused = switch::switch(&world.state, &mut Rc::clone(&world.browser), "momiji").unwrap_err();
    assert!(crate::told(&refused).contains("the clinic in use is momiji, but browsers were not told: "), "{refused}");
    pass(&world, &read(&only_shared())).await;
    assert_eq!(troubles(), [false, true]);
    world.browser.is_closed.set(false);
    pass(&world, &read(&only_shared())).await;
    assert_eq!((troubles(), shown(&world)), ([false, false], vec!["momiji".to_owned()]), "the choice was remembered");
}

#[tokio::test]
async fn a_pc_that_has_left_the_chosen_clinic_works_for_its_own_again() {
    let world = World::new();
    follow(&world, &two_clinics()).await;
    switch_to(&world, "momiji");
    let left = wire::Manifest { generation: 2, slots: vec![two_clinics().slots.remove(0)], ..two_clinics() };
    follow(&world, &left).await;
    let is_active = |manifest: &wire::Manifest, clinic: &str| {
        assert_eq!(switch::active(&world.state, &read(manifest)).unwrap(), clinic.parse::<ClinicName>().unwrap());
    };
    is_active(&left, "sakura");
    assert_eq!(shown(&world), ["sakura"]);
    let refused = switch::switch(&world.state, &mut Rc::clone(&world.browser), "momiji").unwrap_err();
    assert_eq!(refused.to_string(), "this PC does not work for a clinic momiji; it does for sakura");
    follow(&world, &wire::Manifest { generation: 3, ..two_clinics() }).await;
    is_active(&two_clinics(), "momiji");
}

#[tokio::test]
async fn a_damaged_choice_stops_no_certificate_and_another_choice_heals_it() {
    let world = World::new();
    disk::write(&world.state.active_clinic(), b"{", Readers::Owner).unwrap();
    follow(&world, &two_clinics()).await;
    let entry = |slot: &str| world.parts().journal.entry(&slot.parse().unwrap()).unwrap().clone();
    assert_eq!([entry(HOME).stage, entry(GUEST).stage], [Stage::Settled; 2]);
    assert!(entry(GUEST).untold.is_some_and(|problem| problem.en.contains("active-clinic.json")));
    switch_to(&world, "momiji");
    pass(&world, &read(&two_clinics())).await;
    assert_eq!((shown(&world), entry(GUEST).untold), (vec!["momiji".to_owned()], None));
}

#[test]
fn the_plug_can_be_pulled_while_clinics_are_switched() {
    quietly();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut points = 0;
    loop {
        let world = World::new();
        runtime.block_on(follow(&world, &two_clinics()));
        let was_pulled = unplugged(async { switch_to(&world, "momiji") }, points);
        let chosen = switch::active(&world.state, &read(&two_clinics())).unwrap();
        runtime.block_on(pass(&world, &read(&two_clinics())));
        assert_eq!(shown(&world), [chosen.as_str()], "pulled at {points}");
        assert!(world.browser.history.borrow().iter().all(|rules| rules.contains(&shared("sakura")) != rules.contains(&shared("momiji"))));
        if !was_pulled {
            break;
        }
        points += 1;
    }
    assert!(points >= 3, "only {points} points");
}

type Rules = Arc<Mutex<BTreeSet<BrowserRule>>>;

/// Somebody who switches clinics at the very moment that the agent tells browsers.
type Other = Arc<Mutex<Option<JoinHandle<()>>>>;

/// A browser's policies.
struct Policies {
    rules: Rules,
    disturbed: Option<(State, Other)>,
}

impl Browser for Policies {
    fn select(&mut self, rules: &BTreeSet<BrowserRule>) -> Result<bool, BrowserError> {
        if let Some((state, other)) = self.disturbed.take() {
            let mut undisturbed = Self { rules: Arc::clone(&self.rules), disturbed: None };
            let switching = std::thread::spawn(move || switch::switch(&state, &mut undisturbed, "momiji").unwrap());
            std::thread::sleep(std::time::Duration::from_millis(300));
            assert!(!switching.is_finished(), "switched while the agent wrote what it had read before");
            other.lock().unwrap().replace(switching);
        }
        self.rules.lock().unwrap().clone_from(rules);
        Ok(true)
    }

    fn certificates_changed(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    fn holds_old(&self) -> Result<bool, DiskError> {
        Ok(false)
    }
}

#[tokio::test]
async fn who_switches_while_the_agent_tells_browsers_has_the_last_word() {
    let world = World::new();
    follow(&world, &two_clinics()).await;
    let (rules, other) = (Rules::default(), Other::default());
    let disturbed = Policies { rules: Arc::clone(&rules), disturbed: Some((world.state.clone(), Arc::clone(&other))) };
    let mut device = Device { browser: Box::new(disturbed), ..world.parts() };
    device.tell_browser(&read(&two_clinics()), None).unwrap();
    let switching = other.lock().unwrap().take().unwrap();
    switching.join().unwrap();
    let told = rules.lock().unwrap().clone();
    assert!(told.contains(&shared("momiji")) && !told.contains(&shared("sakura")), "{told:?}");
}
