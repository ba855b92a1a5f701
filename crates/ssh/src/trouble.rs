//! What can be wrong between here and there: a closed list.

use std::error::Error;
use std::io;

use ssh2::ErrorCode;

// Of libssh2.h and libssh2_sftp.h.
const ERROR_SOCKET_SEND: i32 = -7;
const ERROR_TIMEOUT: i32 = -9;
const ERROR_SOCKET_DISCONNECT: i32 = -13;
const ERROR_FILE: i32 = -16;
const ERROR_AUTHENTICATION_FAILED: i32 = -18;
const ERROR_PUBLICKEY_UNVERIFIED: i32 = -19;
const ERROR_SOCKET_TIMEOUT: i32 = -30;
const ERROR_AGENT_PROTOCOL: i32 = -42;
const ERROR_SOCKET_RECV: i32 = -43;
const FX_NO_SUCH_FILE: i32 = 2;
const FX_PERMISSION_DENIED: i32 = 3;
const FX_FAILURE: i32 = 4;
pub(crate) const FX_OP_UNSUPPORTED: i32 = 8;
const FX_NO_SUCH_PATH: i32 = 10;
const FX_NO_SPACE: i32 = 14;
const FX_QUOTA_EXCEEDED: i32 = 15;

/// In one word, why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody is there, or the line broke.
    Unreachable,
    /// There is no answer in time.
    Slow,
    /// It shows another key than the one that is expected of it.
    WrongHostKey,
    /// There is nothing to sign in with.
    NoCredentials,
    /// It does not let us in.
    SignIn,
    /// It does not let us do that.
    Forbidden,
    /// It takes no more.
    Full,
    /// There is no such file.
    Missing,
    /// Something else.
    Broken,
}

/// Something that was not done.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct SshError {
    /// In one word.
    pub trouble: Trouble,
    /// What was being done, or what is wrong.
    pub doing: String,
    /// What happened.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl SshError {
    /// With nothing but words.
    pub fn new(trouble: Trouble, doing: impl Into<String>) -> Self {
        Self { trouble, doing: doing.into(), source: None }
    }

    pub(crate) fn because(trouble: Trouble, doing: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Self {
        Self { trouble, doing: doing.into(), source: Some(Box::new(source)) }
    }

    pub(crate) fn ssh(doing: impl Into<String>, error: ssh2::Error) -> Self {
        Self::because(trouble(&error), doing, error)
    }

    /// Something that is to be written and is not: OpenSSH calls a full disk a mere failure.
    pub(crate) fn not_taken(doing: impl Into<String>, error: ssh2::Error) -> Self {
        let is_full = error.code() == ErrorCode::SFTP(FX_FAILURE);
        Self::because(if is_full { Trouble::Full } else { trouble(&error) }, doing, error)
    }

    /// A read or a write that failed on its way.
    pub(crate) fn io(doing: impl Into<String>, error: io::Error) -> Self {
        let trouble = if error.kind() == io::ErrorKind::TimedOut { Trouble::Slow } else { Trouble::Unreachable };
        Self::because(trouble, doing, error)
    }
}

fn trouble(error: &ssh2::Error) -> Trouble {
    match error.code() {
        ErrorCode::Session(ERROR_TIMEOUT | ERROR_SOCKET_TIMEOUT) => Trouble::Slow,
        ErrorCode::Session(ERROR_SOCKET_SEND | ERROR_SOCKET_DISCONNECT | ERROR_SOCKET_RECV) => Trouble::Unreachable,
        ErrorCode::Session(ERROR_FILE | ERROR_AGENT_PROTOCOL) => Trouble::NoCredentials,
        ErrorCode::Session(ERROR_AUTHENTICATION_FAILED | ERROR_PUBLICKEY_UNVERIFIED) => Trouble::SignIn,
        ErrorCode::SFTP(FX_NO_SUCH_FILE | FX_NO_SUCH_PATH) => Trouble::Missing,
        ErrorCode::SFTP(FX_PERMISSION_DENIED) => Trouble::Forbidden,
        ErrorCode::SFTP(FX_NO_SPACE | FX_QUOTA_EXCEEDED) => Trouble::Full,
        ErrorCode::Session(_) | ErrorCode::SFTP(_) => Trouble::Broken,
    }
}
