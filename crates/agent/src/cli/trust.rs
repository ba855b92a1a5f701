//! `tegata-agent trust` on the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use data_encoding::BASE64;
use tegata_pki::certificate;

use super::{Place, print, state_folder};
use crate::trust::granted;
use crate::words::{self, Phrase, TrustPhrase, say};

/// Which root.
#[derive(Args)]
pub(super) struct TrustArguments {
    /// The root's DER in base64, as `tegata describe device` shows it.
    #[arg(value_name = "BASE64", required_unless_present = "file")]
    root: Option<String>,
    /// A PEM file with the root instead; of a chain, everything in it that has signed itself.
    #[arg(long, value_name = "FILE", conflicts_with = "root")]
    file: Option<PathBuf>,
    /// Takes it back.
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &TrustArguments) -> Result<ExitCode> {
    let folder = state_folder(&arguments.place)?;
    for root in roots(arguments)? {
        let pin = granted::grant(&folder, &root, !arguments.remove)?.to_string();
        let phrase = if arguments.remove { TrustPhrase::TakenBack(pin) } else { TrustPhrase::Granted(pin) };
        print(&format!("{}\n", say(words::language(), &Phrase::Trust(phrase))));
    }
    Ok(ExitCode::SUCCESS)
}

fn roots(arguments: &TrustArguments) -> Result<Vec<Vec<u8>>> {
    if let Some(file) = &arguments.file {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let all = certificate::read_pem(&text).with_context(|| format!("{} is no chain of certificates", file.display()))?;
        let roots: Vec<_> = all.into_iter().map(|read| read.der).filter(|der| certificate::is_issued_by(der, der)).collect();
        anyhow::ensure!(!roots.is_empty(), "{} holds no root", file.display());
        return Ok(roots);
    }
    let given = arguments.root.as_deref().unwrap_or_default();
    Ok(vec![BASE64.decode(given.as_bytes()).context("this is not the base64 of a certificate")?])
}
