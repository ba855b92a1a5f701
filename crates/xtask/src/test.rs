//! `cargo xtask test`: everything that must hold before a change lands, in one command, cheapest first.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::{cross, generate, lint, run, tidy, tools, workspace};

/// How thoroughly.
#[derive(Args)]
pub struct Options {
    /// Leaves out the lints, and whether the agent for macOS links.
    #[arg(long)]
    fast: bool,
    /// Passed on to `cargo test`, such as the name of a test.
    #[arg(trailing_var_arg = true)]
    arguments: Vec<String>,
}

/// Checks everything; stops at the first step that fails.
pub fn run(options: &Options) -> Result<()> {
    let linted = |command| if options.fast { command } else { lint::on_the_way(command) };
    step("tools", tools::provide)?;
    step("format", || run::check(&mut cargo(&["fmt", "--all", "--check"])))?;
    step("tidy", tidy::run)?;
    step("build", || run::check(&mut linted(cargo(&["build", "--workspace", "--all-targets", "--quiet"]))))?;
    step("generated files", generate::check)?;
    step("Windows agent", || run::check(linted(cross::windows::tests()?).arg("--no-run")))?;
    if !options.fast {
        step("macOS agent", || cross::macos::build().map(drop))?;
    }
    let mut ran = 0;
    let native = cargo(&["test", "--workspace", "--no-fail-fast", "--quiet"]);
    step("tests", || tests(linted(native).args(&options.arguments), &mut ran))?;
    step("tests of the Windows agent", || tests(linted(cross::windows::tests()?).args(&options.arguments), &mut ran))?;
    if ran == 0 {
        bail!("not a single test ran");
    }
    Ok(())
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    println!("== {name}");
    work()?;
    println!("== {name}: fine ({:.0} s)", start.elapsed().as_secs_f64());
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = run::cargo(arguments);
    command.current_dir(workspace::root());
    command
}

fn tests(command: &mut Command, ran: &mut u64) -> Result<()> {
    let mut total = Totals::default();
    let status = run::watch(command, |line| total.add(line))?;
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    *ran += total.passed;
    run::succeeded(command, status)
}

/// How the tests of all binaries went.
#[derive(Debug, Default, PartialEq)]
struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Totals {
    /// Adds what one test binary says at its end: `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else { return };
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let number = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_the_sum_over_all_binaries() {
        let mut totals = Totals::default();
        totals.add("running 4 tests");
        totals.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        totals.add("test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.50s");
        assert_eq!(totals, Totals { passed: 8, failed: 2, skipped: 1 });
    }
}
