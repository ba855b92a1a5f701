//! The whole agent against a pretended server: what it does when, and that no clock can hurry it.

use tegata_api::v1::device::{self as wire, Deed};
use tegata_api::v1::diagnosis::{Cause, Certainty, Finding};
use tegata_core::name::OrderId;

use super::*;
use crate::link::KnownLog;
use crate::pretend::World;

fn agent(world: &World) -> Agent {
    let identity = Identity::load(&world.state).unwrap();
    Agent::with(world.settings.clone(), identity, world.parts()).unwrap()
}

fn order(world: &World, number: u8) {
    let mut manifest = world.server.manifest.borrow_mut();
    manifest.generation += 1;
    let replaces = manifest.slots.first().and_then(|slot| slot.order.clone()).and_then(|order| world.server.issued(order.parse().unwrap()));
    manifest.slots = vec![wire::SlotManifest {
        backup: vec![],
        quorum: None,
        source: wire::Source::Request,
        slot: "sakura/uketsuke-1/karte".into(),
        order: Some(OrderId([number; 16]).to_string()),
        key: "ecdsa-p256".into(),
        label: "Karte".into(),
        stores: vec!["file".into()],
        select: vec![],
        probe: None,
        replaces: replaces.into_iter().map(|fingerprint| fingerprint.to_string()).collect(),
    }];
}

async fn run_for(agent: Agent, span: Duration) {
    let _ = tokio::time::timeout(span, agent.run()).await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_reports_at_start_after_a_change_and_each_hour() {
    let world = World::new();
    run_for(agent(&world), Duration::from_secs(60)).await;
    assert_eq!(world.server.reports.borrow().len(), 1);
    order(&world, 1);
    run_for(agent(&world), Duration::from_secs(60)).await;
    let last = world.server.reports.borrow().last().unwrap().clone();
    assert_eq!((last.generation, last.slots[0].stage.as_str()), (1, "settled"));
    let before = world.server.reports.borrow().len();
    run_for(agent(&world), Duration::from_secs(5 * 3_600 + 60)).await;
    let reports = world.server.reports.borrow().len() - before;
    assert!((5..=7).contains(&reports), "{reports} reports in five hours, each a quarter early or late at most");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_had_no_checkpoint_yet_is_known_with_the_next_news_and_not_an_hour_later() {
    let world = World::new();
    let works = run_for(agent(&world), Duration::from_secs(180));
    let begins = async {
        tokio::time::sleep(Duration::from_secs(70)).await;
        assert!(!world.state.audit_log().exists());
        *world.server.log.borrow_mut() = Some(crate::link::shown(&crate::link::records(3), 0));
        world.browser.holds_old.set(true);
    };
    tokio::join!(works, begins);
    let known: KnownLog = disk::read_json(&world.state.audit_log()).unwrap().unwrap();
    assert_eq!(known.size(), 3);
}

#[test]
fn t5_a_fleet_that_was_woken_together_does_not_go_on_in_step() {
    assert_eq!(until_next_look(0), Duration::from_secs(2_700));
    assert_eq!(until_next_look(1_800), Duration::from_secs(4_500));
    assert_eq!(until_next_look(1_801), until_next_look(0));
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_is_not_taken_stops_neither_reports_nor_the_identity() {
    let world = World::new();
    world.server.refuses_receipts.set(true);
    world.receipts().record(world.retired(9), 0).unwrap();
    run_for(agent(&world), Duration::from_secs(10 * 3_600)).await;
    let reports = world.server.reports.borrow().len();
    assert!((8..=15).contains(&reports), "{reports} reports in ten hours");
    world.server.clock_ahead.set(Duration::from_secs(10 * 365 * 86_400));
    run_for(agent(&world), Duration::from_secs(60)).await;
    assert_eq!(world.server.presented.borrow().len(), 1);
    world.server.refuses_receipts.set(false);
    run_for(agent(&world), Duration::from_secs(60)).await;
    assert_eq!(world.server.deeds(&world.identity.key), [world.retired(9)]);
}

#[tokio::test(start_paused = true)]
async fn an_order_is_carried_out_and_receipted_by_the_running_agent() {
    let world = World::new();
    order(&world, 1);
    run_for(agent(&world), Duration::from_secs(60)).await;
    let deeds = world.server.deeds(&world.identity.key);
    assert!(matches!(deeds[..], [Deed::Installed { .. }, Deed::Proven { status: 0, .. }]), "{deeds:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_done_during_an_outage_is_told_after_it() {
    let world = World::new();
    order(&world, 1);
    run_for(agent(&world), Duration::from_secs(60)).await;
    let mut cut_off = agent(&world);
    world.server.down_for(Duration::from_secs(86_400));
    cut_off.device.receipts.record(world.retired(9), 0).unwrap();
    run_for(cut_off, Duration::from_secs(2 * 86_400)).await;
    assert_eq!(world.server.deeds(&world.identity.key).len(), 3);
    let contact: crate::link::Contact = disk::read_json(&world.state.contact()).unwrap().unwrap();
    assert_eq!(contact.problem, None);
}

#[tokio::test(start_paused = true)]
async fn t3_ten_years_by_any_clock_delete_nothing_and_renew_once() {
    let world = World::new();
    order(&world, 1);
    run_for(agent(&world), Duration::from_secs(60)).await;
    // The server's clock is believed, so the identity is renewed; what is installed waits for an order, whatever any clock says.
    world.server.clock_ahead.set(Duration::from_secs(10 * 365 * 86_400));
    run_for(agent(&world), Duration::from_secs(60)).await;
    assert_eq!(world.server.presented.borrow().len(), 1);
    assert_eq!(world.server.deeds(&world.identity.key).len(), 2);
    assert_eq!(world.parts().keystores.file.list().await.unwrap().len(), 1);
}

#[cfg_attr(windows, ignore = "thirty days of disk accesses, each asked of Wine's server")]
#[tokio::test(start_paused = true)]
async fn an_agent_that_is_refused_goes_on_asking_and_deletes_nothing() {
    let world = World::new();
    order(&world, 1);
    run_for(agent(&world), Duration::from_secs(60)).await;
    world.server.refuse_with(crate::pretend::problem(tegata_api::v1::problem::Code::Unauthorized));
    let before = world.server.asked();
    run_for(agent(&world), Duration::from_secs(30 * 86_400)).await;
    let asked = world.server.asked() - before;
    assert!(asked > 8_640 && asked < 60_000, "{asked} questions in thirty days");
    Identity::load(&world.state).unwrap();
    assert_eq!(world.parts().keystores.file.list().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_holds_an_old_decision_is_reported_until_it_ends() {
    let world = World::new();
    world.browser.holds_old.set(true);
    run_for(agent(&world), Duration::from_secs(30)).await;
    assert_eq!(world.server.reports.borrow().last().unwrap().notes, [Note::BrowserHoldsOld]);
    let running = agent(&world);
    let browser = Rc::clone(&world.browser);
    let ended = async {
        tokio::time::sleep(Duration::from_secs(90)).await;
        browser.holds_old.set(false);
        std::future::pending::<()>().await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(180), async { tokio::join!(running.run(), ended) }).await;
    assert!(world.server.reports.borrow().last().unwrap().notes.is_empty());
}

/// As after `tegata-agent switch`.
#[tokio::test(start_paused = true)]
async fn a_browser_that_comes_to_hold_an_old_decision_is_reported_within_minutes() {
    let world = World::new();
    let browser = Rc::clone(&world.browser);
    let switched = async {
        tokio::time::sleep(Duration::from_secs(70)).await;
        browser.holds_old.set(true);
        std::future::pending::<()>().await;
    };
    let running = agent(&world);
    let _ = tokio::time::timeout(Duration::from_secs(180), async { tokio::join!(running.run(), switched) }).await;
    assert_eq!(world.server.reports.borrow().last().unwrap().notes, [Note::BrowserHoldsOld]);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_cut_off_goes_on_within_minutes_until_all_was_seen() {
    let world = World::new();
    let downloads = world.home().join("Downloads");
    std::fs::create_dir_all(&downloads).unwrap();
    (0..30).for_each(|number| std::fs::write(downloads.join(format!("{number:02}.txt")), "a letter").unwrap());
    world.server.manifest.replace_with(|manifest| wire::Manifest {
        generation: manifest.generation + 1,
        folders: vec!["downloads".into(), "~/Wrok".into()],
        ..manifest.clone()
    });
    let mut agent = agent(&world);
    agent.pace = Pace { names_max: 11, rest: Duration::ZERO, ..Pace::default() };
    run_for(agent, Duration::from_secs(1_800)).await;
    let unread: Vec<usize> = world.server.reports.borrow().iter().map(|report| report.unread.len()).collect();
    let told: Vec<&usize> = unread.iter().skip_while(|unread| **unread == 0).collect();
    assert_eq!(told, [&2, &0], "told once that two places are not done, and once that they are");
    assert_eq!(world.server.reports.borrow().last().unwrap().absent, ["~/Wrok"]);
}

/// Each question that is dropped costs a handshake.
#[tokio::test(start_paused = true)]
async fn a_browser_that_stays_open_costs_no_further_questions() {
    let asked = |holds_old| async move {
        let world = World::new();
        world.browser.holds_old.set(holds_old);
        run_for(agent(&world), Duration::from_secs(1_800)).await;
        world.server.asked()
    };
    assert_eq!(asked(true).await, asked(false).await);
}

/// What looks half written may be the choice that is just being kept.
#[test]
fn an_agent_that_starts_clears_nothing_away_from_under_whoever_switches_clinics() {
    let world = World::new();
    let switching = world.state.hold_browsers().unwrap();
    let state = world.state.clone();
    let starting = std::thread::spawn(move || lock(&state).is_ok());
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(!starting.is_finished());
    drop(switching);
    assert!(starting.join().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_has_said_no_is_not_asked_again_by_every_start() {
    let world = World::new();
    order(&world, 1);
    run_for(agent(&world), Duration::from_secs(60)).await;
    order(&world, 2);
    let current = world.server.issued(OrderId([1; 16])).unwrap().to_string();
    let source = wire::Source::Renewal { url: "https://auth.test".into(), current, backup: vec![], quorum: None };
    world.server.manifest.borrow_mut().slots[0].source = source;
    world.vendor.refuses.replace(Some(vendor::Refusal::NotPermitted));
    for _start in 0..3 {
        run_for(agent(&world), Duration::from_secs(60)).await;
    }
    assert_eq!(world.vendor.asked.get(), 1);
    let slot = world.server.reports.borrow().last().unwrap().slots[0].clone();
    assert!(slot.trouble.unwrap().contains("NOT PERMITTED") && slot.trouble_ja.unwrap().contains("管理画面"), "and it is still told");
}

#[test]
fn only_one_agent_works_in_a_folder() {
    let world = World::new();
    let held = lock(&world.state).unwrap();
    assert!(matches!(lock(&world.state), Err(RunError::Taken(_))));
    drop(held);
    lock(&world.state).unwrap();
}

/// The profile's page refuses the certificate of this order.
fn order_that_is_refused(world: &World, number: u8) {
    order(world, number);
    world.site.refuses.set(403);
    world.server.manifest.borrow_mut().slots[0].probe = Some("https://karte.test/".into());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_has_the_doctor_look_once_and_the_server_is_told_the_cause() {
    let world = World::new();
    order_that_is_refused(&world, 1);
    run_for(agent(&world), Duration::from_secs(2 * 3_600)).await;
    let reports = world.server.reports.borrow();
    let told = reports.last().unwrap().diagnosis.clone().unwrap();
    let finding = |certainty| Finding { cause: Cause::Revoked, certainty };
    assert!(told.findings.contains(&finding(Certainty::Possible)), "{told:?}");
    let moments: std::collections::BTreeSet<i64> = reports.iter().filter_map(|report| Some(report.diagnosis.as_ref()?.at)).collect();
    assert_eq!(moments.len(), 1, "the clock on the wall has not moved on: it looks once, however often the probe is tried again");
}

#[tokio::test(start_paused = true)]
async fn what_staff_have_the_doctor_look_at_is_told_within_a_minute() {
    let world = World::new();
    let found = Diagnosis { at: 7, findings: vec![], unchecked: vec![Cause::Clock] };
    let (state, kept) = (world.state.clone(), found.clone());
    let staff = async {
        tokio::time::sleep(Duration::from_secs(70)).await;
        checkup::keep(&state, &kept).unwrap();
        std::future::pending::<()>().await;
    };
    let running = agent(&world);
    let _ = tokio::time::timeout(Duration::from_secs(130), async { tokio::join!(running.run(), staff) }).await;
    let told: Vec<_> = world.server.reports.borrow().iter().map(|report| report.diagnosis.clone()).collect();
    assert_eq!(told, [None, Some(found)]);
}
