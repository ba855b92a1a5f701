//! Every gauge: its name, its labels, and how it is made from what is known.
//!
//! Names are as Prometheus' conventions ask: a prefix, base units, and moments rather than ages, so that `time() - moment` is right at any time
//! between two scrapes. Labels take values from policy and from closed enums only; no series is about a single device or certificate.

use std::collections::BTreeMap;
use std::time::Duration;

use tegata_core::name::{AccountName, ClinicId, ProfileName, TenantName};
use tegata_core::plan::{SILENT_AFTER, Standing};
use tegata_core::time::{DAY, Timestamp};

use super::census::{Figures, Known};
use crate::fleet::ANSWERS_WITHIN;
use crate::store::telemetry::LogRow;
use crate::words;

/// How far ahead certificates are counted that expire: each count includes those before it.
const AHEAD: [(&str, Duration); 6] = [
    ("0d", Duration::ZERO),
    ("1d", DAY),
    ("7d", DAY.saturating_mul(7)),
    ("30d", DAY.saturating_mul(30)),
    ("90d", DAY.saturating_mul(90)),
    ("any", Duration::MAX),
];

/// What a figure is.
pub(super) struct Gauge {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    /// Its points.
    read: fn(&Known, Timestamp) -> Vec<Point>,
}

/// How a figure may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Up and down.
    Gauge,
    /// Up only, also over a restart: it is read from the database.
    Counter,
}

impl Kind {
    /// As Prometheus writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        }
    }
}

/// One value of a figure.
#[derive(Debug, PartialEq)]
pub(super) struct Point {
    /// In the order of the gauge's labels.
    pub labels: Vec<String>,
    pub value: f64,
}

/// A figure with its points.
pub(super) struct Family {
    pub gauge: &'static Gauge,
    pub points: Vec<Point>,
}

/// Every one of them.
const GAUGES: &[Gauge] = &[
    Gauge {
        name: "tegata_build_info",
        help: "Always 1; says which version runs.",
        kind: Kind::Gauge,
        labels: &["version"],
        read: |_, _| vec![point([env!("CARGO_PKG_VERSION")], 1)],
    },
    Gauge {
        name: "tegata_recovering",
        help: "1 while nothing is given out, because the database was put back from a backup and nobody has put that on record.",
        kind: Kind::Gauge,
        labels: &[],
        read: |known, _| vec![point([] as [&str; 0], u64::from(known.is_recovering))],
    },
    Gauge {
        name: "tegata_clinics_behind",
        help: "Clinics that may have changed and whose figures were not read again yet.",
        kind: Kind::Gauge,
        labels: &[],
        read: |known, _| vec![point([] as [&str; 0], known.behind as u64)],
    },
    Gauge {
        name: "tegata_slots",
        help: "Slots, by the reason why they are not right; 'ready' are those that are.",
        kind: Kind::Gauge,
        labels: &["tenant", "clinic", "reason"],
        read: |known, _| {
            by_clinic(known, |figures| figures.slots.iter().map(|(reason, count)| (vec![(*reason).to_owned()], *count as f64)).collect())
        },
    },
    Gauge {
        name: "tegata_certificates",
        help: "Slots with a certificate that works, by how soon it expires; each count includes the sooner ones, and 'any' is all.",
        kind: Kind::Gauge,
        labels: &["tenant", "profile", "expires_within"],
        read: certificates,
    },
    Gauge {
        name: "tegata_certificate_earliest_expiry_timestamp_seconds",
        help: "When the first certificate of a clinic and profile expires that works and has no successor that does.",
        kind: Kind::Gauge,
        labels: &["tenant", "clinic", "profile"],
        read: |known, _| {
            by_clinic(known, |figures| {
                let first = figures.expiries.iter().filter_map(|(profile, moments)| Some((profile, *moments.iter().min()?)));
                first.map(|(profile, at)| (vec![profile.to_string()], moment(at))).collect()
            })
        },
    },
    Gauge {
        name: "tegata_agents",
        help: "Enrolled devices, by when their agent was heard: within the hour (online), within the day (away), or not (silent).",
        kind: Kind::Gauge,
        labels: &["tenant", "clinic", "state"],
        read: |known, now| by_clinic(known, |figures| agents(figures, now)),
    },
    Gauge {
        name: "tegata_installers",
        help: "Installer files on devices, by what became of them.",
        kind: Kind::Gauge,
        labels: &["tenant", "clinic", "state"],
        read: |known, _| {
            by_clinic(known, |figures| figures.installers.iter().map(|(state, count)| (vec![(*state).to_owned()], *count as f64)).collect())
        },
    },
    Gauge {
        name: "tegata_backup_copies",
        help: "Backups in the targets that policy names for them, by whether each copy counts.",
        kind: Kind::Gauge,
        labels: &["tenant", "clinic", "state"],
        read: |known, _| {
            by_clinic(known, |figures| figures.copies.iter().map(|(state, count)| (vec![state.clone()], *count as f64)).collect())
        },
    },
    Gauge {
        name: "tegata_backup_oldest_read_back_timestamp_seconds",
        help: "When that copy in a target was last read back and found whole which was not read back for longest.",
        kind: Kind::Gauge,
        labels: &["tenant", "clinic", "target"],
        read: |known, _| {
            by_clinic(known, |figures| figures.read_back.iter().map(|(target, at)| (vec![target.clone()], moment(*at))).collect())
        },
    },
    Gauge {
        name: "tegata_quota_limit",
        help: "Certificates that an account may have, by what is counted and over how long.",
        kind: Kind::Gauge,
        labels: &["tenant", "clinic", "account", "counting", "per"],
        read: |known, _| quotas(known, |standing| standing.quota.certificates),
    },
    Gauge {
        name: "tegata_quota_used",
        help: "Places of an account that are taken.",
        kind: Kind::Gauge,
        labels: &["tenant", "clinic", "account", "counting", "per"],
        read: |known, _| quotas(known, |standing| standing.used),
    },
    Gauge {
        name: "tegata_quota_left",
        help: "Places of an account that are neither taken nor kept for what policy asks for already.",
        kind: Kind::Gauge,
        labels: &["tenant", "clinic", "account", "counting", "per"],
        read: |known, _| {
            quotas(known, |standing| standing.quota.certificates.saturating_sub(standing.used.saturating_add(standing.reserved)))
        },
    },
    Gauge {
        name: "tegata_audit_records_total",
        help: "Records in the audit log.",
        kind: Kind::Counter,
        labels: &["tenant"],
        read: |known, _| known.logs.iter().map(|log| point([log.tenant.as_str()], log.records)).collect(),
    },
    Gauge {
        name: "tegata_log_size",
        help: "Records that the newest checkpoint of a tenant's log covers.",
        kind: Kind::Gauge,
        labels: &["tenant"],
        read: |known, _| known.logs.iter().map(|log| point([log.tenant.as_str()], log.covered)).collect(),
    },
    Gauge {
        name: "tegata_log_unsigned_records",
        help: "Records that no checkpoint covers yet.",
        kind: Kind::Gauge,
        labels: &["tenant"],
        read: |known, _| known.logs.iter().map(|log| point([log.tenant.as_str()], log.records.saturating_sub(log.covered))).collect(),
    },
    Gauge {
        name: "tegata_log_checkpoint_timestamp_seconds",
        help: "When the newest checkpoint of a tenant's log was signed.",
        kind: Kind::Gauge,
        labels: &["tenant"],
        read: |known, _| {
            let signed = known.logs.iter().filter_map(|log| Some((log.tenant.to_string(), log.signed_at?)));
            signed.map(|(tenant, at)| Point { labels: vec![tenant], value: moment(at) }).collect()
        },
    },
    Gauge {
        name: "tegata_audit_export_lag_records",
        help: "Records that whoever the audit log is exported to has not taken yet.",
        kind: Kind::Gauge,
        labels: &["tenant"],
        read: lag,
    },
    Gauge {
        name: "tegata_unfinished_intents",
        help: "Intentions on record without an outcome: open orders, bytes without their signature, letters that were not delivered.",
        kind: Kind::Gauge,
        labels: &["tenant", "intent"],
        read: |known, _| known.unfinished.iter().map(|row| point([row.tenant.as_str(), row.what.word()], row.count)).collect(),
    },
    Gauge {
        name: "tegata_unfinished_intent_oldest_timestamp_seconds",
        help: "Since when the oldest of them waits.",
        kind: Kind::Gauge,
        labels: &["tenant", "intent"],
        read: |known, _| {
            let rows = known.unfinished.iter();
            rows.map(|row| Point { labels: vec![row.tenant.to_string(), row.what.word().to_owned()], value: moment(row.oldest) }).collect()
        },
    },
];

/// What there is to tell. Some have no points.
pub(super) fn families(known: &Known, now: Timestamp) -> Vec<Family> {
    GAUGES.iter().map(|gauge| Family { gauge, points: (gauge.read)(known, now) }).collect()
}

fn point<const N: usize>(labels: [&str; N], value: u64) -> Point {
    Point { labels: labels.map(str::to_owned).into(), value: value as f64 }
}

fn moment(at: Timestamp) -> f64 {
    at.unix() as f64
}

/// The points of every clinic, each with the labels that follow tenant and clinic.
fn by_clinic(known: &Known, read: impl Fn(&Figures) -> Vec<(Vec<String>, f64)>) -> Vec<Point> {
    let clinics = known.clinics.iter().map(|(id, counted)| (id, &counted.figures));
    let points = clinics.flat_map(|(id, figures)| read(figures).into_iter().map(|(more, value)| Point { labels: named(id, more), value }));
    points.collect()
}

fn named(id: &ClinicId, more: Vec<String>) -> Vec<String> {
    [id.tenant.to_string(), id.clinic.to_string()].into_iter().chain(more).collect()
}

fn agents(figures: &Figures, now: Timestamp) -> Vec<(Vec<String>, f64)> {
    if figures.heard.is_empty() {
        return vec![];
    }
    let within = |span| figures.heard.iter().filter(|at| now.since(**at) <= span).count();
    let (hour, day, all) = (within(ANSWERS_WITHIN), within(SILENT_AFTER), figures.heard.len());
    [("online", hour), ("away", day - hour), ("silent", all - day)].map(|(state, count)| (vec![state.to_owned()], count as f64)).into()
}

fn lag(known: &Known, _: Timestamp) -> Vec<Point> {
    let Some(exported) = &known.exported else { return vec![] };
    let lag = |log: &LogRow| log.records.saturating_sub(exported.get(&log.tenant).copied().unwrap_or_default());
    known.logs.iter().map(|log| point([log.tenant.as_str()], lag(log))).collect()
}

fn certificates(known: &Known, now: Timestamp) -> Vec<Point> {
    let mut counts: BTreeMap<(&TenantName, &ProfileName), [u64; AHEAD.len()]> = BTreeMap::new();
    for (id, counted) in &known.clinics {
        for (profile, moments) in &counted.figures.expiries {
            let counts = counts.entry((&id.tenant, profile)).or_default();
            for (count, (_, ahead)) in counts.iter_mut().zip(AHEAD) {
                *count += moments.iter().filter(|at| **at <= now.after(ahead)).count() as u64;
            }
        }
    }
    let points = counts.into_iter().flat_map(|((tenant, profile), counts)| {
        let each = counts.into_iter().zip(AHEAD);
        each.map(move |(count, (within, _))| point([tenant.as_str(), profile.as_str(), within], count))
    });
    points.collect()
}

fn quotas(known: &Known, read: impl Fn(&Standing) -> u32) -> Vec<Point> {
    by_clinic(known, |figures| {
        let bound = |(account, standing): &(AccountName, Standing)| {
            let per = standing.quota.per.map(|span| format!("{}d", span.as_secs() / DAY.as_secs())).unwrap_or_default();
            (vec![account.to_string(), words::counting(&standing.quota).to_owned(), per], f64::from(read(standing)))
        };
        figures.quotas.iter().map(bound).collect()
    })
}
