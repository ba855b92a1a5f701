//! A log that its readers need not trust: a Merkle tree over entries (RFC 6962), kept in tiles, its root signed as a checkpoint
//! (C2SP: tlog-tiles, tlog-checkpoint, signed-note), and seen by witnesses (tlog-cosignature, tlog-policy, tlog-witness).
//!
//! All that a verifier has to believe is in here, and small on purpose: no IO, no clock, no dice, no JSON.

pub mod checkpoint;
pub mod entry;
pub mod gather;
pub mod merkle;
pub mod note;
pub mod period;
pub mod personal;
pub mod policy;
pub mod proof;
pub mod ticket;
pub mod tile;
pub mod verify;
pub mod witness;
