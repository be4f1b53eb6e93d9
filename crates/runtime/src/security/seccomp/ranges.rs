//! From calls to ranges of numbers: neighbours with the same verdict are one, and every 32-bit number has one.
//!
//! ```text
//! most:              0 ─ calls ─ limit ─ ENOSYS ────────────────────────────────────────────────── 0xffff_ffff
//! x86_64:            0 ─ calls ─ limit ─ ENOSYS ─ 2^30 ─ killed ───────────── 2^31 ─ ENOSYS ─ … ─ killed ─ -1
//! x86_64 with x32:   0 ─ calls ─ limit ─ ENOSYS ─ 2^30 ─ x32's ─ its limit ─ ENOSYS
//! ```
//!
//! Below 0x8000_0000 and from there on the same limits hold, by bit 30, which is x32's; but only the lower half has
//! calls. The number -1 gets the default where x32 isn't, since a tracer skips a call with it.

use super::arch::{AUDIT_X86_64, X32_BIT};
use super::calls::{Calls, Cases, ENOSYS, Verdict};
use super::profile::{KILL_THREAD, Policy};

/// What happens to calls through ABIs that aren't filtered: libseccomp's default.
pub(super) const BAD_ARCH: u32 = KILL_THREAD;

/// The numbers from `start` to the next range's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) verdict: Verdict,
}

/// What a program is to do, before it is put into instructions.
#[derive(Debug)]
pub(super) struct Plan {
    /// For each `AUDIT_ARCH_…`, the native one first: all numbers, ascending from 0.
    pub(super) sections: Vec<(u32, Vec<Range>)>,
    /// What [`Verdict::Cases`] refers to.
    pub(super) cases: Vec<Cases>,
    /// Where no case fits.
    pub(super) default: u32,
    /// Rules that never decide.
    pub(super) hints: Vec<String>,
}

impl Plan {
    /// Plans what `policy` says.
    pub(super) fn new(policy: &Policy) -> Self {
        let default = policy.default;
        let mut plan = Self { sections: Vec::new(), cases: Vec::new(), default, hints: Vec::new() };
        for (index, arch) in policy.archs.iter().enumerate() {
            if policy.archs[..index].iter().any(|earlier| earlier.audit == arch.audit) {
                continue;
            }
            let sharing = policy.archs[index..].iter().filter(|other| other.audit == arch.audit);
            let calls: Vec<_> = sharing.map(|arch| Calls::new(policy, arch, &mut plan)).collect();
            plan.sections.push((arch.audit, ranges(&calls, Verdict::Return(default))));
        }
        plan
    }
}

/// All numbers of one `AUDIT_ARCH_…`, given the calls of the ABIs that share it.
fn ranges(abis: &[Calls], default: Verdict) -> Vec<Range> {
    let mut ranges = Ranges::default();
    let long = abis.iter().find(|calls| !calls.arch.is_x32());
    if let Some(calls) = long.filter(|calls| calls.arch.audit != AUDIT_X86_64) {
        ranges.fill(0, u32::MAX, &calls.numbers, calls.limit, default);
        return ranges.0;
    }
    let x32 = abis.iter().find(|calls| calls.arch.is_x32());
    let (below, above) = (long.and_then(|calls| calls.limit), x32.and_then(|calls| calls.limit));
    let base = |there: bool| if there { default } else { Verdict::Return(BAD_ARCH) };
    let high = base(x32.is_some());
    ranges.fill(0, X32_BIT - 1, long.map_or(&[], |calls| &calls.numbers), below, base(long.is_some()));
    ranges.fill(X32_BIT, 2 * X32_BIT - 1, x32.map_or(&[], |calls| &calls.numbers), above, high);
    ranges.fill(2 * X32_BIT, 3 * X32_BIT - 1, &[], below, high);
    ranges.fill(3 * X32_BIT, u32::MAX, &[], above, high);
    if x32.is_none() {
        ranges.push(u32::MAX, default);
    }
    ranges.0
}

/// Ranges being put together in ascending order.
#[derive(Default)]
struct Ranges(Vec<Range>);

impl Ranges {
    /// Adds the numbers `from..=to`: `calls`, ENOSYS above `limit`, otherwise `base`.
    fn fill(&mut self, from: u32, to: u32, calls: &[(u32, Verdict)], limit: Option<u32>, base: Verdict) {
        let last = limit.map_or(to, |limit| limit.min(to));
        if last < from {
            return self.push(from, ENOSYS);
        }
        self.push(from, base);
        for (number, verdict) in calls.iter().take_while(|(number, _)| *number <= last) {
            self.push(*number, *verdict);
            if *number < last {
                self.push(number + 1, base);
            }
        }
        if last < to {
            self.push(last + 1, ENOSYS);
        }
    }

    /// From `start` on, `verdict`; what was said for `start` before doesn't hold.
    fn push(&mut self, start: u32, verdict: Verdict) {
        if self.0.last().is_some_and(|last| last.start == start) {
            self.0.pop();
        }
        if self.0.last().is_none_or(|last| last.verdict != verdict) {
            self.0.push(Range { start, verdict });
        }
    }
}
