//! Time as the files and the output show it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, as RFC 3339 in UTC with nanoseconds: `2026-11-21T22:23:32.123456789Z`.
pub fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(since.as_secs(), since.subsec_nanos())
}

/// Seconds since the epoch, and nanoseconds, as RFC 3339 in UTC.
pub fn rfc3339(seconds: u64, nanoseconds: u32) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z")
}

/// What [`rfc3339`] or another writer of RFC 3339 has written, as the time since the epoch. A date alone is its beginning.
pub fn since_epoch(text: &str) -> Option<Duration> {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00:00Z"));
    let numbers = |text: &str, between: char| -> Option<Vec<u64>> {
        text.split(between)
            .map(|part| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?)
            .collect()
    };
    let [year, month, day] = numbers(date, '-')?[..] else { return None };
    let end = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(end);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':')?[..] else { return None };
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let digits = fraction.get(..9).unwrap_or(fraction);
    let nanoseconds = format!("{digits:0<9}").parse().ok()?;
    let offset = match zone {
        "" | "Z" | "z" => 0,
        zone => {
            let [hours, minutes] = numbers(&zone[1..], ':')?[..] else { return None };
            let seconds = i64::try_from(hours * 3600 + minutes * 60).ok()?;
            if zone.starts_with('-') { -seconds } else { seconds }
        }
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Duration::new(u64::try_from(i64::try_from(seconds).ok()? - offset).ok()?, nanoseconds))
}

/// A date as days since 1970-01-01, the other way round than [`civil`].
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + day_of_era - 719_468
}

/// Days since 1970-01-01 as a date, counted in eras of 400 years that begin on a first of March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{rfc3339, since_epoch};
    use std::time::Duration;

    #[test]
    fn what_was_written_is_read_again() {
        for seconds in [0, 951_782_399, 951_782_400, 1_709_251_200, 4_107_542_400, 1_763_800_000] {
            assert_eq!(since_epoch(&rfc3339(seconds, 42)), Some(Duration::new(seconds, 42)));
        }
        let noon = since_epoch("2026-11-22T12:00:00Z");
        assert_eq!(since_epoch("2026-11-22T13:30:00+01:30"), noon);
        assert_eq!(since_epoch("2026-11-22"), since_epoch("2026-11-22T00:00:00Z"));
        for wrong in [
            "",
            "x",
            "2026",
            "2026-13-01",
            "1969-12-31",
            "2026-11-22T1:2",
            "2026-11-22T01:02:03+1",
            "2026-é-01",
        ] {
            assert_eq!(since_epoch(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (1_709_251_200, "2024-03-01T00:00:00.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(rfc3339(seconds, 0), expected);
        }
        assert_eq!(rfc3339(1, 42), "1970-01-01T00:00:01.000000042Z");
    }
}
