//! Which records are asked for: all of what is said has to fit.

use std::collections::BTreeSet;

use tegata_api::v1::audit::{Record, Stage};
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;

use super::keys::{Topic, lookup, topics};

/// What records have to be. What is left out says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// About this object or a part of it.
    pub object: Option<String>,
    /// About something in this clinic, its own document among it.
    pub clinic: Option<String>,
    /// By or about this device, as `clinic/device`.
    pub device: Option<String>,
    /// About one of these certificates: serial numbers, fingerprints or orders, in lower case. None: about any, or none.
    pub certificates: BTreeSet<String>,
    /// About this account, as `clinic/account`.
    pub account: Option<String>,
    /// By this one.
    pub actor: Option<String>,
    /// About the document of policy of this name, or about slots of this profile.
    pub policy: Option<String>,
    /// Of one of these kinds: an action, or its first word. None: of any kind.
    pub kinds: BTreeSet<String>,
    /// *intended*, *done* or *seen*.
    pub stage: Option<Stage>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// True if a record is what is asked for.
    pub fn takes(&self, record: &Record) -> bool {
        let topics = topics(record);
        let is_place = |place: &String| topics.places.contains(place);
        let at = Timestamp::from_unix(record.at);
        self.object.as_ref().is_none_or(|object| is_part(&record.object, object))
            && self.clinic.as_ref().is_none_or(is_place)
            && self.device.as_ref().is_none_or(is_place)
            && (self.certificates.is_empty() || !self.certificates.is_disjoint(&topics.certificates))
            && self.account.as_ref().is_none_or(|account| topics.account.as_ref() == Some(account))
            && self.actor.as_ref().is_none_or(|actor| record.actor == *actor)
            && self.policy.as_ref().is_none_or(|name| topics.policies.contains(name))
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| is_kind(&record.action, kind)))
            && self.stage.is_none_or(|stage| record.stage == stage)
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
    }

    /// What the index is asked, most telling first: of each group one has to fit. Whatever a record needs beyond that is read in it.
    pub fn keys(&self, tenant: &TenantName) -> Vec<Vec<i64>> {
        let one = |topic: Topic<'_>| vec![topic.key(tenant)];
        let certificates: Vec<_> = self.certificates.iter().map(|name| Topic::Certificate(name).key(tenant)).collect();
        let is_whole = self.kinds.iter().all(|kind| kind.contains('.'));
        let kinds: Vec<_> = self.kinds.iter().filter(|_| is_whole).map(|kind| Topic::Action(kind).key(tenant)).collect();
        let groups = [
            certificates,
            self.account.as_deref().map_or(vec![], |name| one(Topic::Account(name))),
            self.object.as_deref().map_or(vec![], |object| one(Topic::Place(lookup(object)))),
            self.device.as_deref().map_or(vec![], |name| one(Topic::Place(name))),
            self.actor.as_deref().map_or(vec![], |name| one(Topic::Actor(name))),
            self.clinic.as_deref().map_or(vec![], |name| one(Topic::Place(name))),
            self.policy.as_deref().map_or(vec![], |name| one(Topic::Policy(name))),
            kinds,
        ];
        groups.into_iter().filter(|group| !group.is_empty()).collect()
    }
}

/// `a/b` has the parts `a/b/c` and `a/b@c`, but not `a/bc`.
fn is_part(object: &str, of: &str) -> bool {
    object.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']))
}

fn is_kind(action: &str, kind: &str) -> bool {
    action.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests;
