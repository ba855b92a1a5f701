//! The one writer: takes every batch that waits, has them committed together, and answers only then.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

use super::crowd::gather;
use crate::store::{Batch, StoreError};

/// How many batches share one commit at most.
const GROUP_MAX: usize = 512;

/// Why nothing is committed any more, once that is so.
pub(super) type Failure = Option<Arc<sqlx::Error>>;

/// What became of a batch.
pub(super) type Outcome = Result<(), StoreError>;

/// A batch, and who waits for the answer.
pub(super) struct Request {
    pub batch: Batch,
    pub answer: oneshot::Sender<Outcome>,
}

/// Why a group was not committed.
pub(super) enum Uncommitted {
    /// It may or may not be on disk, and trying again would build on sand: nothing is committed any more.
    ForGood(sqlx::Error),
    /// The database is away, or too busy. What comes later may go through.
    ForNow(sqlx::Error),
}

/// The owner of the only connection that writes.
#[async_trait]
pub(super) trait Keeper: Send {
    /// Commits a group. Once it says so, that survives a power cut.
    async fn commit(&mut self, group: &[Request]) -> Result<Vec<Outcome>, Uncommitted>;

    /// Does what could wait until everybody was answered. `is_calm`: nobody waits for anything.
    async fn tidy(&mut self, is_calm: bool) -> Result<(), sqlx::Error>;

    /// Ends in order.
    async fn close(self: Box<Self>);
}

/// The queue before the keeper.
pub(super) struct Writer {
    keeper: Box<dyn Keeper>,
    queue: mpsc::Receiver<Request>,
    failure: watch::Sender<Failure>,
}

impl Writer {
    pub(super) fn new(keeper: impl Keeper + 'static, queue: mpsc::Receiver<Request>, failure: watch::Sender<Failure>) -> Self {
        Self { keeper: Box::new(keeper), queue, failure }
    }

    /// Works until nobody can send any more, or until the database fails: then never again.
    pub(super) async fn run(mut self) {
        loop {
            let group = gather(&mut self.queue, GROUP_MAX).await;
            if group.is_empty() {
                break;
            }
            match self.keeper.commit(&group).await {
                // Whoever does not wait any more does not mind.
                Ok(outcomes) => group.into_iter().zip(outcomes).for_each(|(request, outcome)| drop(request.answer.send(outcome))),
                Err(Uncommitted::ForNow(error)) => {
                    tracing::error!(%error, "the database does not answer: what waited is refused");
                    let error = Arc::new(error);
                    refuse(group, || StoreError::Away(error.clone()));
                }
                Err(Uncommitted::ForGood(error)) => return self.stop(error, group),
            }
            let is_calm = self.queue.is_empty();
            if let Err(error) = self.keeper.tidy(is_calm).await {
                return self.stop(error, vec![]);
            }
        }
        self.keeper.close().await;
    }

    /// Everybody is told, and the process has to stop.
    fn stop(mut self, error: sqlx::Error, group: Vec<Request>) {
        let error = Arc::new(error);
        tracing::error!(%error, "the database failed: nothing is committed any more");
        self.failure.send_replace(Some(error.clone()));
        self.queue.close();
        let failed = || StoreError::Database(error.clone());
        refuse(group, failed);
        refuse(std::iter::from_fn(|| self.queue.try_recv().ok()), failed);
    }
}

fn refuse(waiting: impl IntoIterator<Item = Request>, why: impl Fn() -> StoreError) {
    for request in waiting {
        let _ = request.answer.send(Err(why()));
    }
}
