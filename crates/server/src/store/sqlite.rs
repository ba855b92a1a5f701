//! The store on SQLite: one file, one writer, and many commits for one `fsync`.

use std::path::Path;

use crate::store::StoreError;

/// A store in one SQLite file.
pub struct Sqlite {}

impl Sqlite {
    /// Opens the database at `path`, made if it is not there, and brings its schema up to date. Refuses settings that would not survive a power cut.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let _ = path;
        todo!()
    }
}
