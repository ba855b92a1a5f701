//! `tegata confirm`: says that what depends on a certificate was changed too.

use clap::Args;
use tegata_api::v1::vendor::ConfirmRequest;
use tegata_core::name::Serial;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Say that a program which keeps its own copy of a certificate was given the new one
///
/// Until everything that the profile names under `dependants` was confirmed, the slot is not ready, and the certificate before stays.
#[derive(Args)]
#[command(after_help = "Example:\n  $ tegata confirm 8f1c0ddee1a2b3c4d5e6f708192a3b4c --dependant 資格確認連携ツール")]
pub struct Confirm {
    /// The new certificate's serial number, as `tegata get slots` shows it
    serial: Serial,
    /// Which program, as the profile names it. Left out: all of them
    #[arg(long)]
    dependant: Option<String>,
}

impl Confirm {
    /// Says it.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let request = ConfirmRequest { dependant: self.dependant };
        Session::open(global)?.tell(&format!("certificates/{}/confirm", self.serial), &request).await?;
        output::confirm(global, "Noted. The certificate before it goes now.")?;
        Ok(Exit::Fine)
    }
}
