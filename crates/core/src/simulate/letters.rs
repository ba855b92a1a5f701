//! What the pretend clinics are told about certificates that are not renewed yet.

use std::collections::BTreeMap;

use crate::name::{Serial, SlotId};
use crate::notice::{Ladder, Rung, bearer};
use crate::policy::Tenant;
use crate::simulate::server::Server;
use crate::simulate::words::{self, Log};
use crate::time::{DAY, Timestamp};

/// The newest rung that was told about each certificate.
#[derive(Debug, Default)]
pub struct Letters {
    told: BTreeMap<(SlotId, Serial), Rung>,
}

impl Letters {
    /// Tells what is due; gives when something is due next.
    pub fn write(&mut self, policy: &Tenant, server: &Server, log: &mut Log, now: Timestamp) -> Option<Timestamp> {
        let mut next = None;
        for (slot, seen) in &server.known.slots {
            let (Some(clinic), Some(profile)) = (policy.clinics.get(&slot.clinic), policy.profiles.get(&slot.profile)) else { continue };
            let Some(held) = bearer(seen) else { continue };
            let told = self.told.get(&(slot.clone(), held.serial)).copied();
            let outlook = Ladder::new(&profile.notices).look(held.not_after, &clinic.hours, told, now);
            if let Some(rung) = outlook.due {
                self.told.insert((slot.clone(), held.serial), rung);
                log.happened(
                    now,
                    &format!("tells {} about {} in {slot}: {}", slot.clinic, words::certificate(held.serial), words_for(rung)),
                );
            }
            next = next.into_iter().chain(outlook.next).min();
        }
        next
    }
}

fn words_for(rung: Rung) -> String {
    match rung {
        Rung::Ahead(span) => format!("{} days", span.0.as_secs() / DAY.as_secs()),
        Rung::Expired => "expired".to_owned(),
        Rung::After(days) => format!("expired {days} days ago"),
    }
}
