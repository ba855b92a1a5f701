//! What the device did, signed and numbered without gaps, kept on disk until the server has it.

use std::collections::BTreeMap;
use std::rc::Rc;

use data_encoding::BASE64;
use tegata_api::client::ClientError;
use tegata_api::v1::device::{Deed, Receipt, SignedReceipt};
use tegata_pki::key::{KeyError, PrivateKey};

use crate::disk::{self, DiskError};
use crate::server::Server;
use crate::state::State;

/// How many receipts travel together.
const BATCH: usize = 64;
/// How far the server may be ahead of this folder. No device does so much between two copies of it.
const AHEAD_MAX: u64 = 1 << 32;

/// Why a receipt could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The disk is in the way.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The device's key cannot sign.
    #[error("a receipt cannot be signed")]
    Signing(#[source] KeyError),
    /// A receipt on disk is not one.
    #[error("receipt {0} on disk cannot be read")]
    Unreadable(u64),
}

/// The queue, in memory and on disk.
pub struct Receipts {
    state: State,
    device: String,
    key: Rc<PrivateKey>,
    /// Every receipt up to this number is on record at the server.
    acknowledged: u64,
    pending: BTreeMap<u64, Deed>,
}

impl Receipts {
    /// Reads what is there. `device` and `key` are the ones that sign.
    pub fn open(state: &State, device: &str, key: Rc<PrivateKey>) -> Result<Self, ReceiptError> {
        let acknowledged = disk::read_json(&state.receipts().join(ACKNOWLEDGED))?.unwrap_or(0);
        let mut receipts = Self { state: state.clone(), device: device.to_owned(), key, acknowledged, pending: BTreeMap::new() };
        receipts.read_pending()?;
        receipts.drop_acknowledged()?;
        Ok(receipts)
    }

    /// Empties the queue, for a device that starts over: its numbers begin at 1 again.
    pub fn reset(state: &State) -> Result<(), DiskError> {
        for path in disk::files(&state.receipts())? {
            disk::remove(&path)?;
        }
        Ok(())
    }

    /// Writes a receipt, durably. A deed that already waits to be sent is not written twice: it was repeated after a crash.
    pub fn record(&mut self, deed: Deed, at: i64) -> Result<(), ReceiptError> {
        if self.pending.values().any(|waiting| *waiting == deed) {
            return Ok(());
        }
        let number = self.last() + 1;
        self.write(number, deed, at)
    }

    /// True if something waits to be sent.
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// How many wait to be sent.
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// What waits to be sent, oldest first.
    pub fn deeds(&self) -> impl Iterator<Item = &Deed> {
        self.pending.values()
    }

    /// Sends what waits, oldest first, and forgets what the server then has.
    pub async fn send(&mut self, server: &dyn Server) -> Result<(), SendError> {
        let mut renumbered = false;
        while self.is_waiting() {
            let batch = self.pending.keys().take(BATCH).map(|number| self.read(*number)).collect::<Result<Vec<_>, _>>()?;
            let waited = self.waiting();
            let up_to = server.receipts(&batch).await?.up_to;
            self.is_possible(up_to)?;
            // New numbers are worth one more try, but not two: a server that goes back and forth would be asked in a circle.
            let has_new_numbers = self.acknowledge(up_to)? && !renumbered;
            renumbered |= has_new_numbers;
            if self.waiting() == waited && !has_new_numbers {
                return Err(SendError::NotTaken(self.acknowledged + 1));
            }
        }
        Ok(())
    }

    /// Takes note of what the server had when it made a file. The file may be old, so that nothing is ever taken back by it.
    pub fn hear_of(&mut self, up_to: u64) -> Result<(), SendError> {
        if up_to <= self.acknowledged {
            return Ok(());
        }
        self.is_possible(up_to)?;
        self.acknowledge(up_to)?;
        Ok(())
    }

    /// All that waits, oldest first, for somebody to carry.
    pub fn signed(&self) -> Result<Vec<SignedReceipt>, ReceiptError> {
        self.pending.keys().map(|number| self.read(*number)).collect()
    }

    fn is_possible(&self, up_to: u64) -> Result<(), SendError> {
        if up_to.saturating_sub(self.last()) > AHEAD_MAX { Err(SendError::TooFarAhead(up_to)) } else { Ok(()) }
    }

    /// Takes note of what the server has. Should it have more than was ever written here, this folder is an old copy; should it have less
    /// than it once had, its database is. Either way what waits is numbered anew behind it, so that nothing is lost. True if it was.
    fn acknowledge(&mut self, up_to: u64) -> Result<bool, ReceiptError> {
        let is_old_copy = up_to > self.last();
        if is_old_copy {
            // Before the number is written down: what is not behind it is taken for done.
            self.number_behind(up_to)?;
        }
        if up_to != self.acknowledged {
            disk::write_json(&self.state.receipts().join(ACKNOWLEDGED), &up_to)?;
            self.acknowledged = up_to;
        }
        self.drop_acknowledged()?;
        // Also after a crash between the number and the receipts.
        let has_gap = self.pending.first_key_value().is_some_and(|(first, _)| *first != up_to + 1);
        if has_gap {
            self.number_behind(up_to)?;
        }
        Ok(is_old_copy || has_gap)
    }

    /// Numbers what waits from `up_to + 1` on, oldest first: downwards, each is written under its new number before its old one is taken.
    fn number_behind(&mut self, up_to: u64) -> Result<(), ReceiptError> {
        let waiting: Vec<Deed> = self.pending.values().cloned().collect();
        let numbers = up_to + 1..up_to + 1 + waiting.len() as u64;
        for (number, deed) in numbers.clone().zip(waiting) {
            self.write(number, deed, crate::wall_clock())?;
        }
        let stale: Vec<u64> = self.pending.keys().copied().filter(|number| !numbers.contains(number)).collect();
        for number in stale {
            disk::remove(&self.path(number))?;
            self.pending.remove(&number);
        }
        Ok(())
    }

    /// The number of the last one that was ever written; 0 if there was none.
    pub fn last(&self) -> u64 {
        self.pending.last_key_value().map_or(0, |(number, _)| *number).max(self.acknowledged)
    }

    fn write(&mut self, number: u64, deed: Deed, at: i64) -> Result<(), ReceiptError> {
        let receipt = Receipt { device: self.device.clone(), number, at, deed };
        let text = serde_json::to_string(&receipt).map_err(|_| ReceiptError::Unreadable(number))?;
        let signature = self.key.sign(text.as_bytes()).map_err(ReceiptError::Signing)?;
        disk::write_json(&self.path(number), &SignedReceipt { receipt: text, signature: BASE64.encode(&signature) })?;
        self.pending.insert(number, receipt.deed);
        Ok(())
    }

    fn read_pending(&mut self) -> Result<(), ReceiptError> {
        for path in disk::files(&self.state.receipts())? {
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
            if let Some(number) = number {
                let signed = self.read(number)?;
                let receipt: Receipt = serde_json::from_str(&signed.receipt).map_err(|_| ReceiptError::Unreadable(number))?;
                self.pending.insert(number, receipt.deed);
            }
        }
        Ok(())
    }

    fn drop_acknowledged(&mut self) -> Result<(), ReceiptError> {
        let behind: Vec<u64> = self.pending.range(..=self.acknowledged).map(|(number, _)| *number).collect();
        for number in behind {
            disk::remove(&self.path(number))?;
            self.pending.remove(&number);
        }
        Ok(())
    }

    fn read(&self, number: u64) -> Result<SignedReceipt, ReceiptError> {
        disk::read_json(&self.path(number))?.ok_or(ReceiptError::Unreadable(number))
    }

    fn path(&self, number: u64) -> std::path::PathBuf {
        self.state.receipts().join(format!("{number:020}.json"))
    }
}

/// The file that says how far the server has them.
const ACKNOWLEDGED: &str = "acknowledged.json";

/// Why receipts stay in the queue.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The server did not answer, or said no.
    #[error("receipts cannot be sent")]
    Server(#[from] ClientError),
    /// The queue itself is in trouble.
    #[error(transparent)]
    Queue(#[from] ReceiptError),
    /// The server answered without taking any.
    #[error("the server did not take receipt {0}")]
    NotTaken(u64),
    /// The server claims to have more than can be.
    #[error("the server says that it has {0} receipts of this device, which cannot be")]
    TooFarAhead(u64),
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use super::*;
    use crate::crash::{self, Unplugged};
    use crate::pretend::World;

    async fn say(world: &World, deeds: std::ops::RangeInclusive<u8>) {
        let mut receipts = world.receipts();
        for number in deeds {
            receipts.record(world.retired(number), 0).unwrap();
        }
        receipts.send(&*world.server).await.unwrap();
    }

    fn heard(world: &World) -> Vec<Deed> {
        world.server.deeds(&world.identity.key)
    }

    #[tokio::test]
    async fn a_server_that_was_restored_from_a_backup_gets_what_waits_behind_what_it_has() {
        let world = World::new();
        say(&world, 1..=8).await;
        world.server.receipts.borrow_mut().retain(|number, _| *number <= 5);
        say(&world, 9..=10).await;
        assert_eq!(heard(&world), [1, 2, 3, 4, 5, 9, 10].map(|number| world.retired(number)));
        say(&world, 11..=11).await;
        assert_eq!((heard(&world).len(), world.receipts().waiting()), (8, 0));
    }

    #[tokio::test]
    async fn a_number_that_cannot_be_is_not_believed() {
        let world = World::new();
        say(&world, 1..=1).await;
        for absurd in [u64::MAX, u64::MAX - 1, AHEAD_MAX + 3] {
            world.server.says.borrow_mut().push(absurd);
            let mut receipts = world.receipts();
            receipts.record(world.retired(2), 0).unwrap();
            let problem = receipts.send(&*world.server).await.unwrap_err();
            assert!(matches!(problem, SendError::TooFarAhead(number) if number == absurd), "{problem}");
        }
        // Whoever lies at the edge of what can be does not bring the next number to overflow.
        world.server.says.borrow_mut().push(AHEAD_MAX);
        world.receipts().send(&*world.server).await.unwrap_err();
        say(&world, 3..=3).await;
        assert_eq!(heard(&world), [1, 2, 3].map(|number| world.retired(number)));
    }

    #[tokio::test]
    async fn a_server_that_goes_back_and_forth_is_not_asked_in_a_circle() {
        let world = World::new();
        say(&world, 1..=8).await;
        world.server.says.borrow_mut().extend([8, 5].repeat(50));
        let mut receipts = world.receipts();
        receipts.record(world.retired(9), 0).unwrap();
        receipts.send(&*world.server).await.unwrap_err();
        assert!(world.server.says.borrow().len() > 90, "{} answers left", world.server.says.borrow().len());
    }

    /// Pulls the plug at the `n`-th point of numbering anew; false if it never was.
    fn unplugged_at(world: &World, n: u32) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(say(world, 1..=8));
        world.server.receipts.borrow_mut().retain(|number, _| *number <= 7);
        let mut receipts = world.receipts();
        for number in 9..=11 {
            receipts.record(world.retired(number), 0).unwrap();
        }
        crash::after(Some(n));
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(receipts.send(&*world.server))));
        crash::after(None);
        ended.is_err_and(|cause| cause.is::<Unplugged>())
    }

    #[test]
    fn nothing_is_lost_when_the_plug_is_pulled_while_receipts_are_numbered_anew() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut points = 0;
        loop {
            let world = World::new();
            if !unplugged_at(&world, points) {
                break;
            }
            runtime.block_on(say(&world, 12..=12));
            let heard = heard(&world);
            // After a crash a deed may be said twice.
            for number in [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12] {
                assert!(heard.contains(&world.retired(number)), "{number} is lost, pulled at {points}");
            }
            assert!(!world.receipts().is_waiting());
            points += 1;
        }
        assert!(points > 10, "only {points} points");
    }
}
