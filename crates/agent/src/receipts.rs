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

    /// Sends what waits, oldest first, and forgets what the server then has.
    pub async fn send(&mut self, server: &dyn Server) -> Result<(), SendError> {
        while self.is_waiting() {
            let batch = self.pending.keys().take(BATCH).map(|number| self.read(*number)).collect::<Result<Vec<_>, _>>()?;
            let before = self.acknowledged;
            let up_to = server.receipts(&batch).await?.up_to;
            self.acknowledge(up_to)?;
            if self.acknowledged == before {
                return Err(SendError::NotTaken(before + 1));
            }
        }
        Ok(())
    }

    /// Takes note of what the server has. Should it have more than was ever written here, this folder is an old copy: what waits is
    /// numbered anew behind it, so that nothing is lost.
    fn acknowledge(&mut self, up_to: u64) -> Result<(), ReceiptError> {
        let renumber = up_to > self.last();
        let waiting = if renumber { std::mem::take(&mut self.pending) } else { BTreeMap::new() };
        let stale: Vec<u64> = waiting.keys().copied().collect();
        for (number, deed) in (up_to + 1..).zip(waiting.into_values()) {
            self.write(number, deed, crate::wall_clock())?;
        }
        if up_to > self.acknowledged {
            disk::write_json(&self.state.receipts().join(ACKNOWLEDGED), &up_to)?;
            self.acknowledged = up_to;
        }
        for number in stale {
            disk::remove(&self.path(number))?;
        }
        self.drop_acknowledged()
    }

    fn last(&self) -> u64 {
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
}
