//! What Podman's and Docker's clients have in common: their words, and what tests ask of a container by them.

use std::ffi::OsStr;
use std::process::Command;
use testkit::{Door, Output};

/// A client, with an image `bb` of busybox.
pub(crate) trait Client {
    /// Whose directory it works in.
    fn door(&self) -> &Door;

    /// The client with its options and these words.
    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command;

    /// Words of `run`: a command in a container of `bb`.
    fn run_words<'a>(&'a self, options: &[&'a str], command: &[&'a str]) -> Vec<&'a str>;

    fn answer<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.door().finish(&mut self.command(args))
    }

    #[track_caller]
    fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let output = self.answer(args);
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        output
    }

    fn run(&self, options: &[&str], command: &[&str]) -> Output {
        self.answer(self.run_words(options, command))
    }

    /// A container in the background, by name.
    #[track_caller]
    fn start(&self, name: &str, options: &[&str], command: &[&str]) {
        self.ok(self.run_words(&[&["--detach", "--name", name], options].concat(), command));
    }

    /// What an attached container says; it ends with success and without a word on standard error.
    #[track_caller]
    fn says(&self, options: &[&str], line: &str) -> String {
        let output = self.run(&[&["--rm"], options].concat(), &["sh", "-c", line]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{line}: {}", output.stdout);
        output.stdout
    }

    /// What a line of shell says in a running container.
    #[track_caller]
    fn exec(&self, name: &str, line: &str) -> String {
        self.ok(["exec", name, "sh", "-c", line]).stdout.trim().to_owned()
    }

    fn inspect(&self, name: &str, what: &str) -> String {
        self.ok(["inspect", "--format", what, name]).stdout.trim().to_owned()
    }
}
