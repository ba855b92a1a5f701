//! A browser that cannot be told anything.

use std::collections::BTreeSet;

use tegata_api::v1::device::BrowserRule;

use super::{Browser, BrowserError};
use crate::disk::DiskError;

pub(super) struct Elsewhere;

impl Browser for Elsewhere {
    fn select(&mut self, _rules: &BTreeSet<BrowserRule>) -> Result<bool, BrowserError> {
        Ok(false)
    }

    fn certificates_changed(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    fn holds_old(&self) -> Result<bool, DiskError> {
        Ok(false)
    }
}
