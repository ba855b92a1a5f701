//! A session that has proven both ends to each other.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use ssh2::{Channel, ExtendedData};

use crate::greet::milliseconds;
use crate::{Address, Files, SshError};

/// The most that a command may print, in bytes; what it prints beyond is not kept.
const OUTPUT_MAX: usize = 1 << 20;
/// What is written at once, in bytes.
const PIECE: usize = 32 << 10;
/// How long a line that failed is waited for to close.
const GOODBYE: Duration = Duration::from_millis(500);

/// A session that has proven both ends to each other.
pub struct Session {
    inner: ssh2::Session,
    place: Address,
    patience: Duration,
}

/// What a command printed, on both its streams, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it printed.
    pub printed: Vec<u8>,
}

impl Session {
    pub(crate) fn new(inner: ssh2::Session, place: Address, patience: Duration) -> Self {
        Self { inner, place, patience }
    }

    pub(crate) fn inner(&self) -> &ssh2::Session {
        &self.inner
    }

    pub(crate) fn place(&self) -> &Address {
        &self.place
    }

    /// Asks for SFTP.
    ///
    /// # Errors
    /// [`SshError`], if it has none.
    pub fn files(self) -> Result<Files, SshError> {
        let sftp = self.inner.sftp().map_err(|error| SshError::ssh(format!("asking {} for SFTP", self.place), error))?;
        Ok(Files::new(sftp, self.place))
    }

    /// Runs a command, hands it `input`, piece by piece, and waits for its end, at most `within`.
    ///
    /// # Errors
    /// [`crate::Trouble::Slow`] if it does not end in time, [`crate::Trouble::Unreachable`] if the line breaks. A command that fails is no error.
    pub fn run(&self, command: &str, input: &[&[u8]], within: Duration) -> Result<Output, SshError> {
        let deadline = Instant::now() + within;
        let ended = self.run_until(command, input, deadline);
        self.inner.set_timeout(milliseconds(if ended.is_ok() { self.patience } else { GOODBYE }));
        ended
    }

    fn run_until(&self, command: &str, input: &[&[u8]], deadline: Instant) -> Result<Output, SshError> {
        let doing = || format!("running a command on {}", self.place);
        let ssh = |error| SshError::ssh(doing(), error);
        let mut channel = self.inner.channel_session().map_err(ssh)?;
        channel.handle_extended_data(ExtendedData::Merge).map_err(ssh)?;
        channel.exec(command).map_err(ssh)?;
        let output = self.talk(&mut channel, input, deadline);
        if output.is_err() {
            // The channel is closed when it is dropped: whoever did not answer will not now.
            self.inner.set_timeout(milliseconds(GOODBYE));
        }
        output
    }

    fn talk(&self, channel: &mut Channel, input: &[&[u8]], deadline: Instant) -> Result<Output, SshError> {
        let doing = || format!("running a command on {}", self.place);
        let ssh = |error| SshError::ssh(doing(), error);
        let written = self.write(channel, input, deadline).and_then(|()| Ok(channel.send_eof()?));
        let printed = self.read(channel, deadline);
        // A command may end before it has read everything, and then says why: its word counts, unless there is none.
        let printed = printed.and_then(|printed| if printed.is_empty() { written.map(|()| printed) } else { Ok(printed) });
        let printed = printed.map_err(|error| SshError::io(doing(), error))?;
        channel.wait_close().map_err(ssh)?;
        let was_killed = channel.exit_signal().is_ok_and(|signal| signal.exit_signal.is_some());
        let status = if was_killed { None } else { Some(channel.exit_status().map_err(ssh)?) };
        Ok(Output { status, printed })
    }

    fn write(&self, channel: &mut Channel, input: &[&[u8]], deadline: Instant) -> io::Result<()> {
        for piece in input.iter().flat_map(|part| part.chunks(PIECE)) {
            self.hurry(deadline)?;
            channel.write_all(piece)?;
        }
        channel.flush()
    }

    fn read(&self, channel: &mut Channel, deadline: Instant) -> io::Result<Vec<u8>> {
        let (mut printed, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            self.hurry(deadline)?;
            let count = channel.read(&mut buffer)?;
            if count == 0 {
                return Ok(printed);
            }
            let room = OUTPUT_MAX - printed.len();
            printed.extend_from_slice(&buffer[..count.min(room)]);
        }
    }

    /// Lets the next call take no longer than until the deadline.
    fn hurry(&self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.inner.set_timeout(milliseconds(left));
        Ok(())
    }
}

impl Output {
    /// What it printed, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.printed).into_owned()
    }
}
