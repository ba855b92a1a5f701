//! `tegata audit export`: a log to take away, and to verify without the server.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use tegata_tlog::verify;

use super::source::{CHECKPOINT, KEY, RECORDS, Source, WITNESSED};
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Write the whole log into a folder, with what it takes to verify it without the server
#[derive(Args)]
#[command(after_help = "Example:\n  $ tegata audit export --out ./2026-11")]
pub struct Export {
    /// The folder. It is made, and must not be there yet
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

impl Export {
    /// Exports. What is cut off in the middle has no checkpoint, and so is no export.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let source = Source::Server(Session::open(global)?);
        let (key, witnessed, note) = (source.key().await?, source.witnessed().await?, source.checkpoint().await?);
        let checkpoint = verify::checkpoint(&note, &key)?;
        fs::create_dir(&self.out).map_err(kept(&self.out))?;
        let path = self.out.join(RECORDS);
        let mut records = BufWriter::new(File::create_new(&path).map_err(kept(&path))?);
        source.entries(checkpoint.size, |entry| records.write_all(&[entry, b"\n"].concat()).map_err(kept(&path))).await?;
        records.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all()).map_err(kept(&path))?;
        let texts = [(KEY, format!("{key}\n")), (CHECKPOINT, note)].into_iter().chain(witnessed.map(|note| (WITNESSED, note)));
        for (name, text) in texts {
            let path = self.out.join(name);
            fs::write(&path, text).map_err(kept(&path))?;
        }
        let verify = format!("tegata audit verify {}", self.out.display());
        output::confirm(global, &format!("{} records in {}; check them with `{verify}`", checkpoint.size, self.out.display()))?;
        Ok(Exit::Fine)
    }
}

fn kept(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.to_owned();
    move |source| Failure::Keep { path, source }
}
