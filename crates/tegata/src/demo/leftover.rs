//! The file that a hand-made set-up leaves in a Downloads folder: a real PKCS#12 bundle from a made-up old vendor.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tegata_core::name::DeviceId;
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::DAY;
use tegata_pki::authority::{self, Authority, Purpose};
use tegata_pki::key::PrivateKey;
use tegata_pki::pkcs12::{self, Flavor};

use crate::output;

/// What vendors call such files, and how they protect them.
const HABITS: [(&str, Flavor); 3] =
    [("client_cert.pfx", Flavor::Modern), ("202101010000777.p12", Flavor::Legacy), ("601_JP_u00000126_client1210.p12", Flavor::Legacy)];

/// The old vendor.
pub struct Vendor {
    authority: Authority,
}

impl Vendor {
    /// Sets up shop.
    pub fn new() -> Result<Self> {
        let now = output::now();
        let authority = Authority::new_root("Old vendor CA", "Old vendor", now.before(365 * DAY), now.after(365 * DAY));
        Ok(Self { authority: authority.context("cannot make the old vendor")? })
    }

    /// Leaves a bundle for `device` in `folder`; `number` chooses the vendor's habits. Gives the file's name.
    pub fn leave(&self, folder: &Path, device: &DeviceId, number: usize) -> Result<&'static str> {
        let (name, flavor) = HABITS[number % HABITS.len()];
        fs::write(folder.join(name), self.bundle(device, flavor)?).with_context(|| format!("cannot write {name}"))?;
        Ok(name)
    }

    fn bundle(&self, device: &DeviceId, flavor: Flavor) -> Result<Vec<u8>> {
        let now = output::now();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let serial = authority::new_serial();
        let purpose = Purpose::Client {
            common_name: device.device.to_string(),
            organization: device.clinic.to_string(),
            unique: serial.to_string(),
            crl_url: None,
            ocsp_url: None,
        };
        let tbs = self.authority.draft(&purpose, &key.public_key(), serial, now.before(300 * DAY), now.after(60 * DAY))?;
        let chain = [self.authority.sign(&tbs)?, self.authority.certificate().to_vec()];
        Ok(pkcs12::write(flavor, &key, &chain, &format!("CLINICS-{}", device.device), "written-on-a-sticky-note")?)
    }
}
