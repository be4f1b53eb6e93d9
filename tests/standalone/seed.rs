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

#[test]
fn a_configuration_file_is_run_and_options_are_above_it() {
    let Some(machine) = Machine::new() else { return };
    let archive = machine.archive();
    let yaml = format!(
        "version: 1\nname: web\nimage: {archive}\ncommand: /bin/sh\nargs: [-c, 'echo $GREETING from $(hostname)']\n\
         env: {{GREETING: hello}}\nnetwork: {{mode: none, hostname: box}}\nresource_limits: {{memory_bytes: 33554432}}\n"
    );
    std::fs::write(machine.path("here/web.yaml"), yaml).unwrap();
    assert_eq!(machine.ok(&["run", "--rm", "--config", "web.yaml"]), "hello from box\n");
    assert_eq!(machine.ok(&["run", "--config", "web.yaml", "-e", "GREETING=bye"]), "bye from box\n");
    let config = machine.inspect("web")["Config"].clone();
    assert_eq!(config["resource_limits"]["memory_bytes"], 33_554_432);
    std::fs::write(machine.path("here/wrong.yaml"), "image: x\nmemory: 5\n").unwrap();
    let line = machine.fails(&["run", "--config", "wrong.yaml"], 125);
    assert!(line.contains("wrong.yaml:2:1") && line.contains("memory"), "{line}");
}
