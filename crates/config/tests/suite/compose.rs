//! What Compose does with a file before it reads it: variables, `.env`, and `<<`.

use forgeone_config::{import_configs, ContainerConfig, Dialect, Error, Lost, Variables};
use std::collections::BTreeMap;
use std::fs;
use testkit::Temp;

fn import(text: &str, variables: &Variables) -> Result<(Vec<ContainerConfig>, Vec<String>), String> {
    let place = |e: Error| match e.place() {
        Some(place) => format!("{}:{}: {e}", place.line, place.column),
        None => e.to_string(),
    };
    let (configs, lost) = import_configs(text, Dialect::Compose, variables).map_err(place)?;
    Ok((configs, lost.iter().map(Lost::to_string).collect()))
}

/// A service that has this text as its image: what it becomes, and what is told about it.
fn image(text: &str, variables: &Variables) -> Result<(String, Vec<String>), String> {
    let file = serde_json::json!({ "services": { "a": { "image": text } } }).to_string();
    let (configs, lost) = import(&file, variables)?;
    Ok((configs[0].image.clone(), lost))
}

fn variables() -> Variables {
    let pairs = [("TAG", "1.27"), ("EMPTY", ""), ("_x9", "y"), ("MONEY", "$TAG ${"), ("Grüße", "no")];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect()
}

#[test]
fn variables_are_filled_in_as_compose_does() {
    let deep = format!("{}x{}", "${NONE-".repeat(15), "}".repeat(15));
    for (text, becomes) in [
        ("nginx:$TAG", "nginx:1.27"),
        ("nginx:${TAG}", "nginx:1.27"),
        ("$TAG$TAG.${_x9}", "1.271.27.y"),
        ("$TAG-x", "1.27-x"),
        // Not set is less than empty.
        ("<${NONE:-default}>", "<default>"),
        ("<${NONE-default}>", "<default>"),
        ("<${EMPTY:-default}>", "<default>"),
        ("<${EMPTY-default}>", "<>"),
        ("<${TAG:-default}>", "<1.27>"),
        ("<${TAG-default}>", "<1.27>"),
        ("<${NONE:+there}>", "<>"),
        ("<${EMPTY:+there}>", "<>"),
        ("<${EMPTY+there}>", "<there>"),
        ("<${TAG:+there}>", "<there>"),
        ("<${TAG+there}>", "<there>"),
        ("<${TAG:?x}>", "<1.27>"),
        ("<${EMPTY?x}>", "<>"),
        ("<${NONE-}>", "<>"),
        // In each other; only what is used counts.
        ("${NONE:-${EMPTY:-${TAG}}}", "1.27"),
        ("${NONE-a}b}", "ab}"),
        ("${TAG:-${NONE?never}}", "1.27"),
        ("${NONE:-$TAG$$}", "1.27$"),
        ("${NONE:-:-?+}", ":-?+"),
        (&deep, "x"),
        // A dollar sign.
        ("$$TAG $${TAG} $$$TAG $$$$", "$TAG ${TAG} $1.27 $$"),
        ("$1 $ $. a$", "$1 $ $. a$"),
        // What a variable holds is no template.
        ("$MONEY", "$TAG ${"),
    ] {
        assert_eq!(image(text, &variables()), Ok((becomes.to_owned(), Vec::new())), "{text}");
    }
    let deeper = format!("{}x{}", "${NONE-".repeat(17), "}".repeat(17));
    for (text, message) in [
        ("${NONE:?name a tag}", "variable NONE has no value: name a tag"),
        ("${NONE?}", "variable NONE has no value: set it, in the environment or in .env"),
        ("${EMPTY:?$TAG is one}", "variable EMPTY has no value: 1.27 is one"),
        ("${TAG", "a ${ isn't closed; $$ is a dollar sign"),
        ("${NONE:-${TAG}", "a ${ isn't closed; $$ is a dollar sign"),
        ("${}", "${} isn't ${NAME}, or that with -, ? or + and a text; $$ is a dollar sign"),
        ("${1}", "${1} isn't ${NAME}, or that with -, ? or + and a text; $$ is a dollar sign"),
        ("${TAG/a/b}", "${TAG/a/b} isn't ${NAME}, or that with -, ? or + and a text; $$ is a dollar sign"),
        ("${TAG:}", "${TAG:} isn't ${NAME}, or that with -, ? or + and a text; $$ is a dollar sign"),
        (&deeper, "more than 16 variables in each other"),
    ] {
        assert_eq!(image(text, &variables()), Err(format!("services.a.image: {message}")), "{text}");
    }
    let unset = "services.a.image: variable NONE isn't set, so that nothing stands in its place";
    assert_eq!(image("a$NONE", &variables()), Ok(("a".to_owned(), vec![unset.to_owned()])));
}

#[test]
fn variables_stand_in_values_of_any_type_but_not_in_keys() {
    let file = r#"
x-unused: ${NONE:?it isn't used}
services:
  $TAG:
    image: a
    privileged: ${ON}
    mem_limit: ${SIZE}m
    ports: ["${PORT}:80", {published: $PORT, target: 443}]
    environment: {A: "$$B", B: $ON}
"#;
    let variables = [("TAG", "x"), ("ON", "true"), ("SIZE", "64"), ("PORT", "8080")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    let (configs, lost) = import(file, &variables).unwrap();
    assert!(lost.is_empty(), "{lost:?}");
    let [config] = configs.as_slice() else { panic!("{configs:?}") };
    assert_eq!((config.name.as_deref(), config.privileged), (Some("$TAG"), Some(true)));
    assert_eq!(config.resource_limits.as_ref().unwrap().memory_bytes, Some(64 << 20));
    let ports = config.network.as_ref().unwrap().ports.as_ref().unwrap();
    assert_eq!(
        ports.iter().map(|p| (p.host_port, p.container_port)).collect::<Vec<_>>(),
        [(8080, 80), (8080, 443)]
    );
    let env: BTreeMap<_, _> = config.env.iter().flatten().collect();
    assert_eq!(serde_json::json!(env), serde_json::json!({ "A": "$B", "B": "true" }));
}

/// What `$V` is after this file.
fn of_file(text: &str) -> Result<(String, Vec<String>), String> {
    let place = Temp::new("env-file");
    let path = place.path().join(".env");
    fs::write(&path, text).unwrap();
    let mut variables = variables();
    let path = path.to_str().unwrap();
    let short = |message: String| message.replace(path, ".env");
    variables.add_file(path).map_err(|e| short(e.to_string()))?;
    assert!(!format!("{variables:?}").contains("VAL"), "{variables:?}");
    let (value, lost) = image("$V", &variables)?;
    Ok((value, lost.into_iter().map(short).collect()))
}

#[test]
fn env_files_are_read_as_compose_reads_them() {
    for (text, value) in [
        ("V=VAL", "VAL"),
        ("V = VAL \r\n", "VAL"),
        ("V: VAL", "VAL"),
        ("export V=VAL", "VAL"),
        ("# comment\n\n  V=VAL\nW=2", "VAL"),
        ("V=1\nV=VAL", "VAL"),
        ("\u{feff}V=VAL", "VAL"),
        ("V=\"VAL\"", "VAL"),
        ("V='VAL'", "VAL"),
        ("V=a b=c", "a b=c"),
        ("V=", ""),
        ("V", ""),
        ("V=VAL # comment", "VAL"),
        ("V=VAL# not a comment", "VAL# not a comment"),
        ("V=#VAL", "#VAL"),
        ("V= # comment", ""),
        ("V=\"VAL # not a comment\" # comment", "VAL # not a comment"),
        ("V='$TAG ${TAG}'", "$TAG ${TAG}"),
        ("V='Let\\'s go!'", "Let's go!"),
        ("V=\"{\\\"hello\\\": \\\"json\\\"}\"", "{\"hello\": \"json\"}"),
        ("V=\"a\\tb\\n\\\\\\x\"", "a\tb\n\\\\x"),
        ("V='a\\tb\\\\'", "a\\tb\\\\"),
        ("V=a\\tb", "a\\tb"),
        ("V='one\ntwo'\nW=1", "one\ntwo"),
        ("V=\"\\$TAG $TAG\"", "$TAG 1.27"),
        ("V=${TAG}-${W:-w}", "1.27-w"),
        ("W=w\nV=$W", "w"),
        // The environment has precedence, also within the file.
        ("TAG=2\nV=$TAG", "1.27"),
    ] {
        let unset = match text {
            "V" => {
                vec!["services.a.image: variable V isn't set, so that nothing stands in its place".to_owned()]
            }
            _ => Vec::new(),
        };
        assert_eq!(of_file(text), Ok((value.to_owned(), unset)), "{text:?}");
    }
    let unset = ".env:2: variable NONE isn't set, so that nothing stands in its place".to_owned();
    assert_eq!(of_file("\nV=$NONE"), Ok((String::new(), vec![unset])));
    for (text, message) in [
        ("V=1\n=VAL", "load .env:2: a line such as TAG=1.27 is expected"),
        ("V VAL", "load .env:1: what follows V is neither = nor :"),
        ("\nV='VAL\n", "load .env:2: the value of V begins with a ' that isn't closed"),
        ("V=\"VAL\\\"", "load .env:1: the value of V begins with a \" that isn't closed"),
        ("V='VAL' VAL", "load .env:1: something follows the quotes around the value of V"),
        ("V=${NONE?is needed}", "load .env:1: variable NONE has no value: is needed"),
        ("V=${TAG", "load .env:1: a ${ isn't closed; $$ is a dollar sign"),
    ] {
        assert_eq!(of_file(text), Err(message.to_owned()), "{text:?}");
    }
}

#[test]
fn variables_dont_make_a_small_file_a_large_one() {
    let doubling: String = (1..64).map(|n| format!("V{n}=$V{}$V{}\n", n - 1, n - 1)).collect();
    let error = of_file(&format!("V0=0123456789\n{doubling}")).unwrap_err();
    assert!(error.ends_with("variables make more than 4 MiB of it"), "{error}");
    let large = [("V".to_owned(), "x".repeat(1 << 20))].into_iter().collect();
    let error = image(&"$V".repeat(5), &large).unwrap_err();
    assert_eq!(error, "services.a.image: variables make more than 4 MiB of it");
}

#[test]
fn merge_keys_merge_what_an_object_does_not_say_itself() {
    let file = r#"
x-env: &env {A: "1", B: "1"}
x-more: &more {B: "2", C: "2"}
x-all: &all
  image: base
  environment: {<<: [*env, *more], D: "3"}
services:
  a: {<<: *all, image: own}
  b:
    image: b
    environment:
      C: "9"
      <<: [*more, *env]
  c: {<<: {image: inline}}
"#;
    let (configs, lost) = import(file, &Variables::default()).unwrap();
    assert!(lost.is_empty(), "{lost:?}");
    let found = configs.iter().map(|config| {
        let env: BTreeMap<_, _> = config.env.iter().flatten().collect();
        (config.image.as_str(), env.iter().map(|(name, value)| format!("{name}{value}")).collect::<String>())
    });
    let expected = [("own", "A1B1C2D3"), ("b", "A1B2C9"), ("inline", "")].map(|(i, env)| (i, env.to_owned()));
    assert_eq!(found.collect::<Vec<_>>(), expected);
    for (text, message) in [
        ("services: {a: {<<: 1}}", "1:20: << takes an object, or a list of objects"),
        ("services: {a: {<<: [{}, x]}}", "1:25: << takes an object, or a list of objects"),
        ("services: {a: {<<: {}, <<: {}}}", "1:24: key \"<<\" stands here a second time"),
        ("services: &s {a: {<<: *s}}", "1:23: an alias within what it names"),
    ] {
        assert_eq!(import(text, &Variables::default()).unwrap_err(), message, "{text}");
    }
    // Quoted it is a key as any other.
    let (_, lost) = import("services: {a: {'<<': {image: x}}}", &Variables::default()).unwrap();
    assert_eq!(lost, ["services.a.<<: a configuration has nothing like it"]);
}
