//! `tegata renew`: asks for a replacement before its time.

use clap::{Args, Subcommand};
use tegata_core::name::Serial;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Replace a certificate before its time: the new one is proven before the old one goes
#[derive(Args)]
pub struct Renew {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Replace one certificate
    #[command(after_help = "Example:\n  $ tegata renew certificate 4f1c0ddee1a2b3c4d5e6f708192a3b4c")]
    Certificate {
        /// Its serial number, as `tegata get slots` shows it
        serial: Serial,
    },
}

impl Renew {
    /// Asks for it.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let What::Certificate { serial } = self.what;
        let session = Session::open(global)?;
        session.tell(&format!("certificates/{serial}/renew"), &serde_json::json!({})).await?;
        output::confirm(
            global,
            "Asked for. The old certificate stays until the new one is proven: `tegata get slots` shows how far it is.",
        )?;
        Ok(Exit::Fine)
    }
}
