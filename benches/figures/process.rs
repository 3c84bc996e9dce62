//! What this process used, and what figures are made of.

use std::time::Duration;

/// CPU time of all threads that are running, to the nanosecond.
pub fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let used = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    Duration::from_nanos(used.filter_map(|line| line.split(' ').next()?.parse::<u64>().ok()).sum())
}

/// A line of `/proc/self/status` in MiB: `VmHWM` is the most memory so far, `VmRSS` that of now.
pub fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes =
        status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')?.trim().split(' ').next());
    kilobytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or_default() / 1024
}

/// Median, least and most.
pub struct Spread {
    pub median: Duration,
    pub least: Duration,
    pub most: Duration,
}

/// Of at least one duration.
pub fn spread(mut all: Vec<Duration>) -> Spread {
    all.sort_unstable();
    Spread { median: all[all.len() / 2], least: all[0], most: all[all.len() - 1] }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} to {})", short(self.median), short(self.least), short(self.most))
    }
}

/// Three digits and a unit.
pub fn short(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        micros if micros < 1e3 => format!("{micros:.0} µs"),
        micros if micros < 1e5 => format!("{:.1} ms", micros / 1e3),
        micros if micros < 1e6 => format!("{:.0} ms", micros / 1e3),
        micros => format!("{:.1} s", micros / 1e6),
    }
}

/// A number with commas between thousands.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
