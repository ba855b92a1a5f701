//! A real Prometheus that scrapes one address and evaluates rules.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{Process, free_port, run, run_well, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running Prometheus. Ends when dropped.
pub struct Prometheus {
    port: u16,
    process: Process,
}

impl Prometheus {
    /// Starts one by this configuration, with its data in `folder`.
    pub fn start(folder: &Path, configuration: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let port = free_port()?;
        let arguments = [
            format!("--config.file={}", configuration.display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let process = Process::start(Path::new("prometheus"), arguments, &folder.join("prometheus.log"))?;
        let mut prometheus = Self { port, process };
        // It listens before it answers.
        let url = format!("http://127.0.0.1:{port}/-/ready");
        wait_for(PATIENCE, "Prometheus to be ready", || {
            ensure!(prometheus.process.runs(), "Prometheus ended: {}", fs::read_to_string(folder.join("prometheus.log"))?);
            Ok(run(Path::new("curl"), ["--silent", "--fail", &url])?.status.success().then_some(()))
        })?;
        Ok(prometheus)
    }

    /// The alerts that fire: the name of each, and the label that is asked for, if it has it.
    pub fn firing(&self, label: &str) -> Result<BTreeSet<(String, String)>> {
        let answer = self.ask("alerts")?;
        let alerts = answer["data"]["alerts"].as_array().context("Prometheus tells no alerts")?;
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing").map(|alert| {
            let of = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
            (of("alertname"), of(label))
        });
        Ok(firing.collect())
    }

    fn ask(&self, what: &str) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}/api/v1/{what}", self.port);
        Ok(serde_json::from_str(&run_well(Path::new("curl"), ["--silent", "--show-error", &url])?)?)
    }
}
