//! Where the agent's log goes. `TEGATA_LOG` says how much is told, as in `TEGATA_LOG=debug`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::disk::{DiskError, failing};

/// A log that is longer than this at the start, in bytes, becomes the old one, and a new one begins.
const SIZE_MAX: u64 = 1 << 20;

/// Tells it on standard error.
pub(super) fn start(usual: &str) {
    tell(usual, io::stderr, io::stderr().is_terminal());
}

/// Tells it in a file, which never grows over many starts.
pub(super) fn start_in(path: &Path, usual: &str) -> Result<(), DiskError> {
    let file = open(path).map_err(failing("open", path))?;
    tell(usual, Mutex::new(file), false);
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|there| there.len() > SIZE_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn tell(usual: &str, writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static, with_colours: bool) {
    // Not an `EnvFilter`: it would bring an engine for regular expressions along.
    let asked = std::env::var("TEGATA_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = asked.or_else(|| usual.parse().ok()).unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer().with_ansi(with_colours).with_writer(writer);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_goes_on_until_it_is_long_and_then_one_old_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.log");
        open(&path).unwrap().write_all(b"first\n").unwrap();
        open(&path).unwrap().write_all(b"second\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\nsecond\n");
        fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        open(&path).unwrap().write_all(b"y").unwrap();
        open(&path).unwrap().write_all(b"new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(fs::metadata(folder.path().join("agent.log.1")).unwrap().len(), (1 << 20) + 1);
    }
}
