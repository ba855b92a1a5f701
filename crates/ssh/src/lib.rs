//! One SSH session whose other end is known by its key before anything is sent: for backup targets and for playbooks.
//!
//! ```text
//! greet ─trust→ Trusted ─sign_in→ Session ─┬ run    a command with its standard input
//!                                          ├ files  SFTP
//!                                          └ greet  the machine behind it
//! ```
//!
//! There is no way to sign in to a host whose key was not compared: with keys that are expected, or by a certificate of an authority that is.
//! Blocking: whoever calls this has a thread to spare. Nobody asks an authority which certificates it took back (`RevokedHostKeys` of
//! OpenSSH): one that was stolen counts until it ends.

mod certificate;
mod files;
mod greet;
mod key;
mod session;
mod trouble;
mod tunnel;

pub use files::Files;
pub use greet::{Address, Credential, Greeted, Trusted, greet};
pub use key::{HostKey, Identity, NotAKey};
pub use session::{Output, Session};
pub use trouble::{SshError, Trouble};
