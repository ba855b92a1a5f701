use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tegata_api::v1::fleet::{ApplyRequest, Documents, File};
use tegata_api::v1::notice::{DeliveryState, Notice};
use tegata_core::time::{DAY, HOUR};
use tegata_pki::key::Seal;
use zeroize::Zeroizing;

use super::*;
use crate::clock::Clock;
use crate::mail::sink::Sink;
use crate::mail::{MailSettings, Mailer};
use crate::notify::keys::WebhookKeys;
use crate::notify::post::Post;
use crate::notify::webhook::Hooks;
use crate::policy;
use crate::pretend::{ISSUER, PROFILE, World, clinic, tenant};

mod applications;
mod found;
mod webhooks;

/// A clinic in Tokyo with these PCs, and this in its `spec`.
fn sakura(devices: &[&str], more: &str) -> String {
    clinic("sakura", devices, &format!("  hours: {{ timeZone: Asia/Tokyo }}\n{more}"))
}

const CONTACTS: &str = "  contacts: [incho@example.jp, kanri@example.jp]\n  notify: { language: en }\n";

/// Puts a clinic with notices 14 and 7 days ahead and daily into force.
async fn apply(world: &World, clinic: &str) {
    apply_with(world, &[&format!("{PROFILE}  notices: [14d, 7d, daily]\n")], clinic).await;
}

async fn apply_with(world: &World, profiles: &[&str], clinic: &str) {
    let text = [&[ISSUER], profiles, &[clinic]].concat().join("---");
    let documents = Documents { files: vec![File { name: "policy.yaml".into(), text }], prune: true };
    let request = ApplyRequest { documents, allow_lockout: 100, allow_over_quota: 0 };
    policy::apply(&world.ledger, &world.bells, &tenant(), &request, "person:test", world.now).await.unwrap();
}

/// A world in which these PCs have a proven certificate of 90 days, and then fall silent.
async fn world(devices: &[&str], more: &str) -> World {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let world = World::new().await;
    apply(&world, &sakura(devices, more)).await;
    for name in devices {
        let mut pc = world.enrol(&format!("sakura/{name}")).await;
        world.settle().await;
        world.prove(&mut pc, &format!("sakura/{name}/karte")).await;
    }
    world
}

fn keys() -> Arc<WebhookKeys> {
    static KEYS: LazyLock<Arc<WebhookKeys>> = LazyLock::new(|| WebhookKeys::of(&Seal::generate()).into());
    KEYS.clone()
}

fn sakura_id() -> ClinicId {
    ClinicId { tenant: tenant(), clinic: "sakura".parse().unwrap() }
}

struct Mail {
    _folder: tempfile::TempDir,
    sink: Sink,
    mailer: Mailer,
}

impl Mail {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sink = Sink::start(folder.path()).unwrap();
        let settings = MailSettings {
            url: sink.url(),
            password: Some(Zeroizing::new(Sink::PASSWORD.into())),
            from: "tegata@example.jp".into(),
            authority: Some(std::fs::read_to_string(sink.authority()).unwrap()),
        };
        Self { _folder: folder, mailer: Mailer::new(&settings).unwrap(), sink }
    }

    /// Recipient and Message-ID of every letter, in the order of their arrival.
    fn arrived(&self) -> Vec<(String, String)> {
        let header = |letter: &str, name: &str| letter.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        let letters = self.sink.letters().unwrap();
        letters.iter().map(|letter| (header(letter, "X-Rcpt: "), header(letter, "Message-ID: "))).collect()
    }
}

fn post(world: &World, mailer: Option<&Mailer>) -> Post {
    let (ledger, bells, clock) = (world.ledger.clone(), world.bells.clone(), Clock::fixed(world.now));
    Post { ledger, bells, clock, mailer: mailer.cloned(), hooks: Hooks::new(keys()) }
}

/// Lets time pass from one wake-up to the next: turns are taken, and what waits is sent.
async fn live(world: &mut World, span: Duration, mailer: Option<&Mailer>) {
    let end = world.now.after(span);
    while let Some(next) = next_step(world).await.filter(|next| *next <= end) {
        world.now = next.max(world.now);
        world.settle().await;
        post(world, mailer).send_due().await.unwrap();
    }
    world.now = end;
}

async fn next_step(world: &World) -> Option<Timestamp> {
    let store = world.ledger.store();
    let (turn, post) = (store.next_wake().await.unwrap(), store.next_delivery().await.unwrap());
    turn.into_iter().chain(post).min()
}

async fn told(world: &World) -> Vec<Notice> {
    let mut told = answers::told(&world.ledger, &tenant(), None, 1_000).await.unwrap();
    told.reverse();
    told
}

/// The rungs that were told, with the hour of the day in Tokyo.
async fn rungs(world: &World) -> Vec<String> {
    let hour = |at: i64| (at + 9 * 3_600).rem_euclid(86_400) / 3_600;
    let told = told(world).await;
    told.iter().map(|notice| format!("{} x{} {}:00", notice.bulletin.items[0].rung, notice.bulletin.items.len(), hour(notice.at))).collect()
}

#[tokio::test]
async fn a_clinic_gets_one_letter_a_day_for_all_its_pcs_and_only_about_what_was_not_renewed() {
    let mail = Mail::new();
    let mut world = world(&["pc-1", "pc-2", "pc-3"], CONTACTS).await;
    live(&mut world, 75 * DAY, Some(&mail.mailer)).await;
    assert!(told(&world).await.is_empty(), "renewal has begun, and nobody needs to know: {:?}", told(&world).await);
    live(&mut world, 8 * DAY, Some(&mail.mailer)).await;
    assert_eq!(rungs(&world).await, ["14d x3 8:00", "7d x3 8:00"]);
    let to: Vec<String> = mail.arrived().into_iter().map(|(to, _)| to).collect();
    assert_eq!(to.len(), 4, "two rungs, two contacts: {to:?}");
    assert_eq!(to.iter().collect::<BTreeSet<_>>().len(), 2, "each by himself: {to:?}");

    let notice = &told(&world).await[0];
    assert_eq!(notice.bulletin.items[0].waits_for.as_deref(), Some("silent-device"));
    assert_eq!((notice.bulletin.items[0].days_left, notice.bulletin.items[0].acts), (14, tegata_api::v1::notice::Acts::Person));
    assert!(notice.deliveries.iter().all(|delivery| delivery.state == DeliveryState::Done && delivery.attempts == 1), "{notice:#?}");
    assert_eq!(world.logged("intended notice.send sakura").await, 2);
    assert_eq!(world.logged("done notice.send sakura").await, 4);
}

#[tokio::test]
async fn from_the_first_rung_to_the_last_each_is_told_once_whatever_is_restarted() {
    let mail = Mail::new();
    let mut world = world(&["pc-1", "pc-2"], "  contacts: [incho@example.jp]\n").await;
    let end = world.now.after(130 * DAY);
    while let Some(next) = next_step(&world).await.filter(|next| *next <= end) {
        world.now = next.max(world.now);
        world = world.restart().await;
        world.settle().await;
        world = world.restart().await;
        post(&world, Some(&mail.mailer)).send_due().await.unwrap();
        world = world.restart().await;
        post(&world, Some(&mail.mailer)).send_due().await.unwrap();
    }
    let ladder = ["14d", "7d", "6d", "5d", "4d", "3d", "2d", "1d", "expired"].map(String::from);
    let ladder = ladder.into_iter().chain((1..=30).map(|days| format!("expired+{days}d")));
    let expected: Vec<String> = ladder.map(|rung| format!("{rung} x2 8:00")).collect();
    assert_eq!(rungs(&world).await, expected);
    let ids: Vec<String> = mail.arrived().into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), expected.len(), "one letter for each rung");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), expected.len());
}

/// A slot's order is answered, and the certificate proven.
async fn renewed(world: &World, slot: &str) {
    let row = world.issue(slot).await;
    let proven = Change::Proven { serial: row.serial, at: world.now };
    world.note(vec![proven, Change::Nudge { clinic: sakura_id(), at: world.now }]).await;
}

#[tokio::test]
async fn after_three_weeks_off_the_newest_rung_alone_is_told() {
    let mail = Mail::new();
    let mut world = world(&["pc-1"], CONTACTS).await;
    live(&mut world, 70 * DAY, Some(&mail.mailer)).await;
    world.pass(16 * DAY + 6 * HOUR);
    world.settle().await;
    assert_eq!(rungs(&world).await.len(), 1);
    assert!(rungs(&world).await[0].starts_with("4d x1"), "{:?}", rungs(&world).await);
}

#[tokio::test]
async fn a_successor_that_is_proven_ends_the_notices() {
    let mail = Mail::new();
    let mut world = world(&["pc-1", "pc-2"], CONTACTS).await;
    live(&mut world, 77 * DAY, Some(&mail.mailer)).await;
    assert_eq!(rungs(&world).await, ["14d x2 8:00"]);
    // The PC is back, and takes its new certificate.
    renewed(&world, "sakura/pc-1/karte").await;
    live(&mut world, 8 * DAY, Some(&mail.mailer)).await;
    let rungs = rungs(&world).await;
    assert_eq!(rungs[..2], ["14d x2 8:00", "7d x1 8:00"]);
    assert!(told(&world).await[1..].iter().all(|notice| notice.bulletin.items[0].slot == "sakura/pc-2/karte"));
}

#[tokio::test]
async fn what_comes_due_later_that_day_waits_for_tomorrows_letter() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut world = World::new().await;
    let other = PROFILE.replace("name: karte", "name: receipt").replace("karte.example", "receipt.example");
    let (quiet, told_of) = (other.clone(), format!("{other}  notices: [20d, 7d]\n"));
    let karte = format!("{PROFILE}  notices: [14d, 7d]\n");
    let clinic = sakura(&["pc-1"], "").replace("    - { profile: karte }\n", "    - { profile: karte }\n    - { profile: receipt }\n");
    apply_with(&world, &[&karte, &quiet], &clinic).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    world.prove(&mut pc, "sakura/pc-1/karte").await;
    world.prove(&mut pc, "sakura/pc-1/receipt").await;
    live(&mut world, 76 * DAY + 6 * HOUR, None).await;
    assert_eq!(rungs(&world).await, ["14d x1 8:00"]);
    // After the letter has left, somebody wants to be told of the other one too. That is overdue, but not urgent.
    apply_with(&world, &[&karte, &told_of], &clinic).await;
    world.settle().await;
    assert_eq!(rungs(&world).await.len(), 1);
    live(&mut world, DAY, None).await;
    assert_eq!(rungs(&world).await, ["14d x1 8:00", "20d x1 8:00"]);
    assert_eq!(told(&world).await[1].at - told(&world).await[0].at, 86_400);
}

#[tokio::test]
async fn a_letter_that_may_have_arrived_is_sent_again_under_the_same_name() {
    let mail = Mail::new();
    let mut world = world(&["pc-1"], "  contacts: [incho@example.jp]\n").await;
    mail.sink.cut(true).unwrap();
    live(&mut world, 76 * DAY + HOUR * 12, None).await;
    let deliveries = told(&world).await.remove(0).deliveries;
    assert!(deliveries[0].problem.as_ref().unwrap().contains("--smtp"), "without a mail server the console says so: {deliveries:?}");

    live(&mut world, 7 * DAY, Some(&mail.mailer)).await;
    let before = mail.arrived();
    assert!(before.len() >= 2, "the server never said that it took the letter: {before:?}");
    mail.sink.cut(false).unwrap();
    let world = world.restart().await;
    let mut world = world;
    live(&mut world, 2 * HOUR, Some(&mail.mailer)).await;
    let arrived = mail.arrived();
    assert_eq!(arrived.len(), before.len() + 1);
    let ids: BTreeSet<&String> = arrived.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), 1, "it is one letter, whoever counts");
    let last = told(&world).await.pop().unwrap();
    assert_eq!((last.deliveries[0].state, last.deliveries[0].problem.clone()), (DeliveryState::Done, None));
}

#[tokio::test]
async fn a_server_that_dies_between_sending_and_noting_sends_the_same_letter_again() {
    let mail = Mail::new();
    let mut world = world(&["pc-1"], "  contacts: [incho@example.jp]\n").await;
    let end = world.now.after(80 * DAY);
    while told(&world).await.is_empty() {
        world.now = next_step(&world).await.filter(|next| *next <= end).unwrap();
        world.settle().await;
    }
    // As in a try: it is counted and sent, and then the power goes.
    let due = world.ledger.store().deliveries_due(world.now, 9).await.unwrap();
    let counted = Change::TryDelivery { id: due[0].id.clone(), attempt: 1, next: world.now.after(HOUR) };
    world.note(vec![counted.clone()]).await;
    let letter =
        crate::mail::Letter { to: vec![due[0].target.parse().unwrap()], subject: "x".into(), text: "x".into(), id: due[0].id.clone() };
    mail.mailer.send(&letter).await.unwrap();

    let mut world = world.restart().await;
    post(&world, Some(&mail.mailer)).send_due().await.unwrap();
    assert_eq!(mail.arrived().len(), 1, "a try that was counted is not made again at once");
    world.pass(HOUR);
    post(&world, Some(&mail.mailer)).send_due().await.unwrap();
    let arrived = mail.arrived();
    assert_eq!((arrived.len(), &arrived[0]), (2, &arrived[1]), "same recipient, same name");
    world.pass(2 * HOUR);
    post(&world, Some(&mail.mailer)).send_due().await.unwrap();
    assert_eq!(mail.arrived().len(), 2);
}

#[tokio::test]
async fn who_cannot_be_reached_is_tried_again_or_given_up_and_hinders_nobody() {
    let mail = Mail::new();
    let mut world = world(&["pc-1"], "  contacts: [bounce@example.jp, defer@example.jp, incho@example.jp]\n").await;
    live(&mut world, 76 * DAY + 12 * HOUR, Some(&mail.mailer)).await;
    let states = |notice: &Notice| -> BTreeMap<String, (DeliveryState, bool)> {
        notice.deliveries.iter().map(|delivery| (delivery.to.clone(), (delivery.state, delivery.attempts > 1))).collect()
    };
    let now = states(&told(&world).await[0]);
    assert_eq!(now["incho@example.jp"], (DeliveryState::Done, false));
    assert_eq!(now["bounce@example.jp"], (DeliveryState::Failed, false), "550 is for good");
    assert_eq!(now["defer@example.jp"], (DeliveryState::Waiting, true), "451 is not");
    assert_eq!(world.logged("done notice.give-up sakura").await, 1);

    live(&mut world, 5 * DAY, Some(&mail.mailer)).await;
    let notice = told(&world).await.remove(0);
    let given_up = notice.deliveries.iter().find(|delivery| delivery.to == "defer@example.jp").unwrap();
    assert_eq!(given_up.state, DeliveryState::Failed);
    assert!((100..=130).contains(&given_up.attempts), "once an hour for five days: {}", given_up.attempts);
    assert!(given_up.problem.as_ref().unwrap().contains("try again later"), "{given_up:?}");
    assert_eq!(mail.arrived().len(), 1);
}

#[tokio::test]
async fn who_left_the_clinics_document_is_told_nothing_any_more() {
    let mail = Mail::new();
    let mut world = world(&["pc-1"], "  contacts: [defer@example.jp]\n").await;
    live(&mut world, 76 * DAY + 12 * HOUR, Some(&mail.mailer)).await;
    apply(&world, &sakura(&["pc-1"], "  contacts: [other@example.jp]\n")).await;
    live(&mut world, 3 * HOUR, Some(&mail.mailer)).await;
    let notice = told(&world).await.remove(0);
    assert_eq!(notice.deliveries[0].state, DeliveryState::Failed);
    assert!(notice.deliveries[0].problem.as_ref().unwrap().contains("not a contact"), "{notice:?}");
    assert!(mail.arrived().is_empty());
}

#[tokio::test]
async fn a_turn_with_nothing_to_tell_writes_nothing() {
    let mut world = world(&["pc-1"], CONTACTS).await;
    live(&mut world, 80 * DAY, None).await;
    let log = world.log().await;
    for _ in 0..3 {
        crate::turn::turn(&world.ledger, &world.bells, &sakura_id(), world.now).await.unwrap();
    }
    assert_eq!(world.log().await, log);
    assert_eq!(told(&world).await.len(), 1);
}

#[tokio::test]
async fn what_expires_is_listed_soonest_first_with_who_acts() {
    let mut world = world(&["pc-1", "pc-2"], CONTACTS).await;
    let expiring = async |world: &World, days: u32| {
        let rows = answers::expiring(&world.ledger, &tenant(), None, world.now.after(days * DAY), 100, world.now).await.unwrap();
        rows.iter().map(|row| format!("{} {}d {:?} {:?}", row.slot, row.days_left, row.acts, row.waits_for)).collect::<Vec<_>>()
    };
    assert!(expiring(&world, 80).await.is_empty());
    let all = ["sakura/pc-1/karte 90d Itself None", "sakura/pc-2/karte 90d Itself None"];
    assert_eq!(expiring(&world, 91).await, all);
    live(&mut world, 80 * DAY, None).await;
    let silent = "Person Some(\"silent-device\")";
    assert_eq!(expiring(&world, 30).await, ["pc-1", "pc-2"].map(|pc| format!("sakura/{pc}/karte 10d {silent}")));
    // One is renewed: nobody has to care for the old one any more.
    renewed(&world, "sakura/pc-1/karte").await;
    assert_eq!(expiring(&world, 30).await[0], "sakura/pc-1/karte 10d Nobody None");
    live(&mut world, 12 * DAY, None).await;
    assert_eq!(expiring(&world, 30).await, [format!("sakura/pc-2/karte -2d {silent}")], "what has expired and is not needed is silence");
    let stranger = answers::expiring(&world.ledger, &"momiji".parse().unwrap(), None, world.now.after(900 * DAY), 100, world.now).await;
    assert!(stranger.unwrap().is_empty());
}
