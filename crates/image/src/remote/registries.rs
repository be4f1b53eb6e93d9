//! `registries.conf` (containers-registries.conf(5), version 2): where a registry's images are fetched from instead.
//!
//! Of it are known `prefix` (with `*.` too), `location`, `insecure`, `blocked`, `mirror` and `mirror-by-digest-only`, and of a
//! mirror `location`, `insecure` and `pull-from-mirror`. Short names are always Docker Hub's.

use crate::failure::Failure;
use forgeone_distribution::Reference;
use serde::Deserialize;
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Registries {
    registry: Vec<Entry>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Entry {
    prefix: Option<String>,
    location: Option<String>,
    insecure: bool,
    blocked: bool,
    mirror: Vec<Mirror>,
    mirror_by_digest_only: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: From,
}

/// What a mirror is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum From {
    #[default]
    All,
    DigestOnly,
    TagOnly,
}

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) reference: Reference,
    /// Whether nobody has to vouch for the registry.
    pub(crate) insecure: bool,
}

impl Registries {
    /// What this machine's files say, and this user's.
    pub(crate) fn of_user() -> Result<Self, Failure> {
        let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || Some(named("HOME")?.join(".config"));
        let own = named("XDG_CONFIG_HOME").or_else(home).filter(|_| crate::namespace::is_user());
        let own = own.map(|directory| directory.join("containers/registries.conf"));
        let system = PathBuf::from("/etc/containers/registries.conf");
        let main = named("CONTAINERS_REGISTRIES_CONF")
            .or_else(|| own.clone().filter(|own| own.exists()))
            .unwrap_or_else(|| system.clone());
        let mut files = vec![main];
        for directory in [Some(system), own].into_iter().flatten() {
            files.extend(within(&directory.with_extension("conf.d"))?);
        }
        let mut registries = Self::default();
        for file in files {
            registries.extend(read(&file)?);
        }
        Ok(registries)
    }

    /// What is said later of the same prefix counts.
    fn extend(&mut self, other: Self) {
        for entry in other.registry {
            self.registry.retain(|known| known.prefix() != entry.prefix());
            self.registry.push(entry);
        }
    }

    /// Where an image is looked for, in order: the mirrors, then its registry.
    pub(crate) fn sources(&self, reference: &Reference) -> Result<Vec<Source>, Failure> {
        let name = reference.to_string();
        let fits = self.registry.iter().filter_map(|entry| Some((entry.rest(&name)?, entry)));
        let Some((rest, entry)) = fits.min_by_key(|(rest, _)| rest.len()) else {
            return Ok(vec![Source { reference: reference.clone(), insecure: false }]);
        };
        if entry.blocked {
            return Err(Failure::new(format_args!("{name}: registries.conf blocks {}", entry.prefix())));
        }
        let wanted = |mirror: &&Mirror| match mirror.pull_from_mirror {
            From::All => !entry.mirror_by_digest_only || reference.digest().is_some(),
            From::DigestOnly => reference.digest().is_some(),
            From::TagOnly => reference.digest().is_none(),
        };
        let at = |location: &str, insecure| -> Result<Source, Failure> {
            let reference = format!("{location}{rest}").parse().map_err(|wrong| {
                Failure::new(format_args!("registries.conf: location {location:?} of {name}: {wrong}"))
            })?;
            Ok(Source { reference, insecure })
        };
        let mirrors = entry.mirror.iter().filter(wanted);
        let mut sources: Vec<_> =
            mirrors.map(|mirror| at(&mirror.location, mirror.insecure)).collect::<Result<_, _>>()?;
        sources.push(match &entry.location {
            Some(location) if !entry.prefix().starts_with("*.") => at(location, entry.insecure)?,
            _ => Source { reference: reference.clone(), insecure: entry.insecure },
        });
        Ok(sources)
    }
}

impl Entry {
    fn prefix(&self) -> &str {
        self.prefix.as_ref().or(self.location.as_ref()).map_or("", String::as_str)
    }

    /// What follows the prefix, if a name has it: whole parts of it.
    fn rest<'n>(&self, name: &'n str) -> Option<&'n str> {
        let prefix = self.prefix();
        let rest = match prefix.strip_prefix('*') {
            // Any host below that domain.
            Some(domain) => name.split_once(domain).filter(|(host, _)| !host.contains(['/', ':']))?.1,
            None => name.strip_prefix(prefix)?,
        };
        (!prefix.is_empty() && (rest.is_empty() || rest.starts_with(['/', ':', '@']))).then_some(rest)
    }
}

/// The configuration files of a directory, in the order of their names; none if there is no such directory.
fn within(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match fs::read_dir(directory) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(|e| Failure::new(format_args!("read {}: {e}", directory.display())))?,
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "conf")).collect();
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Registries, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(format_args!("read {}: {e}", path.display()));
    match fs::read_to_string(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Registries::default()),
        text => parse(&text.map_err(|e| failed(&e))?).map_err(|e| failed(&e)),
    }
}

fn parse(text: &str) -> Result<Registries, String> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        format!("line {line}: {}", e.message().replace('\n', " "))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
unqualified-search-registries = ["example.org"]
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "mirror.example:5000/hub"
insecure = true
[[registry.mirror]]
location = "digests.example"
pull-from-mirror = "digest-only"
[[registry]]
prefix = "old.example/team"
location = "new.example/people"
[[registry]]
location = "evil.example"
blocked = true
[[registry]]
prefix = "*.inside.example"
insecure = true
"#;

    fn sources(name: &str) -> Result<Vec<String>, String> {
        let registries = parse(TEXT).unwrap();
        let shown = |source: Source| {
            format!("{}{}", source.reference, if source.insecure { " insecure" } else { "" })
        };
        let sources = registries.sources(&name.parse().unwrap());
        sources.map(|all| all.into_iter().map(shown).collect()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn mirrors_come_before_the_registry() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let hub = "mirror.example:5000/hub/library/web";
        for (name, expected) in [
            ("web:1", vec![format!("{hub}:1 insecure"), "docker.io/library/web:1".to_owned()]),
            (
                &format!("web@{digest}"),
                vec![
                    format!("{hub}@{digest} insecure"),
                    format!("digests.example/library/web@{digest}"),
                    format!("docker.io/library/web@{digest}"),
                ],
            ),
            ("old.example/team/web", vec!["new.example/people/web:latest".to_owned()]),
            ("old.example/team2/web", vec!["old.example/team2/web:latest".to_owned()]),
            ("a.inside.example/b/web", vec!["a.inside.example/b/web:latest insecure".to_owned()]),
            ("other.example/a.inside.example", vec!["other.example/a.inside.example:latest".to_owned()]),
        ] {
            assert_eq!(sources(name), Ok(expected), "{name}");
        }
        let blocked = "evil.example/a:latest: registries.conf blocks evil.example";
        assert_eq!(sources("evil.example/a"), Err(blocked.to_owned()));
    }

    #[test]
    fn a_later_file_counts_and_a_wrong_one_is_told_by_its_line() {
        let mut registries = parse(TEXT).unwrap();
        registries.extend(parse("[[registry]]\nlocation = \"evil.example\"").unwrap());
        assert!(registries.sources(&"evil.example/a".parse().unwrap()).is_ok());
        let wrong = parse("\n[[registry]]\nblocked = 1\n").unwrap_err();
        assert!(wrong.starts_with("line 3: ") && !wrong.contains('\n'), "{wrong}");
    }
}
