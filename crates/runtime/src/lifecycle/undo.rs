//! A sequence of named steps, each with its undo.
//!
//! A failure undoes all steps that were done, in reverse, and reports every error. What isn't undone by a
//! step's own undo doesn't exist: a step has one, or it has no effect outside of the process.

use crate::error::{Error, Result};

type Action<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// The undo actions of the steps done so far.
#[derive(Default)]
pub(super) struct Undo<'a> {
    actions: Vec<(&'static str, Action<'a>)>,
}

impl<'a> Undo<'a> {
    /// Remembers how to undo the step `name`, which was just done.
    pub(super) fn push(&mut self, name: &'static str, action: impl FnOnce() -> Result<()> + 'a) {
        self.actions.push((name, Box::new(action)));
    }

    /// Undoes everything and gives `cause` together with what failed on the way.
    pub(super) fn run(mut self, cause: Error) -> Error {
        let mut errors = vec![cause];
        while let Some((name, action)) = self.actions.pop() {
            if let Err(e) = action() {
                errors.push(e.during(format_args!("undo {name}")));
            }
        }
        let first = errors[0].clone();
        Error::all(errors).unwrap_or(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::cell::RefCell;

    #[test]
    fn undo_runs_in_reverse_and_reports_every_error() {
        let order = RefCell::new(Vec::new());
        let mut undo = Undo::default();
        undo.push("first", || {
            order.borrow_mut().push(1);
            Err(Error::new(Kind::System, "b"))
        });
        undo.push("second", || {
            order.borrow_mut().push(2);
            Ok(())
        });
        let error = undo.run(Error::new(Kind::Config, "a"));
        assert_eq!(*order.borrow(), [2, 1]);
        assert_eq!((error.kind(), error.to_string()), (Kind::Config, "a; undo first: b".to_owned()));
    }
}
