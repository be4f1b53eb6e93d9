//! What texts of configurations are read by, as a function of bytes that panics on a finding; see `forgeone_runtime::fuzz`.

use crate::{check_config, config_to_string, merge_configs, parse_config, ContainerConfig, Format};

/// A reader of bytes, by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[("settings", settings)];

const FORMATS: [Format; 3] = [Format::Json, Format::Yaml, Format::Toml];

/// The first byte chooses the format. What is read is judged and merged without a panic, and the same when it is
/// written in each format and read again; what isn't has an error of one line.
fn settings(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let format = FORMATS[usize::from(*first) % 3];
    let config = match parse_config(text, format) {
        Ok(config) => config,
        Err(e) => {
            let (line, shown) = (e.to_string(), format!("{e:#}"));
            assert!(!line.contains('\n') && shown.lines().count() <= 3, "{format}: {line:?}");
            return;
        }
    };
    let findings = check_config(&config);
    assert!(findings.iter().all(|finding| !finding.to_string().contains('\n')), "{findings:?}");
    // What is no number isn't the same as itself.
    if config != config.clone() {
        return;
    }
    assert_eq!(merge_configs(&config, &ContainerConfig::default()), config);
    FORMATS.iter().for_each(|format| written_and_read(&config, *format));
}

/// An infinite number is all that can't be written.
fn written_and_read(config: &ContainerConfig, format: Format) {
    match config_to_string(config, format) {
        Ok(text) => {
            let again = parse_config(&text, format);
            assert_eq!(again.as_ref(), Ok(config), "{format}: {text}");
        }
        Err(e) => assert!(e.to_string().contains("infinite"), "{format}: {e}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_text_is_refused_or_read_the_same_twice() {
        for (name, read) in super::TARGETS {
            testkit::fuzz::feed(name, *read, 3000);
        }
    }
}
