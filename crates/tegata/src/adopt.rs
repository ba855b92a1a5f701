//! `tegata adopt`: makes a certificate that lies on a device already a slot's own.

use clap::Args;
use tegata_api::v1::vendor::AdoptRequest;
use tegata_core::name::SlotId;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Take over a certificate that somebody else installed on a device
///
/// It stays where it is: the device notes it as the slot's own and proves it. From then on it is watched, and replaced before it expires.
#[derive(Args)]
#[command(after_help = "Example:\n  $ tegata adopt sakura-naika/uketsuke-1/weborca 3f9a01bc")]
pub struct Adopt {
    /// The slot that it belongs to, `clinic/device/profile`
    slot: SlotId,
    /// The certificate's fingerprint, or at least eight digits that it begins with, as `tegata get expiring` shows it
    fingerprint: String,
}

impl Adopt {
    /// Takes it over.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let request = AdoptRequest { slot: self.slot.to_string(), fingerprint: self.fingerprint };
        Session::open(global)?.tell("adopt", &request).await?;
        output::confirm(global, &format!("Asked for. `tegata get slots` shows when {} is ready.", self.slot))?;
        Ok(Exit::Fine)
    }
}
