//! Quantities (`resource.Quantity`) in the form in which the server writes them.

const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const NANO: i128 = 1_000_000_000;

/// The canonical form: no fraction, the largest unit that fits. What is no quantity stays as it is.
pub fn canonical(text: &str) -> String {
    let end = text.find(|letter: char| !matches!(letter, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let Some(value) = nanos(number) else { return text.to_owned() };
    if let Some(power) = BINARY.iter().position(|name| *name == unit).filter(|power| *power > 0) {
        let value = u32::try_from(power).ok().and_then(|power| value.checked_mul(1024_i128.pow(power)));
        return value.map_or_else(|| text.to_owned(), binary);
    }
    let thousands = |power: usize| u32::try_from(power).ok().map(|power| 1000_i128.pow(power));
    let scaled = match DECIMAL.iter().position(|name| *name == unit) {
        Some(power @ 0..3) => thousands(3 - power).map(|divisor| value / divisor),
        Some(power) => thousands(power - 3).and_then(|factor| value.checked_mul(factor)),
        None => None,
    };
    scaled.map_or_else(|| text.to_owned(), decimal)
}

/// A decimal number in billionths.
fn nanos(number: &str) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 9 {
        return None;
    }
    let negative = whole.starts_with('-');
    let whole = whole.trim_start_matches(['-', '+']);
    let digits = format!("{whole}{fraction:0<9}");
    let value: i128 = digits.parse().ok()?;
    Some(if negative { -value } else { value })
}

fn binary(nanos: i128) -> String {
    if nanos % NANO != 0 || nanos.abs() < 1024 * NANO {
        return decimal(nanos);
    }
    let mut value = nanos / NANO;
    let mut power = 0;
    while value % 1024 == 0 && power + 1 < BINARY.len() {
        value /= 1024;
        power += 1;
    }
    format!("{value}{}", BINARY[power])
}

fn decimal(nanos: i128) -> String {
    if nanos == 0 {
        return "0".to_owned();
    }
    let mut value = nanos;
    let mut power = 0;
    while value % 1000 == 0 && power + 1 < DECIMAL.len() {
        value /= 1000;
        power += 1;
    }
    format!("{value}{}", DECIMAL[power])
}

#[test]
fn quantities_are_written_as_the_server_writes_them() {
    let table = [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("64Mi", "64Mi"),
        ("2000", "2k"),
        ("100", "100"),
        ("1G", "1G"),
        ("0", "0"),
        ("0Mi", "0"),
        ("512Ki", "512Ki"),
        ("nonsense", "nonsense"),
        ("", ""),
    ];
    for (given, written) in table {
        assert_eq!(canonical(given), written, "{given}");
    }
}
