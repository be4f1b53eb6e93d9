//! How a container's program is watched and started again, and where its output goes.

use super::{sorted, Period};
use serde::{de, Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// A program that tells whether the container works: exit status 0 means that it does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// The program and its arguments. Empty switches off what the image has.
    pub test: Vec<String>,
    /// Time between two of them; 30 s where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Period>,
    /// How long it may take; 30 s where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Period>,
    /// After how many failures in a row it counts; 3 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long failures don't count after a start; not at all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<Period>,
}

/// Where the container's output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Logging {
    /// What keeps it; a file of the container's where absent, nothing where it is `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// For the driver: `max-size` and `max-file`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "sorted")]
    pub options: Option<HashMap<String, String>>,
}

/// Whether the program is started again when it has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// `no`.
    #[default]
    No,
    /// `always`, also when the machine starts.
    Always,
    /// `unless-stopped`: always, but for containers that were stopped by hand.
    UnlessStopped,
    /// `on-failure` or `on-failure:TIMES`: if it ended with another status than 0, at most so many times in a row.
    OnFailure(Option<u32>),
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure(None) => f.write_str("on-failure"),
            Self::OnFailure(Some(times)) => write!(f, "on-failure:{times}"),
        }
    }
}

impl FromStr for RestartPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "no" => Self::No,
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            "on-failure" => Self::OnFailure(None),
            _ => {
                let times = text.strip_prefix("on-failure:").filter(|times| !times.starts_with('+'));
                let wrong = || {
                    format!("{text:?} is none of no, always, unless-stopped, on-failure, on-failure:TIMES")
                };
                Self::OnFailure(Some(times.and_then(|times| times.parse().ok()).ok_or_else(wrong)?))
            }
        })
    }
}

impl Serialize for RestartPolicy {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RestartPolicy {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(de::Error::custom)
    }
}
