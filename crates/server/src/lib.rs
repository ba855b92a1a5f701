//! The one place with state and CA credentials.

pub mod audit;
pub mod store;
