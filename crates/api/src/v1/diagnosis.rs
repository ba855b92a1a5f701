//! Why a chart does not open, as the doctor of a PC (`tegata-agent doctor`) tells the server. Words only: nothing of what was seen, such as
//! names and addresses of bookmarks, leaves the PC.

use serde::{Deserialize, Serialize};
use tegata_core::diagnosis as core;

/// What the doctor of a PC found last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// When it looked, seconds since the Unix epoch: by the clock of the device in reports, by the server's in what people are told.
    pub at: i64,
    /// What was found, the first cause first. Empty: nothing.
    pub findings: Vec<Finding>,
    /// What could not be checked, which is not the same as fine.
    pub unchecked: Vec<Cause>,
}

/// One cause that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Which one.
    pub cause: Cause,
    /// How sure it is.
    pub certainty: Certainty,
}

/// How sure it is that this is it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// It would explain it, and many such PCs work.
    Possible,
    /// It explains it.
    Likely,
    /// While this is so, the chart cannot open.
    Certain,
}

/// Why a chart does not open: [`tegata_core::diagnosis::Cause`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The clock of the PC is wrong.
    Clock,
    /// The certificate was revoked.
    Revoked,
    /// The account that it was issued under was deleted.
    AccountDeleted,
    /// The certificate has expired, or is not valid yet.
    OutOfDate,
    /// The certificate is not in its store.
    Missing,
    /// The certificate is there, and its key cannot sign.
    KeyUnusable,
    /// The site asks for certificates of authorities that the stored chain does not lead to.
    ChainMissing,
    /// Another program than Chrome, Chromium or Edge opens the chart.
    WrongBrowser,
    /// A bookmark or shortcut leads to another address than the chart's.
    WrongAddress,
    /// Several clinics use the site, and it may be the other one's turn.
    OtherClinic,
    /// The account has no certificate left to give.
    Quota,
    /// An extension of the browser is in the way.
    Extension,
    /// Something between opens encrypted connections.
    Intercepted,
    /// The browser remembers an earlier decision.
    OldDecision,
}

impl Cause {
    /// The word for it: `clock`, `account-deleted`, …
    pub fn word(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Revoked => "revoked",
            Self::AccountDeleted => "account-deleted",
            Self::OutOfDate => "out-of-date",
            Self::Missing => "missing",
            Self::KeyUnusable => "key-unusable",
            Self::ChainMissing => "chain-missing",
            Self::WrongBrowser => "wrong-browser",
            Self::WrongAddress => "wrong-address",
            Self::OtherClinic => "other-clinic",
            Self::Quota => "quota",
            Self::Extension => "extension",
            Self::Intercepted => "intercepted",
            Self::OldDecision => "old-decision",
        }
    }
}

impl Certainty {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

impl Diagnosis {
    /// As it is told of one that was made at a moment of the device's clock.
    pub fn of(diagnosis: &core::Diagnosis, at: i64) -> Self {
        let finding = |it: &core::Finding| Finding { cause: it.cause.into(), certainty: it.certainty.into() };
        let unchecked = diagnosis.unchecked.iter().map(|cause| (*cause).into()).collect();
        Self { at, findings: diagnosis.findings.iter().map(finding).collect(), unchecked }
    }

    /// True if something was found that explains why a chart does not open.
    pub fn explains(&self) -> bool {
        self.findings.iter().any(|finding| finding.certainty >= Certainty::Likely)
    }

    /// In a few words: the first cause, or that there is none.
    pub fn glance(&self) -> String {
        match self.findings.first() {
            Some(Finding { cause, certainty: Certainty::Certain }) => cause.word().to_owned(),
            Some(Finding { cause, certainty }) => format!("{} ({})", cause.word(), certainty.word()),
            None if self.unchecked.is_empty() => "fine".to_owned(),
            None => "not all checked".to_owned(),
        }
    }
}

impl From<core::Certainty> for Certainty {
    fn from(certainty: core::Certainty) -> Self {
        match certainty {
            core::Certainty::Possible => Self::Possible,
            core::Certainty::Likely => Self::Likely,
            core::Certainty::Certain => Self::Certain,
        }
    }
}

impl From<core::Cause> for Cause {
    fn from(cause: core::Cause) -> Self {
        match cause {
            core::Cause::Clock => Self::Clock,
            core::Cause::Revoked => Self::Revoked,
            core::Cause::AccountDeleted => Self::AccountDeleted,
            core::Cause::OutOfDate => Self::OutOfDate,
            core::Cause::Missing => Self::Missing,
            core::Cause::KeyUnusable => Self::KeyUnusable,
            core::Cause::ChainMissing => Self::ChainMissing,
            core::Cause::WrongBrowser => Self::WrongBrowser,
            core::Cause::WrongAddress => Self::WrongAddress,
            core::Cause::OtherClinic => Self::OtherClinic,
            core::Cause::Quota => Self::Quota,
            core::Cause::Extension => Self::Extension,
            core::Cause::Intercepted => Self::Intercepted,
            core::Cause::OldDecision => Self::OldDecision,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_and_certainty_is_written_with_its_word_and_read_again() {
        for cause in core::Cause::ALL.map(Cause::from) {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.word());
            assert_eq!(serde_json::from_value::<Cause>(cause.word().into()).unwrap(), cause);
        }
        for certainty in [Certainty::Possible, Certainty::Likely, Certainty::Certain] {
            assert_eq!(serde_json::to_value(certainty).unwrap(), certainty.word());
        }
    }

    #[test]
    fn a_glance_never_calls_fine_what_was_not_looked_at_nor_certain_what_is_only_possible() {
        let glance = |findings: &[(Cause, Certainty)], unchecked: &[Cause]| {
            let findings = findings.iter().map(|(cause, certainty)| Finding { cause: *cause, certainty: *certainty }).collect();
            Diagnosis { at: 0, findings, unchecked: unchecked.to_vec() }.glance()
        };
        assert_eq!(glance(&[(Cause::Clock, Certainty::Certain), (Cause::Revoked, Certainty::Likely)], &[]), "clock");
        assert_eq!(glance(&[(Cause::Extension, Certainty::Possible)], &[Cause::Clock]), "extension (possible)");
        assert_eq!(glance(&[], &[Cause::Clock]), "not all checked");
        assert_eq!(glance(&[], &[]), "fine");
    }
}
