//! `tegata witness`: runs a witness, on a machine of somebody who does not run the server.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tegata_tlog::note::{Kind, NoteError, VerifierKey};
use tegata_tlog::policy::{Policy, PolicyError};
use tegata_witness::{Cosigner, Door};

use crate::failure::{Exit, Failure};
use crate::serve::{log, told_to_stop};
use crate::{output, session};

/// Run a witness of audit logs, on a machine of somebody who does not run the server
#[derive(Args)]
#[command(
    after_help = "Example:\n  $ tegata witness --name witness.example.jp/audit --log tegata/0011223344556677/aozora+47f72b10+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs\n\nIt cosigns a checkpoint only if it goes on from the one before (C2SP tlog-witness, plain HTTP: what goes over it is signed). `tegata audit key` prints\na log's key. The line that it prints belongs into the policy of `tegata serve --witnesses` and `tegata audit verify --witnesses`. Its folder is what it\nremembers: never put an older one back. Where the server was put back from a backup, and you are content that it was, remove the log's file there.\nA file *.refused is a checkpoint that the log's key has signed and that does not fit what was cosigned: ask the operator about it."
)]
pub struct Witness {
    /// The folder for its key and what it remembers [default: ~/.local/state/tegata/witness]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7380", value_name = "ADDR")]
    listen: SocketAddr,
    /// What it is known by, for as long as it has its key: an address without a scheme
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The keys of the logs that it follows
    #[arg(long = "log", required = true, num_args = 1.., value_name = "KEY", value_parser = log_key)]
    logs: Vec<VerifierKey>,
}

fn log_key(text: &str) -> Result<VerifierKey, String> {
    let key: VerifierKey = text.parse().map_err(|error: NoteError| error.to_string())?;
    if key.kind() == Kind::Log { Ok(key) } else { Err("this is the key of a witness, not of a log".into()) }
}

/// Reads a policy of witnesses from a file.
pub fn policy(path: &str) -> Result<Policy, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read it: {error}"))?;
    text.parse().map_err(|error: PolicyError| error.to_string())
}

impl Witness {
    /// Cosigns until SIGTERM or Ctrl-C.
    pub async fn run(self) -> Result<Exit, Failure> {
        log(None);
        let state = self.state.unwrap_or_else(|| session::default_state().join("witness"));
        let cosigner = Cosigner::open(&state, &self.name, self.logs)?;
        let key = cosigner.verifier().clone();
        let door = Door::listen(self.listen, cosigner).await?;
        let address = door.address().map_err(Failure::Write)?;
        output::print(&format!("listening on {address}\nwitness {} {key} http://{address}", self.name))?;
        tokio::select! {
            () = door.open() => {}
            () = told_to_stop() => {}
        }
        Ok(Exit::Fine)
    }
}
