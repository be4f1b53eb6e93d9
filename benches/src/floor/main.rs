//! The floor: what the kernel itself takes for a bundle, and for a program in a running container.
//!
//! `floor run|exec KEY=VALUE … -- PROGRAM [ARGUMENT …]`
//!
//! The same namespaces, cgroups, mounts, device nodes, masks, capabilities, limits and filter as a runtime makes for
//! the benchmark's bundles, in a straight line: nothing is parsed, checked, recorded, logged or undone, the paths of
//! the root are trusted, and its own binary isn't protected. No runtime may be like this; none can be much faster.
#![forbid(unsafe_code)]
#![no_main]
#![allow(clippy::print_stderr, reason = "it has no other way to say what is wrong")]

mod arguments;
mod cgroup;
mod confine;
mod exec;
mod mounts;
mod run;

use arguments::Arguments;

forgeone_sys::entry!(floor);

fn floor() -> u8 {
    let mut words =
        forgeone_sys::entry::args().into_iter().skip(1).filter_map(|word| word.into_string().ok());
    let command = words.next().unwrap_or_default();
    let arguments = Arguments::of(words);
    let status = match command.as_str() {
        "run" => run::run(&arguments),
        "exec" => exec::exec(&arguments),
        _ => {
            eprintln!("usage: floor run|exec KEY=VALUE … -- PROGRAM [ARGUMENT …]");
            return 2;
        }
    };
    status.unwrap_or_else(|e| {
        eprintln!("floor: {e}");
        125
    })
}
