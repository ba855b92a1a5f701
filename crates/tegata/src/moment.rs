//! Moments as people read them: the clock on the wall, and how far away that is.

use jiff::tz::TimeZone;
use tegata_core::time::Timestamp;

/// `2026-11-22 13:04 (in 89 d)`, in `zone`.
pub fn with_distance(moment: i64, now: Timestamp, zone: &TimeZone) -> String {
    format!("{} ({})", wall_clock(moment, zone), distance(moment, now))
}

/// `2026-11-22 13:04`, in `zone`.
pub fn wall_clock(moment: i64, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_second(moment) {
        Ok(moment) => moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => format!("@{moment}"),
    }
}

/// `in 89 d`, `3 min ago`: rounded down, in the largest unit of which there are at least two.
pub fn distance(moment: i64, now: Timestamp) -> String {
    let seconds = moment.saturating_sub(now.unix());
    let span = span(seconds.unsigned_abs());
    match seconds {
        0 => "now".into(),
        1.. => format!("in {span}"),
        _ => format!("{span} ago"),
    }
}

fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = UNITS.iter().find(|(size, _)| seconds >= 2 * size);
    unit.map_or_else(|| format!("{seconds} s"), |(size, name)| format!("{} {name}", seconds / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_in_local_time_with_their_distance() {
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        let now = Timestamp::from_unix(1_795_000_000);
        assert_eq!(with_distance(now.unix() + 89 * 86_400 + 5, now, &tokyo), "2027-02-15 20:06 (in 89 d)");
    }

    #[test]
    fn distances_keep_the_unit_that_still_says_enough() {
        let now = Timestamp::from_unix(1_000_000);
        let of = |seconds: i64| distance(1_000_000 + seconds, now);
        assert_eq!(
            [of(0), of(5), of(119), of(600), of(7_199), of(7_200)],
            ["now", "in 5 s", "in 119 s", "in 10 min", "in 119 min", "in 2 h"]
        );
        assert_eq!([of(-30), of(-172_799), of(-172_800), of(i64::MAX - 2_000_000)].map(|text| text.len() > 3), [true; 4]);
        assert_eq!(of(-172_799), "47 h ago");
        assert_eq!(of(-172_800), "2 d ago");
    }
}
