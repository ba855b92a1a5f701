//! Programs of macOS that the browsers' preferences and processes are asked with. A port: tests stand in for them.

use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::command::{self, CommandError};

/// Reads and writes preferences in such a way that everybody who reads them hears of it (Apple, `man defaults`).
pub(super) const DEFAULTS: &str = "/usr/bin/defaults";
/// Sets one variable for another program.
const ENV: &str = "/usr/bin/env";

/// Runs programs.
pub(super) trait Tools {
    /// Runs one with exactly these arguments and nothing to read, and gives what it wrote. A failure is its exit code.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Vec<u8>, CommandError>;
}

/// Really runs them.
pub(super) struct Real;

impl Tools for Real {
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Vec<u8>, CommandError> {
        command::run_now(Path::new(program), arguments, b"")
    }
}

/// When a process started, in seconds since 1970, and the path of its program; `None` if there is none.
pub(super) fn process(tools: &dyn Tools, number: u32) -> Option<(u64, String)> {
    let number = number.to_string();
    // Without a time zone of its own, a process would seem to have started at another time when the clock goes over to summer.
    let said = tools.run(ENV, &["TZ=UTC0", "/bin/ps", "-p", &number, "-o", "lstart=", "-o", "comm="]).ok()?;
    let line = String::from_utf8_lossy(&said);
    let words: Vec<&str> = line.split_whitespace().collect();
    let (date, program) = words.split_at_checked(5)?;
    let started = DateTime::strptime("%a %b %d %H:%M:%S %Y", date.join(" ")).ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some((started.timestamp().as_second().try_into().ok()?, program.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(&'static str);

    impl Tools for Says {
        fn run(&self, program: &str, arguments: &[&str]) -> Result<Vec<u8>, CommandError> {
            assert_eq!(program, "/usr/bin/env");
            assert_eq!(arguments, ["TZ=UTC0", "/bin/ps", "-p", "311", "-o", "lstart=", "-o", "comm="]);
            Ok(self.0.as_bytes().to_vec())
        }
    }

    #[test]
    fn what_ps_says_of_a_process_is_read() {
        let chrome = "Fri Nov  7 04:05:06 2025     /Applications/Google Chrome.app/Contents/MacOS/Google Chrome\n";
        let expected = Some((1_762_488_306, "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome".to_owned()));
        assert_eq!(process(&Says(chrome), 311), expected);
        for nothing in ["", "\n", "Fri Nov  7", "Fri Foo  7 04:05:06 2025 x"] {
            assert_eq!(process(&Says(nothing), 311), None, "{nothing}");
        }
    }

    /// Other systems have the same program.
    #[test]
    fn a_real_process_started_just_now_and_is_gone_when_it_has_ended() {
        let mut child = std::process::Command::new(command::find("sleep").unwrap()).arg("1000").spawn().unwrap();
        let (started, program) = process(&Real, child.id()).unwrap();
        assert!(crate::wall_clock().abs_diff(i64::try_from(started).unwrap()) < 60);
        assert!(program.ends_with("sleep"), "{program}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(process(&Real, child.id()), None);
    }
}
