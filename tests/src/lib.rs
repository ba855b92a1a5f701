//! A small world for end-to-end tests: the real server, real agents and the stand-in EMR, each a process of its own.

pub mod browser;
pub mod collector;
pub mod driver;
pub mod emr;
pub mod identity;
pub mod line;
pub mod linux;
pub mod policy;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod replicas;
pub mod s3;
pub mod smtp;
pub mod sshd;
pub mod wine;
pub mod witness;
pub mod world;

pub use world::{Agent, World};
