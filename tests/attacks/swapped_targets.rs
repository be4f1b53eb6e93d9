//! CVE-2019-18837, CVE-2021-30465, CVE-2024-45310, CVE-2025-62596, CVE-2025-54867: places are swapped for links to the
//! host while they are mounted on, made, masked or written.

use super::{Host, bind, everywhere, picture, run, tmpfs, without_mounts};
use serde_json::json;
use testkit::{Bundle, Door, Swap, figure, repeatedly};

/// How many runs there were while somebody swapped, and how many of them started; those that weren't have said why.
fn swapped(door: &Door, bundle: &Bundle, swap: &Swap, tries: u32, refused: &[&str]) -> (u64, u64) {
    let (mut tried, mut started) = (0, 0);
    swap.meanwhile(|| {
        repeatedly(tries, |_| {
            let output = run(door, bundle);
            let why = refused.iter().any(|why| output.stderr.contains(why));
            assert!(output.code == 0 || why, "{}", output.stderr);
            started += u64::from(output.code == 0);
            tried += 1;
            output.code == 0
        });
    });
    (tried, started)
}

/// A volume that another container has as well.
#[test]
fn a_volume_that_is_swapped_under_a_starting_container_leads_nowhere() {
    let mut counted = (0, 0);
    let all = 500;
    let counts = std::cell::RefCell::new(&mut counted);
    everywhere(|door| {
        // Fewer on the other ways, which are slower.
        let tries = if counts.borrow().0 == 0 { all } else { all / 4 };
        let (host, before) = Host::new();
        let (volume, swap) = Swap::volume(host.path());
        let bundle = Bundle::busybox()
            .mount(bind(volume.path(), "/data"))
            .mount(tmpfs("/data/swap"))
            .mount(tmpfs("/data/swap/made/deep"))
            .mount(bind(&host.path().join("secret"), "/data/swap/file"))
            .edit(|config| {
                config["linux"]["maskedPaths"].as_array_mut().unwrap().push(json!("/data/swap/etc"));
            })
            .args(["true"]);
        let door = door();
        let (tried, started) = swapped(&door, &bundle, &swap, tries, &["mounts["]);
        assert_eq!(picture(host.path()), before);
        let mut counts = counts.borrow_mut();
        counts.0 += tried;
        counts.1 += started;
    });
    figure(format_args!("{} rounds, {} started, nothing on the host was touched", counted.0, counted.1));
}

/// A root file system whose directories are swapped: what the runtime fills, masks, sets and makes is below them.
#[test]
fn a_root_file_system_that_is_swapped_under_a_starting_container_leads_nowhere() {
    let mut counted = (0, 0);
    let counts = std::cell::RefCell::new(&mut counted);
    let all = 60;
    everywhere(|door| {
        let tries = if counts.borrow().0 == 0 { all } else { all / 4 };
        for name in ["dev", "proc", "etc", "work"] {
            let (host, before) = Host::new();
            let bundle = Bundle::busybox().writable().args(["true"]).edit(|config| {
                config["process"]["cwd"] = json!("/work/new/deep");
                config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
                config["linux"]["maskedPaths"] = json!(["/etc/secret", "/etc/passwd"]);
                config["linux"]["readonlyPaths"] = json!(["/etc/group", "/etc/etc"]);
            });
            let bundle = if name == "dev" { without_mounts(bundle, "/dev") } else { bundle };
            let swap = Swap::new(&bundle.rootfs(), name, host.path());
            let door = door();
            let said = ["/dev", "/proc", "mounts[", "/etc", "process.cwd", "linux.", "mount"];
            let (tried, started) = swapped(&door, &bundle, &swap, tries, &said);
            assert_eq!(picture(host.path()), before, "{name}");
            let mut counts = counts.borrow_mut();
            counts.0 += tried;
            counts.1 += started;
        }
    });
    figure(format_args!("{} rounds, {} started, nothing on the host was touched", counted.0, counted.1));
}
