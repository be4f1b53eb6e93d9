//! Files of every version that ever was are read as they were meant.

use forgeone_config::{config_to_string, migrate_text, parse_config};
use forgeone_config::{ExecMode, Format, MountType, NetworkMode, PortProtocol};

const ONE: &str = include_str!("version1.yaml");

#[test]
fn version_one_is_read_with_every_field() {
    let config = parse_config(ONE, Format::Yaml).unwrap();
    let text = config_to_string(&config, Format::Yaml).unwrap();
    assert!(text.starts_with("version: 1\nimage: \"nginx:1.27\"\n"), "{text}");
    // Each key of the file, in its own words.
    let keys = ONE.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let keys: Vec<_> =
        keys.map(|line| line.split(':').next().unwrap()).filter(|key| *key != "version").collect();
    let written = serde_json::to_value(&config).unwrap();
    let fields: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, keys);
    // A field that is added stands in this file, too.
    let debug = format!("{config:?}");
    let known = debug.matches(": None").count();
    assert_eq!(
        known, 2,
        "fields that the file leaves out, besides a mount's options and a secret's variable: {debug}"
    );
}

/// As serde wrote the types when they had no attributes; kept for ever.
const ZERO: &str = include_str!("version0.json");

#[test]
fn version_zero_is_read_with_the_words_of_its_types() {
    let config = parse_config(ZERO, Format::Json).unwrap();
    assert_eq!(config.exec_mode, Some(ExecMode::MicroVm));
    let mounts: Vec<_> = config.mounts.iter().flatten().map(|mount| mount.mount_type).collect();
    assert_eq!(mounts, [MountType::Bind, MountType::Tmpfs]);
    let network = config.network.unwrap();
    assert_eq!(network.mode, NetworkMode::Custom);
    assert_eq!(network.ports.unwrap()[0].protocol, PortProtocol::TCP);
    assert_eq!(network.hostname.as_deref(), Some("Native"), "a text is no word of an enumeration");
    assert_eq!(config.labels.unwrap()["exec_mode"], "MicroVm");
}

#[test]
fn a_file_of_version_zero_becomes_one_of_the_newest_and_means_the_same() {
    let migration = migrate_text(ZERO, Format::Json).unwrap().unwrap();
    assert_eq!((migration.from, migration.kept), (0, true));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(ZERO), lines(&migration.text));
    let changed: Vec<_> =
        old.iter().zip(&new).filter(|(old, new)| old != new).map(|(_, new)| new.trim().to_owned()).collect();
    assert_eq!(
        changed,
        [
            r#""version": 1,"#,
            r#""exec_mode": "microvm","#,
            r#"{ "source": "/srv", "destination": "/srv", "mount_type": "bind", "options": null, "read_only": true },"#,
            r#"{ "source": "", "destination": "/tmp", "mount_type": "tmpfs", "options": ["noexec"], "read_only": false }"#,
            r#""mode": "custom","#,
            r#""ports": [{ "host_port": 8080, "container_port": 80, "protocol": "tcp", "host_ip": null }],"#,
        ]
    );
    assert_eq!(parse_config(&migration.text, Format::Json), parse_config(ZERO, Format::Json));
    assert_eq!(migrate_text(&migration.text, Format::Json), Ok(None));
    assert_eq!(migrate_text(ONE, Format::Yaml), Ok(None));
}

/// Text, and what it becomes.
#[test]
fn a_text_without_a_version_that_only_an_older_one_explains_gets_one() {
    for (format, old, new) in [
        (Format::Yaml, "# web\nexec_mode: 'Native' # so\n", "# web\nversion: 1\nexec_mode: native # so\n"),
        (Format::Yaml, "---\n{exec_mode: Wasm}\n", "version: 1\nexec_mode: wasm\n"),
        (
            Format::Toml,
            "# web\n[network]\nmode = \"Host\" # so\n",
            "# web\nversion = 1\n[network]\nmode = \"host\" # so\n",
        ),
        (Format::Json, "{\"exec_mode\": \"Agent\"}", "{\"version\": 1, \"exec_mode\": \"agent\"}"),
        (
            Format::Yaml,
            "# web\nversion: 0\nname: &a Native\nexec_mode: *a\n",
            "# web\nversion: 1\nname: &a Native\nexec_mode: native\n",
        ),
        // What an alias repeats can't be changed in one place: the whole is written anew.
        (
            Format::Yaml,
            "# lost\nversion: 0\nexec_mode: &a Native\nname: *a\n",
            "version: 1\nexec_mode: native\nname: Native\n",
        ),
    ] {
        let migration = migrate_text(old, format).unwrap().expect(old);
        assert_eq!(migration.text, new, "{old}");
        assert!(parse_config(new, format).is_ok());
        assert_eq!(migration.kept, !old.contains("lost") && !old.starts_with("---"), "{old}");
    }
    for (text, message) in [
        ("exec_mode: Vm", "parse yaml:1:12: exec_mode: \"Vm\" isn't known"),
        ("version: 2", "parse yaml:1:10: version 2 is newer than this program, which knows 1"),
        ("version: -1", "parse yaml:1:10: the version is a number from 0 to 1"),
        ("version: 0\nimgae: a", "parse yaml:2:1: key \"imgae\" isn't known; did you mean \"image\"?"),
    ] {
        let error = migrate_text(text, Format::Yaml).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}
