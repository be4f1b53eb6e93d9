//! Many at a time: containers don't get into each other's way.

use std::process::Child;
use testkit::{Bundle, Door, privileged};

/// Makes 25 containers, one after the other, and gives each a whole life.
const LIVES: &str = r#"
for n in $(seq 25); do
    id=$PREFIX-$n
    "$DOOR" --root "$ROOT" create --bundle "$BUNDLE" $id || exit 1
    "$DOOR" --root "$ROOT" start $id || exit 2
    test "$("$DOOR" --root "$ROOT" exec $id echo $id)" = $id || exit 3
    "$DOOR" --root "$ROOT" list -q >/dev/null || exit 4
    "$DOOR" --root "$ROOT" delete --force $id || exit 5
done"#;

#[test]
fn eight_processes_make_200_containers() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let errors = door.directory().join("errors");
    let start = |n: u32| -> Child {
        let mut shell = std::process::Command::new("sh");
        let errors = std::fs::File::options().create(true).append(true).open(&errors).unwrap();
        shell.args(["-c", LIVES]).env("DOOR", testkit::forgeone()).env("ROOT", door.root());
        shell.env("PREFIX", door.id(&format!("many{n}"))).env("BUNDLE", bundle.path());
        shell.env("FORGEONE_TEST", testkit::names::process_prefix());
        shell.stdout(errors.try_clone().unwrap()).stderr(errors).spawn().unwrap()
    };
    let mut children: Vec<_> = (0..8).map(start).collect();
    let codes: Vec<_> = children.iter_mut().map(|child| child.wait().unwrap().code()).collect();
    let said = std::fs::read_to_string(&errors).unwrap();
    assert_eq!((codes, said.as_str()), (vec![Some(0); 8], ""));
    assert!(door.containers().is_empty());
}

/// All want the same id: one has it, the others are told so.
#[test]
fn one_of_eight_gets_the_id() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("one");
    let file = |n: u32| door.directory().join(format!("one{n}"));
    let start = |n: u32| -> Child {
        let mut command = door.command(["create", "--bundle", bundle.path().to_str().unwrap(), &id]);
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::fs::File::create(file(n)).unwrap())
            .spawn()
            .unwrap()
    };
    let mut children: Vec<_> = (0..8).map(start).collect();
    let codes: Vec<_> = children.iter_mut().map(|child| child.wait().unwrap().code().unwrap()).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    for n in (0..8).filter(|n| codes[*n as usize] != 0) {
        let said = std::fs::read_to_string(file(n)).unwrap();
        assert!(said.contains(&id) && said.contains("exists already"), "{said}");
    }
    assert_eq!(door.status(&id), "created");
    door.ok(["start", &id]);
    assert_eq!(door.ok(["exec", &id, "echo", "works"]).stdout, "works\n");
}

/// Delete at the same time: all agree that it is gone.
#[test]
fn eight_deletes_of_one_container_are_one() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let id = door.id("gone");
    door.ok(["run", "--detach", "--bundle", bundle.path().to_str().unwrap(), &id]);
    let start = |_| door.command(["delete", "--force", &id]).spawn().unwrap();
    let mut children: Vec<Child> = (0..8).map(start).collect();
    let codes: Vec<_> = children.iter_mut().map(|child| child.wait().unwrap().code().unwrap()).collect();
    assert_eq!(codes, [0; 8]);
    assert!(door.containers().is_empty());
}
