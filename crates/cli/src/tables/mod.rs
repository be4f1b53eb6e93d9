//! The tables of all commands. A program links the tables that it uses, and of the others names at most.

mod image;
mod oci;
mod standalone;

pub use image::{IMAGE, IMAGE_FOR_CONTAINERS};
pub use oci::OCI;
pub use standalone::STANDALONE;

use crate::table::{Flag, Takes, names, switch, value};

/// Options that stand before the command, or among its own.
pub(crate) const GLOBAL: &[Flag] = &[
    value("root", None, "DIR", "where states are kept (/run/forgeone, or $XDG_RUNTIME_DIR/forgeone)"),
    value(
        "data-root",
        None,
        "DIR",
        "where images and containers are kept (/var/lib/forgeone, or ~/.local/share/forgeone)",
    ),
    value("log", None, "FILE", "append errors to FILE as well as to standard error"),
    value("log-format", None, "FORMAT", "of the log: text or json (text)"),
    switch("debug", None, "log what is done, too"),
    switch("systemd-cgroup", None, "let systemd make the cgroups; cgroupsPath is slice:prefix:name"),
    Flag {
        long: "rootless",
        short: None,
        takes: Takes::Mode,
        help: "bear with lacking rights over cgroups: true, false or auto (auto)",
    },
    switch("help", Some('h'), "show this help"),
    switch("version", Some('v'), "show the version"),
];

const FORMAT: Flag = value("format", Some('f'), "FORMAT", "table or json (table)");

/// Of what has fields that can be asked for.
const TEMPLATE: Flag = value("format", Some('f'), "FORMAT", "table, json, or a template such as {{.ID}}");

/// What the program for images can, for those who hand on to it.
pub const IMAGE_NAMES: &[&str] = &names::<{ IMAGE.commands.len() }>(IMAGE.commands);

/// What the standalone program can.
pub const STANDALONE_NAMES: &[&str] = &names::<{ STANDALONE.commands.len() }>(STANDALONE.commands);
