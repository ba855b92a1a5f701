//! `tegata installers`: tells the server which files must not stay on a PC.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tegata_api::v1::device::FileHash;
use tegata_api::v1::fleet::RecordInstaller;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Files that an installation leaves behind, and that must not stay on a PC
#[derive(Args)]
pub struct Installers {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Record files by their contents: agents remove every copy. The files themselves stay here
    #[command(after_help = "Example:\n  $ tegata installers record client_cert.pfx")]
    Record {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

impl Installers {
    /// Records them.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let What::Record { files } = self.what;
        let session = Session::open(global)?;
        for path in &files {
            let installer = describe(path)?;
            session.tell("installers", &installer).await?;
            output::confirm(global, &format!("{}  {}", installer.file.sha256, path.display()))?;
        }
        Ok(Exit::Fine)
    }
}

/// Says of a file what the server is told: never its contents.
pub fn describe(path: &Path) -> Result<RecordInstaller, Failure> {
    let bytes = fs::read(path).map_err(|source| Failure::Read { path: path.to_owned(), source })?;
    let file = FileHash { sha256: tegata_pki::key::sha256(&bytes).to_string(), size: bytes.len() as u64 };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(RecordInstaller { file, name })
}
