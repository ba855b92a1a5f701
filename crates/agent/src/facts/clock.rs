//! Whether the system sets its clock by itself. What it does not say is not known, and never taken for fine.

#[cfg(any(target_os = "linux", test))]
use std::path::Path;

use tegata_api::v1::device::TimeSync;

/// What time daemons leave while they work: systemd-timesyncd touches the first whenever it has set the clock (systemd-timesyncd.service(8),
/// "Files"); chrony and ntpd write down their process.
#[cfg(any(target_os = "linux", test))]
const TRACES: [&str; 4] = ["systemd/timesync/synchronized", "chrony/chronyd.pid", "chronyd.pid", "ntpd.pid"];

#[cfg(target_os = "linux")]
pub(super) fn sync() -> Option<TimeSync> {
    traced(Path::new("/run"))
}

/// That none has left a trace does not mean that none is there.
#[cfg(any(target_os = "linux", test))]
fn traced(run: &Path) -> Option<TimeSync> {
    TRACES.iter().any(|trace| run.join(trace).exists()).then_some(TimeSync::On)
}

/// The service that sets the clock, and what it sets it by (Microsoft, "Windows Time service tools and settings").
#[cfg(windows)]
pub(super) fn sync() -> Option<TimeSync> {
    let service = windows_registry::LOCAL_MACHINE.open(r"SYSTEM\CurrentControlSet\Services\W32Time").ok()?;
    let kind = service.open("Parameters").and_then(|parameters| parameters.get_string("Type")).ok();
    by_service(service.get_u32("Start").ok()?, &kind?)
}

/// On a PC of no domain the service is started now and then (3), which is how Windows comes; only one that is disabled (4) never runs.
#[cfg(any(windows, test))]
fn by_service(start: u32, kind: &str) -> Option<TimeSync> {
    match (start, kind) {
        (4, _) | (_, "NoSync") => Some(TimeSync::Off),
        (2 | 3, "NTP" | "NT5DS" | "AllSync") => Some(TimeSync::On),
        _ => None,
    }
}

/// What "Set time and date automatically" is kept as. Not every Mac lets its users read it.
#[cfg(target_os = "macos")]
pub(super) fn sync() -> Option<TimeSync> {
    by_preference(&std::fs::read("/private/var/db/timed/Library/Preferences/com.apple.timed.plist").ok()?)
}

#[cfg(any(target_os = "macos", all(test, target_os = "linux")))]
fn by_preference(bytes: &[u8]) -> Option<TimeSync> {
    let read = plist::Value::from_reader(std::io::Cursor::new(bytes)).ok()?;
    let is_on = read.as_dictionary()?.get("TMAutomaticTimeOnlyEnabled")?.as_boolean()?;
    Some(if is_on { TimeSync::On } else { TimeSync::Off })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_is_not_seen_is_not_known() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(traced(run.path()), None);
        std::fs::create_dir(run.path().join("chrony")).unwrap();
        assert_eq!(traced(run.path()), None);
        std::fs::write(run.path().join("chrony/chronyd.pid"), "7").unwrap();
        assert_eq!(traced(run.path()), Some(TimeSync::On));
    }

    #[test]
    fn a_service_that_is_disabled_or_follows_nobody_sets_nothing() {
        assert_eq!([by_service(3, "NTP"), by_service(2, "NT5DS")], [Some(TimeSync::On); 2]);
        assert_eq!([by_service(4, "NTP"), by_service(2, "NoSync")], [Some(TimeSync::Off); 2]);
        assert_eq!([by_service(3, ""), by_service(0, "NTP")], [None; 2]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_mac_says_it_in_a_property_list() {
        let written = |value: plist::Value| {
            let mut bytes = Vec::new();
            let list = plist::Dictionary::from_iter([("TMAutomaticTimeOnlyEnabled", value)]);
            plist::Value::from(list).to_writer_binary(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(by_preference(&written(true.into())), Some(TimeSync::On));
        assert_eq!(by_preference(&written(false.into())), Some(TimeSync::Off));
        assert_eq!([by_preference(&written("yes".into())), by_preference(b"")], [None; 2]);
    }
}
