//! A connect that fails, or whose process is killed, at each of the system calls that change something.

use super::lan::{attachment, gone, host, interfaces, places};
use forgeone_runtime::network::{Asked, Attachment, Networks, new_namespace};
use forgeone_sys::AsFd;
use std::path::Path;
use std::process::Command;

/// Tells the test's own program that it is to connect a container, below this data root.
const VICTIM: &str = "FORGEONE_TEST_VICTIM";

/// The calls that change something, or that what changes something is decided by; of those that mean the same the C
/// library, or the kernel's architecture, has one.
const CALLS: [&str; 6] = ["sendto", "write", "ioctl", "rename", "renameat", "renameat2"];

fn asked() -> Attachment {
    Attachment { rate: Some(1_000_000), ..attachment("blue", "victim") }
}

/// The life of who is killed.
fn connect_as_victim(data_root: &str) {
    let networks = Networks::of(&places(Path::new(data_root).to_owned()));
    let Ok(namespace) = new_namespace() else { std::process::exit(3) };
    let connected = networks.connect(&asked(), namespace.as_fd());
    std::process::exit(match connected {
        Ok(_) => 0,
        Err(e) if e.to_string().lines().count() == 1 => 3,
        Err(_) => 4,
    });
}

/// Runs a connect of which the `number`th of these calls is met by a fault: the exit status; nothing if it was killed.
fn with_fault(test: &str, data_root: &Path, fault: &str, call: &str, number: u32) -> Option<i32> {
    let status = Command::new("strace")
        .args(["-f", "-q", "-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:{fault}:when={number}")])
        .args([&std::env::current_exe().unwrap().display().to_string(), test, "--exact"])
        .env(VICTIM, data_root)
        .status()
        .unwrap();
    status.code()
}

/// Every call in turn, until none is left to be met.
fn at_each_call(test: &str, fault: &str, check: impl Fn(&super::lan::Host, Option<i32>)) {
    if let Ok(data_root) = std::env::var(VICTIM) {
        return connect_as_victim(&data_root);
    }
    if Command::new("strace").arg("-V").output().is_err() {
        testkit::single::skip("needs strace");
    }
    let host = host();
    host.networks.create(&Asked { name: "blue".to_owned(), dns: false, ..Asked::default() }).unwrap();
    let host_interface = {
        let namespace = new_namespace().unwrap();
        let endpoint = host.networks.connect(&asked(), namespace.as_fd());
        let endpoint = match endpoint {
            Ok(endpoint) => endpoint,
            Err(e) => host.skip(e),
        };
        host.networks.disconnect("blue", &endpoint.container, Some(namespace.as_fd())).unwrap();
        endpoint.host_interface
    };
    let mut met = 0;
    for call in CALLS {
        for number in 1.. {
            let status = with_fault(test, &host.places.data_root, fault, call, number);
            let all_met = status == Some(0);
            if !all_met {
                met += 1;
                check(&host, status);
            }
            gone(&host_interface);
            host.networks.reload().unwrap();
            assert_eq!(interfaces(), [""; 0], "{call} {number}");
            assert_eq!(std::fs::read_dir(host.file("blue/endpoints")).unwrap().count(), 0, "{call} {number}");
            if all_met {
                break;
            }
        }
    }
    assert!(met > 30, "only {met} calls were met");
    // And it goes on.
    let (namespace, endpoint) = host.container("blue", "next");
    host.networks.disconnect("blue", &endpoint.container, None).unwrap();
    drop(namespace);
    gone(&endpoint.host_interface);
    assert_eq!(interfaces(), [""; 0]);
}

pub(crate) fn killed_at_each_call_nothing_is_orphaned() {
    at_each_call("network::faults::killed_at_each_call_nothing_is_orphaned", "signal=KILL", |_, status| {
        assert_eq!(status, None);
    });
}

pub(crate) fn failing_at_each_call_nothing_is_half_made() {
    at_each_call(
        "network::faults::failing_at_each_call_nothing_is_half_made",
        "error=ENOBUFS",
        |host, status| {
            assert_eq!(status, Some(3), "one line says what failed");
            assert_eq!(interfaces(), [""; 0], "it is undone at once");
            assert_eq!(host.networks.endpoints("blue").unwrap(), []);
        },
    );
}
