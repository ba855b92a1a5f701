//! How the agent comes onto a PC, starts by itself, and leaves again.
//!
//! On Linux a package does it (`cargo xtask package deb`). On macOS the agent is a LaunchAgent of its user. On Windows it is a service, or,
//! where no administrator is at hand, a program that starts when its user logs on.

use std::path::PathBuf;

use crate::command::CommandError;
use crate::disk::DiskError;

#[cfg(any(target_os = "macos", all(test, unix)))]
mod launchd;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

#[cfg(windows)]
pub use os::{SERVICE, start_detached};
pub use os::{install, uninstall};

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everybody who logs on to this PC.
    Pc,
    /// The user who asks.
    User,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing is left.
    Nothing,
    /// The program itself, which is running; it goes at the next start of the PC.
    ProgramUntilRestart,
}

/// Why the agent was not installed, or not removed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Only administrators may do this.
    #[error("this takes the rights of an administrator")]
    NotAdministrator(#[source] std::io::Error),
    /// Here a package does it.
    #[error("on Linux the package tegata-agent does this")]
    Package,
    /// A folder of the agent's name is there already, and others could change what is in it.
    #[error("{} is there already and not the agent's own: {because}; look into it, remove it, and try again", path.display())]
    ForeignFolder {
        /// Which.
        path: PathBuf,
        /// Why.
        because: Foreign,
    },
    /// A program of the operating system refused something.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The disk is in the way.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The operating system refused something.
    #[error("cannot {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
}

/// Why a folder is not believed to be the agent's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// It is a file.
    #[error("it is not a folder")]
    NotAFolder,
    /// It leads elsewhere.
    #[error("it is a link")]
    Link,
    /// Its access list is not the one that the agent gives.
    #[error("its access list is {0}")]
    Access(String),
}

/// Attaches what was tried to an error of the operating system.
#[cfg_attr(target_os = "linux", allow(dead_code))]
fn refused<E: Into<std::io::Error>>(operation: &'static str) -> impl FnOnce(E) -> SetupError {
    move |source| {
        let source = source.into();
        match source.kind() {
            std::io::ErrorKind::PermissionDenied => SetupError::NotAdministrator(source),
            _ => SetupError::System { operation, source },
        }
    }
}
