use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tegata_core::time::{DAY, HOUR};

use super::*;
use crate::pretend::{World, clinic, sakura};
use crate::store::Change;

/// A census by a clock that follows the world's.
struct Watch {
    census: Census,
    now: Arc<AtomicI64>,
}

impl Watch {
    fn over(world: &World) -> Self {
        let now = Arc::new(AtomicI64::new(world.now.unix()));
        let shown = now.clone();
        let clock = Clock::with(move || Timestamp::from_unix(shown.load(Ordering::Relaxed)));
        Self { census: Census::new(world.ledger.clone(), clock, None), now }
    }

    async fn update(&self, world: &World) {
        self.now.store(world.now.unix(), Ordering::Relaxed);
        self.census.update().await.unwrap();
    }

    /// Every value that is told under this name, with its labels.
    fn told(&self, name: &str) -> Vec<String> {
        let families = self.census.families();
        let family = families.iter().find(|family| family.gauge.name == name).expect("there is such a figure");
        family.points.iter().map(|point| format!("{} {}", point.labels.join(" "), point.value)).collect()
    }

    /// How many clinics would be read now.
    async fn stale(&self) -> usize {
        let marks = self.census.ledger.store().clinic_marks().await.unwrap();
        self.census.stale(&marks, self.census.clock.now()).len()
    }
}

#[tokio::test]
async fn slots_are_counted_as_they_are_shown_and_a_reason_ends_with_its_last_slot() {
    let world = World::with(&[&sakura(&["uketsuke", "shinsatsu"])]).await;
    let mut pc = world.enrol("sakura/uketsuke").await;
    world.settle().await;
    let watch = Watch::over(&world);
    watch.update(&world).await;
    assert_eq!(watch.told("tegata_slots"), ["aozora sakura not-enrolled 1", "aozora sakura ordered 1"]);
    assert!(watch.told("tegata_certificates").is_empty());
    world.prove(&mut pc, "sakura/uketsuke/karte").await;
    watch.update(&world).await;
    assert_eq!(watch.told("tegata_slots"), ["aozora sakura not-enrolled 1", "aozora sakura ready 1"]);
    let within = ["0d 0", "1d 0", "7d 0", "30d 0", "90d 1", "any 1"].map(|count| format!("aozora karte {count}"));
    assert_eq!(watch.told("tegata_certificates"), within);
    let expiry = world.now.after(DAY * 90).unix();
    assert_eq!(watch.told("tegata_certificate_earliest_expiry_timestamp_seconds"), [format!("aozora sakura karte {expiry}")]);
}

#[tokio::test]
async fn a_successor_counts_once_it_works_and_not_before() {
    let mut world = World::with(&[&sakura(&["uketsuke"])]).await;
    let mut pc = world.enrol("sakura/uketsuke").await;
    world.settle().await;
    let first = world.prove(&mut pc, "sakura/uketsuke/karte").await;
    world.pass(DAY * 85);
    world.note(vec![Change::Heard { tenant: first.tenant.clone(), device: pc.device.clone(), at: world.now }]).await;
    world.settle().await;
    let (watch, name) = (Watch::over(&world), "tegata_certificate_earliest_expiry_timestamp_seconds");
    let told = |at: Timestamp| [format!("aozora sakura karte {}", at.unix())];
    let second = world.issue("sakura/uketsuke/karte").await;
    world.settle().await;
    watch.update(&world).await;
    assert_eq!(watch.told(name), told(first.not_after), "a certificate that nobody has proven renews nothing");
    world.tell(&mut pc, vec![crate::pretend::installed(&second), crate::pretend::proven(&second)]).await;
    watch.update(&world).await;
    assert_eq!(watch.told(name), told(second.not_after));
}

#[tokio::test]
async fn agents_fall_silent_by_time_alone() {
    let mut world = World::with(&[&sakura(&["uketsuke"])]).await;
    world.enrol("sakura/uketsuke").await;
    world.settle().await;
    let watch = Watch::over(&world);
    for (pass, told) in [
        (HOUR, ["online 1", "away 0", "silent 0"]),
        (HOUR * 2, ["online 0", "away 1", "silent 0"]),
        (DAY, ["online 0", "away 0", "silent 1"]),
    ] {
        world.pass(pass);
        watch.update(&world).await;
        assert_eq!(watch.told("tegata_agents"), told.map(|told| format!("aozora sakura {told}")));
    }
}

#[tokio::test]
async fn only_what_has_changed_is_read_again() {
    let mut world = World::with(&[&sakura(&["uketsuke"]), &clinic("kaede", &["uketsuke"], "")]).await;
    world.settle().await;
    let watch = Watch::over(&world);
    assert_eq!(watch.stale().await, 2, "nothing is known yet");
    watch.update(&world).await;
    assert_eq!(watch.stale().await, 0);
    let mut pc = world.enrol("sakura/uketsuke").await;
    assert_eq!(watch.stale().await, 1);
    world.settle().await;
    watch.update(&world).await;
    world.prove(&mut pc, "sakura/uketsuke/karte").await;
    assert_eq!(watch.stale().await, 1);
    watch.update(&world).await;
    assert_eq!((watch.stale().await, watch.told("tegata_clinics_behind")), (0, vec![" 0".to_owned()]));
    world.pass(HOLDS + std::time::Duration::from_secs(1));
    watch.now.store(world.now.unix(), Ordering::Relaxed);
    assert_eq!(watch.stale().await, 2, "what no mark tells is seen after a while");
}

#[tokio::test]
async fn a_clinic_that_is_gone_is_told_no_more() {
    let world = World::with(&[&sakura(&["uketsuke"]), &clinic("kaede", &["uketsuke"], "")]).await;
    world.settle().await;
    let watch = Watch::over(&world);
    watch.update(&world).await;
    assert_eq!(watch.told("tegata_slots").len(), 2);
    world.apply(&[&sakura(&["uketsuke"])]).await.unwrap();
    world.settle().await;
    watch.update(&world).await;
    assert_eq!(watch.told("tegata_slots"), ["aozora sakura not-enrolled 1"]);
    assert!(watch.told("tegata_agents").iter().all(|told| told.contains("sakura")), "{:?}", watch.told("tegata_agents"));
}

#[tokio::test]
async fn what_is_unfinished_is_told_with_its_age() {
    let mut world = World::with(&[&sakura(&["uketsuke"])]).await;
    world.enrol("sakura/uketsuke").await;
    world.settle().await;
    let opened = world.now.unix();
    world.pass(HOUR);
    let watch = Watch::over(&world);
    watch.update(&world).await;
    assert_eq!(watch.told("tegata_unfinished_intents"), ["aozora issuance 1"]);
    assert_eq!(watch.told("tegata_unfinished_intent_oldest_timestamp_seconds"), [format!("aozora issuance {opened}")]);
    world.issue("sakura/uketsuke/karte").await;
    watch.update(&world).await;
    assert!(watch.told("tegata_unfinished_intents").is_empty());
}
