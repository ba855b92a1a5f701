//! The one place with state and CA credentials.

pub mod asks;
pub mod audit;
pub mod bells;
pub mod clock;
pub mod fleet;
pub mod policy;
pub mod receipts;
pub mod reports;
pub mod store;
pub mod turn;
pub mod words;
pub mod serve;
