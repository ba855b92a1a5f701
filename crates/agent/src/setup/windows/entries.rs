//! The registry entries of ours: the source of event log entries, the list of programs, and what starts at logon.

use std::io;
use std::path::Path;

use windows_registry::{CURRENT_USER, Key, LOCAL_MACHINE};

use super::SERVICE;

/// Below HKLM: sources of entries in the log `Application`.
const SOURCES: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application";
/// Below HKLM: what can be removed in the settings.
const PROGRAMS: &str = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall";
/// Below HKCU: what starts when the user logs on.
const AT_LOGON: &str = r"Software\Microsoft\Windows\CurrentVersion\Run";
/// The texts of Windows' own `eventcreate`, whose events 1 to 1000 say just what they are given.
const MESSAGES: &str = r"%SystemRoot%\System32\EventCreate.exe";
/// `EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE`.
const TYPES: u32 = 7;
/// `HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND)`
const NOT_FOUND: i32 = 0x8007_0002_u32.cast_signed();

pub(super) fn add_event_source() -> io::Result<()> {
    let source = LOCAL_MACHINE.create(format!(r"{SOURCES}\{SERVICE}"))?;
    source.set_expand_string("EventMessageFile", MESSAGES)?;
    Ok(source.set_u32("TypesSupported", TYPES)?)
}

pub(super) fn remove_event_source() -> io::Result<()> {
    remove_key(LOCAL_MACHINE, SOURCES)
}

pub(super) fn add_to_programs(program: &Path) -> io::Result<()> {
    let program = program.display();
    let entry = LOCAL_MACHINE.create(format!(r"{PROGRAMS}\{SERVICE}"))?;
    entry.set_string("DisplayName", "Tegata 手形")?;
    entry.set_string("DisplayVersion", env!("CARGO_PKG_VERSION"))?;
    entry.set_string("Publisher", "Tegata")?;
    entry.set_string("DisplayIcon", program.to_string())?;
    entry.set_string("UninstallString", format!("\"{program}\" uninstall"))?;
    entry.set_u32("NoModify", 1)?;
    Ok(entry.set_u32("NoRepair", 1)?)
}

pub(super) fn remove_from_programs() -> io::Result<()> {
    remove_key(LOCAL_MACHINE, PROGRAMS)
}

pub(super) fn start_at_logon(program: &Path) -> io::Result<()> {
    Ok(CURRENT_USER.create(AT_LOGON)?.set_string(SERVICE, format!("\"{}\" at-logon", program.display()))?)
}

pub(super) fn start_no_more() -> io::Result<()> {
    unless_missing(CURRENT_USER.create(AT_LOGON)?.remove_value(SERVICE))
}

/// Removes our own key below one that everybody shares.
fn remove_key(root: &Key, above: &str) -> io::Result<()> {
    unless_missing(root.create(above)?.remove_tree(SERVICE))
}

fn unless_missing(result: windows_registry::Result<()>) -> io::Result<()> {
    match result {
        Err(problem) if problem.code().0 == NOT_FOUND => Ok(()),
        result => Ok(result?),
    }
}
