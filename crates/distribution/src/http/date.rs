//! Dates of HTTP (RFC 9110, 5.6.7), in the form that is to be sent: `Sun, 06 Nov 1994 08:49:37 GMT`.

use crate::calendar;
use std::time::{Duration, SystemTime};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The moment, from 1970 on.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| name == month)? as i64 + 1;
    let (day, year): (i64, i64) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<u64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour @ 0..24, minute @ 0..60, second @ 0..=60] = *clock.as_slice() else { return None };
    if !(1..=31).contains(&day) || !(1970..10_000).contains(&year) {
        return None;
    }
    let since = u64::try_from(calendar::days(year, month, day)).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(((since * 24 + hour) * 60 + minute) * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_the_moments_that_they_name() {
        let seconds =
            |text| parse(text).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("Sun, 06 Nov 1994 25:49:37 GMT"), None);
    }
}
