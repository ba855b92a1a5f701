//! A vendor that renews certificates: pretended, for orders that are led through a PC, and over real mutual TLS as monsiaj knows it.

use std::cell::{Cell, RefCell};

use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::key::PrivateKey;
use tegata_pki::pkcs12::{self, Flavor};

use super::*;
use crate::crash;

mod online;

/// The password of what the vendor makes.
pub(crate) const PASSWORD: &str = "pass-7Qx";

/// A certificate of the vendor, of this client's number, for three years from yesterday.
pub(crate) fn issued(vendor: &Authority, number: u32) -> Pair {
    let now = Timestamp::from_unix(crate::wall_clock());
    issued_between(vendor, number, now.before(DAY), now.after(DAY * 1095))
}

pub(crate) fn issued_between(vendor: &Authority, number: u32, begin: Timestamp, end: Timestamp) -> Pair {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let purpose = Purpose::Client {
        common_name: format!("client{number}"),
        organization: "u00000126".into(),
        unique: number.to_string(),
        crl_url: None,
        ocsp_url: None,
    };
    let tbs = vendor.draft(&purpose, &key.public_key(), new_serial(), begin, end).unwrap();
    Pair { chain: vec![vendor.sign(&tbs).unwrap(), vendor.certificate().to_vec()], key: key.to_pkcs8().into() }
}

/// The vendor's authority.
pub(crate) fn authority() -> Authority {
    let now = Timestamp::from_unix(crate::wall_clock());
    Authority::new_root("Intermediate CA", "ORCA", now.before(DAY * 400), now.after(DAY * 3650)).unwrap()
}

/// The file in which a vendor hands over a pair.
pub(crate) fn file_of(pair: &Pair) -> Vec<u8> {
    let key = PrivateKey::from_pkcs8(pair.pkcs8().unwrap()).unwrap();
    pkcs12::write(Flavor::Legacy, &key, &pair.chain, "client", PASSWORD).unwrap()
}

/// Each call makes a certificate, which costs something.
#[derive(Default)]
pub(crate) struct PretendVendor {
    pub made: RefCell<Vec<Vec<u8>>>,
    pub shown: RefCell<Vec<tegata_core::name::Sha256>>,
    pub refuses: RefCell<Option<Refusal>>,
    pub refuses_files: RefCell<Option<Refusal>>,
    pub asked: Cell<u32>,
}

#[async_trait(?Send)]
impl Vendor for PretendVendor {
    async fn offer(&self, _url: &str, current: &Pair) -> Result<Offer, Refusal> {
        crash::point();
        self.asked.set(self.asked.get() + 1);
        if let Some(refusal) = self.refuses.borrow().clone() {
            return Err(refusal);
        }
        self.shown.borrow_mut().push(current.fingerprint().unwrap());
        let number = self.made.borrow().len();
        self.made.borrow_mut().push(file_of(&issued(&authority(), number as u32)));
        crash::point();
        Ok(Offer { uri: format!("/download/{number}"), password: Zeroizing::new(PASSWORD.into()) })
    }

    async fn fetch(&self, _url: &str, uri: &str, _current: &Pair) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        crash::point();
        if let Some(refusal) = self.refuses_files.borrow().clone() {
            return Err(refusal);
        }
        let number: usize = uri.rsplit('/').next().unwrap().parse().unwrap();
        let file = self.made.borrow()[number].clone();
        crash::point();
        Ok(Zeroizing::new(file))
    }
}
