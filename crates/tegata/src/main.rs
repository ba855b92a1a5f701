//! `tegata`: what people type to look after the client certificates of their clinics.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::Cli;

mod adopt;
mod application;
mod apply;
mod approve;
mod audit;
mod backup;
mod bundle;
mod certificate;
mod cli;
mod completion;
mod confirm;
mod demo;
mod describe;
mod documents;
mod enroll;
mod failure;
mod get;
mod installers;
mod language;
mod login;
mod moment;
mod output;
mod plan;
mod playbook;
mod preview;
mod profile;
mod quotas;
mod reference;
mod renew;
mod revoke;
mod schema;
mod serve;
mod session;
mod state;
mod table;
mod token;
mod webhook;
mod witness;

fn main() -> ExitCode {
    if std::env::args_os().len() < 2 {
        // What stands in the environment counts as arguments, so that clap would only complain.
        return if Cli::command().print_help().is_ok() { failure::Exit::Usage.into() } else { ExitCode::FAILURE };
    }
    let cli = Cli::parse();
    // An error would only say that a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match start(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print();
            failure.exit().into()
        }
    }
}

fn start(cli: Cli) -> Result<failure::Exit, failure::Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(failure::Failure::Runtime)?;
    runtime.block_on(cli.run())
}
