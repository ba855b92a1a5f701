//! `tegata`: what people type to look after the client certificates of their clinics.

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;

mod apply;
mod audit;
mod cli;
mod completion;
mod demo;
mod describe;
mod documents;
mod enroll;
mod failure;
mod get;
mod installers;
mod moment;
mod output;
mod plan;
mod preview;
mod reference;
mod renew;
mod revoke;
mod schema;
mod serve;
mod session;
mod table;

fn main() -> ExitCode {
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
