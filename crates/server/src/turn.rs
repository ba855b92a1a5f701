//! One turn: a clinic that changed or came due is read, planned, recorded and carried out.
//!
//! A crash between any two commits heals by itself: the clinic stays due until the last one, and the next turn reads what is there.

pub(crate) mod announce;
pub(crate) mod carry_out;
pub(crate) mod observe;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tegata_core::name::ClinicId;
use tegata_core::plan::Plan;
use tegata_core::policy::Tenant;
use tegata_core::time::{MINUTE, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::audit::Ledger;
use crate::backup::order;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::notify;
use crate::policy::PolicyError;
use crate::store::{Batch, Change, StoreError};

/// How many clinics are asked for at once.
const DUE_MAX: u32 = 256;
/// How many turns are taken at the same time, so that they share commits.
const TURNS_AT_ONCE: usize = 16;
/// When the database is asked again that did not answer.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The longest sleep. The clock of the machine may be set while the loop sleeps.
const SLEEP_MAX: Duration = MINUTE;

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
    let ended = async {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = ledger.store().failed() => {}
        }
    };
    tokio::select! {
        () = ended => {}
        () = take_turns(&ledger, &bells, &clock) => {}
    }
}

async fn take_turns(ledger: &Ledger, bells: &Bells, clock: &Clock) {
    loop {
        let now = clock.now();
        match ledger.store().due(now, DUE_MAX).await {
            Ok(due) if due.is_empty() => rest(ledger, bells, now).await,
            Ok(due) => {
                let turns = futures::stream::iter(due);
                turns.for_each_concurrent(TURNS_AT_ONCE, |clinic| one(ledger, bells, clinic, now)).await;
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot ask which clinics are due");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

/// Sleeps until the next clinic is due or something has changed.
async fn rest(ledger: &Ledger, bells: &Bells, now: Timestamp) {
    let next = ledger.store().next_wake().await.ok().flatten();
    let sleep = next.map_or(SLEEP_MAX, |next| next.since(now).clamp(Duration::from_secs(1), SLEEP_MAX));
    tokio::select! {
        () = bells.turn() => {}
        () = tokio::time::sleep(sleep) => {}
    }
}

/// Takes one turn, and puts a clinic aside for a minute whose turn cannot be taken.
async fn one(ledger: &Ledger, bells: &Bells, clinic: ClinicId, now: Timestamp) {
    match turn(ledger, bells, &clinic, now).await {
        Ok(_) => {}
        Err(TurnError::Store(StoreError::Conflict(guard))) => {
            tracing::debug!(%clinic, guard, "the turn starts over");
            let _ = ledger.note(Batch { records: vec![], changes: vec![Change::Release { clinic }] }).await;
        }
        // It is due as before.
        Err(TurnError::Store(StoreError::Away(error))) => tracing::warn!(%clinic, %error, "the turn starts over"),
        Err(error) => {
            tracing::error!(%clinic, error = &error as &dyn std::error::Error, "the turn failed; it is tried again in a minute");
            let aside = Change::Wake { clinic: clinic.clone(), at: Some(now.after(MINUTE)) };
            // If this fails too, the database has failed, and the loop ends.
            let _ = ledger.note(Batch { records: vec![], changes: vec![aside] }).await;
        }
    }
}

/// Takes one turn for one clinic.
pub async fn turn(ledger: &Ledger, bells: &Bells, clinic: &ClinicId, now: Timestamp) -> Result<Plan, TurnError> {
    turn_by(ledger.policy(&clinic.tenant).await?, ledger, bells, clinic, now).await
}

async fn turn_by(policy: Arc<Tenant>, ledger: &Ledger, bells: &Bells, clinic: &ClinicId, now: Timestamp) -> Result<Plan, TurnError> {
    let scene = observe::read(ledger.store(), &policy, clinic, now).await?;
    // Documents applied since have nudged the clinic, and the scene may hold that nudge: it must not be slept over.
    if !Arc::ptr_eq(&policy, &ledger.policy(&clinic.tenant).await?) {
        return Err(StoreError::Conflict("the policy was changed meanwhile").into());
    }
    let plan = tegata_core::plan::plan(&scene.desired, &scene.observed, now);
    let decided = announce::announce(ledger, clinic, &scene, &plan, now).await?;
    // Whatever is carried out changes what the next plan is made from.
    let wake_at = if decided.get().is_empty() {
        order::order(ledger, bells, clinic, &scene, now).await?;
        let tell_at = notify::tell(ledger, bells, clinic, &scene, &plan, now).await?;
        plan.wake_at.into_iter().chain(tell_at).min()
    } else {
        Some(now)
    };
    carry_out::carry_out(ledger, bells, clinic, scene, decided, wake_at, now).await?;
    Ok(plan)
}
