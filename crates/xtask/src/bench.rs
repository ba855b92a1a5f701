//! `cargo xtask bench`: builds everything optimised, then hands over to the measuring program in `tests/`.

use anyhow::Result;
use clap::Args;

use crate::{demo, run, workspace};

/// What to measure.
#[derive(Args)]
pub struct Options {
    /// Passed on to the measuring program.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and measures.
pub fn run(options: &Options) -> Result<()> {
    demo::build()?;
    let mut bench = run::cargo(&["run", "--release", "--package", "tegata-tests", "--bin", "bench", "--"]);
    run::check(bench.args(&options.arguments).current_dir(workspace::root()))
}
