//! The people of the pretend clinics: they bring vendors' files and change linkage tools, some time after they are asked, in opening hours.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::calendar::Calendar;
use crate::name::{Label, SlotId};
use crate::policy::Tenant;
use crate::simulate::server::Server;
use crate::simulate::words::{self, Log};
use crate::time::{DAY, MINUTE, Timestamp};

/// Nobody is away for longer than this.
const AWAY_MAX: Duration = Duration::from_secs(60 * DAY.as_secs());

/// What they do by themselves, and since when they are asked for it.
#[derive(Debug, Default)]
pub struct People {
    /// How long it takes them; `None`: nobody does anything unless the script says so.
    pub after: Option<Duration>,
    asked: BTreeMap<(SlotId, Task), Timestamp>,
}

/// What people are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Bring,
    Change,
}

impl People {
    /// Lets them do what they have had time for; gives when they do the next thing, and whether they did any.
    pub fn work(&mut self, policy: &Tenant, server: &mut Server, log: &mut Log, now: Timestamp) -> (Option<Timestamp>, bool) {
        let Some(after) = self.after else { return (None, false) };
        let wanted = wanted(policy, server, now);
        self.asked.retain(|key, _| wanted.contains_key(key));
        let (mut next, mut has_worked) = (None, false);
        for ((slot, task), names) in wanted {
            let since = *self.asked.entry((slot.clone(), task)).or_insert(now);
            let hours = policy.clinics.get(&slot.clinic).map(|clinic| &clinic.hours);
            let moment = hours.map_or(since, |hours| open_from(hours, since.after(after)));
            if moment > now {
                next = next.into_iter().chain([moment]).min();
                continue;
            }
            has_worked = true;
            match task {
                Task::Bring => {
                    let brought = server.bring(&slot, now).map_or("nothing".to_owned(), words::certificate);
                    log.happened(now, &format!("somebody brings the vendor's file for {slot}: {brought}"));
                }
                Task::Change => {
                    server.confirm(&slot, &names);
                    let names: Vec<_> = names.iter().map(Label::as_str).collect();
                    log.happened(now, &format!("somebody changes {} for {slot}", names.join(", ")));
                }
            }
        }
        (next, has_worked)
    }
}

/// Everything that waits for a person.
fn wanted(policy: &Tenant, server: &Server, now: Timestamp) -> BTreeMap<(SlotId, Task), Vec<Label>> {
    let files = server.wanted_from_people(now).into_iter().map(|(slot, _)| ((slot, Task::Bring), Vec::new()));
    let copies = server.known.slots.iter().filter_map(|(slot, seen)| {
        let newest = seen.certificates.last().filter(|newest| newest.is_valid_proof(now))?;
        let names = policy.profiles.get(&slot.profile).map(|profile| profile.dependants.as_slice()).unwrap_or_default();
        let open: Vec<Label> = names.iter().filter(|name| !newest.confirmed.contains(*name)).cloned().collect();
        (!open.is_empty()).then(|| ((slot.clone(), Task::Change), open))
    });
    files.chain(copies).collect()
}

/// The first moment at or after `moment` at which the clinic is open, to the quarter of an hour.
fn open_from(hours: &Calendar, moment: Timestamp) -> Timestamp {
    let mut candidates = std::iter::successors(Some(moment), |moment| Some(moment.after(15 * MINUTE)));
    candidates.find(|candidate| hours.is_open(*candidate) || candidate.since(moment) > AWAY_MAX).unwrap_or(moment)
}
