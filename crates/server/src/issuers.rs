//! Our certificate authorities: made at first need, kept sealed, and used only for what is on record.
//!
//! [`signer`] holds the keys and signs nothing that was not recorded; [`authorities`] finds or makes them; [`order`] answers a
//! device's request for one certificate. What is invalid is published in lists, one for each of [`shards`], by [`revocation`], after
//! [`relying`] has read them as strangers do; [`ocsp`] answers about single certificates; [`publication`] says where all that is found.

pub mod authorities;
pub mod ocsp;
pub mod order;
pub mod publication;
pub mod relying;
pub mod revocation;
pub mod shards;
pub mod signer;
