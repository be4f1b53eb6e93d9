//! Configurations as environment variables.

use crate::arbitrary::config;
use forgeone_config::{config_to_variables, load_config_from_env, load_config_from_variables};
use forgeone_config::{save_config_to_env, ContainerConfig};
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_is_saved_is_loaded_again(config in config()) {
        let variables = config_to_variables(&config).unwrap();
        for (name, value) in &variables {
            prop_assert!(!name.contains(['=', '\0']) && !value.contains('\0'), "{name:?} {value:?}");
        }
        prop_assert_eq!(load_config_from_variables(variables).unwrap(), config);
    }
}

/// A process of its own, which has one thread while its environment is changed: this one again.
#[test]
fn the_environment_of_a_process_holds_a_configuration() {
    const CHILD: &str = "FORGEONE_TEST_ENVIRONMENT";
    if std::env::var_os(CHILD).is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "environment::the_environment_of_a_process_holds_a_configuration"]);
        child.args(["--test-threads", "1", "--nocapture"]).env(CHILD, "1");
        let output = child.env("FORGEONE_LABELS_old", "1").env("FORGEONE_NAME", "old").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    assert_eq!(load_config_from_env().unwrap().name.as_deref(), Some("old"));
    let config = ContainerConfig::builder().image("web").env([("A", "b"), ("=", "c")]).tty(true).build();
    save_config_to_env(&config).unwrap();
    assert_eq!(load_config_from_env().unwrap(), config);
    assert_eq!(std::env::var("FORGEONE_ENV_A").as_deref(), Ok("b"));
    assert!(std::env::var_os("FORGEONE_NAME").is_none() && std::env::var_os("FORGEONE_LABELS_old").is_none());
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    for (name, value, message) in [
        ("FORGEONE_IMAEG", "web", "it is no field of a configuration; did you mean \"FORGEONE_IMAGE\"?"),
        ("FORGEONE_TTY", "yes", "its value is no JSON: expected a value, found 'y'"),
        ("FORGEONE_ARGS", "[\"a\",", "its value is no JSON: expected a value, but the text ends"),
        ("FORGEONE_ENV", "[]", "a list where an object is expected"),
        ("FORGEONE_ENV", "{\"a\": 1}", "a: 1 where a text is expected; quotes make it a text"),
        ("FORGEONE_PIDS_LIMIT", "-1", "pids_limit: -1 where a whole number that isn't negative is expected"),
        ("FORGEONE_NETWORK", "{\"hostname\": \"a\"}", "network: key \"mode\" is missing"),
        ("FORGEONE_ENV", "{\"a\": \"1\", \"a\": \"2\"}", "key \"a\" stands here a second time"),
    ] {
        let error = load_config_from_variables([(name, value)]).unwrap_err().to_string();
        assert!(
            error.starts_with("load the environment: ") && error.ends_with(message),
            "{name}={value}: {error}"
        );
    }
}

#[test]
fn the_runtimes_own_variables_are_no_fields() {
    let own = ["FORGEONE_ROOT", "FORGEONE_PLUGIN_PATH", "FORGEONE_PROBE_BIN", "FORGEONE_LOG", "OTHER_IMAGE"];
    let config = load_config_from_variables(own.map(|name| (name, "x"))).unwrap();
    assert_eq!(config, ContainerConfig::default());
}

#[test]
fn what_an_environment_cannot_hold_is_refused() {
    let config = ContainerConfig::builder().image("a\0b").build();
    let error = config_to_variables(&config).unwrap_err().to_string();
    assert!(error.contains("FORGEONE_IMAGE: a NUL byte"), "{error}");
    let config = ContainerConfig::builder().minimum_entropy(f64::NAN).build();
    let error = config_to_variables(&config).unwrap_err().to_string();
    assert!(error.contains("minimum_entropy"), "{error}");
    // What a name of a variable can't hold goes into the whole field.
    let config = ContainerConfig::builder().env([("a=b", "c\0"), ("", "d"), ("E", "f")]).build();
    assert_eq!(load_config_from_variables(config_to_variables(&config).unwrap()).unwrap(), config);
}
