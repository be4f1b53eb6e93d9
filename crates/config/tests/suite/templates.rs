//! Templates and their values.

use forgeone_config::{
    load_config_from_file, load_config_from_template, load_values_from_file, render_template,
};
use serde_json::json;
use std::fs;
use testkit::Temp;

#[test]
fn a_value_is_never_more_than_a_value() {
    let values =
        json!({"evil": "a\nprivileged: true # ", "quote": "\"'", "html": "<&>", "list": ["a", 1], "n": null});
    let text = "image: {{ evil }}\nname: {{ quote }}\nuser: {{ html }}\nargs: {{ list }}\ncommand: {{ n }}\n";
    let rendered = render_template(text, &values).unwrap();
    let error =
        forgeone_config::parse_config(&rendered, forgeone_config::Format::Yaml).unwrap_err().to_string();
    assert!(error.contains("args[1]: 1 where a text is expected"), "{error}");
    let rendered = rendered.replace("1]", "\"1\"]");
    let config = forgeone_config::parse_config(&rendered, forgeone_config::Format::Yaml).unwrap();
    assert_eq!(config.image, "a\nprivileged: true # ");
    assert_eq!((config.name.as_deref(), config.user.as_deref()), (Some("\"'"), Some("<&>")));
    assert_eq!((config.privileged, config.command), (None, None));
}

#[test]
fn a_template_is_loaded_with_what_it_extends() {
    let temp = Temp::new("config-templates");
    let write = |name: &str, text: &str| {
        let path = temp.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    write("base.yaml", "restart: always\n");
    let template = "extends: base.yaml
image: {{ 'nginx:' ~ tag }}
network:
  mode: bridge
  ports:
  {% for port in ports %}
  - {host_port: {{ port }}, container_port: {{ port }}}
  {% endfor %}
";
    let path = write("web.yaml.j2", template);
    let values = load_values_from_file(&write("values.toml", "tag = \"1.27\"\nports = [80, 443]\n")).unwrap();
    let config = load_config_from_template(&path, &values.into()).unwrap();
    assert_eq!((config.image.as_str(), config.restart.unwrap().to_string()), ("nginx:1.27", "always".into()));
    assert_eq!(config.network.unwrap().ports.unwrap()[1].host_port, 443);
    let fails = |path: &str| {
        load_config_from_template(path, &json!({"tag": 1, "ports": []})).unwrap_err().to_string()
    };
    let error = fails(&write("typed.yaml.j2", "tty: true\nimage: {{ tag }}\n"));
    assert!(error
        .ends_with("typed.yaml.j2 (rendered):2:8: image: 1 where a text is expected; quotes make it a text"));
    assert!(fails(&write("web.yaml", ""))
        .ends_with("it is no template: their names end in .yaml.j2, .json.j2 or .toml.j2"));
    let error = load_config_from_file(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("it is a template: forgeone config render makes a configuration of it"),
        "{error}"
    );
    assert!(load_values_from_file(&write("list.yaml", "[]")).is_err());
}

/// Template, and what is told of it behind `render the template:`.
#[test]
fn a_mistake_is_told_with_its_place() {
    for (template, message) in [
        ("a: b\nimage: {{ imgae }}\n", "2:11: undefined value"),
        ("image: {{ image\n", "1:11: syntax error: "),
        ("{% if tag %}", "1:11: syntax error: "),
        ("image: {{ tag | bogus }}\n", "1:17: unknown filter: "),
        ("{% include '/etc/passwd' %}", "1:4: syntax error: unknown statement include"),
        ("{% import '/etc/passwd' as a %}", "1:4: syntax error: unknown statement import"),
        ("{% extends 'a' %}", "1:4: syntax error: unknown statement extends"),
        ("image: {{ env('HOME') }}\n", "1:11: unknown function: "),
    ] {
        let error = render_template(template, &json!({"tag": "1"})).unwrap_err().to_string();
        assert!(error.starts_with(&format!("render the template:{message}")), "{template}: {error}");
    }
}

#[test]
fn endless_templates_end() {
    let none = json!({});
    let error = render_template(
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        &none,
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("it takes more than 1000000 instructions"), "{error}");
    let text = "x".repeat(100_000);
    let error =
        render_template(&format!("{{% for a in range(9999) %}}{text}{{% endfor %}}"), &none).unwrap_err();
    assert_eq!(error.to_string(), "render the template: it becomes more than 4 MiB");
}
