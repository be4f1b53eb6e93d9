//! Files of older versions, made files of the newest one.

use crate::document::{edit, Document, Format, Node, Value};
use crate::version::{self, VERSION};
use crate::Result;

/// A text that was migrated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The version that it was of.
    pub from: u64,
    /// What it is now, in the same format and of [`VERSION`].
    pub text: String,
    /// Whether comments and layout are as they were. They are lost where changing single values isn't enough.
    pub kept: bool,
}

/// Makes a text of an older version one of the newest, which says it: `version: 1`. A text that says no version and is
/// none of the newest, but one of an older version, is taken for that. `None` if there is nothing to do: it is of the
/// newest version already.
///
/// ```
/// use forgeone_config::{migrate_text, Format};
/// let old = "# the seed's words\nversion: 0\nimage: web\nexec_mode: MicroVm\n";
/// let migration = migrate_text(old, Format::Yaml)?.expect("it is an old one");
/// assert_eq!(migration.text, "# the seed's words\nversion: 1\nimage: web\nexec_mode: microvm\n");
/// # Ok::<(), forgeone_config::Error>(())
/// ```
///
/// # Errors
/// As [`parse_config`](crate::parse_config): what isn't a configuration of the version that it says.
pub fn migrate_text(text: &str, format: Format) -> Result<Option<Migration>> {
    migrate(text, format).map_err(|e| e.during(format_args!("parse {format}")))
}

fn migrate(text: &str, format: Format) -> Result<Option<Migration>> {
    let document = Document::parse(text, format)?;
    let said = document.root.entry(version::KEY).map(|entry| &entry.node.value);
    let from = match said {
        Some(_) => version::of(&document)?,
        None => match version::decode(&mut document.clone()) {
            Ok(_) => VERSION,
            Err(newest) => (0..VERSION)
                .rev()
                .find(|older| version::decode_as(&mut document.clone(), *older).is_ok())
                .ok_or(newest)?,
        },
    };
    version::decode_as(&mut document.clone(), from)?;
    if from == VERSION {
        return Ok(None);
    }
    let mut newest = document.root.clone();
    version::bring(&mut newest, from);
    let said = said.is_some();
    if let Some(entry) = newest.entry_mut(version::KEY) {
        entry.node.value = Value::Int(VERSION.into());
    }
    let edited = edit::rewritten(&document, &newest, format).and_then(|text| {
        if said {
            Some(text)
        } else {
            with_version(&text, &newest, format)
        }
    });
    if let Some(text) = edited {
        return Ok(Some(Migration { from, text, kept: true }));
    }
    let mut tree = newest.to_value();
    if let Some(map) = tree.as_object_mut() {
        map.shift_remove(version::KEY);
    }
    let text = crate::document::write(&version::marked(tree), format)?;
    Ok(Some(Migration { from, text, kept: false }))
}

/// The text with a version in front of its first key.
fn with_version(text: &str, root: &Node, format: Format) -> Option<String> {
    let Value::Map(entries) = &root.value else { return None };
    // The keys' places are those of the text before; what stands in front of the first one hasn't changed.
    let first = entries.first()?.at;
    let key = version::KEY;
    let line = match format {
        Format::Json => format!("\"{key}\": {VERSION}, "),
        Format::Yaml => format!("{key}: {VERSION}\n"),
        Format::Toml => format!("{key} = {VERSION}\n"),
    };
    let at = match format {
        Format::Json => first,
        // A table's key stands behind its bracket.
        _ => text[..first].rfind('\n').map_or(0, |end| end + 1),
    };
    let text = format!("{}{line}{}", &text[..at], &text[at..]);
    let read = Document::parse(&text, format).ok()?;
    let Value::Map(now) = &read.root.value else { return None };
    let same = now.len() == entries.len() + 1
        && now[0].key == key
        && now[1..].iter().zip(entries).all(|(a, b)| a.key == b.key && a.node.same(&b.node));
    same.then_some(text)
}
