//! All that can be decided without touching the world.
//!
//! Policy documents become [`policy::Tenant`]; [`desire::desire`] turns them into the slots that a clinic wants;
//! [`plan::plan`] compares those with what agents observed; [`install::next`] leads one certificate through one device;
//! [`diagnosis::diagnose`] says why a chart does not open; [`access::reach`] says how far somebody's right reaches.
//! Nothing here reads a clock, rolls a die, opens a file or awaits: `now` is always an argument.

pub mod access;
pub mod application;
pub mod backup;
pub mod calendar;
pub mod desire;
pub mod diagnosis;
pub mod fleet;
pub mod history;
pub mod install;
pub mod name;
pub mod notice;
pub mod plan;
pub mod policy;
pub mod retention;
pub mod revocation;
pub mod simulate;
pub mod time;
pub mod vendor;
