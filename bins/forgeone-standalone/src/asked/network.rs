//! Options of the network whose form is ours, or the seed's.

use forgeone_cli::{Values, usage};
use forgeone_config::{ContainerConfig, NetworkMode, ResourceLimits, RunOptions};
use forgeone_runtime::Result;
use std::collections::HashMap;

/// What isn't said in Docker's words.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Options of the configuration's network.
    options: HashMap<String, String>,
    /// A list of CNI.
    list: Option<String>,
    rate: Option<u64>,
}

impl Asked {
    /// Reads them; what is as Docker has it goes to `run`.
    pub(super) fn read(flags: &Values, run: &mut RunOptions) -> Result<Self> {
        let mut asked = Self::default();
        for (name, key) in [("net6", "subnet6"), ("bridge", "bridge")] {
            if let Some(value) = flags.text(name)? {
                asked.set(key, value);
            }
        }
        if flags.switch("cni") {
            asked.set("driver", "cni");
        }
        for word in flags.texts("net")? {
            // The seed's networks are addresses, Docker's have names.
            if word.contains('/') { asked.set("subnet", &word) } else { asked.network(&word, run)? }
        }
        for word in flags.texts("network")? {
            asked.network(&word, run)?;
        }
        for key in ["ingress", "egress"] {
            let rules = flags.texts(key)?;
            if !rules.is_empty() {
                asked.set(key, &rules.join(","));
            }
        }
        asked.rate = flags.text("network-bps")?.map(bits).transpose()?;
        Ok(asked)
    }

    fn set(&mut self, key: &str, value: &str) {
        self.options.insert(key.to_owned(), value.to_owned());
    }

    fn network(&mut self, word: &str, run: &mut RunOptions) -> Result<()> {
        match word.split_once(':').map_or((word, None), |(word, rest)| (word, Some(rest))) {
            ("cni", list) => {
                self.set("driver", "cni");
                self.list = list.map(str::to_owned);
            }
            (program @ ("pasta" | "slirp4netns"), None) => self.set("driver", program),
            ("private", None) => {}
            _ => run.add("network", word).map_err(usage)?,
        }
        Ok(())
    }

    /// Puts them into the configuration.
    pub(super) fn apply(self, config: &mut ContainerConfig) -> Result<()> {
        if let Some(rate) = self.rate {
            config.resource_limits.get_or_insert_with(ResourceLimits::default).network_bps = Some(rate);
        }
        if self.options.is_empty() {
            return Ok(());
        }
        let network = config.network.get_or_insert_default();
        if let Some(list) = self.list {
            (network.mode, network.name) = (NetworkMode::Custom, Some(list));
        }
        network.options.get_or_insert_default().extend(self.options);
        Ok(())
    }
}

/// A rate in bits a second: `10m` is ten million, as networks count.
fn bits(text: &str) -> Result<u64> {
    let wrong = || usage(format!("option --network-bps: {text:?} is no rate such as 500k, 10m or 1g"));
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    let number = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|digits| digits.parse::<u64>().ok());
    number.and_then(|number| number.checked_mul(factor)).filter(|rate| *rate > 0).ok_or_else(wrong)
}
