//! What this process used, and what figures are made of.

use std::collections::BTreeSet;
use std::time::Duration;

/// CPU time of all threads that are running, to the nanosecond.
pub fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let used = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    Duration::from_nanos(used.filter_map(|line| line.split(' ').next()?.parse::<u64>().ok()).sum())
}

/// CPU time that another process has used, of threads that ended too, to a hundredth of a second.
pub fn cpu_of(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the process is there");
    // behind the name, which may have spaces: user and system time are the fields 14 and 15 (proc(5))
    let fields = stat.rsplit(") ").next().into_iter().flat_map(|fields| fields.split(' '));
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// A line of `/proc/self/status` in MiB: `VmHWM` is the most memory so far, `VmRSS` that of now.
pub fn memory(line: &str) -> u64 {
    memory_of("self", line) >> 20
}

/// The same of another process in bytes: `RssAnon` is what it allocated, without files that it has mapped.
pub fn memory_of(process: &str, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kilobytes =
        status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')?.trim().split(' ').next());
    kilobytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or_default() << 10
}

/// TCP connections that a process has made and that are open.
pub fn connections(process: u32) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let links = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
    let sockets: BTreeSet<String> = links
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
        .collect();
    let tables = ["tcp", "tcp6"].map(|name| std::fs::read_to_string(format!("/proc/{process}/net/{name}")));
    let lines: Vec<String> = tables.into_iter().flatten().flat_map(|table| lines(&table)).collect();
    let rows: Vec<Vec<&str>> = lines.iter().map(|line| line.split_whitespace().collect()).collect();
    // columns: local address, remote address, state (01 is established, 0A is listening), and the inode as the tenth
    let listening: BTreeSet<&str> = rows.iter().filter(|row| row[3] == "0A").map(|row| port(row[1])).collect();
    let made = rows.iter().filter(|row| row[3] == "01" && !listening.contains(port(row[1])));
    made.filter(|row| sockets.contains(row[9])).count()
}

fn lines(table: &str) -> Vec<String> {
    table.lines().skip(1).map(str::to_owned).collect()
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap_or(address)
}

/// The slope of a straight line through points, by least squares.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let products: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    products / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

/// Median, least and most, and what 99 of 100 stay below.
pub struct Spread {
    pub median: Duration,
    pub least: Duration,
    pub most: Duration,
    pub p99: Duration,
}

/// Of at least one duration.
pub fn spread(mut all: Vec<Duration>) -> Spread {
    all.sort_unstable();
    let p99 = all[(all.len() * 99).div_ceil(100) - 1];
    Spread { median: all[all.len() / 2], least: all[0], most: all[all.len() - 1], p99 }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} to {})", short(self.median), short(self.least), short(self.most))
    }
}

impl Spread {
    /// Median and p99.
    pub fn tail(&self) -> String {
        format!("{}, p99 {}", short(self.median), short(self.p99))
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
