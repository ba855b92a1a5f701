//! What time it is, as one argument that tests can set.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tegata_core::time::Timestamp;

/// A source of the present moment.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The clock of the machine. A clock before 1970 reads as 1970.
    pub fn system() -> Self {
        Self::with(|| {
            let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_unix(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
        })
    }

    /// A clock that always shows the same moment.
    pub fn fixed(now: Timestamp) -> Self {
        Self::with(move || now)
    }

    /// A clock that asks `source`.
    pub fn with(source: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}
