//! Builds, checks and measures the workspace: `cargo xtask …`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod cross;
mod demo;
mod generate;
mod lint;
mod package;
mod run;
mod test;
mod tidy;
mod tools;
mod venv;
mod workspace;

/// Builds, checks and measures the workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Checks everything: tools, format, lints, tidiness, generated files, every test. What CI runs.
    Test(test::Options),
    /// Checks what no compiler does: crate arrows, sizes, forgotten files, dead links.
    Tidy,
    /// Writes the JSON Schemas and the command-line references anew.
    Generate(generate::Options),
    /// Builds the agent for a platform that this machine is not.
    Cross(cross::Options),
    /// Builds, and shows Tegata at work on this machine.
    Demo(demo::Options),
    /// Builds the agent, and makes what a PC installs.
    Package(package::Options),
    /// Builds, and measures.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test(options) => test::run(&options),
        Task::Tidy => tidy::run(),
        Task::Generate(options) => generate::run(&options),
        Task::Cross(options) => cross::run(&options),
        Task::Demo(options) => demo::run(&options),
        Task::Package(options) => package::run(&options),
        Task::Bench(options) => bench::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
