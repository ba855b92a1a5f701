//! How long audit records have to be provable: until the last certificate that one names has expired, and then for some years.
//!
//! What a log is proven by needs every record from some number on, so that it is the oldest record that still counts which decides.

use std::cmp::Ordering;
use std::time::Duration;

use crate::time::{DAY, Timestamp};

/// The shortest period, in years. It can be lengthened; nobody can shorten it, neither alone nor together: there is no record by which somebody would
/// know later that it was longer once.
pub const YEARS_MIN: u32 = 7;
/// The longest: nobody plans further.
pub const YEARS_MAX: u32 = 100;

/// How long a record is kept after everything that it names is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(Duration);

impl Period {
    /// So many years, with all the leap days that they may have; nothing if that is too short or too long.
    pub fn of_years(years: u32) -> Option<Self> {
        (YEARS_MIN..=YEARS_MAX).contains(&years).then(|| Self(DAY * (years * 1_461).div_ceil(4)))
    }
}

impl Default for Period {
    fn default() -> Self {
        Self::of_years(YEARS_MIN).expect("the shortest period is one")
    }
}

/// Until when something has to be provable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// Until this moment.
    Moment(Timestamp),
    /// For ever, as far as anybody knows.
    Ever,
}

impl Until {
    /// True once it does not have to be any more.
    pub fn is_over(self, now: Timestamp) -> bool {
        self <= Self::Moment(now)
    }
}

/// Until when one record has to be provable, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep<Name> {
    /// Until when.
    pub until: Until,
    /// The certificate because of which it is so long; nothing if it is the record's own time.
    pub because: Option<Name>,
}

/// Judges a record that was made `at` and names certificates, each with its last moment of validity as far as that is known.
///
/// The last one decides, and one without a known end more than any other. Of two that end together it is the one that is named first.
pub fn keep<Name>(at: Timestamp, certificates: impl IntoIterator<Item = (Name, Option<Timestamp>)>, period: Period) -> Keep<Name> {
    let own = Keep { until: Until::Moment(at), because: None };
    let last = certificates.into_iter().fold(own, |last, (name, end)| {
        let until = end.map_or(Until::Ever, Until::Moment);
        match until.cmp(&last.until) {
            Ordering::Greater => Keep { until, because: Some(name) },
            Ordering::Equal if last.because.is_none() => Keep { until, because: Some(name) },
            _ => last,
        }
    });
    let until = match last.until {
        Until::Moment(moment) => Until::Moment(moment.after(period.0)),
        Until::Ever => Until::Ever,
    };
    Keep { until, because: last.because }
}

/// What a log comes to, record by record, oldest first. Its size does not depend on how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary<Name> {
    now: Timestamp,
    /// How many records there are.
    pub records: u64,
    /// How many of them do not have to be provable any more, wherever they are.
    pub over: u64,
    /// The first that still has to be, and until when: from it on, everything is needed.
    pub first: Option<(u64, Keep<Name>)>,
    /// The longest that any has to be provable.
    pub longest: Option<Until>,
    /// Texts beside records that are still there.
    pub texts: u64,
    /// Those of them whose record does not have to be provable any more.
    pub due: u64,
}

impl<Name> Summary<Name> {
    /// Of nothing yet, as of `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { now, records: 0, over: 0, first: None, longest: None, texts: 0, due: 0 }
    }

    /// Takes the next record, by its number, and with so many texts beside it that are still there. Says whether its time is over.
    pub fn push(&mut self, sequence: u64, keep: Keep<Name>, texts: u64) -> bool {
        self.records += 1;
        self.texts += texts;
        self.longest = self.longest.max(Some(keep.until));
        let is_over = keep.until.is_over(self.now);
        if is_over {
            self.over += 1;
            self.due += texts;
        } else if self.first.is_none() {
            self.first = Some((sequence, keep));
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each with the day on which it ends.
    type Certificates<'a> = &'a [(&'a str, Option<i64>)];

    const DAYS: i64 = 86_400;
    /// Seven years have at most two leap days.
    const PERIOD: i64 = 2_557 * DAYS;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_unix(number * DAYS)
    }

    fn moment(number: i64) -> Until {
        Until::Moment(Timestamp::from_unix(number * DAYS + PERIOD))
    }

    #[test]
    fn the_last_certificate_decides_and_one_without_an_end_more_than_any() {
        let table: [(&str, Certificates, Until, Option<&str>); 7] = [
            ("none: its own time", &[], moment(100), None),
            ("one that ends later", &[("a", Some(190))], moment(190), Some("a")),
            ("one that was over: its own time", &[("a", Some(40))], moment(100), None),
            ("one that ends that day", &[("a", Some(100))], moment(100), Some("a")),
            ("the last of several", &[("a", Some(190)), ("b", Some(900)), ("c", Some(300))], moment(900), Some("b")),
            ("two that end together: the first", &[("a", Some(190)), ("b", Some(190))], moment(190), Some("a")),
            ("one that nobody knows the end of", &[("a", Some(190)), ("b", None), ("c", Some(900))], Until::Ever, Some("b")),
        ];
        for (what, certificates, until, because) in table {
            let named = certificates.iter().map(|(name, end)| (*name, end.map(day)));
            assert_eq!(keep(day(100), named, Period::default()), Keep { until, because }, "{what}");
        }
    }

    #[test]
    fn a_period_can_be_lengthened_and_not_shortened() {
        assert_eq!(Period::of_years(7), Some(Period::default()));
        assert_eq!([0, 6, 101, u32::MAX].map(Period::of_years), [None; 4]);
        assert!(Period::of_years(8).unwrap().0 > Period::default().0 && Period::of_years(100).is_some());
    }

    #[test]
    fn it_is_the_oldest_that_still_counts_which_decides() {
        let mut summary = Summary::new(Timestamp::from_unix(200 * DAYS + PERIOD));
        let records: [(Certificates, u64); 5] =
            [(&[], 1), (&[("a", Some(150))], 2), (&[("b", Some(201))], 4), (&[], 8), (&[("c", Some(300))], 16)];
        for (number, (certificates, texts)) in (1..).zip(records) {
            let named = certificates.iter().map(|(name, end)| (*name, end.map(day)));
            assert_eq!(summary.push(number, keep(day(100), named, Period::default()), texts), ![3, 5].contains(&number));
        }
        assert_eq!(summary.first, Some((3, Keep { until: moment(201), because: Some("b") })), "what comes behind it is needed too");
        assert_eq!((summary.records, summary.over, summary.longest), (5, 3, Some(moment(300))));
        assert_eq!((summary.texts, summary.due), (31, 11));
    }

    fn ends() -> impl Strategy<Value = Vec<(usize, Option<Timestamp>)>> {
        let end = prop_oneof![1 => Just(None), 9 => (0..40_000_i64).prop_map(|number| Some(day(number)))];
        prop::collection::vec(end, 0..6).prop_map(|ends| ends.into_iter().enumerate().collect())
    }

    proptest! {
        /// As the sentence says it: no certificate that is named, and not the record itself, is over for less than the period.
        #[test]
        fn nothing_is_over_before_everything_in_it_is(at in 0..40_000_i64, named in ends(), years in YEARS_MIN..30) {
            let period = Period::of_years(years).unwrap();
            let kept = keep(day(at), named.clone(), period);
            let expected = if named.iter().any(|(_, end)| end.is_none()) {
                Until::Ever
            } else {
                Until::Moment(named.iter().filter_map(|(_, end)| *end).chain([day(at)]).max().unwrap().after(period.0))
            };
            prop_assert_eq!(kept.until, expected);
            let reason = kept.because.and_then(|name| named[name].1);
            let given = kept.because.map_or(Some(day(at)), |_| reason).map_or(Until::Ever, |end| Until::Moment(end.after(period.0)));
            prop_assert_eq!(given, expected, "the reason is one");
        }

        /// One certificate more, one later, or a longer period never lets a record go earlier.
        #[test]
        fn more_never_shortens(at in 0..40_000_i64, named in ends(), more in ends(), years in YEARS_MIN..30) {
            let (one, longer) = (Period::of_years(years).unwrap(), Period::of_years(years + 1).unwrap());
            let before = keep(day(at), named.clone(), one).until;
            prop_assert!(keep(day(at), named.iter().copied().chain(more), one).until >= before);
            prop_assert!(keep(day(at), named, longer).until >= before);
        }
    }
}
