//! `tegata revoke`: ends a certificate, or the trust in a device.

use clap::{Args, Subcommand};
use tegata_api::v1::fleet::RevokeRequest;
use tegata_core::name::{DeviceId, Serial};

use crate::certificate::Reason;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// End a certificate, or the trust in a device
#[derive(Args)]
pub struct Revoke {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Declare one certificate invalid, now and for good; a new one follows if policy still asks for it (many: `tegata certificate revoke`)
    #[command(after_help = "Example:\n  $ tegata revoke certificate 4f1c0ddee1a2b3c4d5e6f708192a3b4c --note lost-laptop")]
    Certificate {
        /// Its serial number, as `tegata get slots` shows it
        serial: Serial,
        /// Why, as those who check certificates are told
        #[arg(long, value_enum, default_value_t = Reason::Unspecified, value_name = "REASON")]
        reason: Reason,
        /// Why, for the audit log
        #[arg(long, default_value = "", hide_default_value = true)]
        note: String,
    },
    /// Stop trusting a device: its certificates are revoked, and it is told nothing any more until it enrols again
    #[command(after_help = "Example:\n  $ tegata revoke device sakura-naika/uketsuke-1")]
    Device {
        /// Its name, `clinic/device`
        device: DeviceId,
    },
}

impl Revoke {
    /// Revokes it.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let session = Session::open(global)?;
        let done = match self.what {
            What::Certificate { serial, reason, note } => {
                session.tell(&format!("certificates/{serial}/revoke"), &RevokeRequest { note, reason: reason.into() }).await?;
                format!("Certificate {serial} is revoked: the next revocation list names it.")
            }
            What::Device { device } => {
                session.tell(&format!("devices/{device}/revoke"), &serde_json::json!({})).await?;
                format!("{device} is not trusted any more.")
            }
        };
        output::confirm(global, &done)?;
        Ok(Exit::Fine)
    }
}
