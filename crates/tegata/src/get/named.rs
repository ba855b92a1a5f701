//! Choosing from a list by name.

use tegata_api::v1::account::Account;
use tegata_api::v1::application::Application;
use tegata_api::v1::fleet::{Certificate, Clinic, Device, DocumentInForce, Slot};

/// Something that people call by a name.
pub trait Named {
    /// What one of them is called.
    const WHAT: &'static str;

    /// True if this is what the name means.
    fn is_called(&self, name: &str) -> bool;
}

impl Named for Clinic {
    const WHAT: &'static str = "clinic";

    fn is_called(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Named for Device {
    const WHAT: &'static str = "device";

    fn is_called(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Named for Slot {
    const WHAT: &'static str = "slot";

    fn is_called(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Named for Certificate {
    const WHAT: &'static str = "certificate";

    fn is_called(&self, name: &str) -> bool {
        self.serial.eq_ignore_ascii_case(name)
    }
}

impl Named for Account {
    const WHAT: &'static str = "quota";

    fn is_called(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Named for Application {
    const WHAT: &'static str = "application";

    fn is_called(&self, name: &str) -> bool {
        self.slot == name
    }
}

impl Named for DocumentInForce {
    const WHAT: &'static str = "document";

    /// Documents of different kinds may share a name.
    fn is_called(&self, name: &str) -> bool {
        let (kind, name) = name.split_once('/').unwrap_or((&self.kind, name));
        self.kind == kind && self.name == name
    }
}

/// Those that were named, in the order of the list; all if nobody was.
///
/// # Errors
/// The names that nothing has.
pub fn chosen<T: Named>(list: Vec<T>, names: &[String]) -> Result<Vec<T>, Vec<String>> {
    let missing: Vec<String> = names.iter().filter(|name| !list.iter().any(|one| one.is_called(name))).cloned().collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    Ok(list.into_iter().filter(|one| names.is_empty() || names.iter().any(|name| one.is_called(name))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn document(kind: &str, name: &str) -> DocumentInForce {
        let (kind, name, author) = (kind.into(), name.into(), "person:a".into());
        DocumentInForce { kind, name, revision: 1, author, applied_at: 0, document: Value::Null }
    }

    fn named(names: &[&str]) -> Result<Vec<String>, Vec<String>> {
        let list = vec![document("CertificateProfile", "sakura"), document("ClinicNetwork", "momiji"), document("ClinicNetwork", "sakura")];
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Ok(chosen(list, &names)?.iter().map(|one| format!("{}/{}", one.kind, one.name)).collect())
    }

    #[test]
    fn a_name_is_taken_exactly_and_nobody_named_means_all() {
        assert_eq!(named(&[]).unwrap().len(), 3);
        assert_eq!(named(&["sakura"]).unwrap(), ["CertificateProfile/sakura", "ClinicNetwork/sakura"]);
        assert_eq!(named(&["ClinicNetwork/sakura"]).unwrap(), ["ClinicNetwork/sakura"]);
        assert_eq!(named(&["momiji", "momiji"]).unwrap(), ["ClinicNetwork/momiji"]);
    }

    #[test]
    fn every_name_that_nothing_has_is_told() {
        assert_eq!(named(&["sak", "momiji", "Issuer/momiji"]).unwrap_err(), ["sak", "Issuer/momiji"]);
    }
}
