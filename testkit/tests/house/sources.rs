//! What every Rust source file of the workspace keeps to.

use std::fs;
use std::path::{Path, PathBuf};
use testkit::programs::workspace;

/// The one crate that may say `unsafe`.
const UNSAFE: &str = "crates/sys";

#[test]
fn every_source_file_opens_with_what_it_is_for() {
    let silent: Vec<_> = sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).collect();
    assert!(silent.is_empty(), "no `//! ` in the first line: {:?}", paths(&silent));
}

#[test]
fn unsafe_stands_in_sys_only() {
    let elsewhere = sources().into_iter().filter(|(path, _)| !path.starts_with(UNSAFE));
    let unsafe_ones: Vec<_> = elsewhere.filter(|(_, text)| has_word(&code(text), "unsafe")).collect();
    assert!(unsafe_ones.is_empty(), "unsafe outside of {UNSAFE}: {:?}", paths(&unsafe_ones));
}

#[test]
fn every_crate_but_sys_forbids_unsafe() {
    let roots = sources().into_iter().filter(|(path, _)| !path.starts_with(UNSAFE) && is_root(path));
    let lax: Vec<_> = roots.filter(|(_, text)| !code(text).contains("#![forbid(unsafe_code)]")).collect();
    assert!(lax.is_empty(), "no #![forbid(unsafe_code)]: {:?}", paths(&lax));
}

#[test]
fn no_test_is_ignored_in_silence() {
    let silent: Vec<_> = sources().into_iter().filter(|(_, text)| code(text).contains("#[ignore")).collect();
    assert!(silent.is_empty(), "use testkit::skip, with the reason: {:?}", paths(&silent));
}

/// Every `.rs` file of the workspace by its path in it, with its text.
pub(crate) fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(workspace(), &mut found);
    assert!(!found.is_empty());
    found.sort();
    found
}

fn collect(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if entry.file_type().unwrap().is_dir() && !hidden && !is_built(&path) {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let short = path.strip_prefix(workspace()).unwrap().to_owned();
            found.push((short, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Whether a directory is a target folder: cargo tags it.
fn is_built(directory: &Path) -> bool {
    directory.join("CACHEDIR.TAG").exists()
}

fn paths(sources: &[(PathBuf, String)]) -> Vec<&Path> {
    sources.iter().map(|(path, _)| path.as_path()).collect()
}

/// Whether a file is the root of a crate: a library, a program, a test, a benchmark, an example.
fn is_root(path: &Path) -> bool {
    let text = path.to_str().unwrap();
    let parts: Vec<_> = text.split('/').collect();
    match parts.as_slice() {
        [.., "src", "lib.rs" | "main.rs"] | [.., "src", "bin", _] => true,
        // Unit tests in files of their own.
        [dirs @ .., "tests", _] if dirs.contains(&"src") => false,
        [.., "tests" | "benches" | "examples", _] => true,
        [.., file] => ["main.rs", "build.rs"].contains(file),
        [] => false,
    }
}

fn has_word(code: &str, word: &str) -> bool {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    code.split(|character| !part(character)).any(|found| found == word)
}

/// The text without comments, strings and characters.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped =
            comment(rest).or_else(|| raw_string(rest)).or_else(|| string(rest)).or_else(|| character(rest));
        match skipped {
            Some(length) => {
                code.push(' ');
                rest = &rest[length..];
            }
            None => {
                let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let length = word.max(first.len_utf8());
                code.push_str(&rest[..length]);
                rest = &rest[length..];
            }
        }
    }
    code
}

/// Length of the comment that the text begins with; block comments nest.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let mut depth = 0;
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        match rest.as_bytes() {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth > 0 => (depth, at) = (depth - 1, at + 2),
            [] => return Some(at),
            _ if depth > 0 => at += rest.chars().next()?.len_utf8(),
            _ => break,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn raw_string(text: &str) -> Option<usize> {
    let inner =
        text.strip_prefix("br").or_else(|| text.strip_prefix("cr")).or_else(|| text.strip_prefix('r'))?;
    let hashes = inner.bytes().take_while(|byte| *byte == b'#').count();
    let body = inner[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + length)
}

fn string(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('b').or_else(|| text.strip_prefix('c')).unwrap_or(text);
    let body = inner.strip_prefix('"')?;
    Some(text.len() - body.len() + quoted(body, '"')?)
}

/// A character literal; a lifetime is none, since no quote ends it.
fn character(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    let length =
        if body.starts_with('\\') { quoted(body, '\'')? } else { body.chars().next()?.len_utf8() + 1 };
    body[..length.min(body.len())].ends_with('\'').then_some(length + 1)
}

/// Length up to and with the closing quote; what a backslash precedes does not close.
fn quoted(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in body.char_indices() {
        if character == quote && !escaped {
            return Some(at + 1);
        }
        escaped = character == '\\' && !escaped;
    }
    None
}

#[test]
fn code_is_what_is_left_without_comments_and_strings() {
    let text = r###"a /* unsafe /* x */ unsafe */ b // unsafe
        "unsafe \" unsafe" r#"un"safe"# b"unsafe" '\'' 'u' <'unsafe_life> unsafe_code c"###;
    let words: Vec<_> = code(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "b", "<'unsafe_life>", "unsafe_code", "c"]);
    assert!(!has_word(&code(text), "unsafe"));
    assert!(has_word(&code("x = unsafe{y}; #[unsafe(no_mangle)]"), "unsafe"));
}

#[test]
fn roots_of_crates_are_known() {
    let roots = [
        "a/src/lib.rs",
        "a/src/main.rs",
        "a/src/bin/b.rs",
        "a/tests/c.rs",
        "a/tests/d/main.rs",
        "a/build.rs",
    ];
    assert!(roots.iter().all(|path| is_root(Path::new(path))));
    let others = ["a/src/x.rs", "a/src/x/mod.rs", "a/tests/d/e.rs", "a/src/tests/x.rs"];
    assert!(!others.iter().any(|path| is_root(Path::new(path))));
}
