//! Windows' own service manager, registry and disk: the agent comes, runs by itself, and leaves nothing.
//!
//! One test at a time: there is one service of that name on a PC.
#![cfg(windows)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use tegata_agent::keystore::windows::certificates::{Entry, Store};
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::Authority;
use windows_registry::{CURRENT_USER, LOCAL_MACHINE};
use windows_service::service::{
    ServiceAccess, ServiceActionType, ServiceFailureActions, ServiceFailureResetPeriod, ServiceStartType, ServiceState, ServiceStatus,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_sys::Win32::Foundation::CloseHandle;
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};

const SOURCE: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application\Tegata";
const SERVICE_KEY: &str = r"SYSTEM\CurrentControlSet\Services\Tegata";
const PROGRAM_ENTRY: &str = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\Tegata";
const AT_LOGON: &str = r"Software\Microsoft\Windows\CurrentVersion\Run";

static PC: Mutex<()> = Mutex::new(());

/// The one PC, without the agent before and after.
struct Pc(#[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Pc {
    fn new() -> Self {
        let pc = Self(PC.lock().unwrap_or_else(PoisonError::into_inner));
        succeeds(&["uninstall"]);
        assert!(!folder().exists() && agents().is_empty());
        pc
    }
}

impl Drop for Pc {
    fn drop(&mut self) {
        tegata(&["uninstall"]);
        tegata(&["uninstall", "--user"]);
        let _ = fs::remove_dir_all(folder());
    }
}

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("ProgramFiles").unwrap()).join("Tegata")
}

fn tegata(arguments: &[&str]) -> Output {
    run(Path::new(env!("CARGO_BIN_EXE_tegata-agent")), arguments)
}

/// Its output goes to files: whatever it starts inherits them, and a pipe would never end.
fn run(program: &Path, arguments: &[&str]) -> Output {
    let files = ["out", "err"].map(|name| std::env::temp_dir().join(format!("tegata-test-{name}-{}", std::process::id())));
    let start = || {
        let [out, err] = files.clone().map(|file| fs::File::create(file).unwrap());
        Command::new(program).args(arguments).stdout(out).stderr(err).status()
    };
    let status = match start() {
        // Wine could not start it: nothing of it has run. That happens on a busy machine.
        Err(problem) if problem.raw_os_error() == Some(NOT_STARTED) => start().unwrap(),
        started => started.unwrap(),
    };
    let [stdout, stderr] = files.map(|file| fs::read(file).unwrap());
    Output { status, stdout, stderr }
}

/// `ERROR_INTERNAL_ERROR`.
const NOT_STARTED: i32 = 1359;

fn succeeds(arguments: &[&str]) {
    let said = tegata(arguments);
    assert!(said.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
}

fn service() -> windows_service::Result<windows_service::service::Service> {
    let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT)?;
    manager.open_service("Tegata", ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG | ServiceAccess::STOP | ServiceAccess::START)
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn status() -> ServiceStatus {
    service().unwrap().query_status().unwrap()
}

#[test]
fn the_service_is_registered_runs_by_itself_and_leaves_nothing() {
    let _pc = Pc::new();
    succeeds(&["install"]);
    let installed = service().unwrap();
    let config = installed.query_config().unwrap();
    let program = folder().join("tegata-agent.exe");
    assert_eq!(config.executable_path, PathBuf::from(format!("\"{}\" service", program.display())), "quoted: nothing else can be meant");
    assert_eq!(config.start_type, ServiceStartType::AutoStart);
    assert_eq!(config.account_name.unwrap(), "LocalSystem");
    // Wine takes the actions, but does not tell them.
    match installed.get_failure_actions() {
        Err(windows_service::Error::Winapi(problem)) => assert_eq!(problem.raw_os_error(), Some(124), "ERROR_INVALID_LEVEL"),
        told => assert_restarts(told.unwrap()),
    }
    assert_eq!(fs::read(&program).unwrap(), fs::read(env!("CARGO_BIN_EXE_tegata-agent")).unwrap());
    assert!(LOCAL_MACHINE.open(SOURCE).unwrap().get_string("EventMessageFile").unwrap().ends_with("EventCreate.exe"));
    let entry = LOCAL_MACHINE.open(PROGRAM_ENTRY).unwrap();
    assert_eq!(entry.get_string("UninstallString").unwrap(), format!("\"{}\" uninstall", program.display()));
    wait_for("the service runs", || status().current_state == ServiceState::Running);

    drop(installed);
    succeeds(&["uninstall"]);
    wait_for("the service is gone", || service().is_err());
    for key in [SOURCE, PROGRAM_ENTRY] {
        LOCAL_MACHINE.open(key).map(drop).unwrap_err();
    }
    wait_for("the service's key is gone", || LOCAL_MACHINE.open(SERVICE_KEY).is_err());
    assert!(!folder().exists());
    succeeds(&["uninstall"]);
}

fn assert_restarts(actions: ServiceFailureActions) {
    assert_eq!(actions.reset_period, ServiceFailureResetPeriod::After(Duration::from_secs(86_400)));
    let restarts: Vec<_> = actions.actions.unwrap().iter().map(|action| (action.action_type, action.delay.as_secs())).collect();
    assert_eq!(restarts, [5, 30, 300].map(|seconds| (ServiceActionType::Restart, seconds)));
}

#[test]
fn the_service_stops_and_starts_and_is_replaced_or_left_alone_while_it_runs() {
    let _pc = Pc::new();
    succeeds(&["install"]);
    let runs = || status().current_state == ServiceState::Running;
    wait_for("the service runs", runs);
    service().unwrap().stop().unwrap();
    wait_for("the service stops", || status().current_state == ServiceState::Stopped);
    service().unwrap().start::<&str>(&[]).unwrap();
    wait_for("the service runs again", runs);
    let before = status().process_id;
    let again = tegata(&["install"]);
    if !again.status.success() {
        // Wine keeps no access lists, so the folder is not known again; a refusal leaves the service alone.
        let complaint = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(complaint.contains("its access list is"), "{complaint}");
        assert!(runs() && status().process_id == before);
        fs::rename(folder(), folder().with_extension("moved")).unwrap();
        succeeds(&["install"]);
        fs::remove_dir_all(folder().with_extension("moved")).unwrap();
    }
    wait_for("the newer service runs", || runs() && status().process_id != before);
}

#[test]
fn whoever_is_logged_on_gets_a_helper_that_comes_again_and_ends_with_the_service() {
    let _pc = Pc::new();
    succeeds(&["install"]);
    wait_for("there is a helper", || helpers().len() == 1);
    let first = helpers();
    end(first[0]);
    wait_for("there is another helper", || helpers().len() == 1 && helpers() != first);
    succeeds(&["uninstall"]);
    wait_for("it has ended", || helpers().is_empty());
}

/// The processes of the agent, the service aside.
fn helpers() -> Vec<u32> {
    let service = service().ok().and_then(|service| service.query_status().ok()?.process_id);
    agents().into_iter().filter(|process| Some(*process) != service).collect()
}

#[expect(unsafe_code, reason = "nothing safe lists processes, and Wine's tasklist says nothing")]
fn agents() -> Vec<u32> {
    let mut entry = PROCESSENTRY32W { dwSize: size_of::<PROCESSENTRY32W>() as u32, ..PROCESSENTRY32W::default() };
    let mut found = Vec::new();
    // SAFETY: the entry says how large it is, and the list is closed once.
    unsafe {
        let list = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
        let mut is_there = Process32FirstW(list, &mut entry);
        while is_there != 0 {
            let name = String::from_utf16_lossy(&entry.szExeFile);
            found.extend(name.starts_with("tegata-agent.exe\0").then_some(entry.th32ProcessID));
            is_there = Process32NextW(list, &mut entry);
        }
        CloseHandle(list);
    }
    found
}

fn end(process: u32) {
    assert!(run(Path::new(r"C:\windows\system32\taskkill.exe"), &["/f", "/pid", &process.to_string()]).status.success());
}

#[test]
fn a_folder_that_others_could_write_into_is_refused_and_nothing_is_registered() {
    let _pc = Pc::new();
    fs::create_dir(folder()).unwrap();
    fs::write(folder().join("version.dll"), "planted").unwrap();
    let said = tegata(&["install"]);
    let complaint = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success() && complaint.contains("not the agent's own"), "{complaint}");
    assert!(service().is_err() && !folder().join("tegata-agent.exe").exists());
}

#[test]
fn one_user_alone_needs_no_administrator_and_nothing_is_left() {
    let _pc = Pc::new();
    succeeds(&["install", "--user"]);
    let line = CURRENT_USER.open(AT_LOGON).unwrap().get_string("Tegata").unwrap();
    let program = PathBuf::from(line.strip_prefix('"').unwrap().strip_suffix("\" at-logon").unwrap());
    assert!(program.is_file() && !program.starts_with(folder()));
    wait_for("the agent runs", || helpers().len() == 1);
    assert!(service().is_err());
    let older = helpers();
    succeeds(&["install", "--user"]);
    wait_for("a newer agent has taken its place", || helpers().len() == 1 && helpers() != older);
    succeeds(&["uninstall", "--user"]);
    assert!(helpers().is_empty(), "it has ended");
    CURRENT_USER.open(AT_LOGON).unwrap().get_string("Tegata").unwrap_err();
    assert!(!program.parent().unwrap().exists());
}

#[test]
fn a_root_that_an_administrator_grants_goes_with_the_agent_and_nobody_elses_does() {
    let _pc = Pc::new();
    let [ours, theirs] = ["Ours", "Theirs"].map(root);
    let store = Store::of_computer("ROOT").unwrap();
    store.add(&Entry::new(&theirs).unwrap()).unwrap();
    succeeds(&["install"]);
    for root in [&ours, &theirs] {
        succeeds(&["trust", &BASE64.encode(root)]);
        assert!(is_trusted(root));
    }
    succeeds(&["trust", "--remove", &BASE64.encode(&theirs)]);
    assert!(is_trusted(&theirs), "it was there before");
    assert!(!tegata(&["trust", &BASE64.encode(b"no certificate")]).status.success());
    succeeds(&["uninstall"]);
    assert!(!is_trusted(&ours) && is_trusted(&theirs));
    LOCAL_MACHINE.open(r"SOFTWARE\Tegata").map(drop).unwrap_err();
    let entries = store.entries().unwrap();
    store.remove(entries.iter().find(|entry| entry.der() == theirs).unwrap()).unwrap();
}

fn root(name: &str) -> Vec<u8> {
    let now = Timestamp::from_unix(1_800_000_000);
    Authority::new_root(name, "sakura", now, now.after(DAY)).unwrap().certificate().to_vec()
}

fn is_trusted(root: &[u8]) -> bool {
    Store::of_computer("ROOT").unwrap().entries().unwrap().iter().any(|entry| entry.der() == root)
}
