//! How fast a container may send and receive: token buckets, both on the host's side, where nobody inside reaches them.
//!
//! ```text
//!  to the container    bridge ──► host's end: tbf ──► eth0
//!  from it             bridge ◄── host's end ◄── ifb: tbf ◄── host's end, ingress: mirred ◄── eth0
//! ```

use crate::error::{During, Error, Kind, Result};
use forgeone_sys::Errno;
use forgeone_sys::net::Route;

/// The slowest that makes sense: a packet takes more than a second then.
const SLOWEST: u64 = 8000;

/// The name of the interface that what a container sends is delayed in, after that of the host's end.
pub(super) fn detour(host_interface: &str) -> String {
    format!("fi{}", host_interface.trim_start_matches("fo"))
}

/// Whether a rate can be.
///
/// # Errors
/// [`Kind::Config`] if it can't.
pub(super) fn check(rate: Option<u64>) -> Result<()> {
    match rate.filter(|rate| *rate < SLOWEST) {
        None => Ok(()),
        Some(rate) => {
            let message = format!("rate of {rate} bits a second: it has to be at least {SLOWEST}");
            Err(Error::new(Kind::Config, message))
        }
    }
}

/// Limits what goes through the host's end of a pair, `rate` bits a second in each direction.
pub(super) fn limit(route: &Route, host_interface: &str, rate: u64) -> Result<()> {
    let what = || format!("rate of {rate} bits a second");
    let index = |name: &str| -> Result<u32> {
        let found = route.index(name).during(what)?;
        found.ok_or_else(|| Error::new(Kind::System, format!("interface {name:?} is gone")).during(what()))
    };
    let (bytes, burst, waiting) = bucket(rate);
    let host = index(host_interface)?;
    route.limit_rate(host, bytes, burst, waiting).map_err(|e| lacks(e, "sch_tbf")).during(what)?;
    let detour = detour(host_interface);
    route.add_ifb(&detour).map_err(|e| lacks(e, "ifb")).during(what)?;
    let through = index(&detour)?;
    route.limit_rate(through, bytes, burst, waiting).during(what)?;
    let needs = "sch_ingress, cls_u32 and act_mirred";
    route.redirect_ingress(host, through).map_err(|e| lacks(e, needs)).during(what)
}

fn lacks(e: forgeone_sys::Error, module: &str) -> Error {
    match e.errno() {
        Errno::NOENT | Errno::OPNOTSUPP => {
            Error::new(Kind::Unsupported, format!("the kernel lacks {module}: {e}"))
        }
        _ => e.into(),
    }
}

/// Bytes a second, bytes at once (a hundredth of a second's, but some whole packets), and bytes that wait.
fn bucket(rate: u64) -> (u64, u32, u32) {
    let bytes = rate / 8;
    let clamp = |bytes: u64, least: u64| u32::try_from(bytes.max(least)).unwrap_or(u32::MAX / 2);
    let burst = clamp(bytes / 100, 16 << 10);
    (bytes, burst, clamp(bytes / 20, 64 << 10).saturating_add(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_some_packets_and_no_more_than_needed() {
        assert_eq!(bucket(1_000_000), (125_000, 16_384, 81_920));
        assert_eq!(bucket(1_000_000_000), (125_000_000, 1_250_000, 7_500_000));
        assert_eq!(bucket(u64::MAX).1, u32::MAX / 2);
        assert!(check(Some(7999)).is_err() && check(Some(8000)).is_ok() && check(None).is_ok());
    }

    #[test]
    fn names_fit() {
        assert_eq!(detour("fo0123456789"), "fi0123456789");
    }
}
