//! End to end: the real binaries, real processes, a real browser.

mod application;
mod backup;
mod bad_input;
mod browser;
mod canary;
mod doctor;
mod journey;
mod kill;
mod notices;
mod offline;
mod plan;
mod portal;
mod renewal;
mod revoke;
mod state;
mod vendor;
mod windows;
