//! Wake-ups that carry no data: whoever hears one reads the state afresh.
//!
//! The loop of turns has one bell, the post another, whoever carries backups a third; every device that waits for its manifest has its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tegata_core::name::{DeviceId, TenantName};
use tokio::sync::{Notify, watch};

type Key = (TenantName, DeviceId);

/// All bells of one process. A clone rings the same ones.
#[derive(Clone, Default)]
pub struct Bells(Arc<Belfry>);

#[derive(Default)]
struct Belfry {
    turn: Notify,
    post: Notify,
    carrier: Notify,
    /// Only devices that somebody listens for are in it.
    devices: Mutex<HashMap<Key, watch::Sender<()>>>,
}

/// Hears one device's bell from the moment it was made; no ring after that is lost.
pub struct Listener {
    belfry: Arc<Belfry>,
    key: Key,
    rings: Option<watch::Receiver<()>>,
}

impl Bells {
    /// Says that a clinic may be due.
    pub fn ring_turn(&self) {
        self.0.turn.notify_one();
    }

    /// Waits until [`Bells::ring_turn`] is called; returns at once if it was called since the last wait. For one waiter.
    pub async fn turn(&self) {
        self.0.turn.notified().await;
    }

    /// Says that something waits to be sent.
    pub fn ring_post(&self) {
        self.0.post.notify_one();
    }

    /// Waits until [`Bells::ring_post`] is called; returns at once if it was called since the last wait. For one waiter.
    pub async fn post(&self) {
        self.0.post.notified().await;
    }

    /// Says that a backup waits to be carried.
    pub fn ring_carrier(&self) {
        self.0.carrier.notify_one();
    }

    /// Waits until [`Bells::ring_carrier`] is called; returns at once if it was called since the last wait. For one waiter.
    pub async fn carrier(&self) {
        self.0.carrier.notified().await;
    }

    /// Says that a device's manifest moved, or that the device itself is not what it was.
    pub fn ring_device(&self, tenant: &TenantName, device: &DeviceId) {
        if let Some(bell) = self.0.devices().get(&(tenant.clone(), device.clone())) {
            bell.send_replace(());
        }
    }

    /// Says it of every device that somebody listens for, and rings whatever else there is.
    pub fn ring_all(&self) {
        self.ring_turn();
        self.ring_post();
        self.ring_carrier();
        self.0.devices().values().for_each(|bell| bell.send_replace(()));
    }

    /// Begins to listen for one device.
    pub fn listen_device(&self, tenant: &TenantName, device: &DeviceId) -> Listener {
        let key = (tenant.clone(), device.clone());
        let rings = self.0.devices().entry(key.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        Listener { belfry: self.0.clone(), key, rings: Some(rings) }
    }
}

impl Listener {
    /// Waits for a ring that was not heard yet. Several rings in between are heard as one.
    pub async fn heard(&mut self) {
        let Some(rings) = &mut self.rings else { return };
        // The sender lives in the belfry for as long as this listener does, so the channel cannot be closed.
        let _ = rings.changed().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut devices = self.belfry.devices();
        self.rings = None;
        if devices.get(&self.key).is_some_and(|bell| bell.receiver_count() == 0) {
            devices.remove(&self.key);
        }
    }
}

impl Belfry {
    fn devices(&self) -> MutexGuard<'_, HashMap<Key, watch::Sender<()>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn device(name: &str) -> (TenantName, DeviceId) {
        ("aozora".parse().unwrap(), name.parse().unwrap())
    }

    #[tokio::test]
    async fn a_ring_between_listen_and_heard_is_not_lost() {
        let (bells, (tenant, pc)) = (Bells::default(), device("sakura/pc-1"));
        let mut listener = bells.listen_device(&tenant, &pc);
        bells.ring_device(&tenant, &pc);
        assert!(listener.heard().now_or_never().is_some());
        assert!(listener.heard().now_or_never().is_none(), "heard once, not twice");
    }

    #[tokio::test]
    async fn every_listener_of_a_device_hears_and_no_other_device_does() {
        let (bells, (tenant, pc)) = (Bells::default(), device("sakura/pc-1"));
        let (mut one, mut two) = (bells.listen_device(&tenant, &pc), bells.listen_device(&tenant, &pc));
        let mut other = bells.listen_device(&tenant, &device("sakura/pc-2").1);
        bells.ring_device(&tenant, &pc);
        assert!(one.heard().now_or_never().is_some() && two.heard().now_or_never().is_some());
        assert!(other.heard().now_or_never().is_none());
    }

    #[tokio::test]
    async fn nothing_is_kept_when_nobody_listens() {
        let (bells, (tenant, pc)) = (Bells::default(), device("sakura/pc-1"));
        let (one, two) = (bells.listen_device(&tenant, &pc), bells.listen_device(&tenant, &pc));
        drop(one);
        assert_eq!(bells.0.devices().len(), 1);
        drop(two);
        assert_eq!(bells.0.devices().len(), 0);
        bells.ring_device(&tenant, &pc);
    }

    #[tokio::test]
    async fn a_turn_rung_before_the_wait_is_not_lost() {
        let bells = Bells::default();
        bells.ring_turn();
        assert!(bells.turn().now_or_never().is_some());
        assert!(bells.turn().now_or_never().is_none());
    }
}
