//! Sealing for keepers who have to come together: any so many of them open it, and fewer learn nothing.
//!
//! What is sealed is an ordinary age file, for its device and for a *lock*: an age key that is made for this one file. The lock's secret half,
//! as text, is divided (Shamir, over GF(2^8) with AES's polynomial 0x11b, each byte by itself; share number `x` is the value at `x`), and
//! every keeper is sealed one share, again in an ordinary age file. So whoever has age and the recipe in `examples/open-by-hand` needs nothing of ours. The whole is text:
//!
//! ```text
//! tegata-quorum/v1
//! threshold 2
//! lock age1…
//! keeper age1… SHA-256-of-share            one line each; the first has share number 1
//! -----BEGIN AGE ENCRYPTED FILE-----       one file for each keeper, in this order, then the sealed one
//! ```
//!
//! A share is one line: `tegata-share/v1 LOCK THRESHOLD NUMBER SHARE`, its last word in hexadecimal.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::io::Read as _;

use age::armor::ArmoredReader;
use data_encoding::HEXLOWER;
use rand_core::{TryCryptoRng, TryRng};
use tegata_core::backup::Keepers;
use tegata_core::name::Sha256;
use vsss_rs::{Gf256, IdentifierGf256};
use zeroize::Zeroizing;

use super::{DeviceKey, SealError};
use crate::key::{random, sha256};
use crate::sealed::seal_to;

#[cfg(test)]
mod tests;

/// What such a file begins with.
const MAGIC: &str = "tegata-quorum/v1\n";
/// What a share begins with.
const SHARE: &str = "tegata-share/v1";
/// The most keepers of one file.
const KEEPERS_MAX: usize = 64;
const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
/// The longest share, in bytes, and more than any has.
const SHARE_MAX: u64 = 1024;

/// Why a file for several keepers cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// It is damaged, or not of this version.
    #[error("this is no whole backup for several keepers, or one that a newer version has sealed")]
    Form,
    /// Fewer keys are there than it takes.
    #[error("{}", missing(*.threshold, .have, .others, .faults))]
    Missing {
        /// How many it takes.
        threshold: u8,
        /// The keepers whose shares are good.
        have: Vec<String>,
        /// Those of whom no key was there.
        others: Vec<String>,
        /// What is wrong with shares that were opened.
        faults: Vec<Fault>,
    },
    /// Every share is what it should be, and together they are not the key.
    #[error("the shares do not fit together, although each is what was put there: whoever sealed it made a mistake, or lied")]
    Disagree,
}

fn missing(threshold: u8, have: &[String], others: &[String], faults: &[Fault]) -> String {
    let needed = usize::from(threshold) - have.len();
    let from = if others.is_empty() { String::new() } else { format!(", of {}", others.join(", ")) };
    let keys = if needed == 1 { "key is" } else { "keys are" };
    let first = format!("it takes {threshold} keepers' keys, and {} can be used; {needed} more {keys} needed{from}", have.len());
    [first].into_iter().chain(faults.iter().map(Fault::to_string)).collect::<Vec<_>>().join("; ")
}

/// What is wrong with one keeper's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The keeper, `age1…`.
    pub keeper: String,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What can be wrong with a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Its keeper's own key does not open it.
    Closed,
    /// It is the share of another backup, or another keeper's.
    Foreign,
    /// It is another one than was described when it was sealed.
    Altered,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FaultKind::Closed => "cannot be opened with its own key: it is damaged, or was sealed to somebody else",
            FaultKind::Foreign => "belongs to another backup, or to another keeper",
            FaultKind::Altered => "is not the one that was described when it was sealed",
        };
        write!(f, "the share of {} {what}", self.keeper)
    }
}

/// What opens the sealed file.
pub struct Unlocked {
    /// The lock's key.
    pub key: DeviceKey,
    /// What is wrong with shares that were there and were not needed.
    pub faults: Vec<Fault>,
}

/// A file for several keepers, taken apart. Nothing of it is proven by that.
struct Envelope<'a> {
    threshold: u8,
    lock: &'a str,
    keepers: Vec<(&'a str, Sha256)>,
    shares: Vec<&'a str>,
    sealed: &'a str,
}

/// Who can open a sealed file together; `None` if it is an ordinary age file, which does not say who can.
///
/// # Errors
/// [`QuorumError::Form`].
pub fn keepers(sealed: &[u8]) -> Result<Option<Keepers>, QuorumError> {
    let Some(envelope) = Envelope::read(sealed)? else { return Ok(None) };
    let of = envelope.keepers.iter().map(|(keeper, _)| (*keeper).to_owned()).collect();
    Ok(Some(Keepers { threshold: envelope.threshold, of }))
}

/// The age file in it; what is an ordinary age file is that itself.
pub(super) fn inner(sealed: &[u8]) -> Result<&[u8], SealError> {
    let envelope = Envelope::read(sealed).map_err(|problem| SealError::Closed(problem.to_string()))?;
    Ok(envelope.map_or(sealed, |envelope| envelope.sealed.as_bytes()))
}

/// Makes sure that so many of these can be asked for.
pub(super) fn check(keepers: &Keepers) -> Result<(), SealError> {
    let distinct: BTreeSet<&String> = keepers.of.iter().collect();
    let fits = (2..=distinct.len()).contains(&usize::from(keepers.threshold)) && distinct.len() <= KEEPERS_MAX;
    if fits && distinct.len() == keepers.of.len() { Ok(()) } else { Err(SealError::Threshold) }
}

/// Seals for a lock whose key the keepers have together. `seal` seals for one more recipient.
pub(super) fn seal(keepers: &Keepers, seal: impl FnOnce(String) -> Result<Vec<u8>, SealError>) -> Result<Vec<u8>, SealError> {
    check(keepers)?;
    let lock = DeviceKey::generate();
    let sealed = crate::sealed::armored(&seal(lock.recipient())?).expect("writing to memory does not fail");
    let shares = divide(lock.to_secret().as_bytes(), keepers.threshold, keepers.of.len());
    let mut head = format!("{MAGIC}threshold {}\nlock {}\n", keepers.threshold, lock.recipient());
    let mut files = String::new();
    for (keeper, share) in keepers.of.iter().zip(&shares) {
        head.push_str(&format!("keeper {keeper} {}\n", sha256(&share[1..])));
        let line = Zeroizing::new(format!(
            "{SHARE} {} {} {} {}\n",
            lock.recipient(),
            keepers.threshold,
            share[0],
            *Zeroizing::new(HEXLOWER.encode(&share[1..]))
        ));
        files.push_str(&seal_to(line.as_bytes(), std::slice::from_ref(keeper)).map_err(|_| SealError::Recipient(keeper.clone()))?);
    }
    Ok([head, files, sealed].concat().into_bytes())
}

/// Shares of a secret: each is its number, from 1, and then a byte for each of the secret's.
fn divide(secret: &[u8], threshold: u8, count: usize) -> Vec<Zeroizing<Vec<u8>>> {
    let numbers = (1..=u8::MAX).map(|number| IdentifierGf256(Gf256(number)));
    let shares = Gf256::split_bytes_with_participant_ids_iter(usize::from(threshold), count, secret, OfSystem, numbers);
    shares.expect("the threshold was checked, and the numbers differ").into_iter().map(Zeroizing::new).collect()
}

/// The secret of which these are shares, if they are.
fn combine<'a>(shares: impl Iterator<Item = &'a Zeroizing<Vec<u8>>>) -> Option<Zeroizing<String>> {
    let shares: Zeroizing<Vec<Vec<u8>>> = Zeroizing::new(shares.map(|share| share.to_vec()).collect());
    let secret = Zeroizing::new(Gf256::combine_bytes(&*shares).ok()?);
    str::from_utf8(&secret).ok().map(|text| Zeroizing::new(text.to_owned()))
}

/// Opens the lock with whichever keepers' keys are there; `None` for an ordinary age file, which has none.
///
/// # Errors
/// [`QuorumError`]: it says whose keys are missing, and whose share is not what it should be.
pub fn unlock(sealed: &[u8], identities: &[DeviceKey]) -> Result<Option<Unlocked>, QuorumError> {
    let Some(envelope) = Envelope::read(sealed)? else { return Ok(None) };
    let (mut good, mut others, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (keeper, _)) in envelope.keepers.iter().enumerate() {
        let keeper = (*keeper).to_owned();
        match identities.iter().find(|identity| identity.recipient() == keeper) {
            None => others.push(keeper),
            Some(identity) => match envelope.share(index, identity) {
                Ok(share) => good.push((keeper, share)),
                Err(kind) => faults.push(Fault { keeper, kind }),
            },
        }
    }
    let needed = usize::from(envelope.threshold);
    if good.len() < needed {
        let have = good.into_iter().map(|(keeper, _)| keeper).collect();
        return Err(QuorumError::Missing { threshold: envelope.threshold, have, others, faults });
    }
    let (first, more) = good.split_at(needed);
    let secret = combine(first.iter().map(|(_, share)| share)).ok_or(QuorumError::Disagree)?;
    let key = DeviceKey::from_secret(&secret).ok().filter(|key| key.recipient() == envelope.lock).ok_or(QuorumError::Disagree)?;
    for (keeper, share) in more {
        let fits = combine(first[1..].iter().map(|(_, share)| share).chain([share])) == Some(secret.clone());
        faults.extend((!fits).then(|| Fault { keeper: keeper.clone(), kind: FaultKind::Altered }));
    }
    Ok(Some(Unlocked { key, faults }))
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Option<Self>, QuorumError> {
        if !bytes.starts_with(MAGIC.as_bytes()) {
            return Ok(None);
        }
        let text = str::from_utf8(&bytes[MAGIC.len()..]).map_err(|_| QuorumError::Form)?;
        Self::parse(text).ok_or(QuorumError::Form).map(Some)
    }

    fn parse(text: &'a str) -> Option<Self> {
        let (head, files) = text.split_at(text.find(BEGIN)?);
        let mut lines = head.lines();
        let threshold: u8 = lines.next()?.strip_prefix("threshold ")?.parse().ok()?;
        let lock = lines.next()?.strip_prefix("lock ")?;
        let keeper = |line: &'a str| {
            let (keeper, digest) = line.strip_prefix("keeper ")?.split_once(' ')?;
            Some((keeper, digest.parse().ok()?))
        };
        let keepers: Vec<(&str, Sha256)> = lines.map(keeper).collect::<Option<_>>()?;
        let distinct: BTreeSet<&str> = keepers.iter().map(|(keeper, _)| *keeper).collect();
        let fits = (2..=keepers.len()).contains(&usize::from(threshold)) && keepers.len() <= KEEPERS_MAX && distinct.len() == keepers.len();
        let mut shares: Vec<&str> = pieces(files);
        let sealed = shares.pop()?;
        (fits && shares.len() == keepers.len()).then_some(Self { threshold, lock, keepers, shares, sealed })
    }

    /// The share of one keeper: its number, then its bytes.
    fn share(&self, index: usize, identity: &DeviceKey) -> Result<Zeroizing<Vec<u8>>, FaultKind> {
        let mut line = Zeroizing::new(String::with_capacity(SHARE_MAX as usize));
        let opened = age::Decryptor::new(ArmoredReader::new(self.shares[index].as_bytes())).map_err(|_| FaultKind::Closed)?;
        let reader = opened.decrypt(std::iter::once(&identity.identity as &dyn age::Identity)).map_err(|_| FaultKind::Closed)?;
        reader.take(SHARE_MAX).read_to_string(&mut line).map_err(|_| FaultKind::Closed)?;
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        let [SHARE, lock, threshold, number, share] = words[..] else { return Err(FaultKind::Foreign) };
        let is_ours = lock == self.lock && threshold == self.threshold.to_string() && number == (index + 1).to_string();
        if !is_ours {
            return Err(FaultKind::Foreign);
        }
        let bytes = HEXLOWER.decode(share.as_bytes()).map(Zeroizing::new).map_err(|_| FaultKind::Altered)?;
        if sha256(&bytes) != self.keepers[index].1 {
            return Err(FaultKind::Altered);
        }
        let number = u8::try_from(index + 1).map_err(|_| FaultKind::Foreign)?;
        Ok(Zeroizing::new([&[number], bytes.as_slice()].concat()))
    }
}

/// Armored age files, one after the other.
fn pieces(files: &str) -> Vec<&str> {
    let starts: Vec<usize> = files.match_indices(BEGIN).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([files.len()]);
    starts.iter().zip(ends).map(|(start, end)| &files[*start..end]).collect()
}

/// The operating system's random numbers, as the library of shares wants them.
struct OfSystem;

impl TryRng for OfSystem {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(random()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(random()))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        into.fill_with(|| random::<1>()[0]);
        Ok(())
    }
}

impl TryCryptoRng for OfSystem {}
