//! A real collector of OpenTelemetry (rotel), and behind it a server that decodes what it passes on with OpenTelemetry's own package.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{Process, find, free_ports, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
const SCRIPT: &str = include_str!("collector/sink.py");

/// A collector, which runs or does not.
pub struct Collector {
    folder: PathBuf,
    ports: Vec<u16>,
    running: Vec<Process>,
}

impl Collector {
    /// Knows where one would be, and starts none.
    pub fn absent(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), ports: free_ports(3)?, running: vec![] })
    }

    /// Its address for `OTEL_EXPORTER_OTLP_ENDPOINT`, by HTTP.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Its address by gRPC.
    pub fn grpc_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[1])
    }

    /// Starts it.
    pub fn start(&mut self) -> Result<()> {
        let [http, grpc, sink] = self.ports[..] else { unreachable!("there are three ports") };
        let (script, out) = (self.folder.join("sink.py"), self.folder.join("out.jsonl"));
        fs::write(&script, SCRIPT)?;
        let arguments = [script.as_os_str(), sink.to_string().as_ref(), out.as_os_str()].map(ToOwned::to_owned);
        self.running.push(Process::start(&peer("bin/python3")?, arguments, &self.folder.join("sink.log"))?);
        let (http, grpc, sink) = (format!("127.0.0.1:{http}"), format!("127.0.0.1:{grpc}"), format!("http://127.0.0.1:{sink}"));
        let doors = ["start", "--otlp-http-endpoint", &http, "--otlp-grpc-endpoint", &grpc];
        let passes =
            ["--exporter", "otlp", "--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint", &sink, "--batch-timeout", "200ms"];
        let rotel = peer("lib")?.read_dir()?.next().context("a venv has a library")??.path().join("site-packages/rotel/rotel-agent");
        self.running.push(Process::start(&rotel, [&doors[..], &passes].concat(), &self.folder.join("rotel.log"))?);
        for port in self.ports.clone() {
            let running = &mut self.running;
            wait_for(PATIENCE, "the collector to listen", || {
                ensure!(running.iter_mut().all(Process::runs), "the collector ended");
                Ok(std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop))
            })
            .with_context(|| fs::read_to_string(self.folder.join("rotel.log")).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.running.clear();
    }

    /// What was passed on of one signal: `traces`, `metrics` or `logs`, in the order in which it came.
    pub fn passed_on(&self, signal: &str) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.folder.join("out.jsonl")).unwrap_or_default();
        // The last line may be half written.
        let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(whole.filter(|message| message["path"] == format!("/v1/{signal}")).map(|message| message["body"].clone()).collect())
    }
}

fn peer(name: &str) -> Result<PathBuf> {
    let path = find("peers").map(|peers| peers.join("rotel").join(name)).filter(|path| path.exists());
    path.context("there is no collector in target/peers: run `cargo xtask test` once")
}
