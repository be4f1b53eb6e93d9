//! Capability sets: from the names of a config to what the kernel is given.

use crate::spec::Capabilities as Names;
use forgeone_sys::credentials::{capability_number, last_capability};

/// The five sets of capabilities(7), a bit for each capability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySets {
    /// Bounding.
    pub bounding: u64,
    /// Effective.
    pub effective: u64,
    /// Permitted.
    pub permitted: u64,
    /// Inheritable.
    pub inheritable: u64,
    /// Ambient.
    pub ambient: u64,
}

/// Plans the sets. Names that this kernel doesn't know are left out with a warning (config.md,
/// "capabilities": "Any value which cannot be mapped to a relevant kernel interface … MUST be logged as a
/// warning"). An absent object means no capabilities at all.
pub fn plan(names: Option<&Names>) -> (CapabilitySets, Vec<String>) {
    let Some(names) = names else { return Default::default() };
    let (last, mut warnings) = (last_capability(), Vec::new());
    let mut set = |field: &str, names: &[String]| {
        let mut bits = 0;
        for name in names {
            match capability_number(name) {
                Some(number) if number <= last => bits |= 1 << number,
                _ => {
                    warnings.push(format!("process.capabilities.{field}: {name} is not known here, left out"))
                }
            }
        }
        bits
    };
    let sets = CapabilitySets {
        bounding: set("bounding", &names.bounding),
        effective: set("effective", &names.effective),
        permitted: set("permitted", &names.permitted),
        inheritable: set("inheritable", &names.inheritable),
        ambient: set("ambient", &names.ambient),
    };
    (sets, warnings)
}
