//! `forgeone config`: what it says, and its exit statuses, started as the door starts it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::{Temp, programs};

const WEB: &str = "image: nginx:1.27
name: web
env: {LEVEL: info}
resource_limits: {cpu_cores: 0.01, memory_bytes: 67108864, disk_bytes: 1000000, network_bps: 1000000}
";

/// A directory with `web.yaml`, in which commands are run.
struct Place(Temp);

impl Place {
    fn new() -> Self {
        let place = Self(Temp::new("config"));
        place.write("web.yaml", WEB);
        place
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn run(&self, program: &Path, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(program);
        command.args(words).current_dir(self.0.path()).env_clear().stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    fn config(&self, words: &[&str]) -> (i32, String, String) {
        self.run(Path::new(env!("CARGO_BIN_EXE_forgeone-image")), &[&["config"], words].concat())
    }

    /// What a command that succeeds prints.
    fn ok(&self, words: &[&str]) -> String {
        let (status, out, err) = self.config(words);
        assert_eq!((status, err.as_str()), (0, ""), "{words:?}: {out}");
        out
    }
}

fn answer(status: i32, out: &str, err: &str) -> (i32, String, String) {
    (status, out.to_owned(), err.to_owned())
}

#[test]
fn validate_tells_all_findings_with_their_lines() {
    let place = Place::new();
    assert_eq!(place.ok(&["validate", "web.yaml"]), "");
    place.write("bad.yaml", &WEB.replace("name: web", "name: -web").replace("cpu_cores: 0.01, ", ""));
    let (status, out, err) = place.config(&["validate", "web.yaml", "bad.yaml"]);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!((status, lines.len(), err.as_str()), (1, 2, ""), "{out}");
    assert!(lines[0].starts_with("bad.yaml:2:7: error: name: \"-web\": "), "{out}");
    assert!(
        lines[1].starts_with("bad.yaml:4:18: warning: resource_limits.cpu_cores: CPU time has no limit"),
        "{out}"
    );
    place.write("warned.yaml", &WEB.replace("cpu_cores: 0.01, ", ""));
    assert_eq!(place.config(&["validate", "warned.yaml"]).0, 0);
    let (status, out, _) = place.config(&["validate", "--strict", "warned.yaml"]);
    assert!(status == 1 && out.contains(": error: resource_limits.cpu_cores: "), "{out}");
    let (status, out, _) = place.config(&["validate", "--format", "json", "bad.yaml"]);
    let findings: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &findings[0]["path"], &findings[0]["line"]), (1, &"name".into(), &2.into()));
}

#[test]
fn what_is_no_configuration_is_told_with_its_line() {
    let place = Place::new();
    place.write("typo.yaml", "image: nginx\nnetwrok: {mode: host}\n");
    let err = "load typo.yaml:2:1: key \"netwrok\" isn't known; did you mean \"network\"?\n \
        2 | netwrok: {mode: host}\n   | ^\n";
    for (command, status) in [("validate", 2), ("show", 1), ("merge", 1)] {
        let expected = answer(status, "", &format!("forgeone: config {command}: {err}"));
        assert_eq!(place.config(&[command, "typo.yaml"]), expected);
    }
    let expected = answer(2, "", &format!("forgeone: config diff: {err}"));
    assert_eq!(place.config(&["diff", "web.yaml", "typo.yaml"]), expected);
}

#[test]
fn show_turns_each_format_into_each() {
    let place = Place::new();
    let yaml = place.ok(&["show", "web.yaml"]);
    for format in ["json", "toml", "yaml"] {
        let name = format!("again.{format}");
        place.write(&name, &place.ok(&["show", "--format", format, "web.yaml"]));
        assert_eq!(place.ok(&["show", &name]), yaml, "{format}");
        assert_eq!(place.ok(&["diff", "web.yaml", &name]), "");
    }
    let variables = place.ok(&["show", "--format=env", "web.yaml"]);
    assert!(variables.contains("FORGEONE_IMAGE=nginx:1.27\n"), "{variables}");
    assert!(variables.contains("FORGEONE_RESOURCE_LIMITS='{\"cpu_cores\":0.01,"), "{variables}");
}

#[test]
fn merge_puts_later_files_over_earlier_ones() {
    let place = Place::new();
    place.write("test.toml", "tty = true\n[env]\nLEVEL = \"debug\"\nPORT = \"80\"\n");
    let merged = place.ok(&["merge", "web.yaml", "test.toml"]);
    assert!(merged.contains("image: \"nginx:1.27\"\n"), "{merged}");
    assert!(merged.contains("env:\n  LEVEL: debug\n  PORT: \"80\"\n"), "{merged}");
}

#[test]
fn diff_tells_changes_and_a_patch() {
    let place = Place::new();
    place.write("new.yaml", &WEB.replace("info", "debug"));
    let text = "- env.LEVEL: \"info\"\n+ env.LEVEL: \"debug\"\n";
    assert_eq!(place.config(&["diff", "web.yaml", "new.yaml"]), answer(1, text, ""));
    let (_, coloured, _) = place.config(&["diff", "--color", "always", "web.yaml", "new.yaml"]);
    assert!(coloured.starts_with("\x1b[31m- env.LEVEL: \"info\"\x1b[0m\n\x1b[32m+ "), "{coloured:?}");
    let (status, patch, _) = place.config(&["diff", "--format", "json-patch", "web.yaml", "new.yaml"]);
    let patch: serde_json::Value = serde_json::from_str(&patch).unwrap();
    let expected = serde_json::json!([{"op": "replace", "path": "/env/LEVEL", "value": "debug"}]);
    assert_eq!((status, patch), (1, expected));
}

#[test]
fn render_fills_a_template() {
    let place = Place::new();
    place.write("web.yaml.j2", "image: {{ 'nginx:' ~ tag }}\nname: {{ name }}\n");
    place.write("values.yaml", "tag: '1.26'\nname: web\n");
    let rendered = place.ok(&["render", "--values", "values.yaml", "--set", "tag=1.27", "web.yaml.j2"]);
    assert_eq!(rendered, "version: 1\nimage: \"nginx:1.27\"\nname: web\n");
    let (status, out, err) = place.config(&["render", "--set", "tag=1", "web.yaml.j2"]);
    assert_eq!((status, out.as_str()), (1, ""));
    let expected = "forgeone: config render: load web.yaml.j2:2:10: undefined value";
    assert!(
        err.starts_with(expected) && err.ends_with("\n 2 | name: {{ name }}\n   |          ^\n"),
        "{err}"
    );
    let (status, _, err) = place.config(&["render", "--set", "tag", "web.yaml.j2"]);
    assert!(status == 1 && err.contains("option --set is NAME=TEXT, not \"tag\""), "{err}");
}

#[test]
fn a_template_that_takes_all_memory_is_ended() {
    let place = Place::new();
    let double = "{% set x = x ~ x %}".repeat(40);
    place.write("bomb.yaml.j2", &format!("{{% set x = 'xxxxxxxx' %}}{double}"));
    let message =
        "forgeone: config render: it takes more than 1024 MiB of memory or 10 s of processor time\n";
    assert_eq!(place.config(&["render", "bomb.yaml.j2"]), answer(1, "", message));
}

#[test]
fn migrate_shows_and_makes_files_new() {
    let place = Place::new();
    let old = "# mine\nversion: 0\nimage: web\nexec_mode: Native\n";
    place.write("old.yaml", old);
    let diff = "--- old.yaml\n+++ old.yaml\n@@ -1,4 +1,4 @@\n # mine\n-version: 0\n+version: 1\n image: web\n\
        -exec_mode: Native\n+exec_mode: native\n";
    let read = || fs::read_to_string(place.0.path().join("old.yaml")).unwrap();
    assert_eq!(place.ok(&["migrate", "-n", "old.yaml", "web.yaml"]), diff);
    assert_eq!(read(), old);
    assert_eq!(place.ok(&["migrate", "old.yaml", "web.yaml"]), diff);
    assert_eq!(read(), "# mine\nversion: 1\nimage: web\nexec_mode: native\n");
    assert_eq!(place.ok(&["migrate", "--dry-run", "old.yaml"]), "");
    // Nothing is changed if something is wrong.
    place.write("old.yaml", old);
    place.write("bad.yaml", "version: 0\nimgae: a\n");
    let (status, _, err) = place.config(&["migrate", "old.yaml", "bad.yaml"]);
    assert!(status == 1 && err.starts_with("forgeone: config migrate: load bad.yaml"), "{err}");
    assert_eq!(read(), old);
}

/// A private key in the file `key`; the public one.
fn keys(place: &Place) -> String {
    use age::secrecy::ExposeSecret;
    let key = age::x25519::Identity::generate();
    place.write("key", key.to_string().expose_secret());
    key.to_public().to_string()
}

/// A passphrase takes its second each time: few commands.
#[test]
fn a_passphrase_closes_and_opens_a_file() {
    let place = Place::new();
    place.write("pass", "correct horse\n");
    assert_eq!(place.ok(&["encrypt", "--passphrase-file", "pass", "-o", "sealed.yaml", "web.yaml"]), "");
    let sealed = fs::read_to_string(place.0.path().join("sealed.yaml")).unwrap();
    assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"), "{sealed}");
    assert_eq!(place.ok(&["decrypt", "--passphrase-file", "pass", "sealed.yaml"]), WEB);
    let (status, _, err) = place.config(&["encrypt", "--passphrase-file", "pass", "sealed.yaml"]);
    assert_eq!(
        (status, err.as_str()),
        (1, "forgeone: config encrypt: sealed.yaml: it is encrypted already\n")
    );
    let (status, _, err) = place.config(&["encrypt", "--passphrase-env", "NONE", "web.yaml"]);
    assert!(status == 1 && err.contains("variable NONE: it isn't set, or no UTF-8"), "{err}");
    let (status, _, err) = place.config(&["encrypt", "web.yaml"]);
    assert!(status == 1 && err.contains("there is nobody to encrypt for; name a public key"), "{err}");
}

#[test]
fn values_are_encrypted_and_decrypted_where_they_stand() {
    let place = Place::new();
    let public = keys(&place);
    place.write("shop.yaml", &WEB.replace("LEVEL: info", "PASSWORD: sesame-open"));
    let read = |name: &str| fs::read_to_string(place.0.path().join(name)).unwrap();
    let original = read("shop.yaml");
    assert_eq!(place.ok(&["encrypt", "--recipient", &public, "--value", "env.PASSWORD", "shop.yaml"]), "");
    assert!(
        read("shop.yaml").contains("PASSWORD: \"age-encrypted:") && !read("shop.yaml").contains("sesame")
    );
    let (status, _, err) = place.config(&["show", "shop.yaml"]);
    assert!(status == 1 && err.contains("load shop.yaml:3:17: env.PASSWORD: it is encrypted; "), "{err}");
    let shown = place.ok(&["show", "--identity", "key", "shop.yaml"]);
    assert!(shown.contains("PASSWORD: sesame-open"), "{shown}");
    assert_eq!(place.ok(&["decrypt", "--identity", "key", "--in-place", "shop.yaml"]), "");
    assert_eq!(parsed(&read("shop.yaml")), parsed(&original));
}

fn parsed(text: &str) -> forgeone_config::ContainerConfig {
    forgeone_config::parse_config(text, forgeone_config::Format::Yaml).unwrap()
}

#[test]
fn secrets_are_shown_by_no_command_that_compares() {
    let place = Place::new();
    let public = keys(&place);
    for (name, password) in [("old.yaml", "sesame-old"), ("new.yaml", "sesame-new")] {
        place.write(name, &WEB.replace("LEVEL: info", &format!("PASSWORD: {password}")));
        place.ok(&["encrypt", "--recipient", &public, "--value", "env.PASSWORD", name]);
    }
    let (status, out, _) = place.config(&["diff", "--identity", "key", "old.yaml", "new.yaml"]);
    assert_eq!((status, out.as_str()), (1, "- env.PASSWORD: \"(secret)\"\n+ env.PASSWORD: \"(secret)\"\n"));
    let (status, out, err) =
        place.config(&["diff", "--identity", "key", "--format", "json-patch", "old.yaml", "new.yaml"]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.ends_with("env.PASSWORD: it is a secret, which a patch would show\n"), "{err}");
    assert_eq!(place.ok(&["validate", "--identity", "key", "old.yaml"]), "");
}

/// A program that stands for the user's editor.
fn edit(place: &Place, script: &str, words: &[&str]) -> (i32, String, String) {
    place.write("editor", &format!("#!/bin/sh\n{script}\n"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_forgeone-image"));
    command.args([&["config", "edit"], words].concat()).current_dir(place.0.path()).env_clear();
    command.env("EDITOR", "/bin/sh ./editor").env("TMPDIR", place.0.path()).env("PATH", "/usr/bin:/bin");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[test]
fn edit_keeps_what_is_valid_and_the_text_of_what_is_not() {
    let place = Place::new();
    let read = |name: &str| fs::read_to_string(place.0.path().join(name)).unwrap();
    place.ok(&["audit", "start", "web.yaml"]);
    let (status, out, err) = edit(&place, "sed -i 's/^name: web/name: shop/' \"$1\"", &["web.yaml"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.contains("\n-name: web\n+name: shop\n"), "{out}");
    assert_eq!(read("web.yaml"), WEB.replace("name: web", "name: shop"));
    let log = place.ok(&["audit", "web.yaml"]);
    assert!(log.contains(" edit\n    name: \"web\" -> \"shop\"\n"), "{log}");
    assert!(
        place.ok(&["audit", "verify", "web.yaml"]).starts_with("web.yaml: 2 records, the newest sha256:")
    );

    for (script, message) in [
        ("echo 'name: -x' > \"$1\"", "\nweb.yaml:1:7: error: name: \"-x\": "),
        ("echo 'imgae: x' > \"$1\"", "load web.yaml:1:1: key \"imgae\" isn't known; did you mean \"image\"?"),
        ("echo 'image: x' > \"$1\"; echo >> web.yaml", "web.yaml: somebody else changed it meanwhile"),
    ] {
        let before = read("web.yaml");
        let (status, out, err) = edit(&place, script, &["web.yaml"]);
        assert_eq!((status, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(message), "{err}");
        assert_eq!(read("web.yaml").trim_end(), before.trim_end());
        let (_, kept) = err.trim_end().rsplit_once("the text is kept in ").unwrap();
        assert!(script.contains(fs::read_to_string(kept).unwrap().trim_end()), "{kept}");
        fs::remove_dir_all(Path::new(kept).parent().unwrap()).unwrap();
    }
    let (status, _, err) = edit(&place, "exit 3", &["web.yaml"]);
    assert!(status == 1 && err.contains("failed (exit status: 3); nothing was changed"), "{err}");
    assert_eq!(edit(&place, "true", &["web.yaml"]), answer(0, "", ""));
    let left = fs::read_dir(place.0.path()).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("forgeone-edit")).count();
    assert_eq!(left, 0, "drafts are taken away");
}

#[test]
fn edit_opens_and_closes_what_is_encrypted() {
    let place = Place::new();
    let public = keys(&place);
    let read = |name: &str| fs::read_to_string(place.0.path().join(name)).unwrap();
    place.write("shop.yaml", &WEB.replace("LEVEL: info", "PASSWORD: sesame-old"));
    place.ok(&["audit", "start", "shop.yaml"]);
    place.ok(&["encrypt", "--recipient", &public, "--value", "env.PASSWORD", "shop.yaml"]);
    let change = "grep -q sesame-old \"$1\" && sed -i 's/sesame-old/sesame-new/' \"$1\"";
    let (status, _, err) = edit(&place, change, &["--identity", "key", "shop.yaml"]);
    assert!(
        status == 1 && err.contains("it is encrypted; --recipient says whom to encrypt it for again"),
        "{err}"
    );
    let words = ["--identity", "key", "--recipient", &public, "shop.yaml"];
    assert_eq!(edit(&place, change, &words), answer(0, "", ""));
    assert!(!read("shop.yaml").contains("sesame"), "{}", read("shop.yaml"));
    assert!(place.ok(&["show", "--identity", "key", "shop.yaml"]).contains("sesame-new"));
    place.ok(&["encrypt", "--recipient", &public, "-o", "whole.yaml", "web.yaml"]);
    let change = "sed -i 's/^name: web/name: shop/' \"$1\"";
    let (status, out, err) =
        edit(&place, change, &["--identity", "key", "--recipient", &public, "whole.yaml"]);
    assert_eq!((status, out.as_str(), err.as_str()), (0, "", ""));
    assert!(read("whole.yaml").starts_with("-----BEGIN AGE"));
    assert!(place.ok(&["decrypt", "--identity", "key", "whole.yaml"]).contains("name: shop"));
    let log = read("shop.yaml.audit");
    assert!(log.contains("\"command\":\"edit\"") && !log.contains("sesame"), "{log}");
    place.ok(&["audit", "verify", "shop.yaml"]);
}

#[test]
fn the_log_tells_of_merge_and_migrate() {
    let place = Place::new();
    place.write("old.yaml", "version: 0\nimage: a\nexec_mode: Native\n");
    for file in ["old.yaml", "web.yaml"] {
        place.ok(&["audit", "start", file]);
    }
    place.ok(&["migrate", "old.yaml"]);
    place.write("over.yaml", "tty: true\n");
    assert_eq!(place.ok(&["merge", "-o", "web.yaml", "web.yaml", "over.yaml"]), "");
    let log = place.ok(&["audit", "web.yaml"]);
    assert!(log.contains(" merge\n    tty: nothing -> true\n"), "{log}");
    let log = place.ok(&["audit", "old.yaml"]);
    assert!(log.ends_with(" migrate\n"), "{log}");
    for file in ["old.yaml", "web.yaml"] {
        place.ok(&["audit", "verify", file]);
    }
    let (status, _, err) = place.config(&["audit", "over.yaml"]);
    assert!(
        status == 1 && err.contains("there is no log; forgeone config audit start over.yaml begins one"),
        "{err}"
    );
    // A log that was tampered with isn't continued.
    let path = place.0.path().join("web.yaml.audit");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("merge", "nerge")).unwrap();
    let before = fs::read_to_string(place.0.path().join("web.yaml")).unwrap();
    let (status, _, err) = place.config(&["merge", "-o", "web.yaml", "over.yaml"]);
    assert!(status == 1 && err.contains("web.yaml.audit:2: the record was changed"), "{err}");
    assert_eq!(fs::read_to_string(place.0.path().join("web.yaml")).unwrap(), before);
}

#[test]
fn validate_judges_by_rules_of_ones_own() {
    let place = Place::new();
    let rule = "rules:\n- {name: tagged, path: image, message: it is pinned, expression: \"config.image.contains('@')\"}\n";
    place.write("rules.yaml", rule);
    let (status, out, err) = place.config(&["validate", "--rules", "rules.yaml", "web.yaml"]);
    let line = "web.yaml:1:8: error: image: it is pinned; rule \"tagged\" asks for it [rule]\n";
    assert_eq!((status, out.as_str(), err.as_str()), (1, line, ""));
    place.write("rules.yaml", "rules: [{name: a, message: b, expression: 'size('}]\n");
    let (status, _, err) = place.config(&["validate", "--rules=rules.yaml", "web.yaml"]);
    let begins =
        "forgeone: config validate: load rules.yaml:1:43: rules[0].expression: rule \"a\": it isn't CEL: ";
    assert!(status == 2 && err.starts_with(begins), "{err}");
}

#[test]
fn schema_is_for_editors() {
    let place = Place::new();
    let schema: serde_json::Value = serde_json::from_str(&place.ok(&["schema"])).unwrap();
    assert_eq!(schema["properties"]["image"]["type"], "string");
    assert_eq!(place.config(&["schema", "a.yaml"]).0, 1);
}

/// Whatever a file holds: it ends in an error, and 64 MiB of memory are enough to say so.
#[test]
fn files_without_end_are_refused_in_little_memory() {
    let place = Place::new();
    fs::File::create(place.0.path().join("sparse.yaml")).unwrap().set_len(1 << 30).unwrap();
    std::os::unix::fs::symlink("/dev/zero", place.0.path().join("endless.json")).unwrap();
    let full = |piece: &str| piece.repeat((4 << 20) / piece.len());
    place.write("deep.json", &full("["));
    place.write("deeper.json", &full("{\"a\":"));
    place.write("wide.json", &format!("[{}", full("[],")));
    place.write("deep.yaml", &full("- "));
    place.write("flow.yaml", &full("{a: "));
    place.write("keys.yaml", &(0..400_000).map(|n| format!("{n}: 1\n")).collect::<String>());
    place.write("deep.toml", &format!("a = {}", full("[")));
    let bomb: String =
        (1..30).map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(10))).collect();
    place.write("bomb.yaml", &format!("a0: &a0 [x]\n{bomb}"));
    let limited = "ulimit -v 65536; exec \"$0\" config validate \"$1\"";
    for (name, message) in [
        ("sparse.yaml", "it has more than 4 MiB"),
        ("endless.json", "it has more than 4 MiB"),
        ("deep.json", "more than 32 lists and objects in each other"),
        ("deeper.json", "more than 32 lists and objects in each other"),
        ("wide.json", "there are more than 200000 values"),
        ("deep.yaml", "more than 32 lists and objects in each other"),
        ("flow.yaml", ""),
        ("keys.yaml", "there are more than 200000 values"),
        ("deep.toml", ""),
        ("bomb.yaml", "there are more than 200000 values"),
    ] {
        let program = env!("CARGO_BIN_EXE_forgeone-image");
        let (status, out, err) = place.run(Path::new("/bin/sh"), &["-c", limited, program, name]);
        let first = err.lines().next().unwrap_or_default();
        assert_eq!((status, out.as_str()), (2, ""), "{name}: {err}");
        let begins = format!("forgeone: config validate: load {name}");
        assert!(first.starts_with(&begins) && first.contains(message), "{name}: {err}");
    }
}

#[test]
fn wrong_words_are_named() {
    let place = Place::new();
    for (words, status, message) in [
        (&["bogus"][..], 3, "config: unknown command bogus; see 'forgeone config help'"),
        (&["show"], 1, "config show: missing <file>"),
        (&["show", "a.yaml", "b.yaml"], 1, "config show: unexpected argument b.yaml"),
        (&["show", "--bogus", "a.yaml"], 1, "config show: unknown option --bogus"),
        (&["show", "-x"], 1, "config show: unknown option -x"),
        (&["show", "--format"], 1, "config show: option --format needs a value"),
        (
            &["show", "--format", "xml", "web.yaml"],
            1,
            "config show: option --format is yaml or json or toml or env, not \"xml\"",
        ),
        (
            &["validate", "none.yaml"],
            2,
            "config validate: load none.yaml: No such file or directory (os error 2)",
        ),
        (&["diff", "web.yaml"], 2, "config diff: missing <file>"),
    ] {
        assert_eq!(place.config(words), answer(status, "", &format!("forgeone: {message}\n")), "{words:?}");
    }
    assert!(place.ok(&["help"]).contains("validate   tell all that is wrong with configurations\n"));
    assert!(
        place.ok(&["diff", "--help"]).contains("usage: forgeone config diff [options] <source> <source>\n")
    );
}

/// As it is installed: the door in bin, this program in libexec.
#[test]
fn the_door_hands_config_on() {
    let place = Place::new();
    let prefix = place.0.path().join("prefix");
    fs::create_dir_all(prefix.join("bin")).unwrap();
    fs::create_dir_all(prefix.join("libexec/forgeone")).unwrap();
    let door = prefix.join("bin/forgeone");
    fs::copy(programs::forgeone(), &door).unwrap();
    let (status, _, err) = place.run(&door, &["config", "show", "web.yaml"]);
    assert!(status == 1 && err.contains("libexec/forgeone/forgeone-image: "), "without the helper: {err}");
    fs::copy(env!("CARGO_BIN_EXE_forgeone-image"), prefix.join("libexec/forgeone/forgeone-image")).unwrap();
    let shown = place.run(&door, &["config", "show", "--format", "json", "web.yaml"]);
    assert_eq!(shown, place.config(&["show", "--format", "json", "web.yaml"]));
    assert_eq!(place.run(&door, &["config", "diff", "--", "web.yaml", "-x"]).0, 2);
}

#[test]
fn push_and_pull_work_with_a_registry() {
    let place = Place::new();
    let Some(registry) = testkit::Registry::guarded() else { return };
    // tester:geheim
    let auth = format!(r#"{{"auths": {{"{}": {{"auth": "dGVzdGVyOmdlaGVpbQ=="}}}}}}"#, registry.host());
    place.write("auth.json", &auth);
    let (authority, reference) = (registry.authority(), format!("oci://{}/configs/web:1", registry.host()));
    let options = ["--authfile", "auth.json", "--cacert", authority.to_str().unwrap()];
    let digest = place.ok(&[&["push", "web.yaml", &reference], &options[..]].concat());
    assert!(digest.starts_with("sha256:") && digest.ends_with('\n') && digest.len() == 72, "{digest}");
    assert_eq!(place.ok(&[&["pull", &reference], &options[..]].concat()), place.ok(&["show", "web.yaml"]));
    let by_digest = format!("{}/configs/web@{}", registry.host(), digest.trim());
    assert_eq!(place.ok(&[&["pull", &by_digest], &options[..]].concat()), place.ok(&["show", "web.yaml"]));

    let (status, _, err) = place.config(&["pull", &reference, "--cacert", authority.to_str().unwrap()]);
    assert!(
        status == 1 && err.contains("wants a user name and password; log in with forgeone login "),
        "{err}"
    );
    let (status, _, err) = place.config(&["pull", &reference]);
    assert!(status == 1 && err.contains("its certificate is of an unknown authority; "), "{err}");
    let (status, _, err) = place.config(&["push", "web.yaml", "Web:1"]);
    let expected = "forgeone: config push: \"Web:1\": names of images are in lower case; write \"web:1\"\n";
    assert_eq!((status, err.as_str()), (1, expected));
}

#[test]
fn import_and_export_translate_and_tell_what_is_lost() {
    let place = Place::new();
    let run = [
        "import",
        "--from",
        "docker-run",
        "--",
        "docker",
        "run",
        "--gpus",
        "all",
        "-e",
        "A=b c",
        "nginx",
        "-x",
    ];
    let (status, out, err) = place.config(&run);
    let note = "forgeone: config import: not carried over: --gpus: a configuration has nothing like it\n";
    assert_eq!((status, err.as_str()), (0, note));
    place.write("run.yaml", &out);
    assert!(out.contains("image: nginx\nargs:\n  - \"-x\"\nenv:\n  A: \"b c\"\n"), "{out}");
    let (status, out, err) = place.config(&["export", "--to", "kubernetes", "web.yaml"]);
    let note =
        "forgeone: config export: not carried over: resource_limits.network_bps: it is ForgeOne's own\n";
    assert_eq!((status, err.as_str()), (0, note));
    place.write("pod.yaml", &out);
    let again = place.ok(&["import", "--from", "kubernetes", "pod.yaml"]);
    assert_eq!(again, place.ok(&["show", "web.yaml"]).replace("  network_bps: 1000000\n", ""));
    let compose = "services: {web: {image: a}, db: {image: b}}";
    place.write("compose.yaml", compose);
    let db = place.ok(&["import", "--from=compose", "--name", "db", "compose.yaml"]);
    assert!(db.contains("image: b\nname: db\n"), "{db}");
    place.ok(&["import", "--from=compose", "--directory", ".", "--format", "json", "compose.yaml"]);
    assert_eq!(place.ok(&["show", "db.json"]), db);
    let variables = "services: {web: {image: \"a:${TAG:-1}\", user: \"$NAME\"}}";
    place.write("variables.yaml", variables);
    place.write("other.env", "TAG=3\nNAME=b");
    let import =
        |words: &[&str]| place.config(&[&["import", "--from=compose", "variables.yaml"], words].concat());
    let unset = "services.web.user: variable NAME isn't set, so that nothing stands in its place";
    let expected = answer(
        0,
        "version: 1\nimage: \"a:1\"\nname: web\nuser: \"\"\n",
        &format!("forgeone: config import: not carried over: {unset}\n"),
    );
    assert_eq!(import(&[]), expected);
    place.write(".env", "TAG=2\nNAME=a");
    assert_eq!(import(&[]), answer(0, "version: 1\nimage: \"a:2\"\nname: web\nuser: a\n", ""));
    assert_eq!(
        import(&["--env-file=other.env"]),
        answer(0, "version: 1\nimage: \"a:3\"\nname: web\nuser: b\n", "")
    );
    place.write("required.yaml", "services: {a: {image: \"${NONE:?say which}\"}}");
    let several = "there are several: web, db; choose one by --name, or give --directory";
    for (words, message) in [
        (&["import", "--from=compose", "compose.yaml"][..], several),
        (
            &["import", "--from=compose", "--name=x", "compose.yaml"],
            "there is no such --name; there are web, db",
        ),
        (&["import", "compose.yaml"], "--from is missing: docker-run, compose, kubernetes or oci"),
        (
            &["import", "--from=compos", "compose.yaml"],
            "option --from: \"compos\" is none of docker-run, compose, kubernetes and oci; did you mean \"compose\"?",
        ),
        (&["import", "--from=compose", "compose.yaml", "x"], "unexpected argument x"),
        (
            &["import", "--from=kubernetes", "--env-file=.env", "pod.yaml"],
            "option --env-file is for --from compose alone",
        ),
        (
            &["import", "--from=compose", "--env-file=none.env", "variables.yaml"],
            "load none.env: No such file or directory (os error 2)",
        ),
        (
            &["import", "--from=compose", "required.yaml"],
            "load required.yaml: services.a.image: variable NONE has no value: say which",
        ),
        (
            &["import", "--from=compose", "--directory=.", "--format=json", "compose.yaml"],
            "save ./web.json: it is there already; move it away",
        ),
    ] {
        let expected = answer(1, "", &format!("forgeone: config import: {message}\n"));
        assert_eq!(place.config(words), expected, "{words:?}");
    }
}
