//! What the portal issues to staff whose PC has no agent: PKCS#12 files, and how everything in them is called.

use std::time::Duration;

use crate::name::{ClinicName, FacilitySlug, InstitutionNumber, TenantName};
use crate::policy::{ClinicNetwork, Quota};

/// What one issuer's portal hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portal {
    /// How long a certificate lives.
    pub validity: Duration,
    /// How long before its end a certificate may be renewed by showing it. Always shorter than the validity.
    pub renew_within: Duration,
    /// How long a mailed code lives.
    pub code_life: Duration,
    /// How many certificates an account may have whose policy does not say.
    pub quota: Quota,
    /// Subject CN.
    pub common_name: NameTemplate,
    /// Subject O.
    pub organization: NameTemplate,
    /// What people see in the certificate stores.
    pub friendly_name: NameTemplate,
    /// What the file is called; ends with `.p12` or `.pfx`.
    pub file_name: NameTemplate,
    /// Which algorithms protect the file.
    pub flavor: BundleFlavor,
}

/// Which algorithms protect a PKCS#12 file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleFlavor {
    /// AES-256 and SHA-256.
    Modern,
    /// 3DES and SHA-1, for systems that read nothing newer.
    Legacy,
}

/// A name with parts left open: `{number}_JP_{organization}_client{n}.p12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate(String);

/// What the subject's names may leave open.
pub const SUBJECT_PLACEHOLDERS: [&str; 6] = ["n", "number", "tenant", "clinic", "facilitySlug", "label"];
/// What may be left open where the subject's names are known.
pub const FILE_PLACEHOLDERS: [&str; 8] = ["n", "number", "tenant", "clinic", "facilitySlug", "label", "commonName", "organization"];

impl NameTemplate {
    /// Reads a template of half-width characters; says in one sentence what is wrong with it.
    pub fn parse(text: &str, placeholders: &[&str]) -> Result<Self, String> {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('{') {
            let Some((name, tail)) = after.split_once('}') else { return Err("a '{' has no matching '}'".into()) };
            if !placeholders.contains(&name) {
                return Err(format!("'{{{name}}}' is not one of {{{}}}", placeholders.join("}, {")));
            }
            rest = tail;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '{' | '}' | '.' | '-' | '_' | ' ');
        if text.is_empty() || text.trim() != text || !text.chars().all(plain) {
            return Err("it may hold half-width letters, digits, '.', '-', '_', blanks inside, and placeholders".into());
        }
        Ok(Self(text.to_owned()))
    }

    /// Fills what was left open.
    pub fn fill(&self, parts: &NameParts<'_>) -> String {
        let number = parts.number.map_or_else(|| format!("{:06}", parts.n), |number| number.as_str().to_owned());
        let known = [
            ("{n}", parts.n.to_string()),
            ("{number}", number),
            ("{tenant}", parts.tenant.to_string()),
            ("{clinic}", parts.clinic.to_string()),
            ("{facilitySlug}", parts.slug.to_string()),
            ("{label}", parts.label.unwrap_or(parts.slug.as_str()).to_owned()),
            ("{commonName}", parts.common_name.to_owned()),
            ("{organization}", parts.organization.to_owned()),
        ];
        known.iter().fold(self.0.clone(), |text, (name, value)| text.replace(name, value))
    }

    /// Gives the template as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What names are filled from.
#[derive(Debug, Clone, Copy)]
pub struct NameParts<'a> {
    /// Which of the issuer's certificates it is; the same for all that follow each other by renewal.
    pub n: u64,
    /// The tenant.
    pub tenant: &'a TenantName,
    /// The clinic.
    pub clinic: &'a ClinicName,
    /// The clinic's own label.
    pub slug: &'a FacilitySlug,
    /// The clinic's medical institution number; without one, `{number}` is `n` in six digits.
    pub number: Option<&'a InstitutionNumber>,
    /// The facility label that was asked for; without one, `{label}` is the clinic's own.
    pub label: Option<&'a str>,
    /// Subject CN, once it is known.
    pub common_name: &'a str,
    /// Subject O, once it is known.
    pub organization: &'a str,
}

/// Everything that one certificate and its file are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Subject CN.
    pub common_name: String,
    /// Subject O.
    pub organization: String,
    /// What people see in the certificate stores.
    pub friendly_name: String,
    /// What the file is called: half-width letters, digits, '.', '-' and '_'.
    pub file_name: String,
}

impl Portal {
    /// Names the `n`-th certificate.
    pub fn names(&self, tenant: &TenantName, clinic: &ClinicNetwork, label: Option<&str>, n: u64) -> Names {
        let subject = NameParts {
            n,
            tenant,
            clinic: &clinic.name,
            slug: &clinic.facility_slug,
            number: clinic.institution_number.as_ref(),
            label,
            common_name: "",
            organization: "",
        };
        let (common_name, organization) = (self.common_name.fill(&subject), self.organization.fill(&subject));
        let parts = NameParts { common_name: &common_name, organization: &organization, ..subject };
        let (friendly_name, file_name) = (self.friendly_name.fill(&parts), self.file_name.fill(&parts).replace(' ', "_"));
        Names { common_name, organization, friendly_name, file_name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_cannot_be_filled_is_refused_in_words() {
        for (text, says) in [
            ("client{n", "no matching"),
            ("client{m}", "'{m}' is not one of {n}"),
            ("{commonName}", "not one of"),
            ("", "half-width"),
            ("受付{n}", "half-width"),
            ("a/b", "half-width"),
            (" a", "half-width"),
        ] {
            let wrong = NameTemplate::parse(text, &SUBJECT_PLACEHOLDERS).unwrap_err();
            assert!(wrong.contains(says), "{text}: {wrong}");
        }
    }

    #[test]
    fn names_are_those_that_the_old_console_gave() {
        let read = |text| NameTemplate::parse(text, &FILE_PLACEHOLDERS).unwrap();
        let (tenant, clinic, slug) = ("00000126".parse().unwrap(), "sakura".parse().unwrap(), "sakura".parse().unwrap());
        let parts = |label, number| NameParts {
            n: 1210,
            tenant: &tenant,
            clinic: &clinic,
            slug: &slug,
            number,
            label,
            common_name: "client1210",
            organization: "u00000126",
        };
        let file = read("{number}_JP_{organization}_client{n}.p12");
        assert_eq!(file.fill(&parts(None, None)), "001210_JP_u00000126_client1210.p12");
        let number = "1312345678".parse().unwrap();
        assert_eq!(file.fill(&parts(None, Some(&number))), "1312345678_JP_u00000126_client1210.p12");
        assert_eq!(read("CLINICS-{label}-{commonName}").fill(&parts(Some("EAST2"), None)), "CLINICS-EAST2-client1210");
        assert_eq!(read("{label}").fill(&parts(None, None)), "sakura");
    }
}
