//! What an image says about how it is run: the `config` object of its config (OCI image specification 1.1, "Properties").

use crate::error::{Error, Kind, Result};
use crate::object;
use serde_json::Value;
use std::collections::BTreeMap;

object! {
    /// The image's own wishes, below the caller's.
    pub struct ImageConfig {
        /// `USER[:GROUP]`, names or numbers.
        pub user: String = "User",
        /// `KEY=value`.
        pub env: Vec<String> = "Env",
        /// The program, and arguments that always are there.
        pub entrypoint: Vec<String> = "Entrypoint",
        /// Arguments, or where there is no entry point the program and its arguments.
        pub cmd: Vec<String> = "Cmd",
        /// The directory that the program starts in.
        pub working_dir: String = "WorkingDir",
        /// Words to find images by.
        pub labels: BTreeMap<String, String> = "Labels",
        /// Directories that are volumes.
        pub volumes: BTreeMap<String, Nothing> = "Volumes",
        /// `PORT/PROTOCOL` of services.
        pub exposed_ports: BTreeMap<String, Nothing> = "ExposedPorts",
        /// The signal that asks the program to end.
        pub stop_signal: String = "StopSignal",
        /// How it is found out whether it works.
        pub healthcheck: Option<Healthcheck> = "Healthcheck",
    }
}

object! {
    /// An object whose fields mean nothing.
    pub struct Nothing {}
}

object! {
    /// Docker's health check: times are nanoseconds, 0 the default.
    pub struct Healthcheck {
        /// `NONE`, `CMD` and words, or `CMD-SHELL` and a line for the shell.
        pub test: Vec<String> = "Test",
        /// Time between two of them.
        pub interval: u64 = "Interval",
        /// How long one may take.
        pub timeout: u64 = "Timeout",
        /// How long failures don't count after a start.
        pub start_period: u64 = "StartPeriod",
        /// After how many failures in a row it counts.
        pub retries: u32 = "Retries",
    }
}

impl ImageConfig {
    /// Reads it; what is absent is empty.
    ///
    /// # Errors
    /// [`Kind::Config`] if a field has another type.
    pub fn parse(config: Option<&Value>) -> Result<Self> {
        let Some(config) = config else { return Ok(Self::default()) };
        let wrong = |e: String| Error::new(Kind::Config, format!("the image's config: {e}"));
        let text = serde_json::to_vec(config).map_err(|e| wrong(e.to_string()))?;
        crate::json::from_slice(&text).map_err(wrong)
    }
}
