//! What other servers on the same database say, by LISTEN and NOTIFY.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::time::sleep;

use crate::store::signals::Signal;

/// Where it is said. Each database has its own.
pub(super) const CHANNEL: &str = "tegata";
/// PostgreSQL takes fewer than 8,000 bytes (<https://www.postgresql.org/docs/current/sql-notify.html>).
const PAYLOAD_MAX: usize = 7_900;
/// Before the line is asked again that was lost.
const PAUSE: Duration = Duration::from_secs(1);

/// The ear at the wall. It hears its own server too, which does no harm: whoever wakes up finds nothing to do.
pub(in super::super) struct Neighbours {
    pool: PgPool,
    ear: PgListener,
    heard: VecDeque<Signal>,
}

impl Neighbours {
    pub(super) async fn listen(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self { pool: pool.clone(), ear: ear(pool).await?, heard: VecDeque::new() })
    }

    /// The next of what is said. What was said while the line was lost is not known: anything may have been.
    pub(in super::super) async fn next(&mut self) -> Signal {
        loop {
            if let Some(signal) = self.heard.pop_front() {
                return signal;
            }
            match self.ear.try_recv().await {
                Ok(Some(said)) => self.heard.extend(read(said.payload())),
                Ok(None) => return Signal::Everything,
                Err(error) => {
                    tracing::warn!(%error, "other servers on this database are not heard");
                    self.listen_again().await;
                    return Signal::Everything;
                }
            }
        }
    }

    async fn listen_again(&mut self) {
        loop {
            sleep(PAUSE).await;
            if let Ok(ear) = ear(&self.pool).await {
                self.ear = ear;
                return;
            }
        }
    }
}

async fn ear(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut ear = PgListener::connect_with(pool).await?;
    ear.listen(CHANNEL).await?;
    Ok(ear)
}

/// What is said of these. Too many of them are one that stands for all.
pub(super) fn payload(signals: &BTreeSet<Signal>) -> String {
    let text = serde_json::to_string(signals).expect("signals are plain data");
    if text.len() <= PAYLOAD_MAX { text } else { payload(&[Signal::Everything].into()) }
}

/// A server of another version may say what this one does not know.
fn read(payload: &str) -> Vec<Signal> {
    serde_json::from_str(payload).unwrap_or_else(|_| vec![Signal::Everything])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_and_too_much_is_everything() {
        let device = |n: usize| Signal::Device("aozora".into(), format!("sakura/pc-{n}"));
        for count in [0, 1, 3, 200] {
            let signals: BTreeSet<Signal> = (0..count).map(device).chain([Signal::Turn]).collect();
            assert_eq!(read(&payload(&signals)).into_iter().collect::<BTreeSet<_>>(), signals);
        }
        let many: BTreeSet<Signal> = (0..1_000).map(device).collect();
        assert_eq!(read(&payload(&many)), [Signal::Everything]);
        assert_eq!(read(r#"["turn","of-a-later-version"]"#), [Signal::Everything]);
    }
}
