//! `cargo xtask generate`: writes down what the binaries say about themselves, so that readers need not run them.
//!
//! JSON Schemas of the policy documents come from `tegata schema`, the command-line references from the binaries' own
//! `--help`. All are committed; `--check` proves that they are current.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::{run, workspace};

/// Write, or only look.
#[derive(Args)]
pub struct Options {
    /// Writes nothing; fails if something is not current.
    #[arg(long)]
    check: bool,
}

/// Builds the binaries and writes, or checks.
pub fn run(options: &Options) -> Result<()> {
    run::check(run::cargo(&["build", "--quiet", "--package", "tegata", "--package", "tegata-agent"]).current_dir(workspace::root()))?;
    if options.check { check() } else { write() }
}

/// Fails if a generated file is not what the built binaries say, or belongs to nothing any more.
pub fn check() -> Result<()> {
    let current = generated()?;
    let mut stale: Vec<String> = forgotten(&current)?.into_iter().map(|path| format!("{path} belongs to nothing any more")).collect();
    for (path, text) in &current {
        if fs::read_to_string(workspace::root().join(path)).ok().as_ref() != Some(text) {
            stale.push(format!("{path} is not current"));
        }
    }
    if !stale.is_empty() {
        bail!("{}\nRun `cargo xtask generate` and commit what it writes.", stale.join("\n"));
    }
    Ok(())
}

fn write() -> Result<()> {
    let current = generated()?;
    for path in forgotten(&current)? {
        fs::remove_file(workspace::root().join(&path)).with_context(|| format!("cannot remove {path}"))?;
        println!("removed {path}");
    }
    for (path, text) in &current {
        let full = workspace::root().join(path);
        fs::create_dir_all(full.parent().context("a generated file lies in a folder")?)?;
        fs::write(&full, text).with_context(|| format!("cannot write {path}"))?;
        println!("wrote {path}");
    }
    Ok(())
}

/// Where schemas lie.
const SCHEMAS: &str = "policies/schema";

/// Every generated file and its text.
fn generated() -> Result<BTreeMap<String, String>> {
    let mut files = schemas(&binary("tegata", &["schema"])?)?;
    files.insert("crates/tegata/CLI.md".into(), binary("tegata", &["reference"])?);
    files.insert("crates/agent/CLI.md".into(), binary("tegata-agent", &["reference"])?);
    Ok(files)
}

/// Splits what `tegata schema` prints, one object with a schema for each kind, into one file for each.
fn schemas(printed: &str) -> Result<BTreeMap<String, String>> {
    let kinds: BTreeMap<String, Value> = serde_json::from_str(printed).context("`tegata schema` printed something that is not JSON")?;
    let file = |(kind, schema): (String, Value)| {
        let text = serde_json::to_string_pretty(&schema)? + "\n";
        Ok((format!("{SCHEMAS}/{kind}.json"), text))
    };
    kinds.into_iter().map(file).collect()
}

/// Schemas that are there, but of no kind that exists.
fn forgotten(current: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let files = workspace::files()?;
    Ok(files.into_iter().filter(|file| file.starts_with(&format!("{SCHEMAS}/")) && !current.contains_key(file)).collect())
}

fn binary(name: &str, arguments: &[&str]) -> Result<String> {
    let program = workspace::target_folder()?.join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    run::output(Command::new(program).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_gets_its_own_file() {
        let files = schemas(r#"{"Issuer": {"type": "object"}, "ClinicNetwork": {}}"#).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["policies/schema/ClinicNetwork.json", "policies/schema/Issuer.json"]);
        assert_eq!(files["policies/schema/Issuer.json"], "{\n  \"type\": \"object\"\n}\n");
    }
}
