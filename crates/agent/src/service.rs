//! The service of Windows: for each logon it keeps one `tegata-agent run`, as that user.
//!
//! It reads nothing of any user, opens no port, and is told nothing by anybody but Windows: whatever wakes it, it looks afresh.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use windows_service::service::{ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::{define_windows_service, service_dispatcher};

use crate::chance;
use crate::setup::SERVICE;
use crate::supervise::{Action, Logon, Seen, Supervisor};

mod event_log;
mod session;

use event_log::{EventLog, Level};
use session::{Helper, Job, Token};

/// How long to wait after Windows could not say who is logged on.
const BLIND: Duration = Duration::from_secs(60);

/// Why the service woke up.
enum Wake {
    Look,
    Stop,
}

define_windows_service!(service_main, serve);

/// Becomes the service; only Windows' service manager can start it.
pub fn run() -> windows_service::Result<()> {
    service_dispatcher::start(SERVICE, service_main)
}

fn serve(_arguments: Vec<std::ffi::OsString>) {
    let log = EventLog::open(SERVICE);
    if let Err(problem) = try_to_serve(&log) {
        log.write(Level::Error, &format!("The service ended: {}", crate::told(&problem)));
        // Windows starts a service again that ends without having said so.
        std::process::exit(1);
    }
}

fn try_to_serve(log: &EventLog) -> windows_service::Result<()> {
    let (wake, wakes) = channel();
    let handle = service_control_handler::register(SERVICE, handler(wake.clone()))?;
    report(handle, ServiceState::Running)?;
    log.write(Level::Information, &format!("Tegata agent {} works for whoever logs on.", env!("CARGO_PKG_VERSION")));
    work(&wakes, &wake, log).map_err(windows_service::Error::Winapi)?;
    report(handle, ServiceState::Stopped)
}

fn handler(wake: Sender<Wake>) -> impl FnMut(ServiceControl) -> ServiceControlHandlerResult {
    move |control| {
        let reason = match control {
            ServiceControl::Stop | ServiceControl::Shutdown => Wake::Stop,
            ServiceControl::SessionChange(_) => Wake::Look,
            ServiceControl::Interrogate => return ServiceControlHandlerResult::NoError,
            _ => return ServiceControlHandlerResult::NotImplemented,
        };
        // Nobody listens any more once the service ends.
        let _ = wake.send(reason);
        ServiceControlHandlerResult::NoError
    }
}

fn report(handle: ServiceStatusHandle, current_state: ServiceState) -> windows_service::Result<()> {
    let accepted = ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN | ServiceControlAccept::SESSION_CHANGE;
    handle.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state,
        controls_accepted: if current_state == ServiceState::Running { accepted } else { ServiceControlAccept::empty() },
        exit_code: ServiceExitCode::NO_ERROR,
        checkpoint: 0,
        wait_hint: Duration::ZERO,
        process_id: None,
    })
}

/// Looks, decides and acts until it is told to stop. Helpers end with it: they belong to a job that does.
fn work(wakes: &Receiver<Wake>, wake: &Sender<Wake>, log: &EventLog) -> std::io::Result<()> {
    let (mut helpers, mut supervisor) = (Helpers::new(wake.clone())?, Supervisor::default());
    let start = Instant::now();
    loop {
        let pause = match session::logons() {
            Ok(logons) => {
                let seen = Seen { logons: logons.keys().copied().collect(), alive: helpers.alive(log) };
                for action in supervisor.decide(&seen, start.elapsed(), chance::number()) {
                    helpers.carry_out(action, &logons, log);
                }
                supervisor.look_again().map(|at| at.saturating_sub(start.elapsed()))
            }
            Err(problem) => {
                log.write(Level::Warning, &format!("Windows does not say who is logged on: {problem}"));
                Some(BLIND)
            }
        };
        if is_stopped(wakes, pause) {
            return Ok(());
        }
    }
}

/// Waits for something to happen, or until the pause is over.
fn is_stopped(wakes: &Receiver<Wake>, pause: Option<Duration>) -> bool {
    let woken = match pause {
        Some(pause) => wakes.recv_timeout(pause),
        None => wakes.recv().map_err(|_| RecvTimeoutError::Disconnected),
    };
    matches!(woken, Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected))
}

/// The helpers that were started.
struct Helpers {
    running: BTreeMap<Logon, Helper>,
    job: Job,
    wake: Sender<Wake>,
}

impl Helpers {
    fn new(wake: Sender<Wake>) -> std::io::Result<Self> {
        Ok(Self { running: BTreeMap::new(), job: Job::new()?, wake })
    }

    fn alive(&mut self, log: &EventLog) -> BTreeSet<Logon> {
        self.running.retain(|logon, helper| {
            let ended = helper.exit_code();
            if let Some(code) = ended {
                log.write(Level::Warning, &format!("The agent of session {} ended by itself (exit code {code}).", logon.session));
            }
            ended.is_none()
        });
        self.running.keys().copied().collect()
    }

    fn carry_out(&mut self, action: Action, logons: &BTreeMap<Logon, Token>, log: &EventLog) {
        match action {
            Action::End(logon) => drop(self.running.remove(&logon)),
            Action::Start(logon) => match self.start(&logons[&logon]) {
                Ok(helper) => drop(self.running.insert(logon, helper)),
                Err(problem) => {
                    log.write(Level::Error, &format!("The agent of session {} does not start: {problem}", logon.session));
                    // Looked at once more, it counts as one that ended.
                    let _ = self.wake.send(Wake::Look);
                }
            },
        }
    }

    fn start(&self, token: &Token) -> std::io::Result<Helper> {
        let helper = Helper::start(&std::env::current_exe()?, &["run", "--wait", "--log"], token, &self.job)?;
        let (wake, ended) = (self.wake.clone(), helper.ended()?);
        std::thread::spawn(move || {
            ended.wait();
            let _ = wake.send(Wake::Look);
        });
        Ok(helper)
    }
}
