//! What a vendor calls its files.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use crate::policy::ClinicNetwork;

/// What files of a vendor are called: plain text and placeholders, such as `{digits}_JP_{tenant}_client{n}.p12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNamePattern {
    text: String,
    parts: Vec<Part>,
}

/// Why a text is not a pattern for file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNameError {
    /// What is wrong, in one sentence.
    pub problem: String,
}

/// The placeholders that a pattern may hold. `digits` and `n` stand for one digit or more, the others for what the clinic's document says;
/// where it says nothing, for letters and digits.
pub const FILE_NAME_PLACEHOLDERS: [&str; 4] = ["digits", "n", "tenant", "institutionNumber"];

/// The longest pattern, in bytes: what file systems allow for a name.
const LENGTH_MAX: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Plain(String),
    Digits,
    Tenant,
    InstitutionNumber,
}

impl FileNamePattern {
    /// Reads a pattern: a file name that ends in `.p12` or `.pfx`, with placeholders from [`FILE_NAME_PLACEHOLDERS`].
    pub fn parse(text: &str) -> Result<Self, FileNameError> {
        let wrong = |problem: String| Err(FileNameError { problem });
        if text.len() > LENGTH_MAX {
            return wrong(format!("it has more than {LENGTH_MAX} bytes"));
        }
        if text.chars().any(|character| character.is_control() || matches!(character, '/' | '\\')) {
            return wrong("it is to be a name without folders".into());
        }
        if !matches!(text.rsplit_once('.'), Some((name, "p12" | "pfx")) if !name.is_empty()) {
            return wrong("it must end in .p12 or .pfx".into());
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((plain, after)) = rest.split_once('{') {
            let Some((name, tail)) = after.split_once('}') else { return wrong("a '{' has no matching '}'".into()) };
            parts.extend((!plain.is_empty()).then(|| Part::Plain(plain.to_owned())));
            parts.push(match name {
                "digits" | "n" => Part::Digits,
                "tenant" => Part::Tenant,
                "institutionNumber" => Part::InstitutionNumber,
                _ => return wrong(format!("'{{{name}}}' is not one of {{{}}}", FILE_NAME_PLACEHOLDERS.join("}, {"))),
            });
            rest = tail;
        }
        parts.push(Part::Plain(rest.to_owned()));
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name that the vendor gave a file which is called `name` now, if it fits. The number that browsers add to a second download,
    /// `client_cert (1).pfx`, is taken off.
    pub fn original<'a>(&self, name: &'a str, clinic: &ClinicNetwork) -> Option<Cow<'a, str>> {
        if self.fits(name, clinic) {
            return Some(Cow::Borrowed(name));
        }
        without_counter(name).filter(|first| self.fits(first, clinic)).map(Cow::Owned)
    }

    /// Follows the name from its start through every part, keeping all places where a part may have ended.
    fn fits(&self, name: &str, clinic: &ClinicNetwork) -> bool {
        let mut places = BTreeSet::from([0]);
        for part in &self.parts {
            let ends = places.iter().flat_map(|from| part.ends(name.get(*from..).unwrap_or_default(), clinic).map(move |to| from + to));
            places = ends.collect();
        }
        places.contains(&name.len())
    }
}

impl fmt::Display for FileNamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Part {
    /// Where this part may end, in bytes, if it begins where `rest` does.
    fn ends(&self, rest: &str, clinic: &ClinicNetwork) -> impl Iterator<Item = usize> {
        let (exact, accepts): (Option<&str>, fn(&u8) -> bool) = match self {
            Self::Plain(text) => (Some(text), u8::is_ascii_digit),
            Self::Digits => (None, u8::is_ascii_digit),
            Self::Tenant => (clinic.vendor_tenant.as_ref().map(|tenant| tenant.as_str()), u8::is_ascii_alphanumeric),
            Self::InstitutionNumber => (clinic.institution_number.as_ref().map(|number| number.as_str()), u8::is_ascii_digit),
        };
        let ends = match exact {
            Some(text) => rest.starts_with(text).then_some(text.len()..=text.len()),
            None => Some(1..=rest.bytes().take_while(accepts).count()),
        };
        ends.into_iter().flatten()
    }
}

/// The name without ` (1)` or `(1)` before its ending.
fn without_counter(name: &str) -> Option<String> {
    let (stem, ending) = name.rsplit_once('.')?;
    let (first, number) = stem.strip_suffix(')')?.rsplit_once('(')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| format!("{}.{ending}", first.strip_suffix(' ').unwrap_or(first)))
}
