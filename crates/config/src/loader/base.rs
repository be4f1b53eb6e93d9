//! `extends`: the files that a file stands on. What they say is below what it says, the first one lowest; they may
//! extend others themselves. They stand beside the file or further down, so that a file of a stranger names none of
//! the machine's.

use super::file::load_file;
use crate::document::{Document, Fault, Format, Value};
use crate::sealed::{Hidden, Unseal};
use crate::{merge_configs, ContainerConfig, Error, Kind, Result};
use std::path::{Component, Path, PathBuf};

const KEY: &str = "extends";

/// So many files may extend one another in a row.
const MAX_DEPTH: usize = 8;

/// So many files may come together, those counted again that are used again.
const MAX_FILES: usize = 64;

/// The files that lead to the one that is being read, it last.
pub(super) struct Chain<'a> {
    files: Vec<(String, PathBuf)>,
    loaded: usize,
    /// Who decrypts, and what was encrypted so far.
    pub(super) keys: &'a dyn Unseal,
    pub(super) hidden: Hidden,
}

impl<'a> Chain<'a> {
    pub(super) fn new(path: &str, keys: &'a dyn Unseal) -> Self {
        Self { files: vec![(path.to_owned(), real(path))], loaded: 1, keys, hidden: Hidden::default() }
    }

    /// The file that is being read.
    fn file(&self) -> &str {
        self.files.last().map_or("", |(name, _)| name)
    }

    fn shown(&self, from: usize, last: &str) -> String {
        let names = self.files[from..].iter().map(|(name, _)| name.as_str());
        names.chain([last]).collect::<Vec<_>>().join(" -> ")
    }

    /// Goes on to a file that the one being read names.
    fn enter(&mut self, name: &str) -> Result<String, String> {
        let path = Path::new(name);
        let plain = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
        if name.is_empty() || !path.components().all(plain) {
            return Err(format!("{name:?} isn't beside this file or below; name it from here, without /../"));
        }
        let path = Path::new(self.file()).parent().unwrap_or(Path::new("")).join(path);
        let shown = path.to_string_lossy().into_owned();
        let real = real(&shown);
        if let Some(at) = self.files.iter().position(|(_, file)| *file == real) {
            return Err(format!("a circle: {}; leave one of them out", self.shown(at, &shown)));
        }
        if self.files.len() >= MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} files in a row: {}", self.shown(0, &shown)));
        }
        self.loaded += 1;
        if self.loaded > MAX_FILES {
            return Err(format!("more than {MAX_FILES} files together"));
        }
        self.files.push((shown.clone(), real));
        Ok(shown)
    }
}

/// The same file by one name.
fn real(path: &str) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.into())
}

/// A name, and where it stands.
type Name = (usize, String);

/// Takes the names of what a document extends.
pub(super) fn take(document: &mut Document) -> Result<Vec<Name>> {
    let Some(node) = document.take(KEY) else { return Ok(Vec::new()) };
    let items = match node.value {
        Value::Null => Vec::new(),
        Value::List(items) => items,
        _ => vec![node],
    };
    let name = |item: crate::document::Node| match item.value {
        Value::Text(name) => Ok((item.at, name)),
        _ => Err(fault(document, item.at, "a file's name, or a list of them, is expected".to_owned())),
    };
    items.into_iter().map(name).collect()
}

/// Refuses a document that extends others.
pub(super) fn refuse(document: &Document) -> Result<()> {
    match document.root.entry(KEY) {
        Some(entry) => {
            let message = "it names files beside this one, and a text has none; load it as a file";
            Err(fault(document, entry.at, message.to_owned()))
        }
        None => Ok(()),
    }
}

/// `config` over what the names say.
pub(super) fn below(
    config: ContainerConfig,
    names: &[Name],
    document: &Document,
    chain: &mut Chain,
) -> Result<ContainerConfig> {
    if names.is_empty() {
        return Ok(config);
    }
    let mut merged = ContainerConfig::default();
    for (at, name) in names {
        let extending = chain.file().to_owned();
        let path = chain.enter(name);
        let path = path.map_err(|e| fault(document, *at, e).during(format_args!("load {extending}")))?;
        let base = load(&path, chain).map_err(|e| e.followed(format_args!(" ({extending} extends it)")))?;
        chain.files.pop();
        merged = merge_configs(&merged, &base);
    }
    Ok(merge_configs(&merged, &config))
}

fn load(path: &str, chain: &mut Chain) -> Result<ContainerConfig> {
    let format = Format::of_path(path).map_err(|e| e.during(format_args!("load {path}")))?;
    load_file(path, format, chain)?.1
}

fn fault(document: &Document, at: usize, message: String) -> Error {
    let message = format!("{KEY}: {message}");
    document.error(Fault { kind: Kind::Content, at: Some(at), path: Vec::new(), message })
}
