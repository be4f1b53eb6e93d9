//! The networks of a configuration one by one, out of the words that [`NetworkConfig`] has for them.
//!
//! ```text
//! name: front,back             the networks, in the order of their interfaces; the default one where it is absent
//! ip_address, gateway          of the first
//! options:
//!   ip6_address: fd00::7       of the first
//!   back.ip_address: 10.2.0.7  of another, or of the first by its name
//! ```

use super::{NetworkConfig, NetworkMode};

/// The network of containers that name none.
pub const DEFAULT_NETWORK: &str = "forgeone";

/// One network that a container is connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The network's name.
    pub network: String,
    /// The address there, which may have a prefix length; of either family where `ip6_address` isn't said.
    pub ip_address: Option<String>,
    /// The IPv6 address there.
    pub ip6_address: Option<String>,
    /// The hardware address.
    pub mac_address: Option<String>,
    /// The interface inside.
    pub interface: Option<String>,
    /// The address of the default route.
    pub gateway: Option<String>,
    /// Further names that the container is found by there.
    pub aliases: Vec<String>,
}

/// What an option may say of a connection.
const KEYS: [&str; 6] = ["ip_address", "ip6_address", "mac_address", "interface", "gateway", "aliases"];

impl Connection {
    /// One without wishes.
    pub fn to(network: impl Into<String>) -> Self {
        Self { network: network.into(), ..Self::default() }
    }

    fn values(&self) -> [(&'static str, Option<String>); 6] {
        let aliases = (!self.aliases.is_empty()).then(|| self.aliases.join(","));
        let [ip, ip6, mac, interface, gateway, alias] = KEYS;
        [
            (ip, self.ip_address.clone()),
            (ip6, self.ip6_address.clone()),
            (mac, self.mac_address.clone()),
            (interface, self.interface.clone()),
            (gateway, self.gateway.clone()),
            (alias, aliases),
        ]
    }
}

impl NetworkConfig {
    /// The networks that it is connected to; none where the mode has none of its own.
    ///
    /// ```
    /// use forgeone_config::{NetworkConfig, NetworkMode};
    /// let name = Some("front,back".to_owned());
    /// let network = NetworkConfig { mode: NetworkMode::Custom, name, ..NetworkConfig::default() };
    /// let names: Vec<_> = network.connections().into_iter().map(|connection| connection.network).collect();
    /// assert_eq!(names, ["front", "back"]);
    /// ```
    pub fn connections(&self) -> Vec<Connection> {
        let names: Vec<&str> = match (self.mode, self.name.as_deref()) {
            (NetworkMode::Bridge, None) => vec![DEFAULT_NETWORK],
            (NetworkMode::Bridge | NetworkMode::Custom, name) => {
                name.into_iter().flat_map(|name| name.split(',')).collect()
            }
            _ => Vec::new(),
        };
        names.iter().enumerate().map(|(at, name)| self.connection(name, at == 0)).collect()
    }

    fn connection(&self, name: &str, first: bool) -> Connection {
        let options = self.options.as_ref();
        let get = |key: &str| {
            let own = options.and_then(|options| options.get(&format!("{name}.{key}")));
            own.or_else(|| options.filter(|_| first).and_then(|options| options.get(key))).cloned()
        };
        let [ip, ip6, mac, interface, gateway, aliases] = KEYS;
        let field = |field: &Option<String>| field.clone().filter(|_| first);
        Connection {
            network: name.to_owned(),
            ip_address: field(&self.ip_address).or_else(|| get(ip)),
            ip6_address: get(ip6),
            mac_address: get(mac),
            interface: get(interface),
            gateway: field(&self.gateway).or_else(|| get(gateway)),
            aliases: get(aliases)
                .map(|text| text.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
        }
    }

    /// Writes them: the other direction. The mode becomes one that has networks.
    pub fn set_connections(&mut self, connections: &[Connection]) {
        let names: Vec<&str> = connections.iter().map(|connection| connection.network.as_str()).collect();
        let mut options = self.options.take().unwrap_or_default();
        let mine = |key: &String| match key.rsplit_once('.') {
            Some((_, key)) => KEYS.contains(&key),
            None => KEYS.contains(&key.as_str()),
        };
        options.retain(|key, _| !mine(key));
        (self.ip_address, self.gateway) = (None, None);
        for (at, connection) in connections.iter().enumerate() {
            for (key, value) in connection.values() {
                match (at, key, value) {
                    (_, _, None) => {}
                    (0, "ip_address", value) => self.ip_address = value,
                    (0, "gateway", value) => self.gateway = value,
                    (0, key, Some(value)) => drop(options.insert(key.to_owned(), value)),
                    (_, key, Some(value)) => {
                        drop(options.insert(format!("{}.{key}", connection.network), value))
                    }
                }
            }
        }
        self.options = (!options.is_empty()).then_some(options);
        (self.mode, self.name) = match names.as_slice() {
            [] => (NetworkMode::None, None),
            [DEFAULT_NETWORK] => (NetworkMode::Bridge, None),
            names => (NetworkMode::Custom, Some(names.join(","))),
        };
    }

    /// The options that aren't about a connection of its own, by their keys' order.
    pub fn other_options(&self) -> Vec<(&str, &str)> {
        let connections = self.connections();
        let own = |key: &str| {
            let key = match key.rsplit_once('.') {
                Some((network, key))
                    if connections.iter().any(|connection| connection.network == network) =>
                {
                    key
                }
                Some(_) => return false,
                None => key,
            };
            KEYS.contains(&key) && !connections.is_empty()
        };
        let options = self.options.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
        let mut others: Vec<_> = options.filter(|(key, _)| !own(key)).collect();
        others.sort_unstable();
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_read_as_they_were_written() {
        let front = Connection {
            ip_address: Some("10.1.0.7/24".to_owned()),
            ip6_address: Some("fd00::7".to_owned()),
            aliases: vec!["db".to_owned(), "store".to_owned()],
            ..Connection::to("front")
        };
        let back = Connection {
            ip_address: Some("10.2.0.7".to_owned()),
            interface: Some("eth7".to_owned()),
            gateway: Some("10.2.0.1".to_owned()),
            mac_address: Some("02:00:00:00:00:01".to_owned()),
            ..Connection::to("back.end")
        };
        for all in [
            vec![],
            vec![Connection::to(DEFAULT_NETWORK)],
            vec![front.clone()],
            vec![back.clone(), front.clone()],
            vec![front, back],
        ] {
            let mut network = NetworkConfig::default();
            network.set_connections(&all);
            assert_eq!(network.connections(), all);
            assert!(network.other_options().is_empty(), "{network:?}");
        }
    }

    #[test]
    fn what_belongs_to_no_connection_is_told() {
        let options = [("ingress", "any"), ("ip6_address", "fd00::7"), ("other.ip_address", "10.0.0.1")];
        let options = options.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let network = NetworkConfig { options: Some(options), ..NetworkConfig::default() };
        assert_eq!(network.other_options(), [("ingress", "any"), ("other.ip_address", "10.0.0.1")]);
        let host = NetworkConfig { mode: NetworkMode::Host, ..network };
        assert_eq!(host.other_options().len(), 3);
    }
}
