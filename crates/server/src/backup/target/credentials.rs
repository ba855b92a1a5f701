//! Keys to buckets, in the file that Amazon's own tools read: sections, and a line for each half of a key.
//!
//! ```text
//! [default]
//! aws_access_key_id = AKIA…
//! aws_secret_access_key = …
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 64 * 1024;

/// What a bucket is opened with.
pub(super) struct Credentials {
    pub id: String,
    pub secret: Zeroizing<String>,
    /// Beside keys that last for hours.
    pub token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// Reads a section of a file; `None` if there is no such section, or it lacks a half.
    pub(super) fn read(path: &Path, section: &str) -> io::Result<Option<Self>> {
        let mut text = Zeroizing::new(String::new());
        File::open(path)?.take(FILE_MAX).read_to_string(&mut text)?;
        Ok(Self::parse(&text, section))
    }

    fn parse(text: &str, section: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
        let own = lines.skip_while(|line| named(line) != Some(section)).skip(1).take_while(|line| named(line).is_none());
        let pairs: Vec<(&str, &str)> = own.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim(), value.trim())).collect();
        let value = |wanted: &str| pairs.iter().find(|(key, value)| *key == wanted && !value.is_empty()).map(|(_, value)| *value);
        Some(Self {
            id: value("aws_access_key_id")?.to_owned(),
            secret: Zeroizing::new(value("aws_secret_access_key")?.to_owned()),
            token: value("aws_session_token").map(|token| Zeroizing::new(token.to_owned())),
        })
    }
}

/// The name of a section, if this line begins one.
fn named(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_section_has_its_own_key_and_half_a_key_is_none() {
        let text = "# ours\n[default]\naws_access_key_id=A\naws_secret_access_key = b=c/d+\n\n[ far ]\n aws_access_key_id = F \n\
                    aws_secret_access_key=g\naws_session_token=t\n[half]\naws_access_key_id=H\naws_secret_access_key=\n";
        let read = |section| Credentials::parse(text, section).map(|read| (read.id, read.secret.to_string(), read.token.is_some()));
        assert_eq!(read("default"), Some(("A".into(), "b=c/d+".into(), false)));
        assert_eq!(read("far"), Some(("F".into(), "g".into(), true)));
        assert_eq!((read("half"), read("nowhere"), read("")), (None, None, None));
    }
}
