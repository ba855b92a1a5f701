//! Why a certificate is declared invalid, in the words that everybody who checks certificates understands.

use crate::plan::Reason;

/// Why a certificate is invalid: the reasons of RFC 5280, section 5.3.1, that a person or a plan can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Cause {
    /// Nobody says.
    #[default]
    Unspecified,
    /// Its key is, or may be, in the wrong hands.
    KeyCompromise,
    /// Whom it names has left, or is called something else.
    AffiliationChanged,
    /// A newer one has taken its place.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 5] =
        [Self::Unspecified, Self::KeyCompromise, Self::AffiliationChanged, Self::Superseded, Self::CessationOfOperation];

    /// Its number as a CRLReason (RFC 5280, section 5.3.1).
    pub fn number(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
        }
    }
}

/// What a plan's reason means to those who check certificates.
impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::DeviceRevoked | Reason::Exposed => Self::KeyCompromise,
            Reason::Unwanted => Self::CessationOfOperation,
            Reason::RenewalAsked
            | Reason::Outdated
            | Reason::ExpiresSoon
            | Reason::DependantsOpen
            | Reason::NotBackedUp
            | Reason::Leftover
            | Reason::Expired => Self::Superseded,
            Reason::NotEnrolled | Reason::Missing | Reason::Revoked | Reason::Ordered | Reason::NotInstalled | Reason::NotProven => {
                Self::Unspecified
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_device_is_a_lost_key_and_what_nobody_wants_has_ceased() {
        assert_eq!(Cause::from(Reason::DeviceRevoked), Cause::KeyCompromise);
        assert_eq!(Cause::from(Reason::Unwanted), Cause::CessationOfOperation);
        assert_eq!(Cause::from(Reason::Outdated), Cause::Superseded);
    }

    #[test]
    fn numbers_are_those_of_the_standard() {
        assert_eq!(Cause::ALL.map(Cause::number), [0, 1, 3, 4, 5], "2 is cACompromise: never said of a client certificate");
    }
}
