//! Times as people type them: a moment, or how long from now.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::cli::failure::Failure;
use crate::reconcile::history::seconds;

/// An end in the future, as RFC 3339: `2h`, `30m`, `3d` from now, or a moment.
///
/// # Errors
/// It is neither.
pub fn end(text: &str) -> Result<String, Failure> {
    moment(text, Timestamp::now(), 1).map(seconds)
}

/// A moment in the past: `2h` ago, or a moment.
///
/// # Errors
/// It is neither.
pub fn past(text: &str) -> Option<Timestamp> {
    moment(text, Timestamp::now(), -1).ok()
}

/// A length of time, such as `30s` or `5m`.
///
/// # Errors
/// It is none.
pub fn duration(text: &str) -> Result<Duration, Failure> {
    let start = Timestamp::UNIX_EPOCH;
    let end = moment(text, start, 1)?;
    let seconds = end.as_second().saturating_sub(start.as_second());
    u64::try_from(seconds)
        .map(Duration::from_secs)
        .map_err(|_| Failure::usage(format!("`{text}` is no length of time"), "write 30s, 5m or 2h"))
}

/// How long ago, for people: `12s`, `5m`, `3h`, `2d`.
pub fn ago(time: &str, now: Timestamp) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return String::new() };
    span(now.as_second().saturating_sub(time.as_second()))
}

/// How long until then, for people: `in 71h`.
pub fn left(time: &str, now: Timestamp) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return String::new() };
    format!("in {}", span(time.as_second().saturating_sub(now.as_second())))
}

fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

fn moment(text: &str, now: Timestamp, direction: i64) -> Result<Timestamp, Failure> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let wrong = || {
        Failure::usage(format!("`{text}` is no time"), "write 30m, 2h, 3d, or a moment such as 2026-12-01T08:00:00Z")
    };
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let span = number.checked_mul(seconds * direction).map(SignedDuration::from_secs).ok_or_else(wrong)?;
    now.checked_add(span).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_moments() {
        let now: Timestamp = "2026-11-21T08:00:00Z".parse().expect("a moment");
        let of = |text: &str, direction| moment(text, now, direction).map(seconds).map_err(|failure| failure.code());
        assert_eq!(of("2h", 1), Ok("2026-11-21T10:00:00Z".to_owned()));
        assert_eq!(of("1d", -1), Ok("2026-11-20T08:00:00Z".to_owned()));
        assert_eq!(of("2026-12-01T08:00:00Z", 1), Ok("2026-12-01T08:00:00Z".to_owned()));
        assert_eq!((of("soon", 1), of("", 1), of("99999999999999d", 1)), (Err(2), Err(2), Err(2)));
        assert_eq!(ago("2026-11-21T07:55:00Z", now), "5m");
        assert_eq!(
            (left("2026-11-24T07:55:00Z", now), left("2026-11-21T07:55:00Z", now)),
            ("in 2d".to_owned(), "in 0s".to_owned())
        );
    }
}
