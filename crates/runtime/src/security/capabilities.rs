//! Capability sets: from the names of a config to what the kernel is given.

use crate::spec::Capabilities as Names;
use forgeone_sys::credentials::{CAPABILITIES, capability_number, last_capability};

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

/// Plans the sets. An absent object means no capabilities at all.
///
/// What can't be had is left out with a warning, as config.md has it ("Any value which cannot be mapped to a relevant
/// kernel interface, or cannot be granted otherwise, MUST be logged as a warning"): names that this kernel doesn't know,
/// what is not among the `grantable`, and ambient capabilities that aren't permitted and inheritable as well.
pub fn plan(names: Option<&Names>, grantable: u64) -> (CapabilitySets, Vec<String>) {
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
    let mut sets = CapabilitySets {
        bounding: set("bounding", &names.bounding),
        effective: set("effective", &names.effective),
        permitted: set("permitted", &names.permitted),
        inheritable: set("inheritable", &names.inheritable),
        ambient: set("ambient", &names.ambient),
    };
    let mut limit = |field: &str, set: &mut u64, to: u64, cause: &str| {
        let beyond = named(*set & !to);
        warnings.extend(beyond.map(|name| format!("process.capabilities.{field}: {name} {cause}, left out")));
        *set &= to;
    };
    limit("permitted", &mut sets.permitted, grantable, "is not the runtime's to give");
    limit("inheritable", &mut sets.inheritable, grantable, "is not the runtime's to give");
    limit("effective", &mut sets.effective, sets.permitted, "is not permitted");
    let holdable = sets.permitted & sets.inheritable;
    let refused = sets.ambient & !holdable;
    sets.ambient &= holdable;
    // In runc's words, which its users look for.
    warnings.extend(named(refused).map(|name| {
        format!("process.capabilities.ambient: can't raise ambient capability {name}: not both permitted and inheritable")
    }));
    (sets, warnings)
}

fn named(bits: u64) -> impl Iterator<Item = &'static &'static str> {
    let numbered = CAPABILITIES.iter().enumerate();
    numbered.filter(move |(number, _)| bits & (1 << number) != 0).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(lists: [&[&str]; 5]) -> Names {
        let [bounding, effective, inheritable, permitted, ambient] =
            lists.map(|list| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        Names { bounding, effective, inheritable, permitted, ambient, ..Names::default() }
    }

    #[test]
    fn no_capabilities_object_means_none_at_all() {
        assert_eq!(plan(None, u64::MAX), (CapabilitySets::default(), vec![]));
    }

    #[test]
    fn names_become_bits_in_their_own_set_only() {
        let kill: &[&str] = &["CAP_KILL"];
        let (sets, warnings) = plan(Some(&names([kill, &[], kill, kill, &[]])), u64::MAX);
        let bit = 1 << 5;
        let expected =
            CapabilitySets { bounding: bit, effective: 0, permitted: bit, inheritable: bit, ambient: 0 };
        assert_eq!((sets, warnings), (expected, vec![]));
    }

    #[test]
    fn what_can_not_be_had_is_left_out_with_a_warning() {
        let kill: &[&str] = &["CAP_KILL"];
        let (sets, warnings) = plan(Some(&names([&["CAP_NO_SUCH"], &[], &[], kill, kill])), u64::MAX);
        assert_eq!((sets.bounding, sets.ambient), (0, 0));
        assert_eq!(
            warnings,
            [
                "process.capabilities.bounding: CAP_NO_SUCH is not known here, left out",
                "process.capabilities.ambient: can't raise ambient capability CAP_KILL: not both permitted and inheritable",
            ]
        );
        let (sets, warnings) = plan(Some(&names([kill, kill, &[], kill, &[]])), 0);
        assert_eq!((sets.bounding, sets.permitted, sets.effective), (1 << 5, 0, 0));
        assert_eq!(warnings.len(), 2);
    }
}
