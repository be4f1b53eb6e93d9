//! Merging keeps its laws and its rules.

use crate::arbitrary::config;
use forgeone_config::{merge_configs, parse_config, ContainerConfig, Format};
use proptest::prelude::*;

proptest! {
    #[test]
    fn an_empty_configuration_changes_nothing(config in config()) {
        let empty = ContainerConfig::default();
        prop_assert_eq!(&merge_configs(&empty, &config), &config);
        prop_assert_eq!(&merge_configs(&config, &empty), &config);
        prop_assert_eq!(&merge_configs(&config, &config), &merge_configs(&merge_configs(&config, &config), &config));
    }

    #[test]
    fn it_does_not_matter_which_of_three_are_merged_first(a in config(), b in config(), c in config()) {
        let left = merge_configs(&merge_configs(&a, &b), &c);
        let right = merge_configs(&a, &merge_configs(&b, &c));
        prop_assert_eq!(left, right);
    }
}

fn yaml(text: &str) -> ContainerConfig {
    parse_config(text, Format::Yaml).unwrap()
}

#[test]
fn the_second_wins_field_by_field_and_absence_never_does() {
    let base = yaml(
        "image: web
args: [a, b]
tty: true
env: {A: '1', B: '1'}
resource_limits: {cpu_cores: 1, memory_bytes: 1000}
network: {mode: bridge, hostname: web, dns: [10.0.0.1, 10.0.0.2], ports: [{host_port: 80, container_port: 80}]}
mounts: [{source: /a, destination: /x}, {source: /b, destination: /y, read_only: true}]",
    );
    let over = yaml(
        "args: [c]
tty: false
env: {B: '2', C: '2'}
resource_limits: {memory_bytes: 2000}
network: {mode: custom, name: lan, dns: [10.0.0.3], ports: [{host_port: 80, container_port: 8080},
  {host_port: 80, container_port: 53, protocol: udp}]}
mounts: [{source: /z, destination: /z}, {source: /c, destination: /x}]",
    );
    let expected = yaml(
        "image: web
args: [c]
tty: false
env: {A: '1', B: '2', C: '2'}
resource_limits: {cpu_cores: 1, memory_bytes: 2000}
network: {mode: custom, name: lan, hostname: web, dns: [10.0.0.3], ports: [{host_port: 80, container_port: 8080},
  {host_port: 80, container_port: 53, protocol: udp}]}
mounts: [{source: /c, destination: /x}, {source: /b, destination: /y, read_only: true},
  {source: /z, destination: /z}]",
    );
    assert_eq!(merge_configs(&base, &over), expected);
}
