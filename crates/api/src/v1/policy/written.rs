//! Texts with a written form of their own. Patterns are for editors; what is accepted is decided where the text is read.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares a text and the pattern that editors check it by.
macro_rules! written {
    ($(#[$doc:meta])* $name:ident, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(#[schemars(regex(pattern = $pattern))] pub String);

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

written!(/// A name: 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit.
    Name, r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$");
written!(/// Text for people, in any script: 1 to 64 characters on one line.
    Text, r"^.{1,64}$");
written!(/// The ten digits of a Japanese medical institution, in quotes: `"1312345678"`.
    InstitutionNumber, r"^[0-9]{10}$");
written!(/// The facility label in certificates and host names: 1 to 32 half-width letters or digits.
    FacilitySlug, r"^[A-Za-z0-9]{1,32}$");
written!(/// A mail address.
    Mail, r"^[^@]+@[^@]+$");
written!(/// A span of time: a whole number and `min`, `h`, `d` or `y` (365 days), such as `90d`.
    Span, r"^[1-9][0-9]{0,5}(min|h|d|y)$");
written!(/// How long before expiry people are told: a span such as `30d`; `daily` at the end means every day after the one before it.
    Notice, r"^([1-9][0-9]{0,5}(min|h|d|y)|daily)$");
written!(/// The address of a site, `https://host` or `https://host:port/path`; `{facilitySlug}` and `{clinic}` are filled in for each clinic.
    Url, r"^https://.+$");
written!(/// The address of a program that is told: `https://host/path`; `http://` only in a private network.
    WebhookUrl, r"^https?://.+$");
written!(/// A device: its name, or `clinic/device` for a guest from a sister clinic.
    DeviceReference, r"^[a-z0-9-]+(/[a-z0-9-]+)?$");
written!(/// Opening hours of a day: `"09:00-18:00"`, or several with commas between: `"09:00-12:30, 15:00-18:00"`.
    OpenHours, r"^ *[0-9]{2}:[0-9]{2} *- *[0-9]{2}:[0-9]{2} *(, *[0-9]{2}:[0-9]{2} *- *[0-9]{2}:[0-9]{2} *)*$");
written!(/// Days on which the clinic is closed: `holidays` (Japanese public holidays), a date `2026-08-13`, or `2026-12-29/2027-01-03`.
    ClosedDays, r"^(holidays|[0-9]{4}-[0-9]{2}-[0-9]{2}(/[0-9]{4}-[0-9]{2}-[0-9]{2})?)$");
written!(/// A day, such as `2026-08-13`.
    Day, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$");
written!(/// A folder below the user's home: `Work/certificates`, `share/*/keys`, `Work/**`.
    FolderPattern, r"^[^/\\]+(/[^/\\]+){0,7}$");
written!(/// The SHA-256 of a file: 64 hexadecimal digits.
    FileDigest, r"^[0-9A-Fa-f]{64}$");
written!(/// The SHA-256 of a certificate's DER: 64 hexadecimal digits, with or without colons.
    Thumbprint, r"^[0-9A-Fa-f:]{64,95}$");
written!(/// The thumbprint of an authority: its SHA-1 as the vendor published it (40 hexadecimal digits) or its SHA-256 (64), with or without colons or blanks.
    Anchor, r"^[0-9A-Fa-f][0-9A-Fa-f: ]{38,93}[0-9A-Fa-f]$");
written!(/// What a vendor's file is called: a name that ends in `.p12` or `.pfx`, with `{digits}`, `{n}`, `{tenant}` and `{institutionNumber}` for what differs.
    FileName, r"^[^/\\]+\.(p12|pfx)$");
written!(/// The public half of an age X25519 key, `age1…`, as `age-keygen` prints it.
    AgeRecipient, r"^age1[02-9ac-hj-np-z]{58}$");
