//! Has the door begin before the C library does (`forgeone_sys::early`), and leaves the unwind tables out of the release door (see `discard.ld`); tests keep theirs, they unwind.
#![forbid(unsafe_code)]

fn main() {
    println!("cargo::rerun-if-changed=discard.ld");
    // The door with fail-points protects itself in one place only, where a test can take that away.
    let faults = std::env::var_os("CARGO_FEATURE_FAULTS").is_some();
    if !faults && std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        println!("cargo::rustc-link-arg-bins=-Wl,--entry=forgeone_start");
    }
    // Cargo doesn't tell the profile's panic strategy; the one that aborts is the one built for size.
    if std::env::var("OPT_LEVEL").is_ok_and(|level| level == "z") {
        let dir = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{dir}/discard.ld");
        // What is in the binary, for the test that nothing of NSS is: beside it, as target/…/release/forgeone.map.
        let out = std::env::var("OUT_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,-Map={out}/../../../forgeone.map");
    }
}
