//! The plan by table; the files on a directory that has those which the kernel would make.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use testkit::Temp;

fn wanted(json: &str) -> IntelRdt {
    crate::json::from_slice(json.as_bytes()).unwrap()
}

fn planned(json: &str) -> Plan {
    plan("web", &wanted(json)).unwrap()
}

/// A file system with the class `gold`.
fn resctrl() -> Temp {
    let root = Temp::new("resctrl");
    for dir in ["info", "gold/mon_groups"] {
        std::fs::create_dir_all(root.path().join(dir)).unwrap();
    }
    let write = |file: &str, text: &str| std::fs::write(root.path().join(file), text).unwrap();
    write("info/last_cmd_status", "ok\n");
    write("gold/schemata", "    L3:0=07f0;1=001f\n    MB:0= 20;1= 70\n");
    for file in ["gold/tasks", "tasks", "schemata"] {
        write(file, "");
    }
    root
}

fn text(root: &Temp, file: &str) -> String {
    std::fs::read_to_string(root.path().join(file)).unwrap()
}

#[test]
fn lines_are_written_in_the_specifications_order() {
    let plan =
        planned(r#"{"schemata":["L2:0=f","MB:0=10"],"memBwSchema":"MB:0=20","l3CacheSchema":"L3:0=f"}"#);
    assert_eq!(plan.schemata, ["L3:0=f", "MB:0=20", "L2:0=f", "MB:0=10"]);
    assert!(plan.class.is_empty() && !plan.monitoring);
    assert_eq!(planned(r#"{"closID":"/"}"#).class, "/");
}

#[test]
fn what_is_wrong_is_named() {
    for (json, message) in [
        (r#"{"closID":"a/b"}"#, r#"closID: "a/b": is not the name of a class"#),
        (r#"{"closID":".."}"#, r#"closID: "..": is not the name of a class"#),
        (r#"{"closID":"info"}"#, r#"closID: "info": is not the name of a class"#),
        (r#"{"memBwSchema":"L3:0=f"}"#, r#"memBwSchema: "L3:0=f": must start with "MB:""#),
        (
            r#"{"memBwSchema":"MB:0=1\nL3:0=1"}"#,
            r#"memBwSchema: "MB:0=1\nL3:0=1": is not a line of schemata"#,
        ),
        (r#"{"l3CacheSchema":"L3"}"#, r#"l3CacheSchema: "L3": is not a line of schemata"#),
        (r#"{"schemata":["L3:0=f","x\ny:"]}"#, r#"schemata[1]: "x\ny:": is not a line of schemata"#),
    ] {
        let e = plan("web", &wanted(json)).unwrap_err();
        assert_eq!((e.kind(), e.to_string()), (Kind::Config, format!("linux.intelRdt.{message}")));
    }
}

#[test]
fn the_mount_is_found_or_its_lack_is_said() {
    let with = b"20 1 0:5 / /proc rw - proc proc rw\n30 1 0:9 / /sys/fs/resctrl rw,nosuid shared:5 - resctrl resctrl rw\n";
    assert_eq!(mount_point(with).unwrap(), Path::new("/sys/fs/resctrl"));
    let e = survey(&planned("{}"), b"20 1 0:5 / /proc rw - proc proc rw\n").unwrap_err();
    assert_eq!(e.kind(), Kind::Unsupported);
    assert!(e.to_string().starts_with("linux.intelRdt: resctrl isn't mounted"), "{e}");
}

#[test]
fn a_class_of_its_own_is_made_and_removed() {
    let root = resctrl();
    let plan = planned("{}");
    let paths = survey_in(&plan, root.path()).unwrap();
    assert_eq!((paths.made.len(), paths.made[0].ends_with("/web")), (1, true));
    assert!(!root.path().join("web").exists(), "nothing is made by looking");
    make(&plan, &paths).unwrap();
    std::fs::write(root.path().join("web/tasks"), "").unwrap();
    enter(&paths, 42).unwrap();
    assert_eq!(text(&root, "web/tasks"), "42");
    // A directory that isn't the kernel's has to be empty to go.
    std::fs::remove_file(root.path().join("web/tasks")).unwrap();
    remove(&paths).unwrap();
    assert!(!root.path().join("web").exists());
    // Once more, as after a delete that failed; and a process can still be put where nothing is.
    remove(&paths).unwrap();
    enter(&paths, 42).unwrap();
}

#[test]
fn a_class_that_was_there_stays() {
    let root = resctrl();
    std::fs::create_dir(root.path().join("web")).unwrap();
    std::fs::write(root.path().join("web/schemata"), "").unwrap();
    let plan = planned(r#"{"schemata":["L3:0=f","MB:0=10"]}"#);
    let paths = survey_in(&plan, root.path()).unwrap();
    assert!(paths.made.is_empty());
    make(&plan, &paths).unwrap();
    // A file keeps what was written last at its beginning, where the kernel takes each line.
    assert_eq!(text(&root, "web/schemata"), "MB:0=10\n");
    remove(&paths).unwrap();
    assert!(root.path().join("web").exists());
}

#[test]
fn a_named_class_must_have_the_share_that_is_asked_for() {
    let root = resctrl();
    let make = |json: &str| {
        let plan = planned(json);
        survey_in(&plan, root.path()).and_then(|paths| make(&plan, &paths).map(|()| paths))
    };
    for json in [
        r#"{"closID":"gold"}"#,
        r#"{"closID":"gold","l3CacheSchema":"L3:1=1F"}"#,
        r#"{"closID":"gold","schemata":["L3:0=7f0;1=1f","MB:0=20;1=70"]}"#,
        r#"{"closID":"/"}"#,
    ] {
        assert!(make(json).unwrap().made.is_empty(), "{json}");
    }
    for (json, part) in [
        (r#"{"closID":"gold","l3CacheSchema":"L3:0=7f1"}"#, r#"not "L3:0=7f1""#),
        (r#"{"closID":"gold","schemata":["L2:0=f"]}"#, r#"not "L2:0=f""#),
        (r#"{"closID":"gold","memBwSchema":"MB:2=20"}"#, r#"not "MB:2=20""#),
        (r#"{"closID":"silver"}"#, r#"linux.intelRdt.closID: "silver": there is no such class"#),
    ] {
        let e = make(json).unwrap_err();
        assert!(e.kind() == Kind::Config && e.to_string().contains(part), "{json}: {e}");
    }
    assert!(text(&root, "gold/schemata").contains("07f0"), "nothing was written");
}

#[test]
fn a_monitoring_group_is_the_containers_own() {
    let root = resctrl();
    let plan = planned(r#"{"closID":"gold","enableMonitoring":true}"#);
    let paths = survey_in(&plan, root.path()).unwrap();
    assert_eq!(paths.made.len(), 1);
    make(&plan, &paths).unwrap();
    let tasks = root.path().join("gold/mon_groups/web/tasks");
    std::fs::write(&tasks, "").unwrap();
    enter(&paths, 42).unwrap();
    assert_eq!(
        (text(&root, "gold/tasks"), std::fs::read_to_string(&tasks).unwrap()),
        ("42".into(), "42".into())
    );
    std::fs::remove_file(tasks).unwrap();
    remove(&paths).unwrap();
    assert!(root.path().join("gold/tasks").exists() && !root.path().join("gold/mon_groups/web").exists());
}

#[test]
fn the_kernels_reason_is_told() {
    let root = resctrl();
    std::fs::write(root.path().join("info/last_cmd_status"), "Mask out of range\n").unwrap();
    let plan = planned(r#"{"closID":"new","schemata":["L3:0=0"]}"#);
    let paths = survey_in(&plan, root.path()).unwrap();
    let e = make(&plan, &paths).unwrap_err().to_string();
    assert!(
        e.contains("linux.intelRdt") && e.contains("\"L3:0=0\"") && e.contains("Mask out of range"),
        "{e}"
    );
    remove(&paths).unwrap();
}

#[test]
fn shares_can_be_changed_and_taken_back() {
    let root = resctrl();
    let paths = Paths { group: root.path().join("gold").display().to_string(), ..Paths::default() };
    let gold = |text: &str| std::fs::write(root.path().join("gold/schemata"), text).unwrap();
    let there = "    L3:0=07f0;1=001f\n    MB:0= 20;1= 70\n";
    let (l3, mb) = ("--l3-cache-schema", "--mem-bw-schema");
    drop(change(&paths, &[]).unwrap());
    assert_eq!(text(&root, "gold/schemata"), there, "nothing was asked for");
    // A file keeps what was written last at its beginning, where the kernel takes each line.
    let changed = change(&paths, &[(l3, "L3", "L3:0=f;1=f"), (mb, "MB", "MB:0=10;1=10")]).unwrap();
    assert!(text(&root, "gold/schemata").starts_with("MB:0=10;1=10\n"));
    let e = changed.taken_back(Error::new(Kind::System, "cause")).to_string();
    assert_eq!(e, "cause");
    assert!(text(&root, "gold/schemata").starts_with("L3:0=07f0;1=001f\n"));
    gold(there);
    for (line, message) in [
        ((l3, "L3", "L3"), r#"--l3-cache-schema: "L3": is not a line of schemata"#),
        ((mb, "MB", "MB:0=1\nL3:0=1"), r#"--mem-bw-schema: "MB:0=1\nL3:0=1": is not a line of schemata"#),
        (
            (mb, "MB", "L3:0=f"),
            r#"--mem-bw-schema: "L3:0=f": is no share of MB; the class has "L3:0=07f0;1=001f MB:"#,
        ),
        ((l3, "L3", "L3CODE:0=f"), r#"--l3-cache-schema: "L3CODE:0=f": is no share of L3; the class has"#),
    ] {
        // Behind one that could be had.
        let e = change(&paths, &[(l3, "L3", "L3:0=f"), line]).unwrap_err();
        assert!(e.kind() == Kind::Config && e.to_string().starts_with(message), "{e}");
        assert_eq!(text(&root, "gold/schemata"), there, "nothing was written");
    }
}
