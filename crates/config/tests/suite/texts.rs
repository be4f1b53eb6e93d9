//! What is told of a text that is no configuration: where, what, and what was probably meant.

use forgeone_config::{parse_config, Format};

#[test]
fn errors_show_the_line() {
    let text =
        "image: nginx\nnetwork:\n  mode: bridge\n  ports:\n    - host_prot: 80\n      container_port: 80\n";
    let error = parse_config(text, Format::Yaml).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "parse yaml:5:7: network.ports[0]: key \"host_prot\" isn't known; did you mean \"host_port\"?
 5 |     - host_prot: 80
   |       ^"
    );
    let place = error.place().unwrap();
    assert_eq!((place.line, place.column), (5, 7));
}

/// Text, and what is told of it behind `parse FORMAT:`.
#[test]
fn each_mistake_is_told_with_its_place() {
    use Format::{Json, Toml, Yaml};
    for (format, text, message) in [
        (Json, "", "1:1: expected a value, but the text ends"),
        (Json, "{\"image\": \"a\",}", "1:15: expected a key in double quotes, found '}'"),
        (Json, "{\"image\": 'a'}", "1:11: expected a value, found '\\''"),
        (Json, "{\"image\": \"a\"} {}", "1:16: something follows the end of the configuration"),
        (Json, "{\"image\": \"a\nb\"}", "1:13: a control character in a string; \\n is a line feed"),
        (Json, "{\"image\": \"\\x\"}", "1:11: the string has an escape that JSON doesn't know"),
        (Json, "{\"image\": \"a", "1:11: the string has no end"),
        (Json, "{\"pids_limit\": 01}", "1:16: 01 is no number"),
        (Json, "{\"image\": \"a\",\n \"image\": \"b\"}", "2:2: key \"image\" stands here a second time"),
        (Json, "[]", "1:1: a list where an object is expected"),
        (Yaml, "image: a\nimage: b", "2:1: key \"image\" stands here a second time"),
        (Yaml, "image: a\n---\nimage: b", "3:1: a second document; a configuration is one"),
        (Yaml, "env:\n  PORT: 80", "2:9: env.PORT: 80 where a text is expected; quotes make it a text"),
        (
            Yaml,
            "env:\n  DEBUG: true",
            "2:10: env.DEBUG: true where a text is expected; quotes make it a text",
        ),
        (Yaml, "tty: yes", "1:6: tty: \"yes\" where true or false is expected"),
        (Yaml, "args: ls", "1:7: args: \"ls\" where a list is expected"),
        (
            Yaml,
            "exec_mode: vm",
            "1:12: exec_mode: \"vm\" isn't known; there are native, wasm, microvm, agent",
        ),
        (Yaml, "exec_mode: natve", "1:12: exec_mode: \"natve\" isn't known; did you mean \"native\"?"),
        (Yaml, "exec_mode: 3", "1:12: exec_mode: expected one of native, wasm, microvm, agent"),
        (Yaml, "network: {hostname: a}", "1:10: network: key \"mode\" is missing"),
        (Yaml, "mounts:\n - source: /a", "2:4: mounts[0]: key \"destination\" is missing"),
        (
            Yaml,
            "restart: sometimes",
            "1:10: restart: \"sometimes\" is none of no, always, unless-stopped, \
            on-failure, on-failure:TIMES",
        ),
        (
            Yaml,
            "stop_grace_period: 10",
            "1:20: stop_grace_period: 10 where a text is expected; quotes make it a text",
        ),
        (
            Yaml,
            "stop_grace_period: 10 s",
            "1:20: stop_grace_period: \"10 s\" is no time such as 1m30s or 500ms",
        ),
        (Yaml, "shm_size: -1", "1:11: shm_size: -1 where a whole number that isn't negative is expected"),
        (Yaml, "shm_size: 1.5", "1:11: shm_size: 1.5 where a whole number that isn't negative is expected"),
        (Yaml, "environment: {}", "1:1: key \"environment\" isn't known"),
        (Yaml, "<<: {image: a}", "1:1: << is no merging in YAML 1.2; a second file is for that"),
        (Yaml, "image: !secret a", "1:16: the tag !secret means nothing here"),
        (Yaml, "[a]: b", "1:1: a key is a plain or quoted word"),
        (Toml, "image = \"a\"\nimage = \"b\"", "2:1: key \"image\" stands here a second time"),
        (Toml, "imgae = \"a\"", "1:1: key \"imgae\" isn't known; did you mean \"image\"?"),
        (Toml, "pids_limit = 99999999999999999999", "1:14: 99999999999999999999 has more than 64 bits"),
        (
            Toml,
            "[network]\nmode = \"hots\"",
            "2:8: network.mode: \"hots\" isn't known; did you mean \"host\"?",
        ),
        (Toml, "image = 2026-11-22", "1:9: 2026-11-22 is a date; quotes make it a text"),
    ] {
        let error = parse_config(text, format).expect_err(text).to_string();
        assert_eq!(error, format!("parse {format}:{message}"), "{text}");
    }
}

#[test]
fn what_yaml_allows_means_what_it_says() {
    let text = "# a comment
image: &name \"ng\\x69nx\"
name: *name
labels: {a: !!str 1, b: '2', \"c d\": |-
  two
  lines
}
args:
- -c
- 'it''s'
env: ~
resource_limits: {cpu_cores: 1, memory_bytes: 0x100000}
";
    let text = text.replace("|-\n  two\n  lines\n", "\"two\\nlines\"");
    let config = parse_config(&text, Format::Yaml).unwrap();
    assert_eq!((config.image.as_str(), config.name.as_deref()), ("nginx", Some("nginx")));
    let labels = config.labels.unwrap();
    assert_eq!(
        (labels["a"].as_str(), labels["b"].as_str(), labels["c d"].as_str()),
        ("1", "2", "two\nlines")
    );
    assert_eq!(config.args.unwrap(), ["-c", "it's"]);
    assert_eq!(config.env, None);
    let limits = config.resource_limits.unwrap();
    assert_eq!((limits.cpu_cores, limits.memory_bytes), (Some(1.0), Some(1 << 20)));
    assert_eq!(parse_config("", Format::Yaml).unwrap(), Default::default());
}
