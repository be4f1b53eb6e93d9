//! The nodes of a tree: values that know where they stand, and how they are found by a path.

/// A value, and where it begins and ends in the text: bytes from 0. The ends of lists and objects are nobody's concern
/// and where they begin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) end: usize,
    pub(crate) value: Value,
}

/// The values that the formats have in common.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// Within the range of `i64` and `u64`.
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of an object, where it stands, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: usize,
    pub(crate) node: Node,
}

impl Node {
    /// The entry of a key, if it is an object.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == key)
    }

    /// The same, to be changed.
    pub(crate) fn entry_mut(&mut self, key: &str) -> Option<&mut Entry> {
        let Value::Map(entries) = &mut self.value else { return None };
        entries.iter_mut().find(|entry| entry.key == key)
    }

    pub(crate) fn to_value(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            // Readers make numbers that fit one of them.
            Value::Int(number) => match u64::try_from(*number) {
                Ok(number) => number.into(),
                Err(_) => i64::try_from(*number).unwrap_or_default().into(),
            },
            Value::Float(number) => (*number).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_value).collect(),
            Value::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_value())).collect()
            }
        }
    }

    /// The value at exactly this path, to be changed.
    #[cfg(feature = "encryption")]
    pub(crate) fn at_path(&mut self, path: &str) -> Option<&mut Self> {
        if path.is_empty() {
            return Some(self);
        }
        match &mut self.value {
            Value::List(items) => {
                let (index, tail) = path.strip_prefix('[')?.split_once(']')?;
                items.get_mut(index.parse::<usize>().ok()?)?.at_path(tail.strip_prefix('.').unwrap_or(tail))
            }
            // Keys may have dots themselves: the longest that fits.
            Value::Map(entries) => {
                let ends = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
                let fits = |entry: &&mut Entry| path.strip_prefix(entry.key.as_str()).is_some_and(ends);
                let entry = entries.iter_mut().filter(fits).max_by_key(|entry| entry.key.len())?;
                let tail = &path[entry.key.len()..];
                entry.node.at_path(tail.strip_prefix('.').unwrap_or(tail))
            }
            _ => None,
        }
    }

    /// Overwrites its texts.
    #[cfg(feature = "encryption")]
    pub(crate) fn wipe(&mut self) {
        match &mut self.value {
            Value::Text(text) => zeroize::Zeroize::zeroize(text),
            Value::List(items) => items.iter_mut().for_each(Self::wipe),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| entry.node.wipe()),
            _ => {}
        }
    }

    /// The value at a path, or the last one on the way to it that exists.
    pub(super) fn find(&self, path: &str) -> &Self {
        let mut node = self;
        let mut rest = path;
        while !rest.is_empty() {
            let next = match (&node.value, rest.strip_prefix('[')) {
                (Value::List(items), Some(tail)) => tail.split_once(']').and_then(|(index, tail)| {
                    Some((items.get(index.parse::<usize>().ok()?)?, tail.strip_prefix('.').unwrap_or(tail)))
                }),
                // Keys may have dots themselves: the longest that fits.
                (Value::Map(entries), None) => {
                    let fits = entries.iter().filter_map(|entry| {
                        let tail = rest.strip_prefix(entry.key.as_str())?;
                        let ends = tail.is_empty() || tail.starts_with('[');
                        Some((entry, if ends { tail } else { tail.strip_prefix('.')? }))
                    });
                    fits.max_by_key(|(entry, _)| entry.key.len()).map(|(entry, tail)| (&entry.node, tail))
                }
                _ => None,
            };
            match next {
                Some(found) => (node, rest) = found,
                None => return node,
            }
        }
        node
    }
}
