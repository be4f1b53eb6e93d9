//! Users' own rules.

use forgeone_config::rules::{Rules, MAX_RULES};
use forgeone_config::{parse_config, Format, Severity};

/// What a rule finds in a configuration, a line each.
fn found(expression: &str, config: &str) -> Vec<String> {
    let rules = serde_json::json!({"rules": [{"name": "r", "expression": expression, "message": "no"}]});
    let rules = Rules::parse(&rules.to_string(), Format::Json).unwrap();
    let findings = rules.check(&parse_config(config, Format::Yaml).unwrap());
    findings.iter().map(ToString::to_string).collect()
}

const WEB: &str = "{image: nginx, user: root, pids_limit: 100, args: [-g, x], labels: {app: web}, \
    resource_limits: {cpu_cores: 0.5}, network: {mode: bridge, ports: [{host_port: 80, container_port: 80}]}}";

#[test]
fn a_rule_that_is_fulfilled_finds_nothing() {
    for expression in [
        "true",
        "config.image == 'nginx'",
        "config.pids_limit <= 100 && config.resource_limits.cpu_cores < 1.0",
        "!has(config.privileged) || !config.privileged",
        "config.network.ports.all(port, port.host_port < 1024)",
        "config.args.exists(word, word == '-g')",
        "'app' in config.labels && config.labels['app'].startsWith('we')",
        "config.image.matches('^[a-z]+$')",
    ] {
        assert_eq!(found(expression, WEB), [""; 0], "{expression}");
    }
}

#[test]
fn a_rule_that_is_not_fulfilled_or_cannot_be_judged_is_a_finding() {
    let asks = "error: config: no; rule \"r\" asks for it [rule]";
    for (expression, begins) in [
        ("config.user != 'root'", asks),
        ("config.pids_limit > 100", asks),
        ("config.name == 'a'", "error: config: rule \"r\" can't be judged: there is no name; has(….name) asks whether there is; "),
        ("config.image", "error: config: rule \"r\" can't be judged: it is a value of type string, not true or false; "),
        ("bogus", "error: config: rule \"r\" can't be judged: "),
    ] {
        let found = found(expression, WEB);
        assert!(found.len() == 1 && found[0].starts_with(begins), "{expression}: {found:?}");
    }
}

#[test]
fn severity_and_path_are_the_rules_own() {
    let rules = "rules:\n- {name: a, expression: 'false', message: m, path: user, severity: warning}\n";
    let rules = Rules::parse(rules, Format::Yaml).unwrap();
    let findings = rules.check(&parse_config("image: a", Format::Yaml).unwrap());
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.severity, finding.path.as_str(), finding.code), (Severity::Warning, "user", "rule"));
}

/// Text, and what is told of it behind `parse the rules:`.
#[test]
fn a_mistake_in_the_rules_is_told_with_its_place() {
    let rule = |expression: &str| {
        serde_json::json!({"rules": [{"name": "r", "message": "m", "expression": expression}]}).to_string()
    };
    for (text, message) in [
        (
            "rules:\n- {name: a, expresion: b, message: c}\n".to_owned(),
            "2:13: rules[0]: key \"expresion\" isn't known; did you mean \"expression\"?",
        ),
        ("rules:\n- {name: a, expression: b}\n".to_owned(), "2:3: rules[0]: key \"message\" is missing"),
        ("{}".to_owned(), "1:1: key \"rules\" is missing"),
        (
            "rules:\n- name: a\n  message: m\n  expression: config.image ==\n".to_owned(),
            "4:15: rules[0].expression: rule \"a\": it isn't CEL: ",
        ),
        (rule(&"(".repeat(40)), "1:"),
        (rule(&format!("{}1{}", "[".repeat(33), "]".repeat(33))), "1:"),
        (rule(&format!("'{}' == ''", "x".repeat(4096))), "1:"),
    ] {
        let error = Rules::parse(&text, Format::Yaml).unwrap_err().to_string();
        assert!(error.starts_with(&format!("parse the rules:{message}")), "{error}");
    }
    let error = Rules::parse(&rule(&"(".repeat(40)), Format::Json).unwrap_err().to_string();
    assert!(error.ends_with("it has more than 32 brackets in each other"), "{error}");
    let many = vec![serde_json::json!({"name": "r", "message": "m", "expression": "true"}); MAX_RULES + 1];
    let error = Rules::parse(&serde_json::json!({ "rules": many }).to_string(), Format::Json).unwrap_err();
    assert_eq!(error.to_string(), "parse the rules: there are more than 1000 rules");
}

#[test]
fn an_endless_rule_ends() {
    let list = format!("[{}]", "1,".repeat(200) + "1");
    let inner = "a == b || c == d || e == 2";
    let expression = ["a", "b", "c", "d", "e"]
        .iter()
        .fold(inner.to_owned(), |inner, name| format!("{list}.all({name}, {inner})"));
    let found = found(&expression, "image: a");
    assert_eq!(
        found,
        ["error: config: rule \"r\" can't be judged: it takes more than 2 s; mend the rule [rule]"]
    );
}
