//! A machine that stands behind another one: a channel of the session with the nearer one (`direct-tcpip`, RFC 4254, section 7.2)
//! becomes the line to the farther one.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use ssh2::Channel;

use crate::{Address, Session, SshError, Trouble};

/// How long an idle line is left alone, at most.
const NAP_MAX: Duration = Duration::from_millis(20);

/// Opens a line to `far` through `near`. It ends when the stream is dropped, or either machine goes.
pub(crate) fn open(near: Session, far: &Address) -> Result<UnixStream, SshError> {
    let doing = || format!("connecting to {far} through {}", near.place());
    let channel = near.inner().channel_direct_tcpip(&far.host, far.port, None);
    // The nearer machine says only that it could not, not why.
    let channel = channel.map_err(|error| SshError::because(Trouble::Unreachable, doing(), error))?;
    let pair = UnixStream::pair().and_then(|(ours, theirs)| theirs.set_nonblocking(true).map(|()| (ours, theirs)));
    let (ours, theirs) = pair.map_err(|error| SshError::io(doing(), error))?;
    near.inner().set_blocking(false);
    thread::spawn(move || {
        // Whoever uses the other end of the stream sees it closed; that says all there is to say.
        let _ = pump(channel, theirs);
        near.inner().set_blocking(true);
    });
    Ok(ours)
}

/// Carries bytes both ways. A session can do one thing at a time, so nobody may block in it.
fn pump(mut channel: Channel, mut stream: UnixStream) -> io::Result<()> {
    let mut nap = Duration::from_millis(1);
    loop {
        let moved = carry(&mut channel, &mut stream)? | carry(&mut stream, &mut channel)?;
        nap = if moved { Duration::from_millis(1) } else { (nap * 2).min(NAP_MAX) };
        if !moved {
            thread::sleep(nap);
        }
    }
}

/// Moves what is there; true if there was something.
fn carry(from: &mut impl Read, to: &mut impl Write) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    let count = match from.read(&mut buffer) {
        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
        read => read?,
    };
    let mut rest = &buffer[..count];
    while !rest.is_empty() {
        match to.write(rest) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(1)),
            written => rest = &rest[written?..],
        }
    }
    Ok(true)
}
