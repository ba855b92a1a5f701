//! Accounts as people see them: what each may still have, what goes with it, and what lies ahead of each certificate.

use std::sync::Arc;

use tegata_api::v1::account::{Account, AccountDetail, Bound, ExpiresWhileClosed, Leaving, Move, Short, SlotDetail, Spare, Tight};
use tegata_core::desire::desire;
use tegata_core::name::{AccountName, ClinicName, SlotId, TenantName};
use tegata_core::plan::{self, Outlook, Standing, Statement};
use tegata_core::policy::Tenant;
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::fleet::{self, View, count};
use crate::turn::TurnError;
use crate::words;

/// How many certificates are offered for revocation with each slot that finds no place.
const SPARES_MAX: usize = 3;

/// Every account that has a quota.
pub async fn quotas(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Account>, TurnError> {
    let names = fleet::names(ledger, tenant, clinic).await?;
    let mut accounts = Vec::new();
    for view in fleet::views(ledger, tenant, &names, now).await? {
        let statements = plan::statements(&view.scene.desired, &view.scene.observed, now);
        accounts.extend(statements.iter().map(|(name, statement)| glance(&view, name, statement)));
    }
    Ok(accounts)
}

/// One account in full; `None` if policy does not know it.
pub async fn detail(
    ledger: &Ledger,
    tenant: &TenantName,
    clinic: &ClinicName,
    name: &AccountName,
    now: Timestamp,
) -> Result<Option<AccountDetail>, TurnError> {
    let Some(view) = one(ledger, tenant, clinic, now).await? else { return Ok(None) };
    let scene = &view.scene;
    let Some(account) = scene.policy.clinics.get(clinic).and_then(|network| network.accounts.get(name)) else { return Ok(None) };
    let with = desire(&with_state(&scene.policy, clinic, name, true), clinic);
    let without = desire(&with_state(&scene.policy, clinic, name, false), clinic);
    let left = plan::leaving(&with, &without, &scene.observed, now).into_iter().find(|left| left.account == *name);
    let statement = plan::statements(&scene.desired, &scene.observed, now).remove(name);
    let none = Statement { bounds: vec![], short: vec![], spares: vec![] };
    let wanted = if account.active { &scene.desired } else { &with };
    let is_under = |id: &SlotId| wanted.slots.get(id).is_some_and(|slot| slot.account.as_ref() == Some(name));
    Ok(Some(AccountDetail {
        account: glance(&view, name, &statement.unwrap_or(none)),
        slots: view.slots().filter(|(id, _)| is_under(id)).map(|(_, slot)| slot).collect(),
        leaving: left.map(|left| leaving(clinic, &left)).unwrap_or_default(),
    }))
}

/// One slot and what lies ahead of its certificate; `None` if there is no such slot.
pub async fn slot(ledger: &Ledger, tenant: &TenantName, id: &SlotId, now: Timestamp) -> Result<Option<SlotDetail>, TurnError> {
    let Some(view) = one(ledger, tenant, &id.clinic, now).await? else { return Ok(None) };
    let Some((_, slot)) = view.slots().find(|(found, _)| *found == id) else { return Ok(None) };
    let outlook = plan::outlooks(&view.scene.desired, &view.scene.observed, now).remove(id);
    Ok(Some(SlotDetail {
        slot,
        due: outlook.map(|outlook| outlook.due.unix()),
        last_call: outlook.map(|outlook| outlook.last_call.unix()),
        attempts: outlook.map(|outlook| outlook.attempts),
        closing: outlook.and_then(|outlook| while_closed(id, &outlook)),
        backups: outlook.map(|outlook| outlook.backups).filter(|backups| backups.targets > 0).map(words::count),
    }))
}

async fn one(ledger: &Ledger, tenant: &TenantName, clinic: &ClinicName, now: Timestamp) -> Result<Option<View>, TurnError> {
    if !fleet::knows(ledger, tenant, clinic).await? {
        return Ok(None);
    }
    Ok(fleet::views(ledger, tenant, &[clinic.clone()].into(), now).await?.pop())
}

/// The same policy, were the person behind an account there or not.
fn with_state(policy: &Arc<Tenant>, clinic: &ClinicName, name: &AccountName, active: bool) -> Tenant {
    let mut policy = Tenant::clone(policy);
    if let Some(account) = policy.clinics.get_mut(clinic).and_then(|network| network.accounts.get_mut(name)) {
        account.active = active;
    }
    policy
}

fn glance(view: &View, name: &AccountName, statement: &Statement) -> Account {
    let known = view.scene.policy.clinics.get(&view.name).and_then(|network| network.accounts.get(name));
    Account {
        name: format!("{}/{name}", view.name),
        state: if known.is_some_and(|account| account.active) { "active" } else { "left" }.to_owned(),
        successor: known.and_then(|account| account.successor.as_ref()).map(|successor| format!("{}/{successor}", view.name)),
        bounds: statement.bounds.iter().map(bound).collect(),
        short: statement.short.iter().map(|found| short(&view.name, name, found, &statement.spares)).collect(),
        spares: statement.spares.iter().map(spare).collect(),
    }
}

/// A bound that gets close to its limit.
pub(crate) fn tight(clinic: &ClinicName, account: &AccountName, standing: &Standing) -> Tight {
    Tight { account: format!("{clinic}/{account}"), bound: bound(standing) }
}

fn bound(standing: &Standing) -> Bound {
    Bound {
        limit: standing.quota.certificates,
        per_seconds: standing.quota.per.map(|span| span.as_secs()),
        counting: words::counting(&standing.quota).to_owned(),
        used: standing.used,
        reserved: standing.reserved,
        pressure: words::pressure(standing.pressure).to_owned(),
        exhausted_at: standing.exhausted_at.map(Timestamp::unix),
    }
}

/// A slot without a place, and what could make one.
pub(crate) fn short(clinic: &ClinicName, account: &AccountName, short: &plan::Short, spares: &[plan::Spare]) -> Short {
    Short {
        account: format!("{clinic}/{account}"),
        slot: short.slot.to_string(),
        number: short.number,
        limit: short.quota.certificates,
        per_seconds: short.quota.per.map(|span| span.as_secs()),
        until: short.until.map(Timestamp::unix),
        spares: spares.iter().take(SPARES_MAX).map(spare).collect(),
    }
}

fn spare(spare: &plan::Spare) -> Spare {
    Spare {
        slot: spare.slot.to_string(),
        serial: spare.serial.to_string(),
        because: words::useless(spare.because).to_owned(),
        since: spare.since.map(Timestamp::unix),
    }
}

/// What goes with an account.
pub(crate) fn leaving(clinic: &ClinicName, left: &plan::Leaving) -> Leaving {
    Leaving {
        account: format!("{clinic}/{}", left.account),
        certificates: count(left.certificates.len()),
        devices: left.devices.iter().map(ToString::to_string).collect(),
        sites: left.sites.iter().cloned().collect(),
        moves: left.moves.iter().map(|(slot, to)| Move { slot: slot.to_string(), to: format!("{clinic}/{to}") }).collect(),
        lost: left.lost.iter().map(ToString::to_string).collect(),
        locked_out: left.locked_out.iter().map(ToString::to_string).collect(),
    }
}

/// Nothing unless the certificate expires while its clinic is closed.
pub(crate) fn while_closed(slot: &SlotId, outlook: &Outlook) -> Option<ExpiresWhileClosed> {
    let closing = outlook.closing?;
    Some(ExpiresWhileClosed {
        slot: slot.to_string(),
        not_after: outlook.not_after.unix(),
        stretch: words::stretch(closing.stretch).to_owned(),
        first: closing.first.to_string(),
        last: closing.last.to_string(),
        last_open: closing.last_open.to_string(),
        attempts: outlook.attempts,
    })
}

#[cfg(test)]
mod tests;
