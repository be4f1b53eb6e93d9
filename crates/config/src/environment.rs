//! The mapping between a configuration and environment variables; it loses nothing in either direction.
//!
//! | field | variable | value |
//! |---|---|---|
//! | a text or a word: `image`, `user`, `restart` … | `FORGEONE_IMAGE` | as it is |
//! | a number, true or false: `pids_limit`, `tty` … | `FORGEONE_PIDS_LIMIT` | as in JSON |
//! | names and texts: `env`, `labels`, `annotations`, `custom`, `sysctls`, `engine_options` | `FORGEONE_ENV_HOME` for `env`'s `HOME`, and so on | as it is |
//! | the same, whole | `FORGEONE_ENV` | an object in JSON; the single variables have precedence |
//! | a list or an object: `args`, `mounts`, `network` … | `FORGEONE_MOUNTS` | JSON |
//!
//! A variable that is there but empty is an empty text, not an absent one. A name of `env` and its like that can't be
//! part of a variable's name (an empty one, one with `=`) stands in the JSON object.
//!
//! The runtime's own variables are no fields: `FORGEONE_ROOT`, `FORGEONE_DATA_ROOT`, `FORGEONE_LOG…`,
//! `FORGEONE_PLUGIN_…`, `FORGEONE_CONFIG…`, `FORGEONE_NODE_…`, and those of the project's tests:
//! `FORGEONE_TEST…`, `FORGEONE_BENCH_…` and `FORGEONE_…_BIN`. Any other variable with the prefix is an error.

use crate::model::{Shape, FIELDS};

/// What the variables begin with.
pub(crate) const PREFIX: &str = "FORGEONE_";

/// The runtime's own, without the prefix; a `*` stands for the rest of a name.
const RESERVED: &[&str] =
    &["ROOT", "DATA_ROOT", "LOG*", "PLUGIN_*", "CONFIG*", "NODE_*", "TEST*", "BENCH_*", "SUITE*", "SKIP*"];

/// Whose a variable is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// A field's, whole.
    Field(&'static str, Shape),
    /// A name within a field.
    Member(&'static str, &'a str),
    /// The runtime's, or not ForgeOne's at all.
    Other,
    /// Nobody's.
    Unknown,
}

/// The variable of a field.
pub(crate) fn variable(field: &str) -> String {
    format!("{PREFIX}{}", field.to_ascii_uppercase())
}

/// Whose a variable is.
pub(crate) fn field(name: &str) -> Owner<'_> {
    let Some(rest) = name.strip_prefix(PREFIX) else { return Owner::Other };
    if rest == "IMAGE" {
        return Owner::Field("image", Shape::Text);
    }
    for (key, shape) in FIELDS {
        let upper = key.to_ascii_uppercase();
        if rest == upper {
            return Owner::Field(key, *shape);
        }
        let member = rest.strip_prefix(upper.as_str()).and_then(|tail| tail.strip_prefix('_'));
        if let (Shape::Map, Some(member)) = (shape, member) {
            return Owner::Member(key, member);
        }
    }
    let reserved = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(beginning) => rest.starts_with(beginning),
        None => rest == *pattern,
    };
    if rest == "BIN" || rest.ends_with("_BIN") || RESERVED.iter().any(reserved) {
        return Owner::Other;
    }
    Owner::Unknown
}
