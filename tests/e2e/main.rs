//! End to end: the real binaries, real processes, a real browser.

mod application;
mod audit;
mod backup;
mod bad_input;
mod browser;
mod canary;
mod collector;
mod doctor;
mod journey;
mod kill;
mod left_behind;
mod login;
mod monitoring;
mod notices;
mod offline;
mod plan;
mod portal;
mod renewal;
mod revoke;
mod state;
mod trust;
mod vendor;
mod windows;
mod witness;
