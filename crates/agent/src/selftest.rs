//! `tegata-agent selftest`: what the agent relies on and no test elsewhere can prove, tried on the PC itself. Nothing is left behind.

use std::fmt::Display;
use std::path::Path;

#[cfg(unix)]
pub mod macos;
pub mod store;
#[cfg(windows)]
pub mod windows;

/// Something that the agent relies on, and whether it holds here.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    /// What it relies on.
    pub says: &'static str,
    /// What happened instead.
    pub outcome: Result<(), String>,
}

impl Claim {
    fn tried<T>(says: &'static str, outcome: Result<T, impl Display>) -> Self {
        Self { says, outcome: outcome.map(drop).map_err(|problem| problem.to_string()) }
    }
}

/// Tries all that this kind of PC can show, as the user of `home`.
#[cfg(target_os = "linux")]
pub async fn try_all(home: &Path) -> anyhow::Result<Vec<Claim>> {
    let temporary = tempfile::tempdir()?;
    Ok(store::try_all(&crate::keystore::nss::Nss::of(home, temporary.path())?).await)
}

/// Tries all that this kind of PC can show, as the user of `home`.
#[cfg(target_os = "macos")]
pub async fn try_all(home: &Path) -> anyhow::Result<Vec<Claim>> {
    Ok(macos::try_all(home, crate::keystore::macos::TOOL.as_ref(), crate::facts::macos_major()).await)
}

/// Tries all that this kind of PC can show, as the user that this process runs as.
#[cfg(windows)]
pub async fn try_all(_home: &Path) -> anyhow::Result<Vec<Claim>> {
    Ok(windows::try_all().await)
}

/// Tells them, one a line.
pub fn tell(claims: &[Claim]) -> String {
    let line = |claim: &Claim| match &claim.outcome {
        Ok(()) => format!("holds  {}\n", claim.says),
        Err(problem) => format!("FAILS  {}\n       {problem}\n", claim.says),
    };
    claims.iter().map(line).collect()
}
