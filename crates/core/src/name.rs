//! Names that were checked once, at the door. After it nothing is a bare string.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not the name it was offered as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    /// What the text should have been, such as "a clinic name".
    pub expected: &'static str,
    /// The rule that it breaks, in words that complete "… must be".
    pub rule: &'static str,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.expected, self.rule)
    }
}

impl std::error::Error for NameError {}

/// A DNS label (RFC 1123, section 2.1): what Kubernetes accepts as a name too.
const LABEL_RULE: &str = "1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit";

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Declares a checked text: its type, what it is called, its rule in words, and the rule itself.
///
/// The text is shared, not copied, by `clone`: a plan names each slot several times.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $rule:expr, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Gives the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) { Ok(Self(text.into())) } else { Err(NameError { expected: $expected, rule: $rule }) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

checked_text!(/// A closed group of clinics: nothing in one tenant can see another. `metadata.namespace` of a document.
    TenantName, "a tenant name", LABEL_RULE, is_label);
checked_text!(/// One `ClinicNetwork` inside its tenant.
    ClinicName, "a clinic name", LABEL_RULE, is_label);
checked_text!(/// One PC or server inside its clinic.
    DeviceName, "a device name", LABEL_RULE, is_label);
checked_text!(/// A staff account under which certificates are issued.
    AccountName, "an account name", LABEL_RULE, is_label);
checked_text!(/// One `CertificateProfile`.
    ProfileName, "a profile name", LABEL_RULE, is_label);
checked_text!(/// One `Issuer`.
    IssuerName, "an issuer name", LABEL_RULE, is_label);
checked_text!(/// One `BackupTarget`.
    TargetName, "a backup target name", LABEL_RULE, is_label);
checked_text!(/// One `AccessBinding`.
    BindingName, "a binding name", LABEL_RULE, is_label);
checked_text!(/// One OpenID provider by which people sign in.
    ProviderName, "a provider name", LABEL_RULE, is_label);
checked_text!(/// What the holder of a token is called.
    TokenName, "a token name", LABEL_RULE, is_label);
checked_text!(/// The ten digits of a Japanese medical institution.
    InstitutionNumber, "an institution number", "exactly 10 digits", |text| text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit()));
checked_text!(/// The facility label that certificates carry: half-width letters and digits only.
    FacilitySlug, "a facility slug", "1 to 32 half-width letters or digits", |text| (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
checked_text!(/// Text for people: a clinic's name, a place memo. Any script, one line.
    Label, "readable text", "1 to 64 characters on one line, without control or direction-changing characters", is_readable);
checked_text!(/// A mail address, as far as a program can tell without sending to it.
    Mail, "a mail address", "of the form name@domain, at most 254 characters without blanks", is_mail);
checked_text!(/// Folders below the user's home: names with `/` between, of which `*` stands for a part, and `**` at the end for all folders below.
    FolderPattern, "a folder", "1 to 8 names below the home with '/' between, such as Work/certificates; '**' only at the end", is_folder_pattern);

/// Refuses what could leave the home, or mean all of it.
fn is_folder_pattern(text: &str) -> bool {
    let names: Vec<&str> = text.split('/').collect();
    let is_name = |(index, name): (usize, &&str)| {
        let is_all_below = *name == "**" && index > 0 && index + 1 == names.len();
        let is_special = ["", ".", ".."].contains(name) || name.bytes().all(|byte| byte == b'*') || name.contains("**");
        is_all_below || !is_special && !name.chars().any(|c| is_deceptive(c) || ['\\', ':'].contains(&c))
    };
    names.len() <= 8 && names.iter().enumerate().all(is_name)
}

/// Accepts what can be shown on one line without surprises. 64 characters is the upper bound of a CN or O (RFC 5280, appendix A.1).
fn is_readable(text: &str) -> bool {
    (1..=64).contains(&text.chars().count()) && text.trim() == text && !text.chars().any(is_deceptive)
}

/// True for what breaks a line, or makes it look like another.
pub fn is_deceptive(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn is_mail(text: &str) -> bool {
    let clean = text.len() <= 254 && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';'));
    clean && text.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && domain.contains('.') && !domain.contains('@'))
}

/// A clinic and the tenant it belongs to. Written `tenant/clinic`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClinicId {
    /// The tenant.
    pub tenant: TenantName,
    /// The clinic inside it.
    pub clinic: ClinicName,
}

impl fmt::Display for ClinicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.clinic)
    }
}

/// A device and the clinic it stands in, inside one tenant. Written `clinic/device`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId {
    /// The clinic where the device stands.
    pub clinic: ClinicName,
    /// Its name there.
    pub device: DeviceName,
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.clinic, self.device)
    }
}

/// One place on one device where one certificate must live, inside one tenant.
///
/// Written `clinic/device/profile`; a guest device of a sister clinic is `clinic/device@home/profile`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    /// The clinic whose charts the certificate opens. Not always the one where the device stands.
    pub clinic: ClinicName,
    /// The device that holds it.
    pub device: DeviceId,
    /// The profile it is made by.
    pub profile: ProfileName,
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let home = if self.device.clinic == self.clinic { String::new() } else { format!("@{}", self.device.clinic) };
        f.pad(&format!("{}/{}{home}/{}", self.clinic, self.device.device, self.profile))
    }
}

/// What a path of names could not be read as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathError {
    /// The shape that was expected, such as `clinic/device`.
    pub shape: &'static str,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected the form {}", self.shape)
    }
}

impl std::error::Error for PathError {}

impl FromStr for ClinicId {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let wrong = PathError { shape: "tenant/clinic" };
        let (tenant, clinic) = text.split_once('/').ok_or(wrong.clone())?;
        Ok(Self { tenant: tenant.parse().map_err(|_| wrong.clone())?, clinic: clinic.parse().map_err(|_| wrong)? })
    }
}

impl FromStr for DeviceId {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let wrong = PathError { shape: "clinic/device" };
        let (clinic, device) = text.split_once('/').ok_or(wrong.clone())?;
        Ok(Self { clinic: clinic.parse().map_err(|_| wrong.clone())?, device: device.parse().map_err(|_| wrong)? })
    }
}

impl FromStr for SlotId {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let wrong = || PathError { shape: "clinic/device/profile or clinic/device@home/profile" };
        let mut parts = text.splitn(3, '/');
        let (clinic, device, profile) = (parts.next().ok_or_else(wrong)?, parts.next().ok_or_else(wrong)?, parts.next().ok_or_else(wrong)?);
        let (device, home) = device.split_once('@').unwrap_or((device, clinic));
        Ok(Self {
            clinic: clinic.parse().map_err(|_| wrong())?,
            device: DeviceId { clinic: home.parse().map_err(|_| wrong())?, device: device.parse().map_err(|_| wrong())? },
            profile: profile.parse().map_err(|_| wrong())?,
        })
    }
}

/// SHA-256 of a certificate's DER, or of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

/// SHA-1 of a certificate's DER, as older manuals publish it. Only ever compared with what policy pins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha1(pub [u8; 20]);

/// What a certificate is known by. For our own its serial number: 16 bytes, the first in 0x40–0x7f so that it is positive and of constant
/// length (RFC 5280, section 4.1.2.2). A vendor's numbers are short and start anew with every issuer, so its certificates are known by
/// [`Serial::of_vendor`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(pub [u8; 16]);

impl Serial {
    /// What a vendor's certificate is known by: the name of the order that it answers, with a first byte that none of our own begins with.
    pub fn of_vendor(order: OrderId) -> Self {
        let mut bytes = order.0;
        bytes[0] |= 0x80;
        Self(bytes)
    }
}

/// Names one decision to issue, before there is a certificate. 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub [u8; 16]);

/// One sealed backup: what its objects are called in every target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupId(pub [u8; 16]);

/// Gives fixed-size bytes one written form: lower-case hexadecimal.
macro_rules! written_in_hex {
    ($name:ident, $size:literal, $shape:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
                f.pad(&nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect::<String>())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = PathError;

            fn from_str(text: &str) -> Result<Self, PathError> {
                let wrong = || PathError { shape: $shape };
                if text.len() != 2 * $size || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(wrong());
                }
                let mut bytes = [0; $size];
                for (index, byte) in bytes.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
                }
                Ok(Self(bytes))
            }
        }
    };
}

written_in_hex!(Sha256, 32, "64 hexadecimal digits");
written_in_hex!(Sha1, 20, "40 hexadecimal digits");
written_in_hex!(Serial, 16, "32 hexadecimal digits");
written_in_hex!(OrderId, 16, "32 hexadecimal digits");
written_in_hex!(BackupId, 16, "32 hexadecimal digits");
