//! What works with runc keeps its meaning where the standalone program is installed.

use crate::kit::Machine;
use testkit::Bundle;

#[test]
fn a_bundle_is_the_oci_runtimes() {
    let Some(machine) = Machine::new() else { return };
    let bundle = Bundle::busybox().shell("echo from a bundle");
    let path = bundle.path().to_str().unwrap();
    assert_eq!(machine.ok(&["run", "--bundle", path, "one"]), "from a bundle\n");
    let mut here = machine.command(&["run", "two"]);
    assert_eq!(machine.finish(here.current_dir(bundle.path())).stdout, "from a bundle\n");
    assert_eq!(machine.ok(&["ps", "-aq"]), "");
}

#[test]
fn a_container_that_nobody_has_is_told_as_ever() {
    let Some(machine) = Machine::new() else { return };
    for command in ["state", "kill", "pause", "delete"] {
        let line = machine.fails(&[command, "nobody"], 1);
        assert!(line.starts_with(&format!("{command}: container \"nobody\" does not exist")), "{line}");
    }
    let line = machine.fails(&["run", "--rm", "--bogus", "x"], 125);
    assert!(line.contains("unknown option --bogus"), "{line}");
}

#[test]
fn help_tells_of_both() {
    let Some(machine) = Machine::new() else { return };
    let help = machine.ok(&["help", "run"]);
    assert!(help.contains("--bundle DIR") && help.contains("--restart POLICY"), "{help}");
    assert!(machine.ok(&["run", "--help"]).contains("--restart POLICY"));
    assert!(machine.ok(&["volume", "--help"]).contains("volume ls"));
    assert!(machine.ok(&["help", "images"]).contains("--quiet"));
}
