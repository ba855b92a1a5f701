//! Client certificates that somebody else put into this PC's stores: told to the server, and otherwise left alone.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use tegata_api::v1::device::{FOUND_MAX, FoundCertificate};
use tegata_core::name::Sha256;
use tegata_pki::certificate::{self, Certificate};

use crate::inventory::Inventory;
use crate::keystore::{Keystore, KeystoreError, Keystores, Pair};

/// Looks for them. What was looked at once is not opened again: stores are asked for their keys, which costs.
#[derive(Default)]
pub struct Finder {
    listed: BTreeMap<&'static str, BTreeSet<Sha256>>,
    known: BTreeMap<(&'static str, Sha256), Option<FoundCertificate>>,
}

impl Finder {
    /// Those that have their private key here, longest-living first. A store that cannot be looked into has what it had.
    pub async fn look(&mut self, keystores: &Keystores, inventory: &Inventory) -> Vec<FoundCertificate> {
        let mut there = BTreeMap::new();
        for store in keystores.all() {
            match store.list().await {
                Ok(list) => drop(self.listed.insert(store.name(), list)),
                Err(problem) => tracing::warn!(store = store.name(), problem = crate::told(&problem), "a store cannot be looked into"),
            }
            let listed = self.listed.get(store.name()).into_iter().flatten();
            let foreign = listed.filter(|fingerprint| inventory.item(**fingerprint).is_none());
            there.extend(foreign.map(|fingerprint| ((store.name(), *fingerprint), store)));
        }
        self.known.retain(|place, _| there.contains_key(place));
        for (place, store) in there {
            if let Entry::Vacant(unknown) = self.known.entry(place) {
                match store.open(place.1).await {
                    Ok(pair) => drop(unknown.insert(seen(store, &pair))),
                    Err(KeystoreError::Absent(..) | KeystoreError::AsksPeople(_)) => drop(unknown.insert(None)),
                    Err(problem) => tracing::debug!(store = place.0, problem = crate::told(&problem), "a certificate cannot be looked at"),
                }
            }
        }
        let mut found: Vec<FoundCertificate> = self.known.values().flatten().cloned().collect();
        found.sort_by_key(|one| Reverse(one.not_after));
        found.truncate(FOUND_MAX);
        found
    }
}

/// A certificate whose key is not with it, or that is an authority's, or for another use, is no client certificate.
fn seen(store: &dyn Keystore, pair: &Pair) -> Option<FoundCertificate> {
    let read = certificate::read(pair.chain.first()?).ok().filter(|read| read.is_for_clients)?;
    pair.can_sign().ok().filter(|can| *can)?;
    Some(FoundCertificate {
        fingerprint: read.fingerprint.to_string(),
        store: store.name().to_owned(),
        subject: read.subject(),
        issuer: read.issuer_common_name.as_ref().map(|name| format!("CN={name}")).unwrap_or_default(),
        serial: serial(&read),
        not_before: read.not_before.unix(),
        not_after: read.not_after.unix(),
        has_key: true,
    })
}

fn serial(read: &Certificate) -> String {
    read.serial.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use tegata_core::name::SlotId;
    use tegata_core::policy::KeyAlgorithm;
    use tegata_core::time::{DAY, Timestamp};
    use tegata_pki::authority::{Authority, Purpose, new_serial};
    use tegata_pki::key::PrivateKey;

    use super::*;
    use crate::inventory::Item;
    use crate::pretend::World;

    fn authority() -> Authority {
        let now = Timestamp::from_unix(crate::wall_clock());
        Authority::new_root("Intermediate CA", "Vendor", now.before(DAY), now.after(DAY * 90)).unwrap()
    }

    fn pair_for(authority: &Authority, purpose: &Purpose, days: u32) -> Pair {
        let now = Timestamp::from_unix(crate::wall_clock());
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let tbs = authority.draft(purpose, &key.public_key(), new_serial(), now.before(DAY), now.after(DAY * days)).unwrap();
        Pair { chain: vec![authority.sign(&tbs).unwrap()], key: key.to_pkcs8().into() }
    }

    fn pair(authority: &Authority, name: &str, days: u32) -> Pair {
        let (common_name, organization, unique) = (name.to_owned(), "u00000126".to_owned(), "1".to_owned());
        pair_for(authority, &Purpose::Client { common_name, organization, unique, crl_url: None, ocsp_url: None }, days)
    }

    type Reason = fn(Sha256) -> KeystoreError;

    /// A store that cannot always be looked into, or give what it has.
    #[derive(Default)]
    struct Moody {
        pairs: RefCell<Vec<Pair>>,
        cannot_list: Cell<bool>,
        /// Gives nothing, for this reason.
        cannot_open: Cell<Option<Reason>>,
        opened: Cell<usize>,
    }

    #[async_trait::async_trait(?Send)]
    impl Keystore for Moody {
        fn name(&self) -> &'static str {
            "moody"
        }

        async fn install(&self, _: &SlotId, _: &Pair, _: &str) -> Result<(), KeystoreError> {
            Err(KeystoreError::ToolMissing("tool"))
        }

        async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError> {
            match self.cannot_list.get() {
                true => Err(KeystoreError::ToolMissing("tool")),
                false => Ok(self.pairs.borrow().iter().map(|pair| pair.fingerprint().unwrap()).collect()),
            }
        }

        async fn open(&self, fingerprint: Sha256) -> Result<Pair, KeystoreError> {
            self.opened.set(self.opened.get() + 1);
            if let Some(problem) = self.cannot_open.get() {
                return Err(problem(fingerprint));
            }
            let pairs = self.pairs.borrow();
            let pair = pairs.iter().find(|pair| pair.fingerprint() == Some(fingerprint)).unwrap();
            Ok(Pair { chain: pair.chain.clone(), key: pair.key.clone() })
        }

        async fn remove(&self, _: Sha256) -> Result<bool, KeystoreError> {
            Ok(false)
        }
    }

    /// A PC with a moody store, and what its finder sees in it.
    struct Pc {
        moody: Rc<Moody>,
        device: crate::converge::Device,
        finder: Finder,
        _world: World,
    }

    impl Pc {
        fn with(pairs: Vec<Pair>) -> Self {
            let world = World::new();
            let (mut device, moody) = (world.parts(), Rc::new(Moody { pairs: RefCell::new(pairs), ..Moody::default() }));
            device.keystores.browser = Rc::clone(&moody) as _;
            Self { moody, device, finder: Finder::default(), _world: world }
        }

        async fn found(&mut self) -> usize {
            self.finder.look(&self.device.keystores, &self.device.inventory).await.len()
        }
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_looked_into_has_what_it_had() {
        let mut pc = Pc::with(vec![pair(&authority(), "one", 9)]);
        pc.moody.cannot_list.set(true);
        assert_eq!(pc.found().await, 0, "nothing is known yet");
        for (cannot_list, count) in [(false, 1), (true, 1)] {
            pc.moody.cannot_list.set(cannot_list);
            assert_eq!(pc.found().await, count);
        }
        pc.moody.pairs.take();
        assert_eq!(pc.found().await, 1, "it may still be there");
        pc.moody.cannot_list.set(false);
        assert_eq!((pc.found().await, pc.moody.opened.get()), (0, 1));
    }

    #[tokio::test]
    async fn only_what_is_not_there_is_not_looked_for_again() {
        let absent: Reason = |fingerprint| KeystoreError::Absent(fingerprint, "moody");
        let locked: Reason = |_| KeystoreError::Unreadable("moody", "locked".into());
        for (problem, afterwards, opened) in [(absent, 0, 1), (locked, 1, 3)] {
            let mut pc = Pc::with(vec![pair(&authority(), "one", 9)]);
            pc.moody.cannot_open.set(Some(problem));
            assert_eq!((pc.found().await, pc.found().await), (0, 0));
            pc.moody.cannot_open.set(None);
            assert_eq!((pc.found().await, pc.moody.opened.get()), (afterwards, opened));
        }
    }

    #[tokio::test]
    async fn what_no_client_can_show_is_not_told() {
        let vendor = authority();
        let server = pair_for(&vendor, &Purpose::Server { names: vec!["nas.local".into()] }, 9);
        let (mut keyless, other) = (pair(&vendor, "keyless", 9), pair(&vendor, "other", 9));
        keyless.key = other.key;
        let mut pc = Pc::with(vec![server, keyless, pair(&vendor, "client", 9)]);
        let found = pc.finder.look(&pc.device.keystores, &pc.device.inventory).await;
        assert_eq!(found.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), ["CN=client, O=u00000126"]);
        assert_eq!((pc.found().await, pc.moody.opened.get()), (1, 3));
    }

    #[tokio::test]
    async fn what_others_installed_is_found_and_what_is_ours_is_not() {
        let world = World::new();
        let mut device = world.parts();
        let vendor = authority();
        let slot = "sakura/uketsuke-1/weborca".parse().unwrap();
        let [ours, soon, later] = [("ours", 9), ("soon", 7), ("later", 30)].map(|(name, days)| pair(&vendor, name, days));
        for pair in [&ours, &soon, &later] {
            device.keystores.file.install(&slot, pair, "x").await.unwrap();
        }
        let item = Item { slot: slot.to_string(), stores: vec!["file".into()], adopted: vec![] };
        device.inventory.claim(ours.fingerprint().unwrap(), item).unwrap();
        let mut finder = Finder::default();
        let found = finder.look(&device.keystores, &device.inventory).await;
        let told: Vec<_> = found.iter().map(|one| (&one.subject[..], &one.issuer[..], &one.store[..], one.has_key)).collect();
        let of = |name| (name, "CN=Intermediate CA", "file", true);
        assert_eq!(told, [of("CN=later, O=u00000126"), of("CN=soon, O=u00000126")]);
        device.keystores.file.remove(later.fingerprint().unwrap()).await.unwrap();
        assert_eq!(finder.look(&device.keystores, &device.inventory).await.len(), 1, "what is gone is not told any more");
    }
}
