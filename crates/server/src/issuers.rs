//! Our certificate authorities: made at first need, kept sealed, and used only for what is on record.
//!
//! [`signer`] holds the keys and signs nothing that was not recorded; [`authorities`] finds or makes them; [`order`] answers a
//! device's request for one certificate; [`revocation`] publishes what is invalid.

pub mod authorities;
pub mod order;
pub mod revocation;
pub mod signer;
