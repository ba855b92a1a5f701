//! One PC of a clinic: a user's home, and a real agent in a process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tegata_api::v1::fleet::{CodeAnswer, CodeKind, CodeRequest};
use tegata_core::name::{DeviceId, SlotId};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use super::stage::Stage;

/// How long an enrolment may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A PC. Its agent ends when this is dropped.
pub struct Pc {
    /// Its name.
    pub device: DeviceId,
    folder: PathBuf,
    agent: PathBuf,
    running: Option<Running>,
}

/// The agent's program: the one that was named, or the one beside ours.
pub fn agent(named: Option<PathBuf>) -> Result<PathBuf> {
    let beside =
        || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name(format!("tegata-agent{}", std::env::consts::EXE_SUFFIX)));
    let path = named.map_or_else(beside, Ok)?;
    ensure!(
        path.is_file(),
        "there is no agent at {}; build it with `cargo build -p tegata-agent`, or name it with --agent",
        path.display()
    );
    Ok(path)
}

impl Pc {
    /// Unpacks a PC: an empty home with the usual folders.
    pub fn unpack(stage: &Stage, device: DeviceId, agent: &Path) -> Result<Self> {
        let folder = stage.folder.join("devices").join(format!("{}--{}", device.clinic, device.device));
        for name in ["home/Downloads", "home/Desktop", "home/Documents", "browser-policies"] {
            fs::create_dir_all(folder.join(name)).context("cannot make a home")?;
        }
        Ok(Self { device, folder, agent: agent.to_owned(), running: None })
    }

    /// One of the user's folders.
    pub fn user_folder(&self, name: &str) -> PathBuf {
        self.folder.join("home").join(name)
    }

    /// Where the file keystore keeps what a slot holds now.
    pub fn current(&self, slot: &SlotId) -> PathBuf {
        self.folder.join("agent/store").join(slot.to_string()).join("current")
    }

    /// Enrols as a person would, by a typed code, and starts the agent.
    pub async fn join(&mut self, stage: &Stage) -> Result<()> {
        let code: CodeAnswer = stage.session.post(&format!("devices/{}/code", self.device), &CodeRequest { kind: CodeKind::Typed }).await?;
        let enrolled = tokio::time::timeout(PATIENCE, self.enroll(stage, &code)).await;
        enrolled.with_context(|| format!("{} took too long to enrol", self.device))??;
        self.start()
    }

    async fn enroll(&self, stage: &Stage, code: &CodeAnswer) -> Result<()> {
        let mut command = Command::new(&self.agent);
        command.args(["enroll", "--code", "-", "--keystore", "file", "--server", &stage.session.access().server]);
        command.args(["--authority-sha256", &code.authority_sha256, "--device", &self.device.to_string()]);
        command.arg("--state").arg(self.folder.join("agent")).arg("--home").arg(self.folder.join("home"));
        command.arg("--browser-policies").arg(self.folder.join("browser-policies")).arg("--probe-roots").arg(stage.probe_roots());
        for site in stage.resolve() {
            command.arg("--resolve").arg(site);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(self.log()?)
            .stderr(self.log()?)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the agent")?;
        let mut typed = child.stdin.take().context("the agent takes no input")?;
        // An agent that has ended before it read the code says why by its status.
        let _ = typed.write_all(format!("{}\n", code.code).as_bytes()).await;
        drop(typed);
        let status = child.wait().await?;
        if !status.success() {
            bail!("{} could not enrol ({status}):\n{}", self.device, self.said());
        }
        Ok(())
    }

    /// An error if the agent has ended: it never should.
    pub fn check(&mut self) -> Result<()> {
        let ended = self.running.as_mut().map(|running| running.child.try_wait()).transpose()?.flatten();
        match ended {
            Some(status) => bail!("the agent of {} ended ({status}):\n{}", self.device, self.said()),
            None => Ok(()),
        }
    }

    fn start(&mut self) -> Result<()> {
        let mut command = Command::new(&self.agent);
        command.arg("run").arg("--state").arg(self.folder.join("agent"));
        command.stdin(Stdio::null()).stdout(self.log()?).stderr(self.log()?);
        self.running = Some(Running::start(&mut command)?);
        Ok(())
    }

    /// What the agent has logged.
    fn said(&self) -> String {
        fs::read_to_string(self.folder.join("agent.log")).unwrap_or_default()
    }

    fn log(&self) -> Result<File> {
        File::options().create(true).append(true).open(self.folder.join("agent.log")).context("cannot write the agent's log")
    }
}

/// A process and whatever it starts. All of it ends when this is dropped, by a panic too.
struct Running {
    child: Child,
}

impl Running {
    /// Starts it in a group of its own: Ctrl-C reaches the demo, and the demo ends the agents.
    fn start(command: &mut Command) -> Result<Self> {
        #[cfg(unix)]
        command.process_group(0);
        Ok(Self { child: command.kill_on_drop(true).spawn().context("cannot start the agent")? })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)) {
            // It fails only if nobody is left in the group, which is what is wanted.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}
