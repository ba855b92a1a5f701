//! The words that processes say to each other, and how they are written.
//!
//! [`v1`] is the wire: what agents, people and the server exchange, as JSON. [`yaml`] reads policy documents with file,
//! line and column. [`client`] is the HTTP client that the agent and the command line share.

pub mod client;
pub mod hint;
pub mod v1;
#[cfg(feature = "policy")]
pub mod yaml;
