//! Files such as `.env`, as Compose reads them: a name and a value a line, with or without quotes, and comments.

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    /// From 1.
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) value: String,
    /// Whether the value is what it is, and has no variables.
    pub(super) literal: bool,
}

/// A line, from 1, and what is wrong there.
type Wrong = (usize, String);

/// The entries of a text. A name without a value is the environment's own, and none.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, Wrong> {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let mut entries = Vec::new();
    while reader.next_line() {
        entries.extend(reader.entry()?);
    }
    Ok(entries)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    /// Goes on to something that is neither blank nor a comment; `false` at the end.
    fn next_line(&mut self) -> bool {
        loop {
            let text = self.rest.trim_start();
            self.advance(self.rest.len() - text.len());
            match self.rest.starts_with('#') {
                true => drop(self.rest_of_line()),
                false => return !self.rest.is_empty(),
            }
        }
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn rest_of_line(&mut self) -> &'a str {
        self.advance(self.rest.find('\n').unwrap_or(self.rest.len())).trim_end()
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn entry(&mut self) -> Result<Option<Entry>, Wrong> {
        if let Some(rest) = self.rest.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])) {
            self.rest = rest;
            self.blanks();
        }
        let line = self.line;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-[]".contains(c);
        let name = self.advance(self.rest.find(|c| !plain(c)).unwrap_or(self.rest.len()));
        if name.is_empty() {
            return Err((line, "a line such as TAG=1.27 is expected".to_owned()));
        }
        self.blanks();
        if !self.rest.starts_with(['=', ':']) {
            return match self.rest_of_line() {
                "" => Ok(None),
                _ => Err((line, format!("what follows {name} is neither = nor :"))),
            };
        }
        self.rest = &self.rest[1..];
        let (value, literal) = match self.rest.trim_start_matches([' ', '\t']).chars().next() {
            Some(quote @ ('\'' | '"')) => (self.quoted(name, quote)?, quote == '\''),
            _ => (unquoted(self.rest_of_line()).to_owned(), false),
        };
        Ok(Some(Entry { line, name: name.to_owned(), value, literal }))
    }

    /// A value in quotes, which may have several lines.
    fn quoted(&mut self, name: &str, quote: char) -> Result<String, Wrong> {
        self.blanks();
        let (line, mut value) = (self.line, String::new());
        let mut chars = self.rest.char_indices().skip(1);
        let end = loop {
            let escaped = match chars.next() {
                None => {
                    return Err((
                        line,
                        format!("the value of {name} begins with a {quote} that isn't closed"),
                    ))
                }
                Some((at, c)) if c == quote => break at + 1,
                Some((_, '\\')) => chars.next().map(|(_, c)| c),
                Some((_, c)) => {
                    value.push(c);
                    continue;
                }
            };
            match escaped {
                Some(c) if c == quote => value.push(c),
                Some('\\') if quote == '"' => value.push('\\'),
                Some('n') if quote == '"' => value.push('\n'),
                Some('r') if quote == '"' => value.push('\r'),
                Some('t') if quote == '"' => value.push('\t'),
                // As variables have a dollar sign.
                Some('$') if quote == '"' => value.push_str("$$"),
                other => value.extend(std::iter::once('\\').chain(other)),
            }
        };
        self.advance(end);
        let after = self.rest_of_line().trim_start();
        if after.is_empty() || after.starts_with('#') {
            return Ok(value);
        }
        Err((self.line, format!("something follows the quotes around the value of {name}")))
    }
}

/// A value without the comment after it, which a blank is before.
fn unquoted(line: &str) -> &str {
    let comment = line.match_indices('#').find(|(at, _)| line[..*at].ends_with([' ', '\t']));
    line[..comment.map_or(line.len(), |(at, _)| at)].trim()
}
