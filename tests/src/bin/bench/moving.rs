//! What it takes to move an installation from a file to a PostgreSQL server.

use std::time::Instant;

use anyhow::Result;
use tegata_core::time::Timestamp;
use tegata_server::store::sql::moving::move_to_server;
use tegata_tests::postgres::Postgres;

use crate::{Row, records, revoke};

/// How many certificates there are.
const CERTIFICATES: usize = 100_000;
/// How many renewals of 40,000 devices are on record.
const ROUNDS: u64 = 3;

/// Measures it. That both sides come to the same roots is what the move itself demands.
pub fn measure() -> Result<Vec<Row>> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let folder = tempfile::tempdir()?;
        let ledger = revoke::filled(folder.path(), CERTIFICATES).await?;
        for round in 0..ROUNDS {
            records::append(&ledger, round).await?;
        }
        drop(ledger);
        let server = Postgres::start("")?;
        let to = server.new_database()?.parse()?;
        let start = Instant::now();
        let moved = move_to_server(&folder.path().join("tegata.db"), &to, Timestamp::from_unix(0)).await?;
        let took = start.elapsed().as_secs_f64();
        let records: u64 = moved.logs.values().map(|(size, _)| size).sum();
        Ok(vec![
            Row::told("move: certificates", CERTIFICATES as f64, ""),
            Row::told("move: records, the same roots on both sides", records as f64, ""),
            Row::told("move: all of it to PostgreSQL", took, "s"),
            Row::told("move: rows", moved.rows as f64 / took, "1/s"),
        ])
    })
}
