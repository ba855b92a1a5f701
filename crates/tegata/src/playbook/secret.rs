//! Where secrets come from: never from the command line, which every user of the machine can read.

use std::path::PathBuf;
use std::str::FromStr;
use std::{env, fs};

use zeroize::Zeroizing;

use crate::failure::Failure;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A variable of the environment.
    Environment(String),
    /// A file, without the line break at its end.
    File(PathBuf),
    /// Whoever sits at the terminal.
    Prompt,
}

impl FromStr for Source {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "prompt" => Ok(Self::Prompt),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            // What was written may be the secret itself, and is not repeated.
            _ => Err("write prompt, env:VARIABLE or file:PATH; a secret itself does not belong on a command line"),
        }
    }
}

impl Source {
    /// Reads it; `what` is for whoever is asked.
    pub fn read(&self, what: &str) -> Result<Zeroizing<String>, Failure> {
        match self {
            Self::Environment(name) => env::var(name).map(Zeroizing::new).map_err(|_| Failure::NoSecret { name: name.clone() }),
            Self::File(path) => {
                let text = fs::read_to_string(path).map(Zeroizing::new);
                let text = text.map_err(|source| Failure::Read { path: path.clone(), source })?;
                Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
            Self::Prompt => rpassword::prompt_password(format!("{what}: ")).map(Zeroizing::new).map_err(Failure::Terminal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_a_source_and_is_none_itself() {
        assert_eq!("prompt".parse(), Ok(Source::Prompt));
        assert_eq!("env:P12".parse(), Ok(Source::Environment("P12".into())));
        assert_eq!("file:/run/p12".parse(), Ok(Source::File("/run/p12".into())));
        for text in ["", "hunter2", "env:", "file:", "prompt:"] {
            let refused = text.parse::<Source>().unwrap_err();
            assert!(!refused.contains("hunter2"));
        }
    }
}
