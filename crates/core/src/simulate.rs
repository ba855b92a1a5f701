//! Both brains and a pretend world: fleets driven by text scripts, whose transcripts are the tests.
//!
//! A script declares policy and says what befalls the fleet, one command a line; `#` begins a comment. Names without a clinic
//! belong to the clinic that was named last. Time moves only by `advance`, from 2026-04-01T00:00:00Z on.
//!
//! | command | means |
//! |---|---|
//! | `clinic NAME [at-once=N] [hours=09:00-18:00] [quiet=12:30-14:00]` | declares a clinic; hours are Monday to Friday in Tokyo, closed on holidays |
//! | `account NAME [quota=N] [per=SPAN] [rolling=N/SPAN] [unrevoked] [left] [successor=NAME]` | declares a staff account, or that its person has left |
//! | `profile NAME [validity=SPAN] [window=SPAN] [late] [vendor\|renews] [dependant=NAME] [notices=SPAN,…,daily]` | declares a profile |
//! | `device NAME…`, `guest CLINIC/DEVICE` | declares devices, or that a sister clinic's device is a guest |
//! | `assign PROFILE [account=NAME] [on=DEVICE,…]` | puts a profile on every device of the clinic, or on these |
//! | `bring SLOT` | a person brings the vendor's file that the slot waits for |
//! | `people SPAN` | from now on people do what they are asked for, so much later, in opening hours |
//! | `watch` | from now on every slot that works goes on working, and no quota is exceeded |
//! | `remove DEVICE`, `close CLINIC` | takes a device or a clinic out of policy |
//! | `enrol DEVICE…`, `offline DEVICE`, `online DEVICE` | agents appear, one falls silent, returns |
//! | `crash DEVICE before\|after STEP` | the next time that it takes this step, the agent crashes before or after its effect |
//! | `clock DEVICE +SPAN\|-SPAN` | sets how far its clock is off |
//! | `file DEVICE NUMBER` | an installer file whose hash is on record lies on it |
//! | `lose SLOT` | its newest certificate vanishes from the PC's store |
//! | `revoke SLOT`, `renew SLOT`, `revoke-device DEVICE` | what people ask for; a slot is `[CLINIC/]DEVICE/PROFILE` |
//! | `sites down`, `sites up` | no page proves anything, or all do again |
//! | `run`, `advance SPAN` | lets everything happen that is due now, or within a span |
//! | `show slots`, `show devices` | prints what there is |
//!
//! The pretend world checks the two promises that must never break, in every run: nothing that works is removed before its
//! successor is proven, and no slot sees more than three issuances within an hour.

mod letters;
mod pc;
mod people;
mod policy;
mod script;
mod server;
mod words;
mod world;

use std::fmt;

use self::script::Reader;
use self::world::World;

#[cfg(test)]
pub(crate) use self::{
    server::Server,
    words::{serial, told},
};

/// What happened in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// Each command, and below it what came of it.
    pub text: String,
    /// Broken promises. Each is a defect of Tegata, whatever the script did.
    pub violations: Vec<String>,
}

/// Where a script cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for ScriptError {}

/// Runs a script from an empty world.
///
/// # Errors
///
/// A line that is no command, or that names what was not declared. Nothing after it is run.
pub fn run(script: &str) -> Result<Transcript, ScriptError> {
    let mut world = World::empty().map_err(|problem| ScriptError { line: 0, problem })?;
    let mut reader = Reader::default();
    for (index, line) in script.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        world.log.say_at_margin(&format!("> {line}"));
        let done = reader.read(line).and_then(|command| world.obey(command));
        done.map_err(|problem| ScriptError { line: index + 1, problem })?;
    }
    Ok(world.log.into_transcript())
}
