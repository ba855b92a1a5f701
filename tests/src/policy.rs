//! Policies for tests: as small as the test allows.

use std::fmt::Write;

/// One clinic `sakura` of tenant `aozora`, its devices, and the profiles that go on every one of them.
pub struct Clinic<'a> {
    /// Names of its devices.
    pub devices: &'a [String],
    /// Names of the profiles; each opens `https://<profile>-sakura.example.jp`.
    pub profiles: &'a [String],
}

/// The issuer's common name in these policies.
pub const ISSUER: &str = "Aozora Clinic CA";

impl Clinic<'_> {
    /// Writes it down.
    pub fn to_yaml(&self) -> String {
        let mut text = format!(
            "apiVersion: tegata.dev/v1alpha1\nkind: Issuer\nmetadata: {{ name: aozora-ca, namespace: aozora }}\nspec: {{ type: ca, commonName: {ISSUER} }}\n"
        );
        for profile in self.profiles {
            text.push_str(&self::profile(profile));
        }
        text.push_str("---\napiVersion: tegata.dev/v1alpha1\nkind: ClinicNetwork\nmetadata: { name: sakura, namespace: aozora }\nspec:\n");
        text.push_str("  displayName: さくら内科クリニック\n  facilitySlug: sakura\n  rollout: { replaceAtOnce: 1000 }\n  devices:\n");
        for device in self.devices {
            writeln!(text, "    - {{ name: {device}, platform: linux }}").expect("writing to a string cannot fail");
        }
        text.push_str("  certificates:\n");
        for profile in self.profiles {
            writeln!(text, "    - {{ profile: {profile} }}").expect("writing to a string cannot fail");
        }
        text
    }
}

fn profile(name: &str) -> String {
    format!(
        "---\napiVersion: tegata.dev/v1alpha1\nkind: CertificateProfile\nmetadata: {{ name: {name}, namespace: aozora }}\nspec:\n  issuer: aozora-ca\n  \
         key: {{ origin: device, algorithm: ecdsa-p256 }}\n  validity: 90d\n  renewal: {{ window: 30d, when: early }}\n  install: {{ stores: [file] }}\n  \
         browser: {{ select: [\"https://{name}-{{facilitySlug}}.example.jp\"] }}\n"
    )
}

/// Names `prefix-1` to `prefix-<count>`.
pub fn names(prefix: &str, count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{prefix}-{number}")).collect()
}
