//! Client certificates that somebody else put into this PC's stores: told to the server, and otherwise left alone.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use tegata_api::v1::device::{FOUND_MAX, FoundCertificate};
use tegata_core::name::Sha256;
use tegata_pki::certificate::{self, Certificate};

use crate::inventory::Inventory;
use crate::keystore::{Keystore, Keystores};

/// Looks for them. What was looked at once is not opened again: stores are asked for their keys, which costs.
#[derive(Default)]
pub struct Finder {
    known: BTreeMap<(&'static str, Sha256), Option<FoundCertificate>>,
}

impl Finder {
    /// Those that have their private key here, longest-living first. A store that cannot be read has none for now.
    pub async fn look(&mut self, keystores: &Keystores, inventory: &Inventory) -> Vec<FoundCertificate> {
        let mut there = Vec::new();
        for store in keystores.all() {
            let foreign = store.list().await.unwrap_or_default().into_iter().filter(|fingerprint| inventory.item(*fingerprint).is_none());
            there.extend(foreign.map(|fingerprint| (store, fingerprint)));
        }
        self.known.retain(|(name, fingerprint), _| there.iter().any(|(store, there)| store.name() == *name && there == fingerprint));
        for (store, fingerprint) in there {
            let place = (store.name(), fingerprint);
            if let Entry::Vacant(unknown) = self.known.entry(place) {
                unknown.insert(read(store, fingerprint).await);
            }
        }
        let mut found: Vec<FoundCertificate> = self.known.values().flatten().cloned().collect();
        found.sort_by_key(|one| Reverse(one.not_after));
        found.truncate(FOUND_MAX);
        found
    }
}

/// A certificate without its key, such as an authority's, is no client certificate.
async fn read(store: &dyn Keystore, fingerprint: Sha256) -> Option<FoundCertificate> {
    let pair = store.open(fingerprint).await.ok()?;
    let read = certificate::read(pair.chain.first()?).ok()?;
    pair.can_sign().ok().filter(|can| *can)?;
    Some(FoundCertificate {
        fingerprint: fingerprint.to_string(),
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
    use tegata_core::policy::KeyAlgorithm;
    use tegata_core::time::{DAY, Timestamp};
    use tegata_pki::authority::{Authority, Purpose, new_serial};
    use tegata_pki::key::PrivateKey;

    use super::*;
    use crate::inventory::Item;
    use crate::keystore::Pair;
    use crate::pretend::World;

    fn pair(authority: &Authority, name: &str, days: u32) -> Pair {
        let now = Timestamp::from_unix(crate::wall_clock());
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let (common_name, organization, unique) = (name.to_owned(), "u00000126".to_owned(), "1".to_owned());
        let purpose = Purpose::Client { common_name, organization, unique, crl_url: None, ocsp_url: None };
        let tbs = authority.draft(&purpose, &key.public_key(), new_serial(), now.before(DAY), now.after(DAY * days)).unwrap();
        Pair { chain: vec![authority.sign(&tbs).unwrap()], key: key.to_pkcs8() }
    }

    #[tokio::test]
    async fn what_others_installed_is_found_and_what_is_ours_is_not() {
        let world = World::new();
        let mut device = world.parts();
        let now = Timestamp::from_unix(crate::wall_clock());
        let vendor = Authority::new_root("Intermediate CA", "Vendor", now.before(DAY), now.after(DAY * 90)).unwrap();
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
