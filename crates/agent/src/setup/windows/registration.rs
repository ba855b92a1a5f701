//! The service as Windows' service manager knows it.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceFailureActions, ServiceFailureResetPeriod,
    ServiceInfo, ServiceStartType, ServiceState, ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_sys::Win32::Foundation::{ERROR_SERVICE_ALREADY_RUNNING, ERROR_SERVICE_DOES_NOT_EXIST, ERROR_SERVICE_NOT_ACTIVE};

use crate::setup::{SetupError, refused};

/// The name of the service, of its event source, and of our other entries.
pub const SERVICE: &str = "Tegata";

const DISPLAY_NAME: &str = "Tegata agent (手形)";
const DESCRIPTION: &str = "Keeps the client certificates of this PC right for everybody who logs on. 電子証明書を自動で入れ、更新します。";
/// How long after a failure the service is started again: the first, the second, and every later one.
const RESTART_AFTER: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(300)];
/// Without a failure for so long, the next one counts as the first.
const FORGIVEN_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// How long the service may take to end. It has nothing to wind up.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// The service manager of this PC, for somebody who may change it.
pub(super) struct Services(ServiceManager);

impl Services {
    pub(super) fn open() -> Result<Self, SetupError> {
        let access = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
        ServiceManager::local_computer(None::<&str>, access).map(Self).map_err(failed("open the service manager"))
    }

    /// Registers the service, or brings what is registered up to date.
    pub(super) fn register(&self, program: &Path) -> Result<(), SetupError> {
        let (info, access) = (description(program), ServiceAccess::CHANGE_CONFIG | ServiceAccess::START);
        let service = match self.find(access)? {
            Some(service) => service.change_config(&info).map(|()| service),
            None => self.0.create_service(&info, access),
        };
        let service = service.map_err(failed("register the service"))?;
        service.set_description(DESCRIPTION).map_err(failed("describe the service"))?;
        service.update_failure_actions(recovery()).map_err(failed("have the service started again after failures"))
    }

    /// Makes a change while the service is stopped. It runs afterwards, if there is one, whatever has become of the change.
    pub(super) fn while_stopped(&self, change: impl FnOnce() -> Result<(), SetupError>) -> Result<(), SetupError> {
        between(|| self.stop(), change, || self.start())
    }

    fn start(&self) -> Result<(), SetupError> {
        let Some(service) = self.find(ServiceAccess::START)? else { return Ok(()) };
        match service.start::<&str>(&[]) {
            Err(problem) if is_code(&problem, ERROR_SERVICE_ALREADY_RUNNING) => Ok(()),
            started => started.map_err(failed("start the service")),
        }
    }

    /// Ends the service if it runs, and waits until it has ended.
    fn stop(&self) -> Result<(), SetupError> {
        let Some(service) = self.find(ServiceAccess::STOP | ServiceAccess::QUERY_STATUS)? else { return Ok(()) };
        match service.stop() {
            Err(problem) if is_code(&problem, ERROR_SERVICE_NOT_ACTIVE) => Ok(()),
            Err(problem) => Err(failed("stop the service")(problem)),
            Ok(_) => wait_for_end(&service),
        }
    }

    /// Ends the service and removes it.
    pub(super) fn remove(&self) -> Result<(), SetupError> {
        self.stop()?;
        let Some(service) = self.find(ServiceAccess::DELETE)? else { return Ok(()) };
        service.delete().map_err(failed("remove the service"))
    }

    fn find(&self, access: ServiceAccess) -> Result<Option<Service>, SetupError> {
        match self.0.open_service(SERVICE, access) {
            Err(problem) if is_code(&problem, ERROR_SERVICE_DOES_NOT_EXIST) => Ok(None),
            found => found.map(Some).map_err(failed("open the service")),
        }
    }
}

fn between<E>(
    stop: impl FnOnce() -> Result<(), E>,
    change: impl FnOnce() -> Result<(), E>,
    start: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let changed = stop().and_then(|()| change());
    let started = start();
    changed.and(started)
}

fn description(program: &Path) -> ServiceInfo {
    ServiceInfo {
        name: SERVICE.into(),
        display_name: DISPLAY_NAME.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program.to_owned(),
        launch_arguments: vec![OsString::from("service")],
        dependencies: vec![],
        account_name: None, // LocalSystem: only it may start programs as whoever is logged on
        account_password: None,
    }
}

fn recovery() -> ServiceFailureActions {
    let restart = |delay| ServiceAction { action_type: ServiceActionType::Restart, delay };
    ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(FORGIVEN_AFTER),
        reboot_msg: None,
        command: None,
        actions: Some(RESTART_AFTER.map(restart).into()),
    }
}

fn wait_for_end(service: &Service) -> Result<(), SetupError> {
    let deadline = Instant::now() + STOP_PATIENCE;
    while service.query_status().map_err(failed("watch the service end"))?.current_state != ServiceState::Stopped {
        if Instant::now() > deadline {
            return Err(refused("stop the service")(io::Error::from(io::ErrorKind::TimedOut)));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn failed(operation: &'static str) -> impl FnOnce(windows_service::Error) -> SetupError {
    move |problem| {
        refused(operation)(match problem {
            windows_service::Error::Winapi(source) => source,
            other => io::Error::other(other),
        })
    }
}

fn is_code(problem: &windows_service::Error, code: u32) -> bool {
    matches!(problem, windows_service::Error::Winapi(source) if source.raw_os_error() == i32::try_from(code).ok())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_service_is_started_again_whatever_went_wrong_and_the_first_problem_is_told() {
        for (failing, told, steps) in [
            (&[][..], Ok(()), "stop change start"),
            (&["stop"], Err("stop"), "stop start"),
            (&["change"], Err("change"), "stop change start"),
            (&["change", "start"], Err("change"), "stop change start"),
            (&["start"], Err("start"), "stop change start"),
        ] {
            let done = RefCell::new(Vec::new());
            let step = |name| {
                done.borrow_mut().push(name);
                if failing.contains(&name) { Err(name) } else { Ok(()) }
            };
            let outcome = between(|| step("stop"), || step("change"), || step("start"));
            assert_eq!((outcome, done.take().join(" ").as_str()), (told, steps));
        }
    }
}
