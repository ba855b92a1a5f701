//! Keys that are born in a store and never leave it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rustls::SignatureScheme;
use tegata_core::policy::KeyAlgorithm;
use tegata_pki::key::{KeyError, PrivateKey};

use super::*;
use crate::keystore::{Key, StoredKey};

/// A store whose keys are born in it, as on Windows.
#[derive(Default)]
struct Vault {
    keys: RefCell<BTreeMap<OrderId, Arc<Born>>>,
    certificates: RefCell<BTreeMap<Sha256, Certified>>,
}

/// A chain, and the key of its first certificate.
type Certified = (Vec<Vec<u8>>, Arc<Born>);

struct Born {
    key: PrivateKey,
    public_key: Vec<u8>,
}

impl std::fmt::Debug for Born {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Born")
    }
}

impl StoredKey for Born {
    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn schemes(&self) -> &[SignatureScheme] {
        &[SignatureScheme::ECDSA_NISTP256_SHA256]
    }

    fn sign(&self, _: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key.sign(message)
    }
}

fn born(algorithm: KeyAlgorithm) -> Arc<Born> {
    let key = PrivateKey::generate(algorithm).unwrap();
    Arc::new(Born { public_key: key.public_key(), key })
}

#[async_trait::async_trait(?Send)]
impl Keystore for Vault {
    fn name(&self) -> &'static str {
        "vault"
    }

    async fn make_key(&self, order: OrderId, algorithm: KeyAlgorithm) -> Result<Option<Key>, KeystoreError> {
        crash::point();
        let key = born(algorithm);
        self.keys.borrow_mut().insert(order, Arc::clone(&key));
        crash::point();
        Ok(Some(Key::Stored(key)))
    }

    async fn made_key(&self, order: OrderId) -> Result<Option<Key>, KeystoreError> {
        Ok(self.keys.borrow().get(&order).map(|key| Key::Stored(Arc::clone(key) as _)))
    }

    async fn forget_keys(&self, except: &BTreeSet<OrderId>) -> Result<(), KeystoreError> {
        crash::point();
        let certificates = self.certificates.borrow();
        let is_used = |key: &Arc<Born>| certificates.values().any(|(_, used)| Arc::ptr_eq(used, key));
        self.keys.borrow_mut().retain(|order, key| except.contains(order) || is_used(key));
        Ok(())
    }

    async fn install(&self, _: &SlotId, pair: &Pair, _: &str) -> Result<(), KeystoreError> {
        crash::point();
        let fingerprint = pair.fingerprint().unwrap();
        if !self.certificates.borrow().contains_key(&fingerprint) {
            let public_key = pair.key.public_key()?;
            let key = match &pair.key {
                Key::Pkcs8(bytes) => Arc::new(Born { key: PrivateKey::from_pkcs8(bytes)?, public_key }),
                Key::Stored(_) => {
                    let born = self.keys.borrow().values().find(|key| key.public_key == public_key).cloned();
                    born.ok_or(KeystoreError::Absent(fingerprint, "vault"))?
                }
            };
            self.certificates.borrow_mut().insert(fingerprint, (pair.chain.clone(), key));
        }
        crash::point();
        Ok(())
    }

    async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError> {
        Ok(self.certificates.borrow().keys().copied().collect())
    }

    async fn open(&self, fingerprint: Sha256) -> Result<Pair, KeystoreError> {
        let certificates = self.certificates.borrow();
        let (chain, key) = certificates.get(&fingerprint).ok_or(KeystoreError::Absent(fingerprint, "vault"))?;
        Ok(Pair { chain: chain.clone(), key: Key::Stored(Arc::clone(key) as _) })
    }

    async fn remove(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        crash::point();
        let Some((_, key)) = self.certificates.borrow_mut().remove(&fingerprint) else { return Ok(false) };
        self.keys.borrow_mut().retain(|_, other| !Arc::ptr_eq(other, &key));
        Ok(true)
    }
}

/// A PC whose browser takes certificates from such a store.
#[derive(Default)]
struct Pc {
    world: World,
    vault: Rc<Vault>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Pc {
    async fn pass(&self, slots: Vec<wire::SlotManifest>) {
        let mut parts = self.world.parts();
        parts.keystores.browser = Rc::clone(&self.vault) as _;
        parts.converge(&manifest(slots), &mut Retries::default()).await;
    }

    fn orders_with_keys(&self) -> Vec<OrderId> {
        self.vault.keys.borrow().keys().copied().collect()
    }

    fn held(&self) -> Vec<Sha256> {
        self.vault.certificates.borrow().keys().copied().collect()
    }
}

fn in_browser(order: Option<OrderId>, replaces: &[Sha256]) -> wire::SlotManifest {
    wire::SlotManifest { stores: vec!["browser".into()], ..slot(order, replaces) }
}

#[tokio::test]
async fn the_key_of_an_order_is_born_in_its_store_and_never_seen_on_disk() {
    let pc = Pc::default();
    pc.world.site.refuses.set(403);
    pc.pass(vec![in_browser(Some(order(1)), &[])]).await;
    assert_eq!(stage(&pc.world), Stage::Installed);
    let staged = disk::entries(&pc.world.state.staged_of(order(1))).unwrap();
    let names: Vec<_> = staged.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!((names, pc.orders_with_keys()), (vec!["chain.pem"], vec![order(1)]));
    pc.world.site.refuses.set(0);
    pc.pass(vec![in_browser(Some(order(1)), &[])]).await;
    assert_eq!((stage(&pc.world), trouble(&pc.world).as_str()), (Stage::Settled, ""));
    assert_eq!(pc.held(), [pc.world.server.issued(order(1)).unwrap()]);
}

#[tokio::test]
async fn a_certificate_that_several_stores_are_to_have_brings_its_key_along() {
    let pc = Pc::default();
    pc.pass(vec![slot(Some(order(1)), &[])]).await;
    assert!(pc.orders_with_keys().is_empty(), "a key that stays in one store would be of no use to the other");
    assert_eq!((stage(&pc.world), pc.held()), (Stage::Settled, held(&pc.world).await.into_iter().collect()));
}

/// Whether the certificate has come already or not.
#[tokio::test]
async fn an_order_whose_profile_gains_another_store_starts_over_with_a_key_for_both() {
    for has_certificate in [false, true] {
        let pc = Pc::default();
        pc.world.site.refuses.set(403);
        pc.world.server.down_for(Duration::from_secs(if has_certificate { 0 } else { 3_600 }));
        pc.pass(vec![in_browser(Some(order(1)), &[])]).await;
        assert_eq!(stage(&pc.world), if has_certificate { Stage::Installed } else { Stage::Keyed });
        pc.world.server.down_for(Duration::ZERO);
        pc.world.site.refuses.set(0);
        for _ in 0..3 {
            pc.pass(vec![slot(Some(order(1)), &[])]).await;
        }
        // The server hands out one certificate for an order. Where it has, it orders anew and closes this one.
        let (last, replaces): (u8, Vec<Sha256>) = if has_certificate { (2, pc.held()) } else { (1, vec![]) };
        pc.pass(vec![slot(Some(order(last)), &replaces)]).await;
        assert_eq!((stage(&pc.world), trouble(&pc.world).as_str()), (Stage::Settled, ""), "{has_certificate}");
        assert_eq!((pc.held(), pc.orders_with_keys()), (held(&pc.world).await.into_iter().collect(), vec![]));
        assert_eq!(pc.held(), [pc.world.server.issued(order(last)).unwrap()]);
    }
}

#[tokio::test]
async fn a_key_that_no_certificate_came_for_goes_with_its_order() {
    let pc = Pc::default();
    pc.world.server.down_for(Duration::from_secs(3_600));
    pc.pass(vec![in_browser(Some(order(1)), &[])]).await;
    assert_eq!((stage(&pc.world), pc.orders_with_keys()), (Stage::Keyed, vec![order(1)]));
    pc.pass(vec![in_browser(Some(order(2)), &[])]).await;
    assert_eq!(pc.orders_with_keys(), [order(2)], "the first order is over");
    pc.pass(vec![]).await;
    assert!(pc.orders_with_keys().is_empty(), "policy does not name the slot any more");
}

#[tokio::test]
async fn a_found_certificate_whose_key_stays_is_taken_over_where_it_is_and_nowhere_else() {
    let pc = Pc::default();
    let key = born(KeyAlgorithm::EcdsaP256);
    pc.vault.keys.borrow_mut().insert(order(9), Arc::clone(&key));
    let issued = pc.world.server.certificate(order(9), Key::Stored(Arc::clone(&key) as _).request().unwrap()).await.unwrap();
    let pem = format!("{}{}", issued.certificate, issued.chain);
    let chain: Vec<_> = tegata_pki::certificate::read_pem(&pem).unwrap().into_iter().map(|one| one.der).collect();
    let found = tegata_pki::key::sha256(&chain[0]);
    pc.vault.certificates.borrow_mut().insert(found, (chain, key));
    let adopting = |number, stores: &[&str]| wire::SlotManifest {
        source: wire::Source::Found { fingerprint: found.to_string() },
        stores: stores.iter().map(|store| (*store).to_owned()).collect(),
        ..in_browser(Some(order(number)), &[])
    };
    pc.pass(vec![adopting(1, &["browser", "file"])]).await;
    assert!(trouble(&pc.world).contains("cannot be taken out of its store"), "{}", trouble(&pc.world));
    pc.pass(vec![adopting(2, &["browser"])]).await;
    assert_eq!((stage(&pc.world), trouble(&pc.world).as_str()), (Stage::Settled, ""));
    assert_eq!(pc.held(), [found]);
}

#[test]
fn the_plug_can_be_pulled_while_keys_are_born() {
    quietly();
    let mut points = 0;
    loop {
        let pc = Pc::default();
        let life = async {
            pc.pass(vec![in_browser(Some(order(1)), &[])]).await;
            let old = pc.world.server.issued(order(1)).unwrap();
            pc.pass(vec![in_browser(Some(order(2)), &[old])]).await;
        };
        if !unplugged(life, points) {
            break;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let came_to = pc.world.parts().journal.entry(&SLOT.parse().unwrap()).map(|entry| entry.order);
            if came_to != Some(order(2)) {
                pc.pass(vec![in_browser(Some(order(1)), &[])]).await;
            }
            let old = pc.world.server.issued(order(1)).unwrap();
            pc.pass(vec![in_browser(Some(order(2)), &[old])]).await;
        });
        assert_eq!((stage(&pc.world), trouble(&pc.world).as_str()), (Stage::Settled, ""), "at {points}");
        let new = pc.world.server.issued(order(2)).unwrap();
        assert_eq!((pc.held(), pc.orders_with_keys()), (vec![new], vec![order(2)]), "at {points}");
        points += 1;
    }
    assert!(points > 40, "only {points} points");
}
