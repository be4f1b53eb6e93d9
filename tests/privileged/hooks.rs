//! `hooks`: when each runs, in which namespaces, with what, and what its failure does.

use crate::running::{dir, prepared_by, read, refusal, runc};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testkit::{Bundle, Door, Temp, eventually, names, privileged};

/// In the order in which they run.
const POINTS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that is a line of shell. Its environment marks it for the leak detector.
fn hook(line: &str) -> Value {
    let mark = format!("FORGEONE_TEST={}", names::process_prefix());
    json!({ "path": "/bin/sh", "args": ["sh", "-c", line], "env": [mark, "PATH=/usr/bin:/bin"] })
}

fn add(bundle: Bundle, point: &str, hook: Value) -> Bundle {
    bundle.edit(|config| {
        let list = &mut config["hooks"][point];
        match list.as_array_mut() {
            Some(list) => list.push(hook),
            None => *list = json!([hook]),
        }
    })
}

/// A bundle with a directory that hooks write to: `/out` for those that see the container's root.
struct Scene {
    out: Temp,
    bundle: Option<Bundle>,
}

impl Scene {
    fn new() -> Self {
        let out = Temp::new("hooks");
        let bundle = Bundle::busybox().args(["sleep", "1000"]).mount(json!({
            "destination": "/out", "type": "bind", "source": out.path(), "options": ["rbind", "rw"],
        }));
        std::fs::create_dir(bundle.rootfs().join("out")).unwrap();
        Self { out, bundle: Some(bundle) }
    }

    /// Adds a hook; `OUT` in its line becomes the directory as the hook sees it.
    fn with(mut self, point: &str, line: &str) -> Self {
        let out = if point == "startContainer" { Path::new("/out") } else { self.out.path() };
        let line = line.replace("OUT", out.to_str().unwrap());
        self.bundle = self.bundle.take().map(|bundle| add(bundle, point, hook(&line)));
        self
    }

    /// Adds it at every point; `POINT` becomes the point's name.
    fn everywhere(self, line: &str) -> Self {
        POINTS.iter().fold(self, |scene, point| scene.with(point, &line.replace("POINT", point)))
    }

    fn bundle(&self) -> &Bundle {
        self.bundle.as_ref().unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.out.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        read(self.file(name))
    }

    /// create, start, kill, delete.
    fn live(&self) -> i64 {
        let door = Door::new();
        let id = door.id("hooks");
        door.ok(["create", "--bundle", dir(self.bundle()), &id]);
        let pid = door.state(&id)["pid"].as_i64().unwrap();
        door.ok(["start", &id]);
        door.ok(["delete", "--force", &id]);
        pid
    }
}

#[test]
fn hooks_run_at_their_points_in_the_listed_order() {
    if !privileged::root() {
        return;
    }
    let scene = Scene::new().everywhere("echo POINT 1 >> OUT/order").everywhere("echo POINT 2 >> OUT/order");
    let door = Door::new();
    let id = door.id("order");
    let until = |last: usize| {
        let lines = POINTS[..last].iter().flat_map(|point| [format!("{point} 1"), format!("{point} 2")]);
        assert_eq!(scene.read("order").lines().collect::<Vec<_>>(), lines.collect::<Vec<_>>());
    };
    door.ok(["create", "--bundle", dir(scene.bundle()), &id]);
    until(3);
    door.ok(["start", &id]);
    until(5);
    door.ok(["kill", &id, "KILL"]);
    door.await_status(&id, "stopped");
    until(5);
    door.ok(["delete", &id]);
    until(6);
}

#[test]
fn run_runs_them_all() {
    if !privileged::root() {
        return;
    }
    let mut scene = Scene::new().everywhere("echo POINT >> OUT/order");
    scene.bundle = scene.bundle.map(|bundle| bundle.shell("exit 7"));
    let door = Door::new();
    assert_eq!(door.run(["run", "--bundle", dir(scene.bundle()), &door.id("run")]).code, 7);
    assert_eq!(scene.read("order").lines().collect::<Vec<_>>(), POINTS);
}

#[test]
fn each_hook_runs_in_its_namespaces() {
    if !privileged::root() {
        return;
    }
    let line = "for n in mnt net pid uts; do readlink /proc/self/ns/$n; done > OUT/POINT; \
                test -e /out && echo inside >> OUT/POINT; true";
    let scene = Scene::new().everywhere(line);
    scene.live();
    let host = ["mnt", "net", "pid", "uts"]
        .map(|name| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string());
    for point in ["prestart", "createRuntime", "poststart", "poststop"] {
        assert_eq!(scene.read(point), host.join("\n"), "{point}: the runtime's");
    }
    let inner = |point: &str| scene.read(point).lines().map(str::to_owned).collect::<Vec<_>>();
    let (create, start) = (inner("createContainer"), inner("startContainer"));
    assert!(create.iter().zip(&host).all(|(inner, host)| inner != host), "{create:?}");
    assert_eq!(create.len(), 4, "before the root is changed: the path is the runtime's");
    assert_eq!((&start[..4], start[4].as_str()), (&create[..], "inside"), "after it");
}

/// The specification doesn't say where; these are runc's directories.
#[test]
fn each_hook_runs_in_the_directory_that_runc_runs_it_in() {
    if !privileged::root() {
        return;
    }
    let places = |runtime: Door| {
        let mut scene = Scene::new().everywhere("readlink /proc/self/cwd > OUT/POINT");
        scene.bundle = scene
            .bundle
            .map(|bundle| bundle.args(["true"]).edit(|config| config["process"]["cwd"] = json!("/tmp")));
        runtime.ok(["run", "--bundle", dir(scene.bundle()), &runtime.id("places")]);
        let bundle = dir(scene.bundle());
        POINTS.map(|point| scene.read(point).replace(bundle, "BUNDLE"))
    };
    let expected = ["BUNDLE", "BUNDLE", "BUNDLE/rootfs", "/tmp", "BUNDLE", "BUNDLE"];
    assert_eq!(places(Door::new()), expected);
    if let Some(runc) = runc() {
        assert_eq!(places(runc), expected, "runc's own");
    }
}

/// Unlike runc's, whatever directory `start` and `delete` are called in; a bundle that is gone is no reason not to run.
#[test]
fn hooks_run_in_the_bundle_wherever_the_caller_is() {
    if !privileged::root() {
        return;
    }
    let scene = Scene::new().with("poststart", "pwd > OUT/poststart").with("poststop", "pwd > OUT/poststop");
    let door = Door::new();
    let id = door.id("elsewhere");
    door.ok(["create", "--bundle", dir(scene.bundle()), &id]);
    door.finish(door.command(["start", &id]).current_dir("/usr"));
    assert_eq!(scene.read("poststart"), dir(scene.bundle()));
    door.finish(door.command(["delete", "--force", &id]).current_dir("/usr"));
    assert_eq!(scene.read("poststop"), dir(scene.bundle()));

    let id = door.id("gone");
    door.ok(["create", "--bundle", dir(scene.bundle()), &id]);
    let moved = scene.bundle().path().with_extension("moved");
    std::fs::rename(scene.bundle().path(), &moved).unwrap();
    let deleted = door.finish(door.command(["delete", "--force", &id]).current_dir("/usr"));
    std::fs::rename(&moved, scene.bundle().path()).unwrap();
    assert_eq!((deleted.code, deleted.stderr.as_str()), (0, ""));
    assert_eq!(scene.read("poststop"), "/usr");
}

#[test]
fn hooks_read_the_containers_state() {
    if !privileged::root() {
        return;
    }
    let mut scene = Scene::new().everywhere("cat > OUT/POINT");
    let notes = json!({ "a.key": "value" });
    scene.bundle = scene.bundle.map(|bundle| bundle.edit(|config| config["annotations"] = notes.clone()));
    let pid = scene.live();
    for (point, status, pid) in [
        ("prestart", "creating", Some(pid)),
        ("createRuntime", "creating", Some(pid)),
        ("createContainer", "creating", Some(1)),
        ("startContainer", "created", Some(1)),
        ("poststart", "running", Some(pid)),
        ("poststop", "stopped", None),
    ] {
        let state: Value = serde_json::from_str(&scene.read(point)).unwrap();
        assert_eq!(state["status"], status, "{point}");
        assert_eq!(state["pid"].as_i64().filter(|pid| *pid != 0), pid, "{point}");
        assert_eq!(state["bundle"], dir(scene.bundle()), "{point}");
        assert_eq!(state["annotations"], notes, "{point}");
        assert!(state["id"].as_str().unwrap().starts_with(&names::process_prefix()), "{point}");
        assert!(state["ociVersion"].as_str().unwrap().starts_with("1."), "{point}");
    }
}

#[test]
fn a_hook_gets_its_arguments_and_environment_and_nothing_else() {
    if !privileged::root() {
        return;
    }
    let scene = Scene::new();
    let file = scene.file("seen");
    let line = "tr '\\0' ' ' < /proc/$$/cmdline > $1; echo >> $1; tr '\\0' ' ' < /proc/$$/environ >> $1; echo >> $1; \
                echo $0 >> $1";
    let hook = json!({ "path": "/bin/sh", "args": ["other name", "-c", line, "zero", file], "env": ["A=1 2", "B="] });
    let bundle = add(add(Bundle::busybox(), "createRuntime", hook.clone()), "poststop", hook);
    let door = Door::new();
    let id = door.id("arguments");
    let mut command = door.command(["run", "--bundle", dir(&bundle), &id]);
    let check = || {
        let seen = read(&file);
        let lines: Vec<_> = seen.lines().collect();
        assert!(lines[0].starts_with("other name -c tr "), "{seen}");
        assert_eq!(lines[1..3], ["A=1 2 B= ", "zero"]);
    };
    assert_eq!(door.finish(command.env("SECRET", "of the host")).code, 0);
    check();
}

#[test]
fn a_hook_is_started_with_signals_as_new() {
    if !privileged::root() {
        return;
    }
    // At once: a shell changes its mask while it waits.
    let mut scene = Scene::new().everywhere("exec grep -E 'Sig(Blk|Ign)' /proc/self/status > OUT/POINT");
    scene.bundle = scene.bundle.map(|bundle| bundle.shell("true"));
    let door = Door::new();
    door.ok(["run", "--bundle", dir(scene.bundle()), &door.id("signals")]);
    for point in POINTS {
        assert_eq!(scene.read(point), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000", "{point}");
    }
}

#[test]
fn a_hook_gets_no_descriptor_but_the_standard_ones() {
    if !privileged::root() {
        return;
    }
    // CVE-2024-21626: the one at startContainer is a program of the container's.
    let scene = Scene::new().everywhere("exec ls -l /proc/self/fd > OUT/POINT");
    let door = Door::new();
    let id = door.id("descriptors");
    for args in
        [&["create", "--bundle", dir(scene.bundle()), &id][..], &["start", &id], &["delete", "--force", &id]]
    {
        let stray = "exec 3< / 7< /etc 9< /dev/null \"$@\"";
        assert_eq!(door.finish(&mut prepared_by(stray, &door, args)).code, 0);
    }
    for point in POINTS {
        let seen = scene.read(point);
        let open: Vec<_> = seen.lines().skip(1).map(|line| line.split_whitespace().nth(8).unwrap()).collect();
        // What `ls` lists is the last.
        assert_eq!(open, ["0", "1", "2", "3"], "{point}: {seen}");
        assert!(seen.contains("0 -> /memfd:state") && !seen.contains("3 -> /\n"), "{point}: {seen}");
    }
}

#[test]
fn a_hook_without_arguments_gets_its_path() {
    if !privileged::root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    let script = scene.file("hook");
    std::fs::write(&script, format!("#!/bin/sh\necho $0 $# > {}\n", scene.file("seen").display())).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let bundle = add(Bundle::busybox().shell("true"), "createRuntime", json!({ "path": script }));
    let door = Door::new();
    door.ok(["run", "--bundle", dir(&bundle), &door.id("path")]);
    assert_eq!(scene.read("seen"), format!("{} 0", script.display()));
}

#[test]
fn a_hook_that_takes_longer_than_its_time_out_is_killed() {
    if !privileged::root() {
        return;
    }
    for point in &POINTS[..3] {
        let mut slow = hook("exec sleep 1000");
        slow["timeout"] = json!(1);
        let start = Instant::now();
        let error = refusal(&add(Bundle::busybox(), point, slow));
        assert!(
            error.contains(&format!("hooks.{point}[0] /bin/sh: killed after its time-out of 1 s")),
            "{error}"
        );
        assert!(start.elapsed() >= Duration::from_secs(1));
    }
    let mut quick = hook("sleep 0.1");
    quick["timeout"] = json!(60);
    let door = Door::new();
    let bundle = add(Bundle::busybox().shell("echo ran"), "createRuntime", quick);
    assert_eq!(door.ok(["run", "--bundle", dir(&bundle), &door.id("quick")]).stdout, "ran\n");
}

/// What a failing hook's error says: where it is in the config, its path, how it ended, what it wrote.
fn failure(point: &str) -> String {
    format!("hooks.{point}[1] /bin/sh: exit status 3: to stdout to stderr")
}

fn failing(point: &str) -> Scene {
    let scene = Scene::new().with(point, "echo first >> OUT/order");
    let scene = scene.with(point, "echo to stdout; echo to stderr >&2; exit 3");
    let scene = scene.with(point, "echo third >> OUT/order");
    scene.with("poststop", "cat > OUT/poststop")
}

#[test]
fn a_hook_that_fails_at_create_undoes_it() {
    if !privileged::root() {
        return;
    }
    for point in &POINTS[..3] {
        let scene = failing(point);
        let error = refusal(scene.bundle());
        assert!(error.contains(&failure(point)), "{error}");
        assert_eq!(scene.read("order"), "first", "{point}");
        assert!(scene.read("poststop").contains("\"stopped\""), "{point}: the hooks after the end run");
    }
}

#[test]
fn a_hook_that_fails_at_start_ends_the_container() {
    if !privileged::root() {
        return;
    }
    for point in &POINTS[3..5] {
        let scene = failing(point);
        let door = Door::new();
        let id = door.id("start");
        door.ok(["create", "--bundle", dir(scene.bundle()), &id]);
        let output = door.run(["start", &id]);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""));
        assert!(output.stderr.contains(&failure(point)), "{}", output.stderr);
        assert_eq!(scene.read("order"), "first", "{point}");
        assert!(door.containers().is_empty(), "{point}");
        assert!(scene.read("poststop").contains("\"stopped\""), "{point}: the hooks after the end run");
    }
}

#[test]
fn a_hook_that_fails_in_run_takes_the_container_away() {
    if !privileged::root() {
        return;
    }
    for point in &POINTS[..5] {
        let scene = failing(point);
        let door = Door::new();
        let output = door.run(["run", "--bundle", dir(scene.bundle()), &door.id("run")]);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""));
        assert!(output.stderr.contains(&failure(point)), "{}", output.stderr);
        assert!(door.containers().is_empty(), "{point}");
        assert!(scene.read("poststop").contains("\"stopped\""), "{point}: the hooks after the end run");
    }
}

#[test]
fn a_poststop_hook_that_fails_is_a_warning_and_the_others_run() {
    if !privileged::root() {
        return;
    }
    let scene = failing("poststop");
    let door = Door::new();
    let id = door.id("stop");
    door.ok(["create", "--bundle", dir(scene.bundle()), &id]);
    let output = door.ok(["delete", "--force", &id]);
    assert!(output.stderr.contains(&failure("poststop")), "{}", output.stderr);
    assert!(output.stderr.contains("warning"), "{}", output.stderr);
    assert_eq!(scene.read("order"), "first\nthird");
    assert!(door.containers().is_empty());
}

#[test]
fn a_hook_that_can_not_be_run_is_named() {
    if !privileged::root() {
        return;
    }
    for (hook, expected) in [
        (
            json!({ "path": "/no/such/hook" }),
            "hooks.createRuntime[0] /no/such/hook: No such file or directory",
        ),
        (json!({ "path": "/etc/passwd" }), "hooks.createRuntime[0] /etc/passwd: Permission denied"),
        (json!({ "path": "relative" }), "hooks.createRuntime[0].path: \"relative\" must be absolute"),
        (
            json!({ "path": "/bin/true", "timeout": 0 }),
            "hooks.createRuntime[0].timeout: must be greater than 0",
        ),
    ] {
        let error = refusal(&add(Bundle::busybox(), "createRuntime", hook));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_process_that_a_hook_leaves_behind_holds_nothing_up() {
    if !privileged::root() {
        return;
    }
    let line = "{ while ! test -e OUT/end; do sleep 0.01; done; echo > OUT/ended; } & echo left; true";
    let scene = Scene::new().with("createRuntime", line);
    let door = Door::new();
    let id = door.id("left");
    door.ok(["create", "--bundle", dir(scene.bundle()), &id]);
    assert!(!scene.file("ended").exists());
    std::fs::write(scene.file("end"), "").unwrap();
    eventually("it ends", || scene.file("ended").exists());
    door.ok(["delete", "--force", &id]);
}
