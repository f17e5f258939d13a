//! Days of the proleptic Gregorian calendar as `YYYY-MM-DD`, counted from 1970-01-01. Exact; years 1 to 9999.

/// Days from 0001-01-01 to 1970-01-01.
const EPOCH: i32 = 719_162;
/// Last year that has four digits.
const LAST_YEAR: i32 = 9_999;
/// Days in 400 years, after which the calendar repeats.
const DAYS_IN_400_YEARS: i64 = 146_097;

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 0001-01-01 to the first day of a year.
fn days_before(year: i32) -> i32 {
    let past = year - 1;
    past * 365 + past / 4 - past / 100 + past / 400
}

/// The day that a text names; `None` when it is not exactly a date of the calendar.
pub(super) fn parse_day(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    let shape = |at: usize, byte: &u8| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() };
    if bytes.len() != 10 || !bytes.iter().enumerate().all(|(at, byte)| shape(at, byte)) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i32>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    if year < 1 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let months: i32 = (1..month).map(|month| days_in_month(year, month)).sum();
    Some(days_before(year) + months + day - 1 - EPOCH)
}

/// A day as text; `None` outside the years 1 to 9999.
pub(super) fn format_day(day: i32) -> Option<String> {
    let since = day.checked_add(EPOCH).filter(|since| (0..days_before(LAST_YEAR + 1)).contains(since))?;
    // At most one year off, because years differ from their average length by less than two days in all.
    let mut year = i32::try_from(i64::from(since) * 400 / DAYS_IN_400_YEARS).ok()?.max(1);
    while days_before(year + 1) <= since {
        year += 1;
    }
    let mut rest = since - days_before(year);
    let mut month = 1;
    while rest >= days_in_month(year, month) {
        rest -= days_in_month(year, month);
        month += 1;
    }
    Some(format!("{year:04}-{month:02}-{:02}", rest + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days_have_their_numbers() {
        for (text, day) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2020-01-01", 18_262),
            ("0001-01-01", -EPOCH),
        ] {
            assert_eq!(parse_day(text), Some(day), "{text}");
            assert_eq!(format_day(day).as_deref(), Some(text));
        }
    }

    #[test]
    fn every_day_reads_back_and_follows_the_one_before() {
        let last = parse_day("9999-12-31").unwrap();
        for day in (-EPOCH..=last).step_by(97).chain([last]) {
            assert_eq!(parse_day(&format_day(day).unwrap()), Some(day));
        }
        for (before, after) in
            [("1900-02-28", "1900-03-01"), ("2024-02-28", "2024-02-29"), ("2023-12-31", "2024-01-01")]
        {
            assert_eq!(parse_day(before).unwrap() + 1, parse_day(after).unwrap());
        }
        assert_eq!((format_day(last + 1), format_day(-EPOCH - 1), format_day(i32::MAX)), (None, None, None));
    }

    #[test]
    fn what_is_not_exactly_a_date_is_refused() {
        let bad = [
            "",
            "2020-1-01",
            "2020-13-01",
            "2020-00-10",
            "2019-02-29",
            "1900-02-29",
            "2020-04-31",
            "0000-01-01",
            "2020-01-00",
            "2020/01/01",
            "+020-01-01",
            "2020-01-01 ",
            "2020-01-0é",
        ];
        for text in bad {
            assert_eq!(parse_day(text), None, "{text}");
        }
    }
}
