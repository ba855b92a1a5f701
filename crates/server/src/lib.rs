//! The one place with state and CA credentials.

pub mod accounts;
pub mod applications;
pub mod asks;
pub mod audit;
pub mod backup;
pub mod bells;
pub mod clock;
pub mod enroll;
pub mod fleet;
pub mod history;
pub mod http;
pub mod indexer;
pub mod installers;
pub mod issuers;
pub mod log;
pub mod mail;
mod manifest;
pub mod notify;
pub mod offline;
pub mod playbooks;
pub mod policy;
pub mod portal;
#[cfg(test)]
mod pretend;
pub mod receipts;
pub mod recovery;
pub mod reports;
pub mod revocations;
pub mod serve;
pub mod state;
pub mod store;
pub mod tls;
pub mod tokens;
pub mod turn;
pub mod vendor;
pub mod watch;
pub mod words;
