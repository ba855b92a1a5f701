//! Where answers go: a table for people, the wire's own JSON or YAML for programs.

use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use clap::ValueEnum;
use jiff::tz::TimeZone;
use serde::Serialize;
use tegata_core::time::Timestamp;

use crate::cli::Global;
use crate::failure::Failure;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// As it came from the server
    Json,
    /// The same in YAML
    Yaml,
}

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How things look to the person in front of the terminal.
pub struct Look {
    /// Whether to colour.
    pub color: bool,
    /// What "in 5 min" is counted from.
    pub now: Timestamp,
    /// The clock on the wall.
    pub zone: TimeZone,
}

/// Shows an answer in the format that was asked for; only a table is made when a table is wanted.
pub fn show<T: Serialize>(global: &Global, answer: &T, table: impl FnOnce(&Look) -> String) -> Result<(), Failure> {
    match global.output {
        Format::Table => print(&table(&look(global))),
        Format::Json => print(&json(answer)?),
        Format::Yaml => print(&yaml(answer)?),
    }
}

/// Says in a sentence what was done.
pub fn confirm(global: &Global, sentence: &str) -> Result<(), Failure> {
    show(global, &serde_json::json!({ "message": sentence }), |_| sentence.to_owned())
}

/// Writes to standard output. A reader that has gone away, such as `head`, is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.trim_end_matches('\n').as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Write(error)),
        _ => Ok(()),
    }
}

/// The answer as JSON.
pub fn json<T: Serialize>(answer: &T) -> Result<String, Failure> {
    serde_json::to_string_pretty(answer).map_err(|error| Failure::Format { format: "JSON", problem: error.to_string() })
}

/// The answer as YAML, with a line break at its end.
pub fn yaml<T: Serialize>(answer: &T) -> Result<String, Failure> {
    serde_yaml::to_string(answer).map_err(|error| Failure::Format { format: "YAML", problem: error.to_string() })
}

/// The time now.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// How things look here.
pub fn look(global: &Global) -> Look {
    let wanted = || io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let color = match global.color {
        ColorChoice::Auto => wanted(),
        ColorChoice::Always => true,
        ColorChoice::Never => false,
    };
    Look { color, now: now(), zone: TimeZone::system() }
}

/// A look that is the same on every machine.
#[cfg(test)]
pub fn test_look() -> Look {
    Look { color: false, now: Timestamp::from_unix(1_795_000_000), zone: TimeZone::get("Asia/Tokyo").expect("the time zones are built in") }
}
