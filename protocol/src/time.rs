//! Days as people write them: `YYYY-MM-DD` in the proleptic Gregorian calendar, counted from 1970-01-01 in UTC.
//!
//! No clock and no zone: a moment comes in as milliseconds since 1970-01-01T00:00Z. The years are 1 to 9999; a day
//! outside them has no text.

use time::{Date, Month};

/// Milliseconds in a day.
pub const MS_PER_DAY: u64 = 86_400_000;
const MS_PER_MINUTE: u64 = 60_000;
/// The Julian day number of 1970-01-01.
const EPOCH_JULIAN: i32 = 2_440_588;
/// The first and the last year that four digits name.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9_999;

/// A text that is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DayError {
    /// It has another form.
    #[error("\"{text}\" is not a day: write YYYY-MM-DD")]
    Form {
        /// The text.
        text: String,
    },
    /// It has the form, but no such day was ever.
    #[error("the calendar has no {text}")]
    NotThere {
        /// The text.
        text: String,
    },
}

/// A day, as the number of days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The day of a moment, in UTC.
    pub fn of_ms(time_ms: u64) -> Self {
        Self(i32::try_from(time_ms / MS_PER_DAY).unwrap_or(i32::MAX))
    }

    /// The day `YYYY-MM-DD`; `None` outside the years 1 to 9999.
    pub fn text(self) -> Option<String> {
        let date = Date::from_julian_day(self.0.checked_add(EPOCH_JULIAN)?).ok()?;
        let (year, month, day) = date.to_calendar_date();
        YEARS.contains(&year).then(|| format!("{year:04}-{:02}-{day:02}", u8::from(month)))
    }

    /// The day after.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.text() {
            Some(text) => f.write_str(&text),
            None => write!(f, "day {}", self.0),
        }
    }
}

impl std::str::FromStr for Day {
    type Err = DayError;
    fn from_str(text: &str) -> Result<Self, DayError> {
        let form = || DayError::Form { text: text.to_owned() };
        let shape = |(at, byte): (usize, &u8)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        };
        if text.len() != 10 || !text.as_bytes().iter().enumerate().all(shape) {
            return Err(form());
        }
        let part =
            |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u16>().ok());
        let (Some(year), Some(month), Some(day)) = (part(0..4), part(5..7), part(8..10)) else {
            return Err(form());
        };
        let not_there = || DayError::NotThere { text: text.to_owned() };
        let narrow = |number: u16| u8::try_from(number).map_err(|_| not_there());
        let month = Month::try_from(narrow(month)?).map_err(|_| not_there())?;
        let date = Date::from_calendar_date(i32::from(year), month, narrow(day)?).map_err(|_| not_there())?;
        if !YEARS.contains(&date.year()) {
            return Err(not_there());
        }
        Ok(Self(date.to_julian_day().saturating_sub(EPOCH_JULIAN)))
    }
}

/// A moment as `YYYY-MM-DD HH:MM UTC`.
pub fn moment(time_ms: u64) -> String {
    let minute = time_ms % MS_PER_DAY / MS_PER_MINUTE;
    format!("{} {:02}:{:02} UTC", Day::of_ms(time_ms), minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days_have_their_numbers_and_read_back() {
        for (text, day) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2020-01-01", 18_262),
            ("0001-01-01", -719_162),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!(text.parse(), Ok(Day(day)), "{text}");
            assert_eq!(Day(day).to_string(), text);
        }
        for day in (-719_162..2_932_896).step_by(97) {
            assert_eq!(Day(day).text().unwrap().parse(), Ok(Day(day)));
        }
    }

    #[test]
    fn what_is_not_exactly_a_date_of_the_calendar_is_refused() {
        let form = [
            "",
            "2020-1-01",
            "24-01-01",
            "2020/01/01",
            "+020-01-01",
            "2020-01-01 ",
            "2020-01-0é",
            "２０２４-01-01",
        ];
        for text in form {
            assert_eq!(text.parse::<Day>(), Err(DayError::Form { text: text.into() }));
        }
        let not_there = [
            "2020-13-01",
            "2020-00-10",
            "2019-02-29",
            "1900-02-29",
            "2020-04-31",
            "0000-01-01",
            "2020-01-00",
            "2020-01-99",
        ];
        for text in not_there {
            assert_eq!(text.parse::<Day>(), Err(DayError::NotThere { text: text.into() }));
        }
    }

    #[test]
    fn a_day_outside_the_calendar_has_no_text_and_is_shown_by_its_number() {
        for day in [i32::MIN, -719_163, 2_932_897, i32::MAX] {
            assert_eq!((Day(day).text(), Day(day).to_string()), (None, format!("day {day}")));
        }
    }

    #[test]
    fn moments_print_in_utc() {
        assert_eq!(moment(0), "1970-01-01 00:00 UTC");
        assert_eq!(moment(1_582_934_399_999), "2020-02-28 23:59 UTC");
        assert_eq!(Day::of_ms(951_782_400_000).to_string(), "2000-02-29");
        assert_eq!(Day::of_ms(u64::MAX).text(), None);
    }
}
