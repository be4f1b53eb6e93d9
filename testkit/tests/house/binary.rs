//! What the door's binary is: one small static file that starts without a loader.

use testkit::{Elf, programs};

/// Two MiB, stripped: what is re-executed, or copied, at each start.
const SIZE: usize = 2 << 20;

/// Relocations that a start applies. The door is position-dependent: 29 are left, glibc's choices of the fastest
/// memcpy and its like. Position-independent it had 3,001.
const RELOCATIONS: u64 = 40;

/// Functions of glibc that load shared libraries of the host in a static program.
/// User and group names of a container are read by own code; nothing is ever resolved.
const NSS: &[&str] = &[
    "getpwnam",
    "getpwnam_r",
    "getpwuid",
    "getpwuid_r",
    "getpwent",
    "getgrnam",
    "getgrnam_r",
    "getgrgid",
    "getgrgid_r",
    "getgrent",
    "getgrouplist",
    "initgroups",
    "getspnam",
    "getaddrinfo",
    "getnameinfo",
    "gethostbyname",
    "gethostbyname_r",
    "gethostbyaddr",
    "gethostbyaddr_r",
    "getservbyname",
    "getservbyport",
    "getprotobyname",
    "__nss_database_get",
    "__nss_module_load",
];

#[test]
fn the_door_is_static_stripped_and_at_most_two_mib() {
    let elf = Elf::read(&programs::forgeone()).unwrap();
    assert!(elf.is_static().unwrap(), "needs {:?}", elf.interpreter());
    assert_eq!(elf.symbols().unwrap(), [""; 0]);
    assert!(elf.size() <= SIZE, "{} bytes are more than {SIZE}", elf.size());
}

#[test]
fn the_door_has_no_fail_points() {
    let has = |program: std::path::PathBuf, name: &str| {
        let bytes = std::fs::read(program).unwrap();
        bytes.windows(name.len()).any(|window| window == name.as_bytes())
    };
    for name in ["FORGEONE_FAULT", "FORGEONE_WITHOUT"] {
        assert!(has(programs::faults(), name), "{name} is not what the fail-points are switched by");
        assert!(!has(programs::forgeone(), name), "the door asks for {name}");
    }
}

#[test]
fn the_door_needs_few_relocations() {
    let count = Elf::read(&programs::forgeone()).unwrap().relocations().unwrap();
    assert!((1..=RELOCATIONS).contains(&count), "{count} relocations, not 1 to {RELOCATIONS}");
}

#[test]
fn the_door_has_nothing_of_nss() {
    // The door is stripped; the linker's map of that very build tells what is in it (see the door's build.rs).
    let map = programs::forgeone().with_extension("map");
    let Ok(map) = std::fs::read_to_string(&map) else {
        return testkit::skip(format!("{} is not there: the door wasn't built by cargo here", map.display()));
    };
    let symbols: Vec<&str> =
        map.lines().filter_map(|line| line.split_ascii_whitespace().next_back()).collect();
    assert!(symbols.contains(&"main"), "no symbols to look at");
    let found: Vec<_> = NSS.iter().filter(|name| symbols.contains(name)).collect();
    assert!(found.is_empty(), "the door links {found:?}");
}
