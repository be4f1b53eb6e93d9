//! cgroups: v1, hybrid and v2, through files.
