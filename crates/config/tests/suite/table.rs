//! Good and bad configurations, a line each: `good.txt` has those that nothing is said about, in every format; `bad.txt`
//! the others, each with what is said. Each is put over a base that has an image and limits, and judged for a machine
//! with 4 CPUs and 8 GiB.
//!
//! A changed message is taken over by `FORGEONE_TEST_BLESS=1 cargo nextest run -p forgeone-config table`; the difference
//! of `bad.txt` is then for the eye.

use forgeone_config::{
    check_config_on, config_to_string, merge_configs, parse_config, strict, validate_config,
};
use forgeone_config::{ContainerConfig, Document, Format, Host, Kind, Severity};
use std::path::Path;

const BASE: &str =
    "{image: nginx, resource_limits: {cpu_cores: 1, memory_bytes: 67108864, disk_bytes: 1000000, \
    network_bps: 1000000}}";

const HOST: Host = Host { cpus: Some(4), memory_bytes: Some(8 << 30) };

fn over_base(text: &str) -> Result<ContainerConfig, forgeone_config::Error> {
    let base = parse_config(BASE, Format::Yaml)?;
    Ok(merge_configs(&base, &parse_config(text, Format::Yaml)?))
}

/// What is said of a case, a line each.
fn said(text: &str) -> Vec<String> {
    match over_base(text) {
        Ok(config) => check_config_on(&config, &HOST).iter().map(ToString::to_string).collect(),
        Err(e) => vec![e.to_string()],
    }
}

fn file(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite").join(name)
}

/// Cases with the indented lines below each.
fn cases(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut cases: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(said) => cases.last_mut().expect("a case comes first").1.push(said),
            None => cases.push((line, Vec::new())),
        }
    }
    cases
}

#[test]
fn of_bad_ones_is_said_what_the_table_says() {
    let text = file("bad.txt");
    let cases = cases(&text);
    if std::env::var_os("FORGEONE_TEST_BLESS").is_some() {
        let lines = cases.iter().flat_map(|(case, _)| {
            std::iter::once((*case).to_owned())
                .chain(said(case).iter().map(|line| format!("    {line}")).collect::<Vec<_>>())
        });
        std::fs::write(path("bad.txt"), lines.map(|line| line + "\n").collect::<String>()).unwrap();
        return;
    }
    for (case, expected) in &cases {
        assert!(!expected.is_empty(), "nothing is said of {case}");
        assert_eq!(said(case), *expected, "{case}");
    }
    assert!(cases.len() + file("good.txt").lines().count() >= 200);
}

#[test]
fn of_good_ones_nothing_is_said_in_any_format() {
    for case in file("good.txt").lines() {
        assert_eq!(said(case), [""; 0], "{case}");
        let config = parse_config(case, Format::Yaml).unwrap();
        for format in [Format::Json, Format::Yaml, Format::Toml] {
            let text = config_to_string(&config, format).unwrap();
            assert_eq!(parse_config(&text, format).as_ref(), Ok(&config), "{case} as {format}: {text}");
        }
        let variables = forgeone_config::config_to_variables(&config).unwrap();
        assert_eq!(forgeone_config::load_config_from_variables(variables), Ok(config), "{case}");
    }
}

#[test]
fn warnings_pass_unless_it_is_strict() {
    let config = ContainerConfig::builder().image("nginx").build();
    let findings = check_config_on(&config, &HOST);
    let paths: Vec<_> = findings.iter().map(|finding| (finding.path.as_str(), finding.severity)).collect();
    let limits = ["cpu_cores", "memory_bytes", "disk_bytes", "network_bps"]
        .map(|key| format!("resource_limits.{key}"));
    assert_eq!(paths, limits.each_ref().map(|path| (path.as_str(), Severity::Warning)));
    assert_eq!(validate_config(&config), Ok(()));
    assert!(strict(findings).iter().all(|finding| finding.severity == Severity::Error));
}

#[test]
fn a_refusal_has_all_findings_and_warnings_too() {
    let config = ContainerConfig::builder().image("Nginx").name("-web").build();
    let error = validate_config(&config).unwrap_err();
    assert_eq!((error.kind(), error.findings().len()), (Kind::Invalid, 6));
    let line = error.to_string();
    assert!(
        line.starts_with("validate: error: image: \"Nginx\": ") && line.contains("name: \"-web\""),
        "{line}"
    );
    let none = validate_config(&ContainerConfig::default()).unwrap_err();
    assert_eq!((none.findings()[0].path.as_str(), none.findings()[0].code), ("image", "image.missing"));
}

#[test]
fn the_parts_can_be_validated_by_themselves() {
    use forgeone_config::*;
    assert!(validate_image_format("nginx:1.27").is_ok() && validate_image_format("Nginx").is_err());
    assert!(validate_resource_limits(&ResourceLimits::default()).is_ok());
    let none = ResourceLimits { memory_bytes: Some(0), ..ResourceLimits::default() };
    assert!(validate_resource_limits(&none).is_err());
    assert!(validate_minimum_entropy(64.0).is_ok() && validate_minimum_entropy(f64::NAN).is_err());
    let mount = Mount { source: "/a".into(), destination: "/b".into(), ..Mount::default() };
    assert!(
        validate_mounts(std::slice::from_ref(&mount)).is_ok()
            && validate_mounts(&[mount.clone(), mount]).is_err()
    );
    let volume = Volume { name: "data".into(), path: "/data".into(), ..Volume::default() };
    assert!(
        validate_volumes(std::slice::from_ref(&volume)).is_ok()
            && validate_volumes(&[volume.clone(), volume]).is_err()
    );
    let network = NetworkConfig::default();
    assert!(validate_network_config(&network).is_ok());
    assert!(validate_network_config(&NetworkConfig { mode: NetworkMode::Custom, ..network }).is_err());
}

/// Places of findings in the text: `check_config` names paths, the document knows where they stand.
#[test]
fn a_finding_has_its_line() {
    let text = "image: nginx\nnetwork:\n  mode: bridge\n  ports:\n  - host_port: 80\n    container_port: 0\nlabels: {a.b: c}\n";
    let document = Document::parse(text, Format::Yaml).unwrap();
    for (path, place) in [
        ("network.ports[0].container_port", (6, 21)),
        ("network.ports[0].host_ip", (5, 5)),
        ("network.name", (3, 3)),
        ("labels.a.b", (7, 15)),
        ("resource_limits.cpu_cores", (1, 1)),
    ] {
        let found = document.place_of(path);
        assert_eq!((found.line, found.column), place, "{path}");
    }
}
