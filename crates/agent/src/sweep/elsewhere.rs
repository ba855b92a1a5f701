//! Where files cannot be removed by handle yet, none is.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use tegata_api::v1::device::FileHash;

use super::{Found, Unread};

pub(super) fn look(_home: &Path, _places: &BTreeSet<PathBuf>, _listed: &BTreeSet<FileHash>) -> io::Result<(Vec<Found>, Vec<Unread>)> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn is_there(_home: &Path, _place: &Path, _name: &str) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) struct Aside {
    pub(super) name: String,
}

pub(super) fn set_aside(_home: &Path, _found: &Found) -> io::Result<Aside> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Aside {
    pub(super) fn remove(self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
