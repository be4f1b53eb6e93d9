//! Work on several things at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Does the same with each, with at most so many at once: what each gave, or a failure. After one, nothing is begun.
pub(crate) fn each<'t, T: Sync, R: Send, E: Send>(
    items: &'t [T],
    at_once: usize,
    work: impl Fn(&'t T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let some = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            done.push((index, work(item).inspect_err(|_| failed.store(true, Ordering::Relaxed))?));
        }
        Ok(done)
    };
    let mut done = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once.min(items.len())).map(|_| scope.spawn(some)).collect();
        let mut all = Ok(Vec::new());
        for worker in workers {
            let part = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all = all.and_then(|mut all: Vec<_>| {
                all.extend(part?);
                Ok(all)
            });
        }
        all
    })?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_a_failure_ends_it() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(each(&items, 3, |item| Ok::<_, ()>(item * 2)), Ok((0..100).map(|n| n * 2).collect()));
        let begun = AtomicUsize::new(0);
        let failing = |item: &usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *item == 5 { Err("five") } else { Ok(()) }
        };
        assert_eq!(each(&items, 1, failing), Err("five"));
        assert_eq!(begun.load(Ordering::Relaxed), 6);
    }
}
