//! How often a source may call a Repository in vain. A call that is right costs nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Calls in vain that may come at once, such as those of a forge whose secret was changed.
const BURST: f64 = 60.0;
/// Calls in vain a second from then on.
const RATE: f64 = 5.0;
/// Sources that are remembered, of some 100 bytes each; beyond that all begin anew.
const SOURCES: usize = 10_000;

/// Who calls what: an address, or a /64 of IPv6, which is what one customer has. What is no Repository counts as one.
type Caller = (IpAddr, Option<String>);

/// What each caller has left.
#[derive(Default)]
pub struct Allowance(Mutex<HashMap<Caller, (f64, Instant)>>);

impl Allowance {
    /// Takes one call from what the caller has left; how long he has to wait if it is nothing.
    pub fn take(&self, source: IpAddr, repository: Option<&str>, now: Instant) -> Result<(), Duration> {
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= SOURCES {
            callers.retain(|_, (left, at)| left_at(*left, *at, now) < BURST);
        }
        if callers.len() >= SOURCES {
            callers.clear();
        }
        let (left, at) = callers.entry(caller(source, repository)).or_insert((BURST, now));
        (*left, *at) = (left_at(*left, *at, now), now);
        if *left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - *left) / RATE));
        }
        *left -= 1.0;
        Ok(())
    }

    /// Gives it back: the call was right.
    pub fn give_back(&self, source: IpAddr, repository: Option<&str>) {
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((left, _)) = callers.get_mut(&caller(source, repository)) {
            *left = (*left + 1.0).min(BURST);
        }
    }
}

fn left_at(left: f64, at: Instant, now: Instant) -> f64 {
    (left + now.saturating_duration_since(at).as_secs_f64() * RATE).min(BURST)
}

fn caller(source: IpAddr, repository: Option<&str>) -> Caller {
    let network = match source.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    };
    (network, repository.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(allowance: &Allowance, source: &str, repository: Option<&str>, now: Instant) -> usize {
        let source = source.parse().unwrap();
        (0..1_000).take_while(|_| allowance.take(source, repository, now).is_ok()).count()
    }

    #[test]
    fn each_source_and_repository_has_its_own() {
        let (allowance, now) = (Allowance::default(), Instant::now());
        assert_eq!(taken(&allowance, "192.0.2.1", Some("shop"), now), 60);
        assert_eq!(taken(&allowance, "::ffff:192.0.2.1", Some("shop"), now), 0);
        assert_eq!(taken(&allowance, "192.0.2.1", Some("other"), now), 60);
        assert_eq!(taken(&allowance, "192.0.2.2", Some("shop"), now), 60);
        assert_eq!(taken(&allowance, "192.0.2.1", None, now), 60);
        assert_eq!(taken(&allowance, "2001:db8::1", None, now), 60);
        assert_eq!(taken(&allowance, "2001:db8::2", None, now), 0);
        assert_eq!(taken(&allowance, "192.0.2.1", Some("shop"), now + Duration::from_secs(2)), 10);
    }

    #[test]
    fn who_is_right_has_no_limit() {
        let (allowance, now, source) = (Allowance::default(), Instant::now(), "192.0.2.1".parse().unwrap());
        for _ in 0..1_000 {
            allowance.take(source, Some("shop"), now).unwrap();
            allowance.give_back(source, Some("shop"));
        }
        assert_eq!(taken(&allowance, "192.0.2.1", Some("shop"), now), 60);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (allowance, now) = (Allowance::default(), Instant::now());
        for number in 0..3 * u32::try_from(SOURCES).unwrap() {
            allowance.take(IpAddr::V4(number.into()), None, now).unwrap();
            assert!(allowance.0.lock().unwrap().len() <= SOURCES);
        }
    }
}
