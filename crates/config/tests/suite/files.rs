//! Configurations in files.

use crate::arbitrary::config;
use forgeone_config::{config_to_string, load_config_from_file, parse_config, save_config_to_file};
use forgeone_config::{ContainerConfig, Format, Kind};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use testkit::Temp;

const FORMATS: [Format; 3] = [Format::Json, Format::Yaml, Format::Toml];

proptest! {
    #[test]
    fn every_format_gives_back_what_it_got(config in config()) {
        for format in FORMATS {
            let text = config_to_string(&config, format).unwrap();
            let read = parse_config(&text, format);
            prop_assert!(read.as_ref() == Ok(&config), "{format}: {text}\n{read:?}");
        }
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "[-a-z:{}\\[\\]\"',&*#|> \n\t\\\\=.0-9é]{0,60}") {
        for format in FORMATS {
            let _ = parse_config(&text, format);
        }
    }
}

#[test]
fn a_file_is_written_whole_for_its_owner_alone() {
    let temp = Temp::new("config-files");
    let config = ContainerConfig::builder().image("nginx:1.27").build();
    for name in ["a.json", "b.yaml", "c.yml", "d.toml"] {
        let path = temp.path().join(name);
        let path = path.to_str().unwrap();
        fs::write(path, "something longer than what replaces it, so that a rest of it would be seen")
            .unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        save_config_to_file(&config, path, name.split_once('.').unwrap().1).unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(load_config_from_file(path).unwrap(), config);
    }
    let link = temp.path().join("link.json");
    symlink("a.json", &link).unwrap();
    let other = ContainerConfig::builder().image("other").build();
    save_config_to_file(&other, link.to_str().unwrap(), "json").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(load_config_from_file(temp.path().join("a.json").to_str().unwrap()).unwrap(), other);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 5, "nothing temporary is left");
}

#[test]
fn a_file_that_cannot_be_loaded_or_saved_is_named() {
    let temp = Temp::new("config-errors");
    let path = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    let failed = |name: &str| load_config_from_file(&path(name)).unwrap_err();
    fs::write(path("binary.json"), b"{\xff}").unwrap();
    for (name, end) in [
        ("none.json", "none.json: No such file or directory (os error 2)"),
        ("web", "web: its name has no extension: .json, .yaml, .yml or .toml says what it is"),
        ("web.yanl", "web.yanl: format \"yanl\" is none of json, yaml and toml; did you mean \"yaml\"?"),
        ("binary.json", "binary.json: byte 1 and what follows is no UTF-8"),
    ] {
        let error = failed(name).to_string();
        assert!(error.starts_with("load /") && error.ends_with(end), "{error}");
    }
    let config = ContainerConfig::default();
    let error = save_config_to_file(&config, &path("no/such.json"), "json").unwrap_err();
    assert_eq!(error.kind(), Kind::System);
    assert!(error.to_string().ends_with("no/such.json: No such file or directory (os error 2)"), "{error}");
    let error = save_config_to_file(&config, &path("a.json"), "xml").unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    let infinite = ContainerConfig::builder().minimum_entropy(f64::INFINITY).build();
    let error = save_config_to_file(&infinite, &path("a.json"), "json").unwrap_err().to_string();
    assert!(error.ends_with("a.json: minimum_entropy: it is infinite or no number"), "{error}");
    assert!(!temp.path().join("a.json").exists());
}

#[test]
fn a_huge_file_ends_in_an_error_and_is_not_read() {
    let temp = Temp::new("config-huge");
    let path = temp.path().join("huge.yaml");
    fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let error = load_config_from_file(path.to_str().unwrap()).unwrap_err().to_string();
    assert!(error.ends_with("huge.yaml: it has more than 4 MiB"), "{error}");
}

#[test]
fn depth_and_number_have_bounds() {
    for (format, text) in [
        (Format::Json, "[".repeat(100_000)),
        (Format::Json, "{\"a\":".repeat(100_000)),
        (Format::Json, format!("[{}1]", "1,".repeat(300_000))),
        (Format::Yaml, "[".repeat(100_000)),
        (Format::Yaml, "- ".repeat(100_000)),
        (Format::Yaml, "{a: ".repeat(100_000)),
        (Format::Toml, format!("a = {}", "[".repeat(100_000))),
        (Format::Toml, format!("a.{} = 1", "b.".repeat(40)).replace(". ", ".c ")),
        (
            Format::Yaml,
            (1..20).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
                let last = n - 1;
                format!("{text}a{n}: &a{n} [{}]\n", format!("*a{last}, ").repeat(10))
            }),
        ),
        (Format::Yaml, format!("a: &a {}\nb: [{}]", "x".repeat(1 << 20), "*a, ".repeat(1000))),
    ] {
        let error = parse_config(&text, format).unwrap_err();
        assert_eq!(error.kind(), Kind::Syntax, "{format} {}…: {error}", &text[..20]);
    }
}
