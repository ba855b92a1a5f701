//! Version 1 of the wire. Fields are added, never changed or removed; unknown fields are ignored by readers.

pub mod access;
pub mod account;
pub mod application;
pub mod audit;
pub mod backup;
pub mod bundle;
pub mod device;
pub mod diagnosis;
pub mod fleet;
pub mod notice;
pub mod offline;
pub mod playbook;
#[cfg(feature = "policy")]
pub mod policy;
pub mod problem;
pub mod recovery;
pub mod revocation;
pub mod sign_in;
pub mod trust;
pub mod vendor;
