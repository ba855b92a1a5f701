//! The stand-in for a cloud chart: `tegata demo-emr`, as a process of its own.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::World;
use crate::process::{Process, binary, wait_for};
use crate::world::PATIENCE;

/// A running stand-in. Ends when dropped.
pub struct Emr {
    _process: Process,
    log: PathBuf,
    port: u16,
    web_authority: PathBuf,
}

impl Emr {
    /// Starts one that serves these sites (`HOST=ISSUER:ORGANIZATION:NAME`).
    pub fn start(world: &World, sites: &[&str]) -> Result<Self> {
        let (folder, log) = (world.path("emr"), world.path("emr.log"));
        let mut arguments = world.arguments(["demo-emr", "--dir"]);
        arguments.push(folder.clone().into_os_string());
        arguments.extend(sites.iter().flat_map(|site| ["--site".into(), site.into()]));
        let mut process = Process::start(&binary("tegata"), arguments, &log)?;
        let address = wait_for(PATIENCE, "the stand-in chart to listen", || {
            ensure!(process.runs(), "the stand-in chart ended:\n{}", fs::read_to_string(&log)?);
            Ok(fs::read_to_string(folder.join("address")).ok())
        })?;
        let port = address.trim().rsplit_once(':').context("no port in the address")?.1.parse()?;
        Ok(Self { _process: process, log, port, web_authority: folder.join("web-authority.pem") })
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The authority that its own certificate comes from, PEM.
    pub fn web_authority(&self) -> &std::path::Path {
        &self.web_authority
    }

    /// What it printed: one line for each visit.
    pub fn visits(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// The flags with which an agent reaches these hosts here.
    pub fn settings(&self, hosts: &[&str]) -> Vec<String> {
        let resolve = hosts.iter().flat_map(|host| ["--resolve".to_owned(), format!("{host}:443=127.0.0.1:{}", self.port)]);
        resolve.chain(["--probe-roots".to_owned(), self.web_authority.display().to_string()]).collect()
    }
}
