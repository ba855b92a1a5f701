//! A server reached by SFTP, known by the one host key that policy pins.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64;
use ssh2::{ErrorCode, File, MethodType, OpenFlags, OpenType, Session};
use tegata_core::backup::Trouble;

use super::{Access, OBJECT_MAX, ObjectName, Target, TargetError};

// Of libssh2.h and libssh2_sftp.h.
const ERROR_SOCKET_SEND: i32 = -7;
const ERROR_TIMEOUT: i32 = -9;
const ERROR_SOCKET_DISCONNECT: i32 = -13;
const ERROR_FILE: i32 = -16;
const ERROR_AUTHENTICATION_FAILED: i32 = -18;
const ERROR_PUBLICKEY_UNVERIFIED: i32 = -19;
const ERROR_SOCKET_RECV: i32 = -43;
const FX_NO_SUCH_FILE: i32 = 2;
const FX_PERMISSION_DENIED: i32 = 3;
const FX_OP_UNSUPPORTED: i32 = 8;
const FX_FAILURE: i32 = 4;
const FX_NO_SUCH_PATH: i32 = 10;
const FX_NO_SPACE: i32 = 14;
const FX_QUOTA_EXCEEDED: i32 = 15;

/// A session that has proven both ends to each other.
pub(super) struct Sftp {
    sftp: ssh2::Sftp,
    root: PathBuf,
    /// `host:port`, for messages.
    shown: String,
}

impl Sftp {
    /// Connects, compares the host key before anything is sent, and signs in.
    pub(super) fn connect((host, port): (&str, u16), user: &str, host_key: &str, root: &str, access: &Access) -> Result<Self, TargetError> {
        let shown = format!("{host}:{port}");
        let key =
            access.key.as_ref().ok_or_else(|| TargetError::new(Trouble::NoCredentials, "the server was started without --backup-key"))?;
        if !key.is_file() {
            return Err(TargetError::new(Trouble::NoCredentials, format!("{} is not there", key.display())));
        }
        let mut session = Session::new().map_err(|error| failed("beginning an SSH session".into(), error))?;
        session.set_timeout(u32::try_from(access.patience.as_millis()).unwrap_or(u32::MAX));
        session.set_tcp_stream(dial(host, port, access.patience)?);
        let (algorithm, pinned) = host_key.split_once(' ').unwrap_or_default();
        prefer(&session, algorithm).and_then(|()| session.handshake()).map_err(|error| failed(format!("greeting {shown}"), error))?;
        let is_pinned = session.host_key().is_some_and(|(shown, _)| BASE64.encode(shown) == pinned);
        if !is_pinned {
            return Err(TargetError::new(
                Trouble::WrongHostKey,
                format!("{shown} shows another host key than policy pins; nothing was sent to it"),
            ));
        }
        session.userauth_pubkey_file(user, None, key, None).map_err(|error| failed(format!("signing in to {shown} as {user}"), error))?;
        let sftp = session.sftp().map_err(|error| failed(format!("asking {shown} for SFTP"), error))?;
        let root = PathBuf::from(root);
        match sftp.stat(&root) {
            Ok(found) if found.is_dir() => Ok(Self { sftp, root, shown }),
            Ok(_) => Err(TargetError::new(Trouble::Unreachable, format!("{} on {shown} is not a folder", root.display()))),
            Err(error) => {
                let error = failed(format!("looking for {} on {shown}", root.display()), error);
                // A folder that is made would hide that a disk is not mounted.
                Err(if error.trouble == Trouble::Missing { TargetError { trouble: Trouble::Unreachable, ..error } } else { error })
            }
        }
    }

    fn folder(&self, name: &ObjectName) -> PathBuf {
        name.folders().iter().fold(self.root.clone(), |path, folder| path.join(folder))
    }

    fn make_folder(&self, name: &ObjectName) -> Result<PathBuf, ssh2::Error> {
        let mut path = self.root.clone();
        for folder in name.folders() {
            path.push(folder);
            let made = self.sftp.mkdir(&path, 0o700);
            // SFTP 3 has no code for "it is there already" (draft-ietf-secsh-filexfer-02, section 7).
            if made.is_err() && !self.sftp.stat(&path).is_ok_and(|found| found.is_dir()) {
                return made.map(|()| path);
            }
        }
        Ok(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), TargetError> {
        let doing = || format!("writing {} on {}", path.display(), self.shown);
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let mut file = self.sftp.open_mode(path, flags, 0o600, OpenType::File).map_err(|error| not_taken(doing(), error))?;
        file.write_all(bytes).map_err(|error| self.interrupted(doing(), error))?;
        match file.fsync() {
            // Not every server can be asked for it; what is there is read back in any case.
            Err(error) if error.code() == ErrorCode::SFTP(FX_OP_UNSUPPORTED) => {}
            other => other.map_err(|error| not_taken(doing(), error))?,
        }
        file.close().map_err(|error| not_taken(doing(), error))
    }

    /// A write that failed: is it the connection, or does a server that answers take no more?
    fn interrupted(&self, doing: String, error: io::Error) -> TargetError {
        let trouble = match error.kind() {
            io::ErrorKind::TimedOut => Trouble::Slow,
            _ if self.sftp.stat(&self.root).is_ok() => Trouble::Full,
            _ => Trouble::Unreachable,
        };
        TargetError::because(trouble, doing, error)
    }

    fn remove_if_there(&self, path: &Path) -> Result<(), TargetError> {
        match self.sftp.unlink(path).map_err(|error| failed(format!("removing {} on {}", path.display(), self.shown), error)) {
            Err(error) if error.trouble == Trouble::Missing => Ok(()),
            other => other,
        }
    }
}

impl Target for Sftp {
    /// SFTP 3 renames nothing over something: what was there goes first, and a crash in between is found as missing and put again.
    fn put(&mut self, name: &ObjectName, bytes: &[u8]) -> Result<(), TargetError> {
        let doing = || format!("putting {} on {}", name.file(), self.shown);
        let folder = self.make_folder(name).map_err(|error| not_taken(doing(), error))?;
        let (unfinished, whole) = (folder.join(name.unfinished()), folder.join(name.file()));
        if let Err(error) = self.write(&unfinished, bytes) {
            let _ = self.sftp.unlink(&unfinished);
            return Err(error);
        }
        self.remove_if_there(&whole)?;
        self.sftp.rename(&unfinished, &whole, None).map_err(|error| failed(doing(), error))
    }

    fn get(&mut self, name: &ObjectName) -> Result<Vec<u8>, TargetError> {
        let path = self.folder(name).join(name.file());
        let doing = || format!("reading {} on {}", path.display(), self.shown);
        let file: File = self.sftp.open(&path).map_err(|error| failed(doing(), error))?;
        let mut bytes = Vec::new();
        let read = file.take(OBJECT_MAX as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| {
            let trouble = if error.kind() == io::ErrorKind::TimedOut { Trouble::Slow } else { Trouble::Broken };
            TargetError::because(trouble, doing(), error)
        })?;
        Ok(bytes)
    }

    fn remove(&mut self, name: &ObjectName) -> Result<(), TargetError> {
        let folder = self.folder(name);
        self.remove_if_there(&folder.join(name.unfinished()))?;
        self.remove_if_there(&folder.join(name.file()))
    }
}

fn dial(host: &str, port: u16, patience: Duration) -> Result<TcpStream, TargetError> {
    let doing = || format!("connecting to {host}:{port}");
    let unreachable = |error| TargetError::because(Trouble::Unreachable, doing(), error);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs().map_err(unreachable)? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(unreachable(last))
}

/// Asks for the kind of key that is pinned first, so that a server with several shows that one.
fn prefer(session: &Session, algorithm: &str) -> Result<(), ssh2::Error> {
    let known = session.supported_algs(MethodType::HostKey)?;
    // An RSA key signs under newer names (RFC 8332).
    let is_pinned = |name: &&&str| **name == algorithm || (algorithm == "ssh-rsa" && name.starts_with("rsa-sha2-"));
    let (first, rest): (Vec<&str>, Vec<&str>) = known.iter().partition(|name| is_pinned(name));
    session.method_pref(MethodType::HostKey, &[first, rest].concat().join(","))
}

/// Something that is to be written and is not: OpenSSH calls a full disk a mere failure.
fn not_taken(doing: String, error: ssh2::Error) -> TargetError {
    let is_full = error.code() == ErrorCode::SFTP(FX_FAILURE);
    let error = failed(doing, error);
    if is_full { TargetError { trouble: Trouble::Full, ..error } } else { error }
}

fn failed(doing: String, error: ssh2::Error) -> TargetError {
    let trouble = match error.code() {
        ErrorCode::Session(ERROR_TIMEOUT) => Trouble::Slow,
        ErrorCode::Session(ERROR_SOCKET_SEND | ERROR_SOCKET_DISCONNECT | ERROR_SOCKET_RECV) => Trouble::Unreachable,
        ErrorCode::Session(ERROR_FILE) => Trouble::NoCredentials,
        ErrorCode::Session(ERROR_AUTHENTICATION_FAILED | ERROR_PUBLICKEY_UNVERIFIED) => Trouble::SignIn,
        ErrorCode::SFTP(FX_NO_SUCH_FILE | FX_NO_SUCH_PATH) => Trouble::Missing,
        ErrorCode::SFTP(FX_PERMISSION_DENIED) => Trouble::Forbidden,
        ErrorCode::SFTP(FX_NO_SPACE | FX_QUOTA_EXCEEDED) => Trouble::Full,
        ErrorCode::Session(_) | ErrorCode::SFTP(_) => Trouble::Broken,
    };
    TargetError::because(trouble, doing, error)
}
