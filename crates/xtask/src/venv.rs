//! Programs from PyPI, at pinned versions, each in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::run;

/// The folder of the programs that these packages bring. Made anew when it is not the same packages any more, or is half done.
pub fn provide(venv: &Path, packages: &[&str]) -> Result<PathBuf> {
    let (bin, done, wanted) = (venv.join("bin"), venv.join("packages.txt"), packages.join("\n"));
    if fs::read_to_string(&done).is_ok_and(|there| there == wanted) {
        return Ok(bin);
    }
    run::check(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
    run::check(Command::new(bin.join("pip")).args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))?;
    fs::write(done, wanted)?;
    Ok(bin)
}
