//! The second brain: leads one certificate through one device, resumable after a crash between any two steps.
//!
//! The agent writes the stage to its journal before it takes the step that the stage asks for. Every step can be repeated.
//!
//! ```text
//! Wanted ─MakeKey→ Keyed ─Request→ Staged ─Install→ Installed ─Prove→ Proven ─RetireOld→ Settled
//! ```

/// How far one order has come on the device. What is written in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The order is known, nothing is done.
    Wanted,
    /// The private key exists and is on disk.
    Keyed,
    /// Certificate and key are on disk, in the agent's own folder.
    Staged,
    /// They are in every store, and the browser is told to use them.
    Installed,
    /// A real handshake has succeeded with what is in the store.
    Proven,
    /// What was replaced is gone. Nothing is left to do.
    Settled,
    /// The server took the order back, or refused it: what was made is being removed.
    Abandoned,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 7] = [Self::Wanted, Self::Keyed, Self::Staged, Self::Installed, Self::Proven, Self::Settled, Self::Abandoned];
}

/// What has just happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// Nothing: the agent has started, or looks again.
    Look,
    /// The step that was asked for has succeeded.
    Done,
    /// It failed in a way that may pass: no network, a locked store, a probe that was not answered.
    Failed,
    /// The server says that the order is not open any more.
    Withdrawn,
    /// The certificate was handed over, but does not belong to the key that is on disk: start over with a new key.
    Mismatch,
    /// A store has lost what was put into it: somebody took it out, or the store was made anew. Install it once more.
    Vanished,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 6] = [Self::Look, Self::Done, Self::Failed, Self::Withdrawn, Self::Mismatch, Self::Vanished];
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Make a key and write it to disk.
    MakeKey,
    /// Send a request for the key and write the answer to disk.
    Request,
    /// Put certificate and key into every store, and tell the browser.
    Install,
    /// Make a real handshake with what is in the store.
    Prove,
    /// Remove what was replaced, key first.
    RetireOld,
    /// Remove everything that was made for this order.
    Discard,
    /// Wait, and look again later.
    Wait,
    /// Nothing is left to do.
    Rest,
}

/// Says which stage to write down, and what to do then.
///
/// The agent writes the stage down *before* it takes the step, so a crash is answered by [`Event::Look`]: it gives the step
/// of the stage that was written last, once more. Nothing that was replaced is removed before the new certificate is proven,
/// and from then on nothing the server says can take the order back: what it replaced may be gone already.
pub fn next(stage: Stage, event: Event) -> (Stage, Step) {
    use Event::{Done, Failed, Look, Mismatch, Vanished, Withdrawn};
    use Stage::{Abandoned, Installed, Keyed, Proven, Settled, Staged, Wanted};

    let stage = match (stage, event) {
        (Wanted, Done) => Keyed,
        (Keyed, Done) => Staged,
        (Staged, Done) => Installed,
        (Installed, Done) => Proven,
        (Proven, Done) => Settled,
        (Abandoned, Done) => return (Abandoned, Step::Rest),
        (Wanted | Keyed | Staged | Installed, Withdrawn) => Abandoned,
        (Wanted | Keyed | Staged | Installed, Mismatch) => Wanted,
        (Installed, Vanished) => Staged,
        (Wanted | Keyed | Staged | Installed | Proven | Abandoned, Failed) => return (stage, Step::Wait),
        (Settled, Done | Failed) | (Proven | Settled | Abandoned, Withdrawn | Mismatch) | (_, Look | Vanished) => stage,
    };
    (stage, step_of(stage))
}

/// The step that a stage asks for.
fn step_of(stage: Stage) -> Step {
    match stage {
        Stage::Wanted => Step::MakeKey,
        Stage::Keyed => Step::Request,
        Stage::Staged => Step::Install,
        Stage::Installed => Step::Prove,
        Stage::Proven => Step::RetireOld,
        Stage::Settled => Step::Rest,
        Stage::Abandoned => Step::Discard,
    }
}

#[cfg(test)]
mod tests;
