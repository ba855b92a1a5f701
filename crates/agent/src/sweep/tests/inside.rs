//! What is told of bundles that lie open.

use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::key::{PrivateKey, sha256};
use tegata_pki::pkcs12::{self, Flavor};

use super::super::inside::OPENED_MAX;
use super::*;

/// Bundles as vendors make them, each with a certificate of its own, and those certificates' fingerprints.
pub(super) struct Vendor {
    root: Authority,
    key: PrivateKey,
    now: Timestamp,
}

impl Vendor {
    pub(super) fn new() -> Self {
        let now = Timestamp::from_unix(1_800_000_000);
        let root = Authority::new_root("Vendor", "vendor", now, now.after(DAY * 10)).unwrap();
        Self { root, key: PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap(), now }
    }

    pub(super) fn file(&self, password: &str) -> (Vec<u8>, String) {
        let purpose = Purpose::Identity { common_name: "client1210".into(), organization: "u00000126".into() };
        let tbs = self.root.draft(&purpose, &self.key.public_key(), new_serial(), self.now, self.now.after(DAY)).unwrap();
        let own = self.root.sign(&tbs).unwrap();
        let fingerprint = sha256(&own).to_string();
        (pkcs12::write(Flavor::Modern, &self.key, &[own], "client1210", password).unwrap(), fingerprint)
    }
}

/// What is told of the only file that is found.
fn told(pc: &mut Pc, words: &[&str]) -> Option<Inside> {
    let swept = pc.sweep_in(words, &[], Pace { rest: Duration::ZERO, ..Pace::default() });
    let [only] = <[InstallerSeen; 1]>::try_from(swept.left).unwrap();
    only.inside
}

#[test]
fn a_certificate_that_lies_open_is_told_and_one_behind_a_password_is_not() {
    let vendor = Vendor::new();
    let (open, fingerprint) = vendor.file("");
    let mut pc = Pc::new();
    pc.put("Downloads/a.p12", &open);
    let whole = Inside { keys: 1, certificates: vec![fingerprint], whole: true };
    for _ in 0..2 {
        assert_eq!(told(&mut pc, &["downloads"]), Some(whole.clone()));
    }
    pc.put("Downloads/a.p12", &vendor.file("secret").0);
    let hidden = Inside { keys: 1, certificates: vec![], whole: false };
    assert_eq!(told(&mut pc, &["downloads"]), Some(hidden), "what was remembered is not what lies there now");
    pc.put("Downloads/a.p12", &bundle("what nobody can read"));
    assert_eq!(told(&mut pc, &["downloads"]), None);
}

#[test]
fn what_monsiaj_signs_in_with_is_no_left_over() {
    let mut pc = Pc::new();
    pc.put(".monsiaj/certificates/20261128.p12", &Vendor::new().file("").0);
    assert_eq!(told(&mut pc, &["~/.monsiaj/certificates"]), None);
    assert_eq!(told(&mut pc, &["~/.monsiaj/**"]), None);
}

#[test]
fn what_is_looked_for_by_its_hash_needs_no_other_sign() {
    let mut pc = Pc::new();
    let listed = pc.put("Downloads/a.p12", &Vendor::new().file("").0);
    let home = pc.world.home();
    let looked = look(&home, &["downloads".to_owned()].into(), &[listed].into(), &mut pc.memory, Pace::default()).unwrap();
    assert_eq!(looked.found.len(), 1);
    assert!(looked.found[0].inside.is_none());
}

#[test]
fn of_many_bundles_some_are_opened_in_each_look_and_the_others_later() {
    let (vendor, mut pc) = (Vendor::new(), Pc::new());
    for number in 0..OPENED_MAX + 3 {
        pc.put(&format!("Downloads/{number}.p12"), &vendor.file("").0);
    }
    let mut opened = || {
        let inside = pc.sweep(&[]).left.into_iter().filter_map(|seen| seen.inside);
        let (whole, others): (Vec<_>, Vec<_>) = inside.partition(|inside| inside.whole);
        assert!(others.iter().all(|inside| inside.keys == 1 && inside.certificates.is_empty()));
        (whole.len(), others.len())
    };
    let most = usize::try_from(OPENED_MAX).unwrap();
    assert_eq!([opened(), opened()], [(most, 3), (most + 3, 0)]);
}
