//! What the PC says about itself. Believed by nobody, shown to people.

use std::path::Path;

use tegata_api::v1::device::Facts;

use crate::doctor;

mod browsers;
mod clock;

/// Gathers them for the user of this home. `keystores` are the names of those that can be used, `recipient` is to whom vendors' files are
/// sealed.
pub fn gather(home: &Path, keystores: Vec<String>, recipient: String) -> Facts {
    Facts {
        hostname: hostname(),
        platform: std::env::consts::OS.into(),
        os_version: os_version(),
        agent_version: env!("CARGO_PKG_VERSION").into(),
        keystores,
        recipient,
        browsers: browsers::seen(home),
        default_browser: doctor::default_browser(home),
        time_sync: clock::sync(),
    }
}

#[cfg(unix)]
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The name that the system gives itself (os-release, PRETTY_NAME).
#[cfg(target_os = "linux")]
fn os_version() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.unwrap_or("Linux").trim_matches('"').to_owned()
}

#[cfg(windows)]
pub(crate) fn hostname() -> String {
    crate::windows::system::host_name()
}

#[cfg(target_os = "macos")]
fn os_version() -> String {
    format!("macOS {}", macos_version().unwrap_or_default()).trim_end().to_owned()
}

#[cfg(windows)]
fn os_version() -> String {
    crate::windows::system::version()
}

/// The number before the first point of macOS's version.
#[cfg(unix)]
pub(crate) fn macos_major() -> Option<u32> {
    macos_version()?.split('.').next()?.parse().ok()
}

/// The version that macOS gives itself. Programs that were built for an old one are told 10.16 by every other way to ask.
#[cfg(unix)]
fn macos_version() -> Option<String> {
    product_version(&std::fs::read_to_string("/System/Library/CoreServices/SystemVersion.plist").ok()?)
}

#[cfg(unix)]
fn product_version(plist: &str) -> Option<String> {
    let (_, after) = plist.split_once("<key>ProductVersion</key>")?;
    let (value, _) = after.trim_start().strip_prefix("<string>")?.split_once("</string>")?;
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn the_version_of_macos_is_read_from_its_own_file() {
        let plist = "<plist version=\"1.0\">\n<dict>\n\t<key>ProductName</key>\n\t<string>macOS</string>\n\t<key>ProductVersion</key>\n\t\
                     <string>14.7.1</string>\n\t<key>iOSSupportVersion</key>\n\t<string>17.6</string>\n</dict>\n</plist>\n";
        assert_eq!(super::product_version(plist).as_deref(), Some("14.7.1"));
        assert_eq!(super::product_version("<key>ProductVersion</key><integer>15</integer>"), None);
    }

    #[test]
    fn a_pc_knows_its_name_and_system() {
        let facts = super::gather(std::path::Path::new("/nowhere"), vec!["file".into()], "age1x".into());
        assert!(!facts.hostname.is_empty() && !facts.os_version.is_empty());
        assert_eq!((facts.keystores.as_slice(), facts.recipient.as_str()), (["file".to_owned()].as_slice(), "age1x"));
    }
}
