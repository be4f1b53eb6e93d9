//! The log of changes: what is in it, and that nobody changes it unseen.

use forgeone_config::audit::{audit_path, recorded_changes, AuditLog};
use forgeone_config::{diff_configs, parse_config, Error, Format};
use std::fs;
use testkit::Temp;

struct Logged {
    _temp: Temp,
    file: String,
}

impl Logged {
    /// A file with a log of so many changes.
    fn new(changes: usize) -> Self {
        let temp = Temp::new("config-audit");
        let file = temp.path().join("web.yaml").to_str().unwrap().to_owned();
        fs::write(&file, "image: nginx:0\n").unwrap();
        AuditLog::start(&file).unwrap();
        let logged = Self { _temp: temp, file };
        (1..=changes).for_each(|number| logged.change(&format!("image: nginx:{number}\n")));
        logged
    }

    fn change(&self, text: &str) {
        let mut log = AuditLog::open(&self.file).unwrap().unwrap();
        let read = || parse_config(&fs::read_to_string(&self.file).unwrap(), Format::Yaml).unwrap();
        let old = read();
        let write = || fs::write(&self.file, text).map_err(|_| unreachable!());
        let changes = || Some(recorded_changes(&diff_configs(&old, &read()).unwrap(), |_, _| false));
        log.record::<_, Error>("edit", write, changes).unwrap();
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(audit_path(&self.file)).unwrap().lines().map(str::to_owned).collect()
    }

    /// What is told of the log with these lines, without the path.
    fn told(&self, lines: &[String]) -> String {
        fs::write(audit_path(&self.file), lines.iter().map(|line| format!("{line}\n")).collect::<String>())
            .unwrap();
        let verified = AuditLog::open(&self.file).and_then(|log| log.unwrap().verify(None));
        verified.map_or_else(|e| e.to_string().replace(&self.file, "web.yaml"), |()| "nothing".to_owned())
    }
}

#[test]
fn a_record_says_who_changed_what_and_when() {
    let logged = Logged::new(1);
    let log = AuditLog::open(&logged.file).unwrap().unwrap();
    log.verify(None).unwrap();
    let [start, edit] = log.records() else { panic!("{log:?}") };
    assert_eq!((start.command.as_str(), &start.before, &start.changes), ("start", &None, &Some(Vec::new())));
    assert_eq!((edit.sequence, edit.command.as_str(), edit.before.as_ref()), (2, "edit", Some(&start.after)));
    let changes =
        serde_json::json!([{"path": "image", "change": "changed", "old": "nginx:0", "new": "nginx:1"}]);
    assert_eq!(serde_json::json!(edit.changes), changes);
    assert!(
        edit.time.starts_with("20") && edit.time.ends_with('Z') && edit.time.len() == 20,
        "{}",
        edit.time
    );
    let status = fs::read_to_string("/proc/self/status").unwrap();
    assert!(status.contains(&format!("Uid:\t{}\t", edit.uid)));
    assert!(AuditLog::start(&logged.file).unwrap_err().to_string().ends_with("; it has a log already"));
}

#[test]
fn each_damage_is_found() {
    let logged = Logged::new(4);
    let lines = logged.lines();
    assert_eq!(logged.told(&lines), "nothing");
    let changed = "verify web.yaml.audit:3: the record was changed: its hash isn't that of what it says";
    let follows = |line: usize, record: usize| {
        format!(
            "verify web.yaml.audit:{line}: record {record} doesn't follow the one before: some were removed, added or moved"
        )
    };
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        logged.told(&lines)
    };
    assert_eq!(with(&|lines| lines[2] = lines[2].replace("edit", "Edit")), changed);
    assert_eq!(with(&|lines| lines[2] = lines[2].replace("nginx:2", "nginx:9")), changed);
    assert_eq!(with(&|lines| lines[2] = lines[2].replace("\"user\":", "\"user\" :")), changed);
    assert_eq!(with(&|lines| lines[2] = "{}".to_owned()), changed);
    assert_eq!(with(&|lines| drop(lines.remove(2))), follows(3, 4));
    assert_eq!(with(&|lines| drop(lines.remove(0))), follows(1, 2));
    assert_eq!(with(&|lines| lines.swap(2, 3)), follows(3, 4));
    assert_eq!(with(&|lines| lines.insert(2, lines[2].clone())), follows(4, 3));
    let missing =
        "verify web.yaml.audit: the file isn't what the last record says: it was changed without the log, \
        or records are missing at its end";
    assert_eq!(with(&|lines| drop(lines.pop())), missing);
    assert_eq!(with(&|lines| lines.truncate(2)), missing);
    assert_eq!(with(&|lines| lines.clear()), "verify web.yaml.audit: it is empty; its records are missing");
    let text = lines.join("\n");
    fs::write(audit_path(&logged.file), &text).unwrap();
    let error = AuditLog::open(&logged.file).unwrap_err().to_string();
    assert!(error.ends_with(":5: the line has no end"), "{error}");
}

#[test]
fn a_log_that_was_written_anew_lacks_the_noted_hash() {
    let logged = Logged::new(2);
    let noted = AuditLog::open(&logged.file).unwrap().unwrap().head().to_owned();
    logged.change("image: nginx:3\n");
    AuditLog::open(&logged.file).unwrap().unwrap().verify(Some(&noted)).unwrap();
    fs::remove_file(audit_path(&logged.file)).unwrap();
    AuditLog::start(&logged.file).unwrap();
    let log = AuditLog::open(&logged.file).unwrap().unwrap();
    log.verify(None).unwrap();
    let error = log.verify(Some(&noted)).unwrap_err().to_string();
    assert!(error.contains("no record has the hash that was noted"), "{error}");
}

#[test]
fn a_change_without_the_log_is_found_and_written_down_later() {
    let logged = Logged::new(1);
    fs::write(&logged.file, "image: elsewhere\n").unwrap();
    assert!(AuditLog::open(&logged.file).unwrap().unwrap().verify(None).is_err());
    logged.change("image: nginx:2\n");
    let log = AuditLog::open(&logged.file).unwrap().unwrap();
    log.verify(None).unwrap();
    let commands: Vec<_> = log.records().iter().map(|record| record.command.as_str()).collect();
    assert_eq!(commands, ["start", "edit", "elsewhere", "edit"]);
}

#[test]
fn values_of_the_environment_and_secrets_are_not_written_down() {
    let old = parse_config("{image: a, env: {TOKEN: old-token}, labels: {a: sesame}}", Format::Yaml).unwrap();
    let new = "{image: b, env: {TOKEN: new-token, MORE: more}, labels: {a: sesame2}, args: [x, sesame]}";
    let new = parse_config(new, Format::Yaml).unwrap();
    let secret = |path: &str, text: &str| path == "image" || text.contains("sesame");
    let changes = recorded_changes(&diff_configs(&old, &new).unwrap(), secret);
    let text = serde_json::json!(changes).to_string();
    assert_eq!(changes.len(), 5, "{text}");
    for value in ["token", "more\"", "sesame", "\"a\"", "\"b\""] {
        assert!(!text.contains(value), "{value}: {text}");
    }
    assert!(text.contains(r#"{"path":"env.MORE","change":"added"}"#), "{text}");
}
