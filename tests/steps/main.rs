//! The steps that people take by hand: each is accounted for, and whatever is said to be done is shown by a test that exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// As many as there are for the four systems.
const STEPS: usize = 32;

struct Step<'a> {
    name: &'a str,
    fate: &'a str,
    evidence: &'a str,
}

#[test]
fn every_step_is_accounted_for_and_what_is_done_is_shown_by_a_test() -> Result<()> {
    let text = fs::read_to_string(here().join("steps/steps.txt"))?;
    let steps = read(&text)?;
    ensure!(steps.len() == STEPS, "{} steps instead of {STEPS}", steps.len());
    let tests = tests_of_the_workspace()?;
    ensure!(tests.len() > 500, "only {} tests were found", tests.len());
    for (number, step) in (1..).zip(&steps) {
        ensure!(step.name.starts_with(&format!("{number} ")), "step {number} is missing before '{}'", step.name);
        match step.fate {
            "automated" | "guided" => {
                let absent: Vec<&str> = step.evidence.split(' ').filter(|test| !tests.contains(*test)).collect();
                ensure!(absent.is_empty() && !step.evidence.is_empty(), "{}: there is no test {absent:?}", step.name);
            }
            "outside" => ensure!(step.evidence.split(' ').count() > 4, "{}: why?", step.name),
            other => anyhow::bail!("{}: '{other}' is no fate", step.name),
        }
    }
    Ok(())
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(text: &str) -> Result<Vec<Step<'_>>> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();

    let pairs = lines.chunks(2).map(|pair| {
        ensure!(pair.len() == 2, "{pair:?} is no step with its fate");
        let (fate, evidence) = pair[1].trim().split_once(' ').context("there is no evidence")?;
        Ok(Step { name: pair[0], fate, evidence: evidence.trim() })
    });
    pairs.collect()
}

/// The names of all functions that are tests, wherever they stand.
fn tests_of_the_workspace() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let root = here().join("..");
    let mut folders = vec![root.join("crates"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                names.extend(tests_in(&path)?);
            }
        }
    }
    Ok(names)
}

/// A test is a function below an attribute that says so, or a line of a contract suite's list.
fn tests_in(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path)?;
    let mut is_test = false;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|(before, _)| matches!(*before, "" | "async ")) {
            if is_test {
                names.extend(rest.split_once('(').map(|(name, _)| name.to_owned()));
            }
            is_test = false;
        }
    }
    Ok(names)
}
