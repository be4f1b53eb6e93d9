//! The benchmark still works: one round of its cheapest case, with whichever runtimes are here.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;
use testkit::{Leaks, Temp, privileged};

#[test]
fn one_round_of_a_case_is_measured_and_written() {
    if !privileged::root() || !privileged::program("busybox", "busybox-static") {
        return;
    }
    let leaks = Leaks::before();
    let out = Temp::new("performance");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.args(["--rounds", "1", "--only", "run", "--out"]).arg(out.path());
    bench.env("FORGEONE_BIN", testkit::forgeone()).env("FORGEONE_TEST", testkit::names::process_prefix());
    // With the runtimes that are installed, not with those that `make bench` has got: one of them hangs at times.
    bench.env("FORGEONE_BENCH_CACHE", out.path());
    let output = bench.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let document = fs::read_to_string(out.path().join("performance.md")).unwrap();
    for row in ["\n| floor | ", "\n| forgeone | ", "| run, warm | ≤ 1.5 × floor | "] {
        assert!(document.contains(row), "no {row:?} in\n{document}");
    }
    let picture = fs::read_to_string(out.path().join("performance.svg")).unwrap();
    assert!(picture.contains("class=\"warm ours\"") && picture.ends_with("</svg>\n"), "{picture}");
    leaks.assert_none();
}
