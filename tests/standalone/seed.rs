//! The first command line that was promised, to the letter.

use crate::kit::Machine;

#[test]
fn an_archive_runs_with_limits_and_a_volume() {
    let Some(machine) = Machine::new() else { return };
    let archive = machine.archive();
    let files = machine.path("www");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("index.html"), "hello\n").unwrap();
    let volume = format!("{}:/usr/share/html", files.display());
    machine.ok(&[
        "--name",
        "web-server",
        "--rootfs",
        &archive,
        "--cmd",
        "/bin/sh -c 'cat /usr/share/html/index.html; sleep 100'",
        "--mem",
        "512",
        "--cpu",
        "1.0",
        "--volume",
        &volume,
        "--detach",
    ]);
    testkit::eventually("it shows the file", || machine.ok(&["logs", "web-server"]) == "hello\n");
    let config = machine.inspect("web-server")["Config"].clone();
    assert_eq!(config["resource_limits"]["memory_bytes"], 512 << 20);
    assert_eq!(config["resource_limits"]["cpu_cores"], 1.0);
    // The same archive again is the same layer, and what one writes the other doesn't see.
    machine.ok(&["exec", "web-server", "/bin/touch", "/only-here"]);
    let other = machine.ok(&["run", "--rm", "--rootfs", &archive, "/bin/ls", "/"]);
    assert!(other.contains("bin\n") && !other.contains("only-here"), "{other}");
}
