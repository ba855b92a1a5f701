//! One server with its agents, on this machine, in one folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use tegata_api::v1::audit::Record;
use tegata_api::v1::fleet::Access;
use tempfile::TempDir;

use crate::process::{Process, binary, free_port, run, run_well, wait_for};

/// How long a world may take to become what a test waits for. Generous: it is only ever spent by a failing test.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server, its state and the folder that everything of one test lives in.
pub struct World {
    folder: TempDir,
    port: u16,
    /// The port that people and agents know, if it is not the server's own.
    front: Option<u16>,
    server: Option<Process>,
    /// What the server is told beside where it lives.
    options: Vec<String>,
    /// What its environment says beside everybody's.
    environment: Vec<(String, String)>,
}

impl World {
    /// Starts a server with a fresh state.
    pub fn start() -> Result<Self> {
        Self::begin(free_port()?, None, &[])
    }

    /// Starts a server at this port that is reached by another, with these options.
    pub fn start_behind(port: u16, front: u16, options: &[&str]) -> Result<Self> {
        Self::begin(port, Some(front), options)
    }

    fn begin(port: u16, front: Option<u16>, options: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tegata-e2e-").tempdir()?;
        let options = options.iter().map(ToString::to_string).collect();
        let mut world = Self { folder, port, front, server: None, options, environment: Vec::new() };
        world.start_server()?;
        Ok(world)
    }

    /// Where everything of this test lives.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `https://127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.front.unwrap_or(self.port))
    }

    /// Starts the server on the state that is there, and waits until it answers.
    pub fn start_server(&mut self) -> Result<()> {
        self.launch_server()?;
        self.wait_for_server()
    }

    /// Starts the server on the state that is there, without waiting.
    pub fn launch_server(&mut self) -> Result<()> {
        self.launch_server_with(&[])
    }

    /// Starts the server with more arguments, without waiting.
    pub fn launch_server_with(&mut self, more: &[&str]) -> Result<()> {
        let (state, listen) = (self.path("server"), format!("127.0.0.1:{}", self.port));
        let arguments: [std::ffi::OsString; 5] =
            ["serve".into(), "--state".into(), state.into_os_string(), "--listen".into(), listen.into()];
        let arguments = arguments.into_iter().chain(self.options.iter().map(Into::into)).chain(more.iter().map(Into::into));
        let mut command = Command::new(binary("tegata"));
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.server = Some(Process::spawn(&mut command, &self.path("server.log"))?);
        Ok(())
    }

    /// Starts the server anew, with further options.
    pub fn restart_server_with(&mut self, options: &[&str]) -> Result<()> {
        if let Some(server) = &mut self.server {
            server.stop(PATIENCE)?;
        }
        self.options = options.iter().map(ToString::to_string).collect();
        self.start_server()
    }

    /// Says what the server's environment says from its next start on.
    pub fn set_environment(&mut self, variables: &[(&str, &str)]) {
        self.environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    }

    /// Waits until the server answers a question.
    pub fn wait_for_server(&mut self) -> Result<()> {
        wait_for(PATIENCE, "the server to answer", || {
            let server = self.server.as_mut().context("no server was started")?;
            ensure!(server.runs(), "the server ended:\n{}", fs::read_to_string(self.folder.path().join("server.log"))?);
            self.write_front()?;
            Ok((self.access_file().is_file() && self.cli(["get", "clinics"])?.status.success()).then_some(()))
        })
    }

    /// The running server.
    pub fn server(&mut self) -> &mut Process {
        self.server.as_mut().expect("the server was started")
    }

    /// Where the server left its administrator's access.
    pub fn access_file(&self) -> PathBuf {
        self.path(if self.front.is_some() { "front.json" } else { "server/admin.json" })
    }

    /// The same access, by the port that people know.
    fn write_front(&self) -> Result<()> {
        let own = self.path("server/admin.json");
        if self.front.is_some() && own.is_file() {
            let access: Access = serde_json::from_slice(&fs::read(own)?)?;
            fs::write(self.access_file(), serde_json::to_vec(&Access { server: self.address(), ..access })?)?;
        }
        Ok(())
    }

    /// The administrator's access.
    pub fn access(&self) -> Result<Access> {
        Ok(serde_json::from_slice(&fs::read(self.access_file())?)?)
    }

    /// Runs `tegata` for tenant `aozora`, whatever its exit code.
    pub fn cli<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Output> {
        run(&binary("tegata"), self.arguments(arguments))
    }

    /// Runs `tegata` for tenant `aozora` and gives what it printed.
    pub fn cli_well<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        run_well(&binary("tegata"), self.arguments(arguments))
    }

    /// Runs `tegata … -o json` and reads the answer.
    pub fn ask<'a, Answer: DeserializeOwned>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Answer> {
        let printed = self.cli_well(arguments.into_iter().chain(["-o", "json"]))?;
        serde_json::from_str(&printed).with_context(|| format!("not the expected JSON: {printed}"))
    }

    /// What every call of `tegata` begins with, then these.
    pub fn arguments<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Vec<std::ffi::OsString> {
        let mut all = vec!["--access".into(), self.access_file().into_os_string(), "--tenant".into(), "aozora".into()];
        all.extend(arguments.into_iter().map(Into::into));
        all
    }

    /// The whole audit log, page by page.
    pub fn audit(&self) -> Result<Vec<Record>> {
        let mut records: Vec<Record> = Vec::new();
        loop {
            let after = records.last().map_or(0, |record| record.sequence).to_string();
            let page: Vec<Record> = self.ask(["audit", "list", "--limit", "1000", "--after", &after])?;
            if page.is_empty() {
                return Ok(records);
            }
            records.extend(page);
        }
    }

    /// Writes a policy file and applies it.
    pub fn apply(&self, text: &str) -> Result<String> {
        let file = self.write("policy.yaml", text)?;
        self.cli_well(["apply", "--prune", "--allow-lockout", "1000", "-f", &file])
    }

    /// Writes a file and gives its path.
    pub fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.path(name);
        fs::write(&path, text)?;
        Ok(path.to_str().context("the test folder has a readable name")?.to_owned())
    }

    /// Waits until every slot is ready; gives their states when they are not in time.
    pub fn wait_until_ready(&self) -> Result<()> {
        use tegata_api::v1::fleet::Slot;
        let waited = wait_for(PATIENCE, "every slot to be ready", || {
            let slots: Vec<Slot> = self.ask(["get", "slots"])?;
            Ok((!slots.is_empty() && slots.iter().all(|slot| slot.state == "ready")).then_some(()))
        });
        waited.with_context(|| self.cli_well(["get", "slots"]).unwrap_or_else(|error| format!("{error:#}")))
    }

    /// Enrols a device by a join code. Its agent does not run yet.
    pub fn enroll(&self, device: &str, settings: &[&str]) -> Result<Agent> {
        let code: tegata_api::v1::fleet::CodeAnswer = self.ask(["enroll", "code", device, "--join"])?;
        let agent = Agent::prepare(self, device)?;
        let mut arguments: Vec<String> = ["enroll", "--server", &self.address(), "--code", &code.code].map(String::from).into();
        arguments.extend(agent.places());
        arguments.extend(settings.iter().map(|&setting| setting.to_owned()));
        run_well(&binary("tegata-agent"), arguments)?;
        Ok(agent)
    }
}

/// One PC: its user's home, and the agent on it.
pub struct Agent {
    folder: PathBuf,
    process: Option<Process>,
}

impl Agent {
    /// Makes the user's folders.
    pub fn prepare(world: &World, device: &str) -> Result<Self> {
        let folder = world.path("devices").join(device.replace('/', "-"));
        for name in ["home/Downloads", "home/Desktop", "chromium/policies/managed"] {
            fs::create_dir_all(folder.join(name))?;
        }
        Ok(Self { folder, process: None })
    }

    /// The user's home.
    pub fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// The agent's own folder.
    pub fn state(&self) -> PathBuf {
        self.folder.join("agent")
    }

    /// What the device's browser sees as `/etc/chromium`.
    pub fn browser_settings(&self) -> PathBuf {
        self.folder.join("chromium")
    }

    /// Where the agent writes what the browser is told.
    pub fn browser_policies(&self) -> PathBuf {
        self.browser_settings().join("policies/managed")
    }

    /// Where its messages go.
    pub fn log(&self) -> PathBuf {
        self.folder.join("agent.log")
    }

    /// The flags of `enroll` that say where things are.
    pub fn places(&self) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let flags = [("--state", self.state()), ("--home", self.home()), ("--browser-policies", self.browser_policies())];
        flags.iter().flat_map(|(flag, path)| [(*flag).to_owned(), text(path)]).collect()
    }

    /// Starts the agent.
    pub fn start(&mut self) -> Result<()> {
        let arguments = ["run".into(), "--state".into(), self.state().into_os_string()];
        self.process = Some(Process::start(&binary("tegata-agent"), arguments, &self.log())?);
        Ok(())
    }

    /// Runs another command of the agent's, whatever its exit code.
    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Output> {
        let place = ["--state".into(), self.state().into_os_string()];
        run(&binary("tegata-agent"), arguments.into_iter().map(std::ffi::OsString::from).chain(place))
    }

    /// What lies in its file keystore: for each certificate, the PEM of it and its chain.
    pub fn stored_certificates(&self) -> Result<Vec<String>> {
        self.stored("certificate.pem")
    }

    /// The private keys in its file keystore, PEM.
    pub fn stored_keys(&self) -> Result<Vec<String>> {
        self.stored("key.pem")
    }

    fn stored(&self, name: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![self.state().join("store")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if entry.file_name() == name {
                    found.push(fs::read_to_string(entry.path())?);
                }
            }
        }
        Ok(found)
    }

    /// The running agent.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the agent was started")
    }

    /// Ends the agent at once.
    pub fn kill(&mut self) {
        self.process = None;
    }
}
