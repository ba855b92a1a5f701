//! "The chart will not open": from what a PC sees to the first cause.
//!
//! Each [`Fact`] says by itself what it means for each [`Cause`]; of several the strongest counts. So one more fact never hides a cause, and
//! what no fact speaks of was not checked.

use std::cmp::Reverse;

use crate::name::SlotId;
use crate::time::Timestamp;

/// Why a chart does not open, in the order in which causes are named: what can defeat everything else, and what is cheap and certain,
/// first. Numbers are those of the ten checks that staff know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// 10: the clock of the PC is wrong.
    Clock,
    /// 6: the certificate was revoked.
    Revoked,
    /// 7: the account that it was issued under was deleted.
    AccountDeleted,
    /// The certificate has expired, or is not valid yet. Browsers hide such a one without a word.
    OutOfDate,
    /// The certificate is not in its store.
    Missing,
    /// The certificate is there, and its key cannot sign.
    KeyUnusable,
    /// The site asks for certificates of authorities that the stored chain does not lead to: browsers do not offer it then.
    ChainMissing,
    /// 1: another program than Chrome, Chromium or Edge opens the chart.
    WrongBrowser,
    /// 2: a bookmark or shortcut leads to another address than the chart's.
    WrongAddress,
    /// 8: several clinics use the site, and it may be the other one's turn.
    OtherClinic,
    /// 9: the account has no certificate left to give.
    Quota,
    /// 4: an extension of the browser is in the way.
    Extension,
    /// 5: something between, such as security software, opens encrypted connections.
    Intercepted,
    /// 3: the browser remembers an earlier decision.
    OldDecision,
}

impl Cause {
    /// Every cause, in their order.
    pub const ALL: [Self; 14] = [
        Self::Clock,
        Self::Revoked,
        Self::AccountDeleted,
        Self::OutOfDate,
        Self::Missing,
        Self::KeyUnusable,
        Self::ChainMissing,
        Self::WrongBrowser,
        Self::WrongAddress,
        Self::OtherClinic,
        Self::Quota,
        Self::Extension,
        Self::Intercepted,
        Self::OldDecision,
    ];

    /// Those that are asked of every certificate, one by one.
    pub const OF_CERTIFICATES: [Self; 8] = [
        Self::Revoked,
        Self::AccountDeleted,
        Self::OutOfDate,
        Self::Missing,
        Self::KeyUnusable,
        Self::ChainMissing,
        Self::Quota,
        Self::Intercepted,
    ];
}

/// How sure it is that this is it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// It would explain it, and many such PCs work.
    Possible,
    /// It explains it.
    Likely,
    /// While this is so, the chart cannot open.
    Certain,
}

/// What one fact means for one cause. The largest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is not this.
    Fine,
    /// It could not be checked.
    Unchecked,
    /// It is.
    Found(Certainty),
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The PC's clock minus a server's, in seconds.
    ClockAhead(i64),
    /// The slot's certificate is in its store, and this is when it is valid.
    Held(SlotId, Validity),
    /// The slot's certificate is not in its store.
    Absent(SlotId, Absence),
    /// Whether the slot's key signs.
    Key(SlotId, KeyState),
    /// What the issuer's revocation list says of the slot's certificate.
    Listed(SlotId, Listed),
    /// What the slot's site answered, and whether it had ever opened with a certificate before.
    Site {
        /// The page.
        site: String,
        /// What it answered.
        answer: Answer,
        /// A certificate of this slot was proven there once.
        was_open: bool,
    },
    /// A program that opens the chart.
    OpensWith {
        /// The program.
        program: String,
        /// It uses the browser's store and policy.
        is_supported: bool,
    },
    /// A bookmark or shortcut.
    Link {
        /// What people call it.
        name: String,
        /// Where it leads: scheme, host and port.
        leads_to: String,
        /// What of it is not the chart's.
        differs: Difference,
    },
    /// Several clinics use a site.
    Shared {
        /// The site.
        site: String,
        /// Whose certificate it is shown.
        shown: Shown,
    },
    /// An extension that may change or block pages is on.
    Extension(String),
    /// A browser runs that decided before the last change.
    HoldsOld,
    /// This was looked at, and nothing is wrong with it.
    Fine(Cause),
    /// This could not be looked at.
    Unchecked(Cause),
}

/// When a certificate is valid, seen from the PC's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Now,
    /// Not any more, since.
    Until(Timestamp),
    /// Not yet, but from then on.
    From(Timestamp),
}

impl Validity {
    /// Of a certificate that is valid from `not_before` to `not_after`.
    pub fn at(now: Timestamp, not_before: Timestamp, not_after: Timestamp) -> Self {
        if now > not_after {
            Self::Until(not_after)
        } else if now < not_before {
            Self::From(not_before)
        } else {
            Self::Now
        }
    }
}

/// Why a certificate is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// It was installed, and somebody took it out.
    TakenOut,
    /// It is being prepared.
    Underway,
    /// Nothing was ordered: the server waits, perhaps for a place under a quota, or a person.
    NotOrdered,
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It signs.
    Signs,
    /// It does not, or belongs to another certificate.
    Useless,
    /// It is not there.
    Gone,
    /// It does nothing before somebody at the PC agrees.
    AsksPeople,
}

/// What a revocation list says of one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Nothing: it is good.
    Not,
    /// It is revoked.
    Revoked,
    /// It is revoked because whom it names has left (RFC 5280, section 5.3.1, affiliationChanged).
    HolderLeft,
}

/// What a site answered to the slot's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It let it in.
    Opened,
    /// It did not ask for a certificate.
    AskedForNone,
    /// It asked for certificates of other authorities; true if the stored chain is the certificate alone.
    AskedForOthers {
        /// Nothing but the certificate itself is in the store.
        is_alone: bool,
    },
    /// It takes no signature that the key can make.
    OtherKeys,
    /// It said in the handshake that the certificate is revoked.
    SaysRevoked,
    /// It said in the handshake that the certificate has expired.
    SaysExpired,
    /// It said no, in the handshake or by an HTTP status that means "not with this certificate".
    Refused,
    /// Its own certificate comes from this authority, which nobody here knows.
    UnknownAuthority(String),
}

/// How a link misses the chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// The chart's host, but another scheme or port.
    SchemeOrPort,
    /// A neighbour of the chart's host.
    Host,
}

/// Whose certificate a shared site is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// This clinic's, although others use the site too.
    Of(String),
    /// This clinic's, and browsers cannot tell it from another's.
    Alike(String),
    /// Nobody's: browsers ask.
    Nobodys,
}

impl Fact {
    /// What it means for a cause; `None` if nothing.
    pub fn verdict(&self, cause: Cause) -> Option<Verdict> {
        self.verdicts().into_iter().find(|(of, _)| *of == cause).map(|(_, verdict)| verdict)
    }

    fn verdicts(&self) -> Vec<(Cause, Verdict)> {
        use Certainty::{Certain, Likely, Possible};
        use Verdict::{Fine, Found, Unchecked};
        match self {
            Self::ClockAhead(seconds) => vec![(Cause::Clock, clock(*seconds))],
            Self::Held(_, validity) => {
                let dates = if *validity == Validity::Now { Fine } else { Found(Certain) };
                vec![(Cause::Missing, Fine), (Cause::Quota, Fine), (Cause::OutOfDate, dates)]
            }
            Self::Absent(_, absence) => {
                // What was never ordered is not missing from its store: the server waits, most often for a place under the quota.
                let is_awaited = *absence == Absence::NotOrdered;
                let (missing, quota) = if is_awaited { (Fine, Found(Likely)) } else { (Found(Certain), Fine) };
                vec![(Cause::Missing, missing), (Cause::Quota, quota)]
            }
            Self::Key(_, KeyState::Signs) => vec![(Cause::KeyUnusable, Fine)],
            Self::Key(_, KeyState::Useless | KeyState::Gone | KeyState::AsksPeople) => vec![(Cause::KeyUnusable, Found(Certain))],
            Self::Listed(_, Listed::Not) => vec![(Cause::Revoked, Fine), (Cause::AccountDeleted, Fine)],
            Self::Listed(_, Listed::Revoked) => vec![(Cause::Revoked, Found(Certain)), (Cause::AccountDeleted, Fine)],
            Self::Listed(_, Listed::HolderLeft) => vec![(Cause::AccountDeleted, Found(Certain)), (Cause::Revoked, Fine)],
            Self::Site { answer, was_open, .. } => site(answer, *was_open),
            Self::OpensWith { is_supported, .. } => vec![(Cause::WrongBrowser, if *is_supported { Fine } else { Found(Likely) })],
            Self::Link { differs: Difference::SchemeOrPort, .. } => vec![(Cause::WrongAddress, Found(Likely))],
            Self::Link { differs: Difference::Host, .. } => vec![(Cause::WrongAddress, Found(Possible))],
            Self::Shared { shown: Shown::Of(_), .. } => vec![(Cause::OtherClinic, Found(Possible))],
            Self::Shared { shown: Shown::Alike(_) | Shown::Nobodys, .. } => vec![(Cause::OtherClinic, Found(Likely))],
            Self::Extension(_) => vec![(Cause::Extension, Found(Possible))],
            Self::HoldsOld => vec![(Cause::OldDecision, Found(Likely))],
            Self::Fine(cause) => vec![(*cause, Fine)],
            Self::Unchecked(cause) => vec![(*cause, Unchecked)],
        }
    }
}

/// From here on sign-in tokens and fresh certificates fail: five minutes, as Kerberos allows (RFC 4120, section 8.2).
const CLOCK_WRONG: u64 = 5 * 60;
/// From here on strict services complain.
const CLOCK_OFF: u64 = 60;

fn clock(ahead: i64) -> Verdict {
    match ahead.unsigned_abs() {
        CLOCK_WRONG.. => Verdict::Found(Certainty::Certain),
        CLOCK_OFF.. => Verdict::Found(Certainty::Possible),
        _ => Verdict::Fine,
    }
}

/// A site that opened once is known to ask for the certificate, and to have an authority that is known here.
fn site(answer: &Answer, was_open: bool) -> Vec<(Cause, Verdict)> {
    use Certainty::{Certain, Likely, Possible};
    use Verdict::{Fine, Found};
    let if_open = |then, otherwise| Found(if was_open { then } else { otherwise });
    match answer {
        Answer::Opened => [Cause::Revoked, Cause::AccountDeleted, Cause::KeyUnusable, Cause::ChainMissing, Cause::Intercepted]
            .map(|it| (it, Fine))
            .to_vec(),
        Answer::AskedForNone => vec![(Cause::Intercepted, if_open(Likely, Possible))],
        Answer::AskedForOthers { is_alone } => {
            vec![(Cause::ChainMissing, Found(if *is_alone { Certain } else { Likely })), (Cause::Intercepted, Fine)]
        }
        Answer::OtherKeys => vec![(Cause::KeyUnusable, Found(Certain)), (Cause::Intercepted, Fine)],
        Answer::SaysRevoked => vec![(Cause::Revoked, Found(Certain)), (Cause::ChainMissing, Fine), (Cause::Intercepted, Fine)],
        Answer::SaysExpired => vec![(Cause::OutOfDate, Found(Certain)), (Cause::ChainMissing, Fine), (Cause::Intercepted, Fine)],
        Answer::Refused => vec![
            (Cause::Revoked, if_open(Likely, Possible)),
            (Cause::AccountDeleted, Found(Possible)),
            (Cause::ChainMissing, Fine),
            (Cause::Intercepted, Fine),
        ],
        Answer::UnknownAuthority(_) => vec![(Cause::Intercepted, if_open(Certain, Likely))],
    }
}

/// One cause that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which one.
    pub cause: Cause,
    /// How sure it is.
    pub certainty: Certainty,
    /// What was seen, the strongest first.
    pub evidence: Vec<Fact>,
}

/// What is wrong with a PC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The more certain first; of equally certain ones in the order of [`Cause::ALL`].
    pub findings: Vec<Finding>,
    /// What could not be checked, for every certificate or for one. Never the same as fine.
    pub unchecked: Vec<Cause>,
}

/// Judges what was seen. Same facts, same answer, always.
pub fn diagnose(facts: &[Fact]) -> Diagnosis {
    let mut diagnosis = Diagnosis { findings: Vec::new(), unchecked: Vec::new() };
    for cause in Cause::ALL {
        let mut said: Vec<(Verdict, &Fact)> = facts.iter().filter_map(|fact| Some((fact.verdict(cause)?, fact))).collect();
        said.sort_by_key(|(verdict, _)| Reverse(*verdict));
        match said.first() {
            Some((Verdict::Fine, _)) => {}
            Some((Verdict::Found(certainty), _)) => {
                let evidence = said.iter().filter(|(verdict, _)| matches!(verdict, Verdict::Found(_))).map(|(_, fact)| (*fact).clone());
                diagnosis.findings.push(Finding { cause, certainty: *certainty, evidence: evidence.collect() });
            }
            Some((Verdict::Unchecked, _)) | None => diagnosis.unchecked.push(cause),
        }
    }
    diagnosis.findings.sort_by_key(|finding| (Reverse(finding.certainty), finding.cause));
    diagnosis
}

#[cfg(test)]
mod tests;
