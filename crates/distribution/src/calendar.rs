//! The Gregorian calendar, also before its time: dates, and days since 1970-01-01. Years begin in March here, so that the
//! leap day is the last one (Howard Hinnant, "chrono-compatible low-level date algorithms").

/// From 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Days in 400 years.
const ERA: i64 = 146_097;

/// Days from 1970-01-01 to a date; months and days from 1.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before + (month * 153 + 2) / 5 + day - 1 - EPOCH
}

/// Year, month and day, so many days after 1970-01-01.
pub fn date(days: i64) -> (i64, i64, i64) {
    let (era, day) = ((days + EPOCH).div_euclid(ERA), (days + EPOCH).rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_days_are_the_same_both_ways() {
        for (number, expected) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_015, (2000, 2, 28)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
            (-719_162, (1, 1, 1)),
        ] {
            let (year, month, day) = expected;
            assert_eq!((date(number), days(year, month, day)), (expected, number));
        }
        for number in (-800_000..3_000_000).step_by(13) {
            let (year, month, day) = date(number);
            assert!((1..=12).contains(&month) && (1..=31).contains(&day), "{number}");
            assert_eq!(days(year, month, day), number);
        }
    }
}
