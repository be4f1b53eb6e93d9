//! The command lines of ForgeOne's programs: tables of commands and options, and what is made from them: parsing, help,
//! completion. And what every program says in the same way: failures, the log, where states and data are kept.
#![forbid(unsafe_code)]

mod complete;
pub mod completion;
mod help;
pub mod human;
mod log;
pub mod output;
mod parse;
mod report;
pub mod settings;
pub mod show;
mod table;
pub mod tables;
mod values;

pub use help::{help, help_of};
pub use log::Log;
pub use parse::{Call, Misuse, Parsed, parse, usage, wants_json};
pub use report::{COMMIT, Failure, VERSION, version};
pub use table::{Command, Flag, Program, Takes};
pub use values::Values;
