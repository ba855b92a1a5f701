//! `tegata-agent selftest`: what the agent relies on and no test elsewhere can prove, tried on the PC itself. Nothing is left behind.

use std::fmt::Display;

pub mod macos;

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

/// Tells them, one a line.
pub fn tell(claims: &[Claim]) -> String {
    let line = |claim: &Claim| match &claim.outcome {
        Ok(()) => format!("holds  {}\n", claim.says),
        Err(problem) => format!("FAILS  {}\n       {problem}\n", claim.says),
    };
    claims.iter().map(line).collect()
}
