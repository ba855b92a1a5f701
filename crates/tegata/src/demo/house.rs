//! The folder in which a demo plays.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// A folder that goes with the demo, or stays.
pub struct House {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl House {
    /// Makes a temporary folder, or the one that is to be kept.
    pub fn build(keep: Option<PathBuf>) -> Result<Self> {
        let Some(path) = keep else {
            let temporary = tempfile::Builder::new().prefix("tegata-demo-").tempdir().context("cannot make a folder for the demo")?;
            return Ok(Self { path: temporary.path().to_owned(), temporary: Some(temporary) });
        };
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        ensure!(fs::read_dir(&path)?.next().is_none(), "{} is not empty; --keep wants a new folder", path.display());
        Ok(Self { path: fs::canonicalize(&path)?, temporary: None })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it standing, whatever was planned.
    pub fn leave(&mut self) -> &Path {
        if let Some(temporary) = self.temporary.take() {
            let _ = temporary.keep();
        }
        &self.path
    }
}
