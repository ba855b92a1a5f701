//! `tegata revoke`: ends a certificate, the trust in a device, or somebody's session.

use clap::{Args, Subcommand};
use tegata_api::v1::fleet::RevokeRequest;
use tegata_api::v1::sign_in::Session as Ended;
use tegata_core::name::{DeviceId, Serial};

use crate::certificate::Reason;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;
use crate::token::is_plain;

/// End a certificate, the trust in a device, or somebody's session
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
    /// End the session of somebody who has signed in: its token is worth nothing from the next request on
    #[command(after_help = "Example:\n  $ tegata revoke session 0123456789abcdef")]
    Session {
        /// Its id, as `tegata get sessions` shows it
        session: String,
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
            What::Session { session: id } => {
                if !is_plain(&id) {
                    return Err(session.no_such("session", vec![id]));
                }
                let ended: Ended = session.post(&format!("sessions/{id}/revoke"), &()).await?;
                format!("The session of {} of {} has ended.", ended.subject, ended.issuer)
            }
        };
        output::confirm(global, &done)?;
        Ok(Exit::Fine)
    }
}
