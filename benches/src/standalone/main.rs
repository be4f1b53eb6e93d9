//! What containers from images cost, beside their program: as root, `make bench-standalone`.
//!
//! Prints how much longer a `run` takes with a network of its own, what a bridge carries beside Podman's, and what 500
//! detached containers take: to start, in memory of their monitors, and to list.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]
#![allow(clippy::print_stdout, reason = "that is what it is for")]

#[path = "../machine.rs"]
mod machine;
mod podman;

use forgeone_sys::net::loopback_up;
use forgeone_sys::process::{Namespaces, unshare};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::{Bundle, Installed, Temp};

/// Pairs of runs that are compared.
const ROUNDS: usize = 40;

/// Containers that run at once.
const CROWD: usize = 500;

/// Seconds that data flow for.
const FLOW: &str = "4";

fn main() {
    if !testkit::privileged::machine_root() {
        return;
    }
    let crowd = std::env::args().nth(1).map_or(CROWD, |text| text.parse().unwrap());
    for (what, value) in machine::describe() {
        println!("{what:<18} {value}");
    }
    println!("{:<18} {}", "load before", machine::load());
    // Bridges and rules are those of a network of its own.
    unshare(Namespaces::NET).unwrap();
    loopback_up().unwrap();
    let place = Place { installed: Installed::new(), temp: Temp::new("bench"), root: Bundle::busybox() };
    starts(&place);
    flow(&place);
    many(&place, crowd);
    println!("{:<18} {}", "load after", machine::load());
}

/// The programs, and where they keep what they keep.
struct Place {
    installed: Installed,
    temp: Temp,
    root: Bundle,
}

impl Place {
    fn root(&self) -> String {
        self.root.rootfs().display().to_string()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.installed.door());
        let data = self.temp.path();
        command.env("FORGEONE_ROOT", data.join("states")).env("FORGEONE_DATA_ROOT", data.join("data"));
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// How long a command takes, that succeeds.
    fn time(&self, words: &[&str]) -> Duration {
        let mut command = self.command(words);
        let start = Instant::now();
        let status = command.status().unwrap();
        let time = start.elapsed();
        assert!(status.success(), "{words:?}");
        time
    }

    /// What a command prints.
    fn said(&self, words: &[&str]) -> String {
        let output = self.command(words).stdout(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A value of `inspect`.
    fn inspect(&self, name: &str, pointer: &str) -> Value {
        let all: Value = serde_json::from_str(&self.said(&["inspect", name])).unwrap();
        all[0].pointer(pointer).unwrap().clone()
    }
}

/// `run --rm … true`, with loopback alone and with a bridge in turn; once while another container has the bridge up, and
/// once as the only one.
fn starts(place: &Place) {
    let root = place.root();
    let run = |network: &str| place.time(&["run", "--rm", "--rootfs", &root, "--network", network, "true"]);
    let pairs = |what: &str| {
        let (mut none, mut bridge) = (Vec::new(), Vec::new());
        run("none");
        run("bridge");
        for _ in 0..ROUNDS {
            none.push(run("none"));
            bridge.push(run("bridge"));
        }
        let (none, bridge) = (Figures::of(none), Figures::of(bridge));
        println!("run, network none    {none}");
        println!("run, {what:<15} {bridge}: {:+.2} ms", bridge.median - none.median);
    };
    pairs("the only one");
    place.time(&[
        "run",
        "-d",
        "--name",
        "other",
        "--rootfs",
        &root,
        "--stop-signal",
        "KILL",
        "sleep",
        "100000",
    ]);
    pairs("beside another");
    place.time(&["rm", "--force", "other"]);
}

/// Milliseconds.
struct Figures {
    median: f64,
    least: f64,
    /// The middle half.
    quartiles: (f64, f64),
}

impl Figures {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |part: usize| times[(times.len() - 1) * part / 4].as_secs_f64() * 1000.0;
        Self { median: at(2), least: at(0), quartiles: (at(1), at(3)) }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let (first, third) = self.quartiles;
        write!(
            f,
            "median {:6.2} ms, quartiles {first:.2} to {third:.2}, least {:.2}",
            self.median, self.least
        )
    }
}

/// What goes from a container to its host, over the bridge of each.
fn flow(place: &Place) {
    if !testkit::privileged::program("iperf3", "iperf3") {
        return;
    }
    place.time(&[
        "run",
        "-d",
        "--name",
        "flow",
        "--rootfs",
        &place.root(),
        "--stop-signal",
        "KILL",
        "sleep",
        "100000",
    ]);
    let pid = place.inspect("flow", "/State/Pid");
    let gateway = place.inspect("flow", "/NetworkSettings/Gateway");
    let ours = gigabits(&pid.to_string(), gateway.as_str().unwrap());
    place.time(&["rm", "--force", "flow"]);
    println!("container to host    forgeone {ours:.1} Gbit/s");
    match podman::Podman::start(&place.temp, &place.root()) {
        Some(podman) => {
            let theirs = gigabits(&podman.pid, &podman.gateway);
            println!("container to host    podman with netavark {theirs:.1} Gbit/s");
        }
        None => println!("container to host    podman with netavark can't be had here"),
    }
}

/// The median of three flows by TCP.
fn gigabits(pid: &str, gateway: &str) -> f64 {
    let mut server =
        Server(Command::new("iperf3").args(["-s", "-B", gateway]).stdout(Stdio::null()).spawn().unwrap());
    let mut all: Vec<f64> = (0..3).map(|_| once(pid, gateway)).collect();
    all.sort_by(f64::total_cmp);
    server.0.kill().unwrap();
    all[1]
}

fn once(pid: &str, gateway: &str) -> f64 {
    let mut found = None;
    testkit::eventually("iperf3 answers", || {
        let mut client = Command::new("nsenter");
        client.arg(format!("--net=/proc/{pid}/ns/net")).args(["iperf3", "-J", "-t", FLOW, "-c", gateway]);
        let output = client.stdin(Stdio::null()).output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        found = said.pointer("/end/sum_received/bits_per_second").and_then(Value::as_f64);
        found.is_some()
    });
    found.unwrap() / 1e9
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A crowd of detached containers, one started after the other.
fn many(place: &Place, crowd: usize) {
    let root = place.root();
    for network in ["none", "bridge"] {
        let start = Instant::now();
        for at in 0..crowd {
            let name = format!("c{at}");
            let words = [
                "run",
                "-d",
                "--name",
                &name,
                "--network",
                network,
                "--rootfs",
                &root,
                "--stop-signal",
                "KILL",
            ];
            place.time(&[&words[..], &["sleep", "100000"]].concat());
        }
        let rate = crowd as f64 / start.elapsed().as_secs_f64();
        let (pss, dirty) = monitors(place);
        println!(
            "{crowd} containers, network {network}: {rate:.0} started a second; monitors {:.1} MiB PSS together, at most {dirty} KiB Private_Dirty each",
            pss as f64 / 1024.0
        );
        for words in [&["list", "-q"][..], &["ps", "-q"], &["ps"]] {
            let times = Figures::of((0..10).map(|_| place.time(words)).collect());
            println!("{:<20} {times}", words.join(" "));
        }
        let start = Instant::now();
        place.time(&["rm", "--force", "--all"]);
        println!("rm --force --all     {:.1} s", start.elapsed().as_secs_f64());
    }
}

/// The memory of all monitors of this place, in KiB: PSS together, and the most private and written of one.
fn monitors(place: &Place) -> (u64, u64) {
    let own = place.temp.path().display().to_string();
    let (mut pss, mut dirty) = (0, 0);
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path: PathBuf = entry.path();
        let line = fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        if !line.contains("monitor") || !line.contains(&own) {
            continue;
        }
        let text = fs::read_to_string(path.join("smaps_rollup")).unwrap_or_default();
        let field = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
        };
        pss += field("Pss:");
        dirty = dirty.max(field("Private_Dirty:"));
    }
    (pss, dirty)
}
