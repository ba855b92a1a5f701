//! Against a store in memory that knows no more than what every browser's does.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use async_trait::async_trait;
use tegata_api::v1::device as wire;
use tegata_api::v1::trust::TrustRoot;
use tegata_core::name::SlotId;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::Authority;

use super::*;
use crate::keystore::{Keystore, KeystoreError, Pair};
use crate::pretend::World;

/// What it holds, and whether programs trust it.
#[derive(Default)]
struct Roots {
    held: RefCell<BTreeMap<Sha256, (Vec<u8>, bool)>>,
    /// How often it was changed.
    changes: Cell<u32>,
}

#[async_trait(?Send)]
impl Keystore for Roots {
    fn name(&self) -> &'static str {
        "roots"
    }

    async fn install(&self, _slot: &SlotId, _pair: &Pair, _label: &str) -> Result<(), KeystoreError> {
        unreachable!("no certificate is wanted")
    }

    async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError> {
        Ok(self.held.borrow().keys().copied().collect())
    }

    async fn open(&self, fingerprint: Sha256) -> Result<Pair, KeystoreError> {
        Err(KeystoreError::Absent(fingerprint, "roots"))
    }

    async fn root(&self, fingerprint: Sha256) -> Result<Rooted, KeystoreError> {
        let there = |(der, is_trusted): &(Vec<u8>, bool)| Rooted::There { der: der.clone(), is_trusted: *is_trusted };
        Ok(self.held.borrow().get(&fingerprint).map_or(Rooted::Absent, there))
    }

    async fn trust(&self, root: &[u8], is_trusted: bool) -> Result<(), KeystoreError> {
        self.changes.set(self.changes.get() + 1);
        self.held.borrow_mut().insert(sha256(root), (root.to_vec(), is_trusted));
        Ok(())
    }

    async fn remove(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        Ok(self.held.borrow_mut().remove(&fingerprint).is_some())
    }
}

/// A PC, its browser's store, and a root with an authority below it.
struct Pc {
    world: World,
    store: Rc<Roots>,
    root: Vec<u8>,
    below: Vec<u8>,
}

impl Pc {
    fn new() -> Self {
        let now = Timestamp::from_unix(crate::wall_clock());
        let root = Authority::new_root("Site Root", "sakura", now.before(DAY), now.after(DAY)).unwrap();
        let below = root.new_issuing("Site CA", "sakura", now.before(DAY), now.after(DAY)).unwrap();
        let ders = [&root, &below].map(|authority| authority.certificate().to_vec());
        let [root, below] = ders;
        Self { world: World::new(), store: Rc::default(), root, below }
    }

    /// In which somebody at the PC has agreed to its root.
    fn granting() -> Self {
        let pc = Self::new();
        pc.grant(true);
        pc
    }

    fn grant(&self, is_granted: bool) {
        granted::grant(self.world.state.root(), &self.root, is_granted).unwrap();
    }

    /// Follows a manifest with these pins, and what comes with them.
    async fn told(&self, roots: &[(Sha256, Option<&[u8]>)]) -> Vec<RootState> {
        let root = |(pin, der): &(Sha256, Option<&[u8]>)| TrustRoot { sha256: pin.to_string(), der: der.map(|der| BASE64.encode(der)) };
        let trust = roots.iter().map(root).collect();
        let manifest = wire::Manifest { device: "sakura/uketsuke-1".into(), trust, ..wire::Manifest::default() };
        let mut parts = self.world.parts();
        parts.keystores.browser = Rc::clone(&self.store) as Rc<dyn Keystore>;
        let reports = parts.settle_roots(&Manifest::try_from(&manifest).unwrap()).await.unwrap();
        reports.into_iter().map(|report| report.state).collect()
    }

    fn is_trusted(&self, der: &[u8]) -> Option<bool> {
        self.store.held.borrow().get(&sha256(der)).map(|(_, is_trusted)| *is_trusted)
    }

    async fn deeds(&self) -> Vec<Deed> {
        self.world.receipts().send(&*self.world.server).await.unwrap();
        self.world.server.deeds(&self.world.identity.key)
    }
}

#[tokio::test]
async fn a_pinned_root_is_added_once_with_a_receipt_and_goes_when_policy_drops_it() {
    let pc = Pc::granting();
    let pin = sha256(&pc.root);
    let probed = || crate::probe::roots(&pc.world.state).unwrap().len();
    let before = probed();
    for _look in 0..3 {
        assert_eq!(pc.told(&[(pin, Some(&pc.root))]).await, [RootState::Trusted]);
    }
    assert_eq!((pc.is_trusted(&pc.root), pc.store.changes.get()), (Some(true), 1));
    assert_eq!(probed(), before + 1, "what browsers trust, probes trust");
    let trusted = Deed::RootTrusted { fingerprint: pin.to_string() };
    assert_eq!(pc.deeds().await, std::slice::from_ref(&trusted));
    for _look in 0..2 {
        assert_eq!(pc.told(&[]).await, []);
    }
    assert_eq!((pc.is_trusted(&pc.root), probed()), (None, before));
    assert_eq!(pc.deeds().await, [trusted, Deed::RootDistrusted { fingerprint: pin.to_string() }]);
}

#[tokio::test]
async fn what_is_not_the_pinned_root_is_never_trusted() {
    let pc = Pc::new();
    let other = Pc::new().root;
    for (pin, der) in [(sha256(&pc.root), &other), (sha256(&pc.below), &pc.below), (sha256(b"no"), &b"no".to_vec())] {
        assert_eq!(pc.told(&[(pin, Some(der))]).await, [RootState::NotARoot]);
    }
    assert!(pc.store.held.borrow().is_empty() && pc.deeds().await.is_empty());
}

#[tokio::test]
async fn a_root_that_came_with_a_vendors_file_is_trusted_and_stays_without_trust_afterwards() {
    let pc = Pc::granting();
    let pin = sha256(&pc.root);
    assert_eq!(pc.told(&[(pin, None)]).await, [RootState::NotBrought]);
    pc.store.trust(&pc.root, false).await.unwrap();
    assert_eq!(pc.told(&[(pin, None)]).await, [RootState::Trusted]);
    assert_eq!(pc.is_trusted(&pc.root), Some(true));
    pc.told(&[]).await;
    assert_eq!(pc.is_trusted(&pc.root), Some(false), "it is not ours to remove");
}

#[tokio::test]
async fn what_somebody_else_trusts_is_left_alone_for_ever() {
    let pc = Pc::new();
    pc.store.trust(&pc.root, true).await.unwrap();
    assert_eq!(pc.told(&[(sha256(&pc.root), Some(&pc.root))]).await, [RootState::Trusted]);
    pc.told(&[]).await;
    assert_eq!(pc.is_trusted(&pc.root), Some(true));
    assert!(pc.deeds().await.is_empty());
}

#[tokio::test]
async fn where_the_user_must_not_add_roots_an_administrator_is_asked_for() {
    let pc = Pc::new();
    let trust = vec![TrustRoot { sha256: sha256(&pc.root).to_string(), der: Some(BASE64.encode(&pc.root)) }];
    let manifest = wire::Manifest { device: "sakura/uketsuke-1".into(), trust, ..wire::Manifest::default() };
    let reports = pc.world.parts().settle_roots(&Manifest::try_from(&manifest).unwrap()).await.unwrap();
    assert_eq!(reports.iter().map(|report| report.state).collect::<Vec<_>>(), [RootState::NeedsAdministrator]);
}

/// A server that somebody has taken over could read along with every site that a clinic opens.
#[tokio::test]
async fn no_server_decides_alone_which_roots_are_trusted() {
    let pc = Pc::new();
    let pinned = [(sha256(&pc.root), Some(&pc.root[..]))];
    assert_eq!(pc.told(&pinned).await, [RootState::NeedsAdministrator]);
    assert_eq!(pc.is_trusted(&pc.root), None);
    pc.grant(true);
    assert_eq!(pc.told(&pinned).await, [RootState::Trusted]);
    pc.grant(false);
    assert_eq!(pc.told(&pinned).await, [RootState::NeedsAdministrator]);
    assert_eq!(pc.is_trusted(&pc.root), None);
}

#[test]
fn only_a_root_is_granted_and_only_where_somebody_has_enrolled() {
    let pc = Pc::new();
    assert!(matches!(granted::grant(pc.world.state.root(), &pc.below, true), Err(granted::GrantError::NotARoot)));
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(matches!(granted::grant(elsewhere.path(), &pc.root, true), Err(granted::GrantError::NotEnrolled)));
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}
