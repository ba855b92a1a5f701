//! One turn: a clinic that changed or came due is read, planned, recorded and carried out.

use tegata_core::name::ClinicId;
use tegata_core::plan::Plan;
use tegata_core::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::policy::PolicyError;
use crate::store::StoreError;

/// Why a turn did not come to its end. The clinic stays due, so the next turn begins again.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The database failed or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Takes turns until `shutdown`, or until the database has failed for good.
pub async fn run(ledger: Ledger, bells: Bells, clock: Clock, shutdown: CancellationToken) {
    let _ = (ledger, bells, clock, shutdown);
    todo!()
}

/// Takes one turn for one clinic.
pub async fn turn(ledger: &Ledger, bells: &Bells, clinic: &ClinicId, now: Timestamp) -> Result<Plan, TurnError> {
    let _ = (ledger, bells, clinic, now);
    todo!()
}
