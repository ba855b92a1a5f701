//! What the PC says about itself. Believed by nobody, shown to people.

use tegata_api::v1::device::Facts;

/// Gathers them. `keystores` are the names of those that can be used, `recipient` is to whom vendors' files are sealed.
pub fn gather(keystores: Vec<String>, recipient: String) -> Facts {
    Facts {
        hostname: hostname(),
        platform: std::env::consts::OS.into(),
        os_version: os_version(),
        agent_version: env!("CARGO_PKG_VERSION").into(),
        keystores,
        recipient,
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
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn os_version() -> String {
    std::env::consts::OS.into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_pc_knows_its_name_and_system() {
        let facts = super::gather(vec!["file".into()], "age1x".into());
        assert!(!facts.hostname.is_empty() && !facts.os_version.is_empty());
        assert_eq!((facts.keystores.as_slice(), facts.recipient.as_str()), (["file".to_owned()].as_slice(), "age1x"));
    }
}
