//! Files that stand on others.

use forgeone_config::{
    load_config_from_file, load_document_from_file, parse_config, ContainerConfig, Format,
};
use std::fs;
use testkit::Temp;

struct Files(Temp);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let temp = Temp::new("config-bases");
        for (name, text) in files {
            let path = temp.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(temp)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn load(&self, name: &str) -> ContainerConfig {
        load_config_from_file(&self.path(name)).unwrap()
    }

    /// The message, without the directory.
    fn fails(&self, name: &str) -> String {
        let error = load_config_from_file(&self.path(name)).unwrap_err().to_string();
        error.replace(&self.path(""), "")
    }
}

#[test]
fn what_a_file_says_is_over_what_it_extends() {
    let files = Files::new(&[
        ("base.yaml", "image: nginx\nenv: {LEVEL: info, PORT: '80'}\nargs: [a]\n"),
        ("limits/small.json", r#"{"extends": "all.toml", "resource_limits": {"cpu_cores": 0.5}}"#),
        ("limits/all.toml", "[resource_limits]\ncpu_cores = 1\nmemory_bytes = 67108864\n"),
        ("web.yaml", "extends: [base.yaml, limits/small.json]\nenv: {LEVEL: debug}\nargs: [b]\n"),
        ("alone.yaml", "extends: []\nimage: a\n"),
    ]);
    let expected = "{image: nginx, env: {LEVEL: debug, PORT: '80'}, args: [b], \
        resource_limits: {cpu_cores: 0.5, memory_bytes: 67108864}}";
    assert_eq!(files.load("web.yaml"), parse_config(expected, Format::Yaml).unwrap());
    assert_eq!(files.load("alone.yaml").image, "a");
}

#[test]
fn circles_are_shown_and_depth_is_bounded() {
    let deep: Vec<_> =
        (0..9).map(|n| (format!("d{n}.yaml"), format!("extends: d{}.yaml\n", n + 1))).collect();
    let mut all = vec![
        ("a.yaml", "extends: sub/b.yaml\n"),
        ("sub/b.yaml", "image: b\nextends: c.yaml\n"),
        ("self.yaml", "extends: ./self.yaml\n"),
        ("wide0.yaml", "image: a\n"),
    ];
    all.extend(deep.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let tens: Vec<_> = (1..5)
        .map(|n| {
            (format!("wide{n}.yaml"), format!("extends: [{}]\n", format!("wide{}.yaml, ", n - 1).repeat(9)))
        })
        .collect();
    all.extend(tens.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let files = Files::new(&all);
    std::os::unix::fs::symlink("../a.yaml", files.path("sub/c.yaml")).unwrap();
    assert_eq!(
        files.fails("a.yaml"),
        "load sub/b.yaml:2:10: extends: a circle: a.yaml -> sub/b.yaml -> sub/c.yaml; leave one of them out \
            (a.yaml extends it)"
    );
    assert!(files.fails("self.yaml").contains(": extends: a circle: self.yaml -> ./self.yaml; "));
    let error = files.fails("d0.yaml");
    assert!(error.contains(": extends: more than 8 files in a row: d0.yaml -> d1.yaml -> "), "{error}");
    let error = files.fails("wide4.yaml");
    assert!(error.contains(": extends: more than 64 files together"), "{error}");
}

#[test]
fn only_files_beside_or_below_are_extended() {
    let files = Files::new(&[
        ("up.yaml", "extends: ../a.yaml\n"),
        ("root.yaml", "extends: /etc/a.yaml\n"),
        ("none.yaml", "image: a\nextends: missing.yaml\n"),
        ("number.yaml", "extends: [1]\n"),
        ("bad.yaml", "imgae: a\n"),
        ("on-bad.yaml", "extends: bad.yaml\n"),
    ]);
    let outside = |name: &str| {
        format!("extends: {name:?} isn't beside this file or below; name it from here, without /../")
    };
    for (name, message) in [
        ("up.yaml", format!("load up.yaml:1:10: {}", outside("../a.yaml"))),
        ("root.yaml", format!("load root.yaml:1:10: {}", outside("/etc/a.yaml"))),
        (
            "none.yaml",
            "load missing.yaml: No such file or directory (os error 2) (none.yaml extends it)".to_owned(),
        ),
        (
            "number.yaml",
            "load number.yaml:1:11: extends: a file's name, or a list of them, is expected".to_owned(),
        ),
        (
            "on-bad.yaml",
            "load bad.yaml:1:1: key \"imgae\" isn't known; did you mean \"image\"? (on-bad.yaml extends it)"
                .to_owned(),
        ),
    ] {
        assert_eq!(files.fails(name), message);
    }
    let error = parse_config("extends: a.yaml", Format::Yaml).unwrap_err().to_string();
    let message =
        "parse yaml:1:1: extends: it names files beside this one, and a text has none; load it as a file";
    assert_eq!(error, message);
}

#[test]
fn places_are_those_of_the_file_that_extends() {
    let files =
        Files::new(&[("base.yaml", "image: Bad\n"), ("web.yaml", "extends: base.yaml\nname: -web\n")]);
    let (document, config) = load_document_from_file(&files.path("web.yaml")).unwrap();
    let findings = forgeone_config::check_config(&config.unwrap());
    let lines: Vec<_> = findings.iter().map(|finding| document.place_of(&finding.path).line).collect();
    assert_eq!((findings[1].path.as_str(), lines[1]), ("name", 2));
    assert_eq!((findings[0].path.as_str(), lines[0]), ("image", 1), "it stands in the other file");
}
