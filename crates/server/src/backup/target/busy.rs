//! Who is working with which target. One that never answers keeps neither others nor another tenant's waiting.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tegata_core::name::{TargetName, TenantName};
use tokio::sync::Notify;

/// How many targets are worked with at the same time, for one errand: of a tenant, and in all. Each takes a thread.
const TENANT_MAX: usize = 10;
const ALL_MAX: usize = 64;

/// What somebody does at a target. A person who reads waits for no carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// Backups are carried.
    Carry,
    /// A backup is read, for a person.
    Read,
}

type Key = (Errand, TenantName, TargetName);

/// Which targets somebody is busy with.
#[derive(Debug, Clone, Default)]
pub struct Busy(Arc<Room>);

#[derive(Debug, Default)]
struct Room {
    taken: Mutex<BTreeSet<Key>>,
    freed: Notify,
}

/// Why a target cannot be worked with now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Somebody works with it.
    Taken,
    /// There are too many others.
    Full,
}

/// The right to work with a target, given back when dropped.
#[derive(Debug)]
pub struct Turn {
    busy: Busy,
    key: Key,
}

impl Busy {
    /// Takes a target, if nobody has it.
    pub fn take(&self, errand: Errand, tenant: &TenantName, target: &TargetName) -> Result<Turn, Refused> {
        let key = (errand, tenant.clone(), target.clone());
        let mut taken = self.taken();
        if taken.contains(&key) {
            return Err(Refused::Taken);
        }
        let same: Vec<&Key> = taken.iter().filter(|(other, ..)| *other == errand).collect();
        if same.len() >= ALL_MAX || same.iter().filter(|(_, other, _)| other == tenant).count() >= TENANT_MAX {
            return Err(Refused::Full);
        }
        taken.insert(key.clone());
        Ok(Turn { busy: self.clone(), key })
    }

    /// Waits for it, but not for longer than this.
    pub async fn wait(&self, errand: Errand, tenant: &TenantName, target: &TargetName, patience: Duration) -> Result<Turn, Refused> {
        let taken = async {
            loop {
                let freed = self.0.freed.notified();
                if let Ok(turn) = self.take(errand, tenant, target) {
                    return turn;
                }
                freed.await;
            }
        };
        tokio::time::timeout(patience, taken).await.map_err(|_| Refused::Taken)
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, BTreeSet<Key>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.busy.taken().remove(&self.key);
        self.busy.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tenant: usize, target: usize) -> (TenantName, TargetName) {
        (format!("t{tenant}").parse().unwrap(), format!("n{target}").parse().unwrap())
    }

    #[test]
    fn one_tenant_takes_no_more_than_its_share_and_a_reader_is_in_no_carriers_way() {
        let busy = Busy::default();
        let take = |errand, (tenant, target): (TenantName, TargetName)| busy.take(errand, &tenant, &target);
        let mut held: Vec<Turn> = (0..TENANT_MAX).map(|number| take(Errand::Carry, names(0, number)).unwrap()).collect();
        assert_eq!(take(Errand::Carry, names(0, 0)).unwrap_err(), Refused::Taken);
        assert_eq!(take(Errand::Carry, names(0, TENANT_MAX)).unwrap_err(), Refused::Full);
        held.push(take(Errand::Carry, names(1, 0)).expect("another tenant has its own share"));
        held.push(take(Errand::Read, names(0, 0)).expect("and whoever reads"));
        held.swap_remove(0);
        held.push(take(Errand::Carry, names(0, TENANT_MAX)).expect("there is room again"));
        let more = (2..ALL_MAX).filter_map(|tenant| take(Errand::Carry, names(tenant, 0)).ok());
        held.extend(more);
        assert_eq!(held.iter().filter(|turn| turn.key.0 == Errand::Carry).count(), ALL_MAX);
        assert_eq!(take(Errand::Carry, names(99, 0)).unwrap_err(), Refused::Full);
    }

    #[tokio::test]
    async fn whoever_waits_gets_it_as_soon_as_it_is_free_or_gives_up() {
        let (busy, (tenant, target)) = (Busy::default(), names(0, 0));
        let first = busy.take(Errand::Read, &tenant, &target).unwrap();
        let short = Duration::from_millis(50);
        assert_eq!(busy.wait(Errand::Read, &tenant, &target, short).await.unwrap_err(), Refused::Taken);
        let second = busy.wait(Errand::Read, &tenant, &target, Duration::from_secs(60));
        let (got, ()) = tokio::join!(second, async {
            tokio::time::sleep(short).await;
            drop(first);
        });
        got.unwrap();
    }
}
