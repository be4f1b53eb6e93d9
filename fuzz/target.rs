//! What libFuzzer feeds: the reader that `FORGEONE_FUZZ` names.
#![no_main]

use std::sync::LazyLock;

static READ: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FORGEONE_FUZZ").unwrap_or_default();
    let targets = [forgeone_runtime::fuzz::TARGETS, forgeone_config::fuzz::TARGETS].concat();
    let target = targets.into_iter().find(|(target, _)| *target == name);
    target.unwrap_or_else(|| panic!("FORGEONE_FUZZ={name} is no target")).1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| READ(bytes));
