//! What test runners tell, read: how many passed, and which failed for what reason, a line each.

/// How the tests of a part of the suite went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum {
    /// How many passed; those that were skipped return without a failure and are among them.
    pub passed: usize,
    /// Those that failed, as `name: first cause`.
    pub failed: Vec<String>,
}

impl Sum {
    /// One test that failed; `said` is its output.
    pub fn failure(name: &str, said: &str) -> Self {
        Self { passed: 0, failed: vec![format!("{name}: {}", cause(said))] }
    }

    /// Both together.
    pub fn and(mut self, other: Self) -> Self {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self
    }

    /// Of nextest's report in JUnit's format; `None` if it isn't one.
    pub fn of_nextest(report: &str) -> Option<Self> {
        let cases = report.split_once("<testsuites ")?.1.split("<testcase ").skip(1);
        Some(cases.map(case).fold(Self::default(), Self::and))
    }

    /// Of libtest's output, as `cargo test --doc` gives it for one crate after the other.
    pub fn of_libtest(output: &str) -> Self {
        let result =
            |line: &str| line.strip_prefix("test ")?.rsplit_once(" ... ").map(|(_, word)| word == "ok");
        let passed = output.lines().filter(|line| result(line) == Some(true)).count();
        let failures = output.split("\n---- ").skip(1).filter_map(|block| block.split_once(" stdout ----\n"));
        failures
            .fold(Self { passed, ..Self::default() }, |sum, (name, said)| sum.and(Self::failure(name, said)))
    }
}

/// One `<testcase name="…" classname="…" …>` without its first word.
fn case(text: &str) -> Sum {
    let Some((_, failure)) = text.split_once("<failure ").or_else(|| text.split_once("<error ")) else {
        return Sum { passed: 1, failed: Vec::new() };
    };
    let (tag, rest) = failure.split_once('>').unwrap_or((failure, ""));
    // Without a panic nextest finds no more than the sort of failure, such as `test timeout`.
    let said = match tag.ends_with('/') {
        true => attribute(tag, "type"),
        false => unescape(rest.split("</").next().unwrap_or_default()),
    };
    Sum::failure(&format!("{} {}", attribute(text, "classname"), attribute(text, "name")), &said)
}

/// The value of the first attribute of this name, of those that are divided by a blank each.
fn attribute(tag: &str, name: &str) -> String {
    let starts = |start: &str| tag.starts_with(start).then(|| &tag[start.len()..]);
    let value = starts(&format!("{name}=\"")).or_else(|| Some(tag.split_once(&format!(" {name}=\""))?.1));
    unescape(value.and_then(|value| value.split('"').next()).unwrap_or_default())
}

fn unescape(text: &str) -> String {
    let names = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    names.iter().fold(text.to_owned(), |text, (name, character)| text.replace(name, character))
}

/// The longest cause, in characters.
const CAUSE_MAX: usize = 600;

/// The first cause in what a failed test said, in one line: where it panicked, and why; otherwise its first words.
pub fn cause(said: &str) -> String {
    const PANICKED: &str = " panicked at ";
    let said = match said.split_once(PANICKED) {
        Some((_, cause)) => cause,
        None => said,
    };
    let ends = |line: &&str| !(line.starts_with("stack backtrace:") || line.starts_with("note: run with"));
    let words = said.lines().take_while(ends).flat_map(str::split_whitespace);
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(CAUSE_MAX) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_nextest_is_read() {
        let report = r#"<?xml version="1.0"?>
<testsuites name="nextest-run" tests="4" failures="2" errors="1" uuid="x" time="1.0">
    <testsuite name="a::b" tests="4" disabled="0" errors="1" failures="2">
        <testcase name="t::good" classname="a::b" timestamp="x" time="0.005"/>
        <testcase name="t::bad" classname="a::b" timestamp="x" time="0.7">
            <failure message="thread &apos;t::bad&apos; panicked at src/lib.rs:2:42" type="test failure with exit code 101">thread &apos;t::bad&apos; (7) panicked at src/lib.rs:2:42:
assertion `left == right` failed: &lt;why&gt;
  left: &quot;a &amp;lt; b&quot;
 right: 2
stack backtrace:
   0: begin</failure>
            <system-out>
test t::bad ... FAILED
</system-out>
        </testcase>
        <testcase name="t::slow" classname="a::b" timestamp="x" time="2.005">
            <failure type="test timeout"/>
            <system-out>
running 1 test
</system-out>
        </testcase>
        <testcase name="t::leaky" classname="a::b" timestamp="x" time="1.0">
            <error type="test exited with code 0, but leaked handles so was marked failed"/>
        </testcase>
    </testsuite>
</testsuites>"#;
        let failed = [
            "a::b t::bad: src/lib.rs:2:42: assertion `left == right` failed: <why> left: \"a &lt; b\" right: 2",
            "a::b t::slow: test timeout",
            "a::b t::leaky: test exited with code 0, but leaked handles so was marked failed",
        ];
        let sum = Sum { passed: 1, failed: failed.map(str::to_owned).to_vec() };
        assert_eq!(Sum::of_nextest(report), Some(sum));
        assert_eq!(Sum::of_nextest("<html>"), None);
    }

    #[test]
    fn the_output_of_libtest_is_read() {
        let output = "
running 2 tests
test src/a.rs - a (line 3) ... FAILED
test src/a.rs - b (line 9) - compile ... ok

failures:

---- src/a.rs - a (line 3) stdout ----
Test executable failed (exit status: 101).

stderr:

thread 'main' panicked at src/a.rs:4:1:
no
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

failures:
    src/a.rs - a (line 3)

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out
";
        let sum = Sum { passed: 1, failed: vec!["src/a.rs - a (line 3): src/a.rs:4:1: no".into()] };
        assert_eq!(Sum::of_libtest(output), sum);
        assert_eq!(Sum::of_libtest("running 0 tests\n"), Sum::default());
    }

    #[test]
    fn a_long_cause_is_cut() {
        let said = format!("thread 'x' panicked at a.rs:1:1:\n{}", "ä ".repeat(CAUSE_MAX));
        assert_eq!(cause(&said).chars().count(), CAUSE_MAX + 2);
        assert_eq!(cause("Error: \"bad\n thing\"\n"), "Error: \"bad thing\"");
        assert_eq!(cause(""), "");
    }
}
