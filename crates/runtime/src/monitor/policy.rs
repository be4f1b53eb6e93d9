//! Whether, and when, a container that has ended is started again. Pure.

use forgeone_config::RestartPolicy;
use std::time::Duration;

/// The first pause before a start; it doubles.
const FIRST: Duration = Duration::from_millis(100);

/// The longest.
const LONGEST: Duration = Duration::from_secs(60);

/// Who has run for so long begins anew.
const RECOVERED: Duration = Duration::from_secs(10);

/// How often a container was started again in a row, without having run for long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InARow(pub(super) u32);

impl InARow {
    /// After a run of this length that ended with this status (unknown counts as a failure): the pause before the next
    /// start, `None` if there is none.
    pub(super) fn after(
        &mut self,
        policy: RestartPolicy,
        exit: Option<i32>,
        ran: Duration,
    ) -> Option<Duration> {
        if ran >= RECOVERED {
            self.0 = 0;
        }
        let again = match policy {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure(most) => exit != Some(0) && most.is_none_or(|most| self.0 < most),
        };
        if !again {
            return None;
        }
        let pause = FIRST.saturating_mul(1u32.checked_shl(self.0).unwrap_or(u32::MAX)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_start_again_what_they_are_for() {
        use RestartPolicy::{Always, No, OnFailure, UnlessStopped};
        let table = [
            (No, Some(1), false),
            (Always, Some(0), true),
            (UnlessStopped, Some(0), true),
            (OnFailure(None), Some(0), false),
            (OnFailure(None), Some(1), true),
            (OnFailure(None), None, true),
            (OnFailure(Some(0)), Some(1), false),
        ];
        for (policy, exit, again) in table {
            let pause = InARow::default().after(policy, exit, Duration::ZERO);
            assert_eq!(pause.is_some(), again, "{policy} {exit:?}");
        }
    }

    #[test]
    fn a_failure_is_tried_again_as_often_as_said_in_a_row() {
        let policy = RestartPolicy::OnFailure(Some(2));
        let mut row = InARow::default();
        let mut after = |seconds| row.after(policy, Some(1), Duration::from_secs(seconds)).is_some();
        assert_eq!([after(0), after(0), after(0)], [true, true, false]);
        assert_eq!([after(11), after(0), after(0)], [true, true, false], "it has run for long in between");
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_begin_anew_after_a_long_run() {
        let mut row = InARow::default();
        let mut pause = |seconds| {
            let pause = row.after(RestartPolicy::Always, Some(0), Duration::from_secs(seconds));
            pause.unwrap_or_default().as_millis()
        };
        let pauses: Vec<_> = (0..12).map(|_| pause(0)).collect();
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[9..], [51_200, 60_000, 60_000]);
        assert_eq!(pause(10), 100);
        for _ in 0..100 {
            assert!(pause(0) <= 60_000);
        }
    }
}
