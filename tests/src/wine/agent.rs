//! The agent on a PC with Windows, everything where it usually lies there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, Result, ensure};
use tegata_api::v1::fleet::CodeAnswer;

use super::{Pc, agent, path};
use crate::World;
use crate::process::Process;

/// A PC that is enrolled, and its agent.
pub struct Agent {
    /// The PC.
    pub pc: Pc,
    process: Option<Process>,
    log: PathBuf,
}

impl Agent {
    /// Enrols a PC as this device, with more arguments. The agent does not run yet.
    pub fn enroll(world: &World, pc: Pc, device: &str, more: &[String]) -> Result<Self> {
        let agent = Self { pc, process: None, log: world.path("agent.log") };
        let code: CodeAnswer = world.ask(["enroll", "code", device, "--join"])?;
        let address = world.address();
        let mut arguments = vec!["enroll", "--server", &address, "--code", &code.code];
        arguments.extend(more.iter().map(String::as_str));
        let enrolled = agent.command(&arguments)?;
        ensure!(enrolled.status.success(), "{enrolled:?}");
        Ok(agent)
    }

    /// Starts it; one that runs ends at once, as after a power cut.
    pub fn start(&mut self) -> Result<()> {
        self.process = None;
        self.process = Some(self.pc.start(&agent(), ["run"], &self.log)?);
        Ok(())
    }

    /// Runs another command of the agent's to its end.
    pub fn command(&self, arguments: &[&str]) -> Result<Output> {
        // A file of this machine is named as the PC sees it.
        let arguments = arguments.iter().map(|word| if word.starts_with('/') { path(Path::new(word)) } else { (*word).to_owned() });
        self.pc.run(&agent(), arguments)
    }

    /// Waits; should it be in vain, the error holds what the agent has said.
    pub fn wait<T>(&self, wait: impl FnOnce() -> Result<T>) -> Result<T> {
        wait().with_context(|| self.said())
    }

    /// What it has printed so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
