//! `forgeone-image`: what the door hands on because it needs more than a lean program has. It lies in libexec and is
//! executed by `forgeone config …`, `forgeone load …` and so on; its first word is that command.
#![forbid(unsafe_code)]

mod arguments;
mod bounded;
mod compression;
mod config;
mod failure;
mod image;
mod images;
mod load;
mod parallel;
mod pull;
mod remote;
mod store;
mod unpack;

use failure::Failure;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let answer = match words.next() {
        Some(word) if word == "config" => config::run(words.collect()),
        Some(word) if word == bounded::WORD => {
            bounded::enter().and_then(|()| config::run(words.skip(1).collect()))
        }
        Some(word) if images::knows(&word) => images::run(&word, words.collect()),
        _ => Err(Failure::new("this program is started by forgeone; see 'forgeone config --help'")),
    };
    match answer {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            // Nobody is left to be told if that fails.
            let _ = writeln!(std::io::stderr(), "forgeone: {failure}");
            ExitCode::from(failure.status())
        }
    }
}
