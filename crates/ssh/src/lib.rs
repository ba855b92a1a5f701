//! One SSH session whose other end is known by its key before anything is sent: for backup targets and for playbooks.
//!
//! ```text
//! greet ─trust→ Trusted ─sign_in→ Session ─┬ run    a command with its standard input
//!                                          ├ files  SFTP
//!                                          └ greet  the machine behind it
//! ```
//!
//! There is no way to sign in to a host whose key was not compared. Blocking: whoever calls this has a thread to spare. libssh2 knows no
//! host certificates, so a host is known by keys alone.

mod files;
mod greet;
mod key;
mod session;
mod trouble;
mod tunnel;

pub use files::Files;
pub use greet::{Address, Credential, Greeted, Trusted, greet};
pub use key::{HostKey, NotAKey};
pub use session::{Output, Session};
pub use trouble::{SshError, Trouble};
