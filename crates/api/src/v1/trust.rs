//! Roots that policy pins (`CertificateProfile.spec.trust`), and that programs on a device are to trust for the sites that they vouch for.

use serde::{Deserialize, Serialize};

/// A root that programs on a device are to trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustRoot {
    /// SHA-256 of its DER, as policy pins it.
    pub sha256: String,
    /// Its DER, base64, if the server has it: that of its own issuers. Others come to the device with a vendor's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub der: Option<String>,
}

/// How far a device is with a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RootReport {
    /// SHA-256 of its DER.
    pub sha256: String,
    /// How far.
    pub state: RootState,
}

/// How far a device is with a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootState {
    /// Programs trust it, by the agent's doing or somebody else's.
    Trusted,
    /// Nobody at the PC has agreed to it yet (`tegata-agent trust`): no server decides that alone. On Windows and macOS an administrator does.
    NeedsAdministrator,
    /// Neither the server nor a vendor's file has brought it.
    NotBrought,
    /// It is no authority that has signed itself, or not the one that is pinned.
    NotARoot,
    /// The store did not take it; it is tried again.
    Failed,
}

/// A root of a device, as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceRoot {
    /// What the device is told.
    #[serde(flatten)]
    pub root: TrustRoot,
    /// What it says of it; absent if it has not said anything yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RootState>,
}

impl TrustRoot {
    /// What somebody at a device of this platform types once: on Windows an administrator in PowerShell, on macOS an administrator, on Linux the user. The line holds the
    /// root itself, and runs no program that a user of the PC could exchange: no file of theirs decides what becomes trusted, or what runs with more rights. `None` if
    /// the server does not have the root.
    pub fn line_to_grant(&self, platform: &str) -> Option<String> {
        let is_base64 = |text: &&String| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        let der = self.der.as_ref().filter(is_base64)?;
        match platform {
            "windows" => Some(format!(r#"& "$env:ProgramFiles\Tegata\tegata-agent.exe" trust {der}"#)),
            // The agent's own program lies in the user's folder there.
            "macos" => Some(format!(
                "sudo /bin/sh -c 'f=$(mktemp) && printf %s {der} | /usr/bin/base64 -D > $f && /usr/bin/security add-trusted-cert -d -r trustRoot \
                 -k /Library/Keychains/System.keychain $f; rm -f $f'"
            )),
            "linux" => Some(format!("tegata-agent trust {der}")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_holds_the_root_and_nothing_that_a_shell_would_follow() {
        let root = |der: &str| TrustRoot { sha256: "ab".repeat(32), der: Some(der.into()) };
        for platform in ["windows", "macos", "linux"] {
            let line = root("MIIB+/==").line_to_grant(platform).unwrap();
            assert!(line.contains("MIIB+/==") && !line.contains('\n'), "{line}");
            for evil in ["MIIB' & calc", "$(id)", "a\"b", "a;b"] {
                assert_eq!(root(evil).line_to_grant(platform), None);
            }
        }
        assert_eq!(TrustRoot { der: None, ..root("") }.line_to_grant("windows"), None);
    }
}
