//! What a change of policy means for accounts: who finds no place, who leaves, and what expires while a clinic is closed.

use std::collections::BTreeSet;

use tegata_api::v1::fleet::Preview;
use tegata_core::calendar::LOOK_AHEAD;
use tegata_core::fleet::Observed;
use tegata_core::name::SlotId;
use tegata_core::plan::{Pressure, Standing, leaving, outlooks, statements};
use tegata_core::time::Timestamp;

use super::difference::Affected;
use crate::accounts;

/// Adds to a preview what concerns the accounts of one clinic.
pub(super) fn compare(affected: &Affected, observed: &Observed, now: Timestamp, preview: &mut Preview) {
    let Affected { clinic, before, after } = affected;
    let statements_before = statements(before, observed, now);
    let known: BTreeSet<&SlotId> = statements_before.values().flat_map(|statement| &statement.short).map(|short| &short.slot).collect();
    for (name, statement) in statements(after, observed, now) {
        let was_tight = |standing: &Standing| {
            let before = statements_before.get(&name).into_iter().flat_map(|statement| &statement.bounds);
            before.into_iter().any(|other| other.quota == standing.quota && other.pressure >= standing.pressure)
        };
        let tight = statement.bounds.iter().filter(|standing| standing.pressure >= Pressure::Tight && !was_tight(standing));
        preview.tight.extend(tight.map(|standing| accounts::tight(clinic, &name, standing)));
        let new = statement.short.iter().filter(|short| !known.contains(&short.slot));
        preview.over_quota.extend(new.map(|short| accounts::short(clinic, &name, short, &statement.spares)));
    }
    preview.leaving.extend(leaving(before, after, observed, now).iter().map(|left| accounts::leaving(clinic, left)));
    let soon = outlooks(after, observed, now).into_iter().filter(|(_, outlook)| outlook.not_after <= now.after(LOOK_AHEAD));
    preview.expires_while_closed.extend(soon.filter_map(|(slot, outlook)| accounts::while_closed(&slot, &outlook)));
}
