//! How long `load` takes for an image of a gigabyte, and how much memory, beside `podman load`: as root,
//! `cargo bench -p forgeone-image`, or `make bench-images`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]
#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use testkit::Temp;

/// What the image's files hold, in MiB, in so many layers.
const SIZE: u64 = 1024;
const LAYERS: u64 = 4;

const ROUNDS: usize = 3;

/// Files of this machine become layers: an OCI image layout in a tar, and the same with other compression. The size of
/// a layer, their number and what compresses are arguments.
const MAKE: &str = r#"
find /usr /bin /lib /opt -xdev -type f -size -20000k -readable -printf '%s %p\n' | sort -uk2 >files
mkdir -p oci/blobs/sha256; echo '{"imageLayoutVersion":"1.0.0"}' >oci/oci-layout
blob() { d=$(sha256sum "$1" | cut -c-64); s=$(stat -c %s "$1"); mv "$1" oci/blobs/sha256/$d; }
left=$1; number=0; : >list
finish() {
    tar --no-recursion -T list --transform "s,^,layer$number/," -cf layer.tar 2>/dev/null
    diffs="$diffs${diffs:+,}\"sha256:$(sha256sum layer.tar | cut -c-64)\""
    $3 <layer.tar >layer; rm layer.tar; blob layer
    layers="$layers${layers:+,}{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+$4\",\"digest\":\"sha256:$d\",\"size\":$s}"
    number=$((number + 1)); left=$1; : >list
}
diffs= layers=
while [ $number -lt $2 ]; do
    while read -r bytes file; do
        [ $number -lt $2 ] || break
        echo "$file" >>list; left=$((left - bytes))
        [ $left -gt 0 ] || finish "$@"
    done <files
done
printf '{"architecture":"%s","os":"linux","rootfs":{"type":"layers","diff_ids":[%s]}}' "$5" "$diffs" >config; blob config
config="{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:$d\",\"size\":$s}"
type=application/vnd.oci.image.manifest.v1+json
printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}' $type "$config" "$layers" >manifest; blob manifest
printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"localhost/bench:1"}}]}' $type $d $s >oci/index.json
tar -C oci -cf image.tar . && rm -r oci
"#;

fn main() {
    // `cargo test --benches` runs it, too, and wants no figures.
    let whole = std::env::args().any(|word| word == "--bench");
    let (size, rounds) = if whole { (SIZE, ROUNDS) } else { (LAYERS, 1) };
    if !testkit::privileged::machine_root() {
        return;
    }
    println!(
        "load of an image of {size} MiB in {LAYERS} layers, best of {rounds}: seconds, peak memory in MiB"
    );
    for (packer, name) in [("gzip -6", "gzip"), ("zstd -3", "zstd")] {
        let place = Temp::new("bench");
        let bytes = (size << 20) / LAYERS;
        let words =
            [&bytes.to_string(), &LAYERS.to_string(), packer, name, architecture()].map(str::to_owned);
        let mut make = Command::new("sh");
        make.args(["-euc", MAKE, "make"]).args(&words);
        assert!(make.current_dir(place.path()).status().unwrap().success());
        let ours = best(rounds, || {
            let done = run(
                place.path(),
                &[env!("CARGO_BIN_EXE_forgeone-image"), "load", "-q", "--data-root", "data", "image.tar"],
            );
            fs::remove_dir_all(place.path().join("data")).unwrap();
            done
        });
        show("forgeone load", name, ours);
        if !testkit::privileged::program("podman", "podman") {
            continue;
        }
        let podman = best(rounds, || {
            let storage = ["podman", "--root", "podman", "--runroot", "run", "--storage-driver", "overlay"];
            let done = run(place.path(), &[&storage[..], &["load", "-q", "-i", "image.tar"]].concat());
            let removed =
                Command::new("rm").args(["-rf", "podman", "run"]).current_dir(place.path()).status();
            assert!(removed.unwrap().success());
            done
        });
        show("podman load", name, podman);
        println!("{name}: {:.2} of podman's time", ours.0.as_secs_f64() / podman.0.as_secs_f64());
    }
}

fn show(what: &str, name: &str, (time, peak): (Duration, u64)) {
    println!("{what:<14} {name} {:>8.2} {:>8.1}", time.as_secs_f64(), peak as f64 / 1024.0);
}

/// The least time, and the most memory.
fn best(rounds: usize, work: impl Fn() -> (Duration, u64)) -> (Duration, u64) {
    let done = (0..rounds).map(|_| work());
    done.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap()
}

/// How long a program takes, and its peak memory in KiB (`VmHWM`), as the kernel last told it.
fn run(place: &Path, words: &[&str]) -> (Duration, u64) {
    let start = Instant::now();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(place).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let (status, mut peak) = (format!("/proc/{}/status", child.id()), 0);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{words:?}: {status}");
            return (start.elapsed(), peak);
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// This machine, in Go's words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
