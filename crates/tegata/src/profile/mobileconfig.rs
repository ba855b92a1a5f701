//! A configuration profile (Apple, "Device Management: TopLevel, CertificateRoot, CertificatePKCS1, CertificatePKCS12"). Everything in it
//! follows from names and files, identifiers too: who writes it again replaces the one before, and nothing has to be kept.

use std::collections::BTreeSet;

use plist::{Dictionary, Value};
use tegata_api::v1::device::BrowserRule;
use tegata_core::name::{DeviceId, TenantName};
use tegata_pki::certificate::Certificate;
use tegata_pki::key::sha256;
use zeroize::Zeroizing;

/// Chrome and Edge: what their payloads are called, and people call them.
const BROWSERS: [(&str, &str); 2] = [("com.google.Chrome", "Google Chrome"), ("com.microsoft.Edge", "Microsoft Edge")];

/// What goes into a profile.
pub(super) struct Contents<'a> {
    pub(super) tenant: &'a TenantName,
    pub(super) device: &'a DeviceId,
    pub(super) rules: &'a BTreeSet<BrowserRule>,
    pub(super) authorities: &'a [Certificate],
    pub(super) pfx: Option<&'a Pfx>,
}

/// A PKCS#12 file.
pub(super) struct Pfx {
    pub(super) name: String,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

impl Contents<'_> {
    /// The profile, as an XML property list.
    pub(super) fn to_xml(&self) -> Result<Vec<u8>, plist::Error> {
        let mut xml = Vec::new();
        Value::Dictionary(self.profile()).to_writer_xml(&mut xml)?;
        xml.push(b'\n');
        Ok(xml)
    }

    fn profile(&self) -> Dictionary {
        let browsers = BROWSERS.iter().filter(|_| !self.rules.is_empty()).map(|browser| self.browser(browser));
        let payloads = browsers.chain(self.authorities.iter().map(|it| self.authority(it))).chain(self.pfx.map(|pfx| self.identity(pfx)));
        let payloads: Vec<Value> = payloads.map(Value::Dictionary).collect();
        let mut profile = self.payload("Configuration", "", &format!("Tegata: {}", self.device));
        profile.insert("PayloadOrganization".into(), self.tenant.as_str().into());
        // Certificates are in the keychain of the user, and so is who selects them.
        profile.insert("PayloadScope".into(), "User".into());
        profile.insert("PayloadContent".into(), Value::Array(payloads));
        profile
    }

    fn browser(&self, (domain, name): &(&str, &str)) -> Dictionary {
        let mut payload = self.payload(domain, &format!(".{domain}"), &format!("{name}: which certificate to use"));
        let elements = self.rules.iter().map(|rule| Value::from(rule.policy_element())).collect();
        payload.insert("AutoSelectCertificateForUrls".into(), Value::Array(elements));
        payload
    }

    fn authority(&self, authority: &Certificate) -> Dictionary {
        let kind = if authority.is_self_issued { "com.apple.security.root" } else { "com.apple.security.pkcs1" };
        let name = authority.common_name.clone().unwrap_or_else(|| authority.fingerprint.to_string());
        let mut payload = self.payload(kind, &format!(".authority.{}", authority.fingerprint), &name);
        payload.insert("PayloadCertificateFileName".into(), format!("{}.cer", authority.fingerprint).into());
        payload.insert("PayloadContent".into(), Value::Data(authority.der.clone()));
        payload
    }

    fn identity(&self, pfx: &Pfx) -> Dictionary {
        let mut payload = self.payload("com.apple.security.pkcs12", &format!(".pkcs12.{}", sha256(&pfx.bytes)), &pfx.name);
        payload.insert("PayloadCertificateFileName".into(), pfx.name.as_str().into());
        payload.insert("PayloadContent".into(), Value::Data(pfx.bytes.to_vec()));
        // Unless it is said, the key can be taken out of the keychain again.
        payload.insert("KeyIsExtractable".into(), false.into());
        payload
    }

    /// What every payload has, and the profile itself.
    fn payload(&self, kind: &str, below: &str, shown: &str) -> Dictionary {
        let identifier = format!("tegata.{}.{}.{}{below}", self.tenant, self.device.clinic, self.device.device);
        Dictionary::from_iter([
            ("PayloadType", Value::from(kind)),
            ("PayloadVersion", 1.into()),
            ("PayloadUUID", uuid(&identifier).into()),
            ("PayloadIdentifier", identifier.into()),
            ("PayloadDisplayName", shown.into()),
        ])
    }
}

/// The UUID of a name: version 8, of its SHA-256 (RFC 9562, section 5.8 and appendix B.2).
fn uuid(name: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&sha256(name.as_bytes()).0[..16]);
    bytes[6] = bytes[6] & 0x0F | 0x80;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex = data_encoding::HEXUPPER.encode(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use expect_test::expect_file;
    use tegata_core::time::Timestamp;

    use super::*;

    fn rules() -> BTreeSet<BrowserRule> {
        let rule = |pattern: &str| BrowserRule {
            pattern: pattern.into(),
            issuer_common_name: "Sakura <CA> & \"Co\"".into(),
            subject_organization: "桜内科".into(),
            subject_common_name: None,
        };
        [rule("https://b.example.jp"), rule("https://a.example.jp")].into()
    }

    fn certificate(is_self_issued: bool) -> Certificate {
        Certificate {
            der: b"not read again".to_vec(),
            fingerprint: sha256(&[u8::from(is_self_issued)]),
            serial: vec![1],
            issuer: vec![],
            issuer_common_name: None,
            common_name: Some(if is_self_issued { "Sakura Root".into() } else { "Sakura Issuing".into() }),
            organization: None,
            not_before: Timestamp::from_unix(0),
            not_after: Timestamp::from_unix(1),
            public_key: vec![],
            crl_urls: vec![],
            is_self_issued,
            is_for_clients: false,
            is_authority: true,
        }
    }

    fn xml(rules: &BTreeSet<BrowserRule>, authorities: &[Certificate], pfx: Option<&Pfx>) -> String {
        let (tenant, device) = ("default".parse().unwrap(), "sakura/incho-mac".parse().unwrap());
        let contents = Contents { tenant: &tenant, device: &device, rules, authorities, pfx };
        String::from_utf8(contents.to_xml().unwrap()).unwrap()
    }

    #[test]
    fn a_profile_says_what_it_was_made_of_and_nothing_else() {
        let pfx = Pfx { name: "vendor.p12".into(), bytes: Zeroizing::new(b"opened by nobody".to_vec()) };
        expect_file!["mobileconfig.xml"].assert_eq(&xml(&rules(), &[certificate(true), certificate(false)], Some(&pfx)));
    }

    #[test]
    fn a_profile_reads_back_as_what_apple_documents() {
        let text = xml(&rules(), &[certificate(true), certificate(false)], None);
        let profile = Value::from_reader(Cursor::new(&text)).unwrap().into_dictionary().unwrap();
        let payloads: Vec<&Dictionary> = profile["PayloadContent"].as_array().unwrap().iter().filter_map(Value::as_dictionary).collect();
        let said = |key: &str| payloads.iter().map(|payload| payload[key].as_string().unwrap()).collect::<Vec<_>>();
        let types = ["com.google.Chrome", "com.microsoft.Edge", "com.apple.security.root", "com.apple.security.pkcs1"];
        assert_eq!(said("PayloadType"), types);
        let names: BTreeSet<_> = [said("PayloadUUID"), said("PayloadIdentifier")].concat().into_iter().collect();
        assert_eq!(names.len(), 2 * types.len(), "each has its own");
        let elements: Vec<&str> =
            payloads[0]["AutoSelectCertificateForUrls"].as_array().unwrap().iter().filter_map(Value::as_string).collect();
        assert_eq!(elements, rules().iter().map(BrowserRule::policy_element).collect::<Vec<_>>());
        assert_eq!(payloads[3]["PayloadContent"].as_data(), Some(b"not read again".as_slice()));
    }

    #[test]
    fn without_rules_browsers_are_told_nothing() {
        let text = xml(&BTreeSet::new(), &[certificate(true)], None);
        assert!(!text.contains("AutoSelect") && text.contains("com.apple.security.root"));
    }

    #[test]
    fn an_identifier_follows_from_its_name() {
        let is_formed =
            |uuid: &str| uuid.len() == 36 && uuid.as_bytes()[14] == b'8' && matches!(uuid.as_bytes()[19], b'8' | b'9' | b'A' | b'B');
        let (one, other) = (uuid("tegata.a"), uuid("tegata.b"));
        assert!(is_formed(&one) && is_formed(&other) && one != other && one == uuid("tegata.a"));
    }
}
