//! What a plain scalar means to Go's YAML packages: v2 (kubectl) and v3 (sops) share one table and differ in two rows.

/// Whose rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// go.yaml.in/yaml/v2: `yes` and `on` are booleans, dates are text.
    V2,
    /// go.yaml.in/yaml/v3: `yes` is text, dates are times.
    V3,
}

/// A plain scalar, typed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer that only 64 bits unsigned hold.
    Large(u64),
    Float(f64),
    /// RFC 3339 as Go writes it.
    Time(String),
    Text,
}

/// Types `text` as `resolve()` of the Go package does.
pub(super) fn resolve(text: &str, dialect: Dialect) -> Plain {
    if let Some(word) = word(text, dialect) {
        return word;
    }
    match text.bytes().next() {
        Some(b'.') if is_float(text) => float(text),
        Some(b'+' | b'-' | b'0'..=b'9') => number(text, dialect),
        _ => Plain::Text,
    }
}

fn word(text: &str, dialect: Dialect) -> Option<Plain> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" => Plain::Bool(true),
        "false" | "False" | "FALSE" => Plain::Bool(false),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if dialect == Dialect::V2 => Plain::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if dialect == Dialect::V2 => Plain::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Plain::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Plain::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Plain::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(text: &str, dialect: Dialect) -> Plain {
    if dialect == Dialect::V3
        && let Some(time) = time(text)
    {
        return Plain::Time(time);
    }
    let digits = text.replace('_', "");
    match integer(&digits) {
        Some(value) if i64::try_from(value).is_ok() => Plain::Int(i64::try_from(value).unwrap_or_default()),
        Some(value) if !digits.starts_with('+') && u64::try_from(value).is_ok() => {
            Plain::Large(u64::try_from(value).unwrap_or_default())
        }
        _ if is_float(&digits) => float(&digits),
        _ => Plain::Text,
    }
}

/// Go's `strconv.ParseInt` with base 0.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let prefix = if digits.len() > 2 { digits.get(..2).unwrap_or_default() } else { "" };
    let (radix, digits) = match prefix {
        "0x" | "0X" => (16, &digits[2..]),
        "0o" | "0O" => (8, &digits[2..]),
        "0b" | "0B" => (2, &digits[2..]),
        _ if digits.starts_with('0') => (8, digits),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    i128::from_str_radix(digits, radix).ok().map(|value| sign * value)
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['-', '+']).unwrap_or(exponent));
    mantissa && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// Go refuses what overflows, so such a number stays text.
fn float(text: &str) -> Plain {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Plain::Float(value),
        _ => Plain::Text,
    }
}

/// The four layouts of `parseTimestamp`, written as Go's `RFC3339Nano`.
fn time(text: &str) -> Option<String> {
    if text.bytes().take_while(u8::is_ascii_digit).count() != 4 || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let (date, clock) = match text.find(['T', 't', ' ']) {
        Some(index) => (&text[..index], Some((text.as_bytes()[index] == b' ', &text[index + 1..]))),
        None => (text, None),
    };
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let date = jiff::civil::Date::new(year.parse().ok()?, two_digits(month)?, two_digits(day)?).ok()?;
    let Some((bare, clock)) = clock else { return Some(format!("{date}T00:00:00Z")) };
    let (clock, zone) = if bare { (clock, "Z".to_owned()) } else { split_zone(clock)? };
    Some(format!("{date}T{}{zone}", time_of_day(clock)?))
}

/// `15:4:5.999999999` as `15:04:05.999999999` without trailing zeros.
fn time_of_day(text: &str) -> Option<String> {
    let (text, fraction) = text.split_once(['.', ',']).map_or((text, None), |(text, rest)| (text, Some(rest)));
    let mut parts = text.splitn(3, ':').map(two_digits);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = fraction.unwrap_or("0");
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction[..fraction.len().min(9)].trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{hour:02}:{minute:02}:{second:02}{point}{fraction}"))
}

/// Splits `Z` or `±hh:mm` off; an offset of zero is written `Z`.
fn split_zone(text: &str) -> Option<(&str, String)> {
    if let Some(clock) = text.strip_suffix('Z') {
        return Some((clock, "Z".to_owned()));
    }
    let (clock, zone) = text.split_at_checked(text.rfind(['+', '-'])?)?;
    let (hours, minutes) = zone[1..].split_once(':')?;
    let fits = hours.len() == 2 && minutes.len() == 2 && two_digits(hours)? <= 24 && two_digits(minutes)? < 60;
    let zero = hours == "00" && minutes == "00";
    fits.then(|| (clock, if zero { "Z".to_owned() } else { zone.to_owned() }))
}

fn two_digits(text: &str) -> Option<i8> {
    let fits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}
