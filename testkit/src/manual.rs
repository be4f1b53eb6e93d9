//! Manual pages from the door's own help, as help2man(1) makes them: both come from the one table of commands, and
//! nothing of it has to be in the door.
//!
//! A page is man(7) source. What the help doesn't say (exit statuses, files, variables) stands here.

use std::path::Path;
use std::process::Command;

/// All pages: the file's name, such as `forgeone-run.1`, and its source. `date` is as 2026-01-31.
///
/// # Panics
/// If the door doesn't answer, or not as its help looks.
pub fn pages(door: &Path, date: &str) -> Vec<(String, String)> {
    let ask = |words: &[&str]| {
        let output = Command::new(door).args(words).output().unwrap_or_else(|e| panic!("run {door:?}: {e}"));
        assert!(output.status.success(), "{door:?} {words:?}: {}", output.status);
        String::from_utf8(output.stdout).expect("the help is text")
    };
    let version = ask(&["--version"]);
    let version = version.lines().next().unwrap_or_default().replace("version ", "");
    let edition = format!("\"{date}\" \"{version}\"");
    let help = ask(&["help"]);
    let commands: Vec<_> = ["containers:", "containers from images:", "images:"]
        .into_iter()
        .flat_map(|title| section(&help, title))
        .map(|line| line.split_once(' ').expect("a name and what it does"))
        .collect();
    let own: Vec<_> = commands.into_iter().filter(|(name, _)| *name != "help").collect();
    let names: Vec<_> = own.iter().map(|(name, _)| *name).collect();
    let mut pages = vec![("forgeone.1".to_owned(), main_page(&help, &edition, &own))];
    for name in &names {
        pages.push((format!("forgeone-{name}.1"), page(name, &ask(&["help", name]), &edition)));
    }
    pages
}

/// The lines below a title, up to the next empty one, without the blanks before them.
fn section<'a>(help: &'a str, title: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = help.lines().skip_while(move |line| *line != title).skip(1);
    lines.take_while(|line| !line.is_empty()).map(str::trim_start)
}

/// As roff reads it: nothing in it is a request, and what a user may type can be copied.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            c => out.push(c),
        }
    }
    if out.starts_with('.') { format!("\\&{out}") } else { out }
}

fn header(name: &str, edition: &str, about: &str) -> String {
    format!(
        ".TH {} 1 {edition} \"ForgeOne\"\n.SH NAME\n{} \\- {}\n",
        name.to_uppercase(),
        escape(name),
        escape(about)
    )
}

/// Paragraphs as they are, indented lines as examples.
fn prose<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    let (mut example, mut between) = (false, false);
    for line in lines {
        let indented = line.starts_with("    ");
        if line.is_empty() {
            between = true;
            continue;
        }
        if example && !indented {
            out.push_str(".fi\n.RE\n");
        }
        if indented && !example {
            out.push_str(if out.is_empty() { ".RS 4\n.nf\n" } else { ".PP\n.RS 4\n.nf\n" });
        } else if between && !indented && !out.is_empty() {
            out.push_str(".PP\n");
        }
        (example, between) = (indented, false);
        out.push_str(&escape(if indented { &line[4..] } else { line }));
        out.push('\n');
    }
    if example {
        out.push_str(".fi\n.RE\n");
    }
    out
}

/// `-b, --bundle DIR           what it does` as a tagged paragraph.
fn option(line: &str) -> String {
    let (head, help) = line.split_once("  ").unwrap_or_else(|| {
        // A long one: the name, and its value if there is one, which has no small letters.
        let long = line.find("--").unwrap_or(0);
        let end = line[long..].find(' ').map_or(line.len(), |end| long + end);
        let value = line[end..].trim_start().split(' ').next().unwrap_or_default();
        let has_value = !value.chars().any(|c| c.is_ascii_lowercase());
        line.split_at(if has_value { end + 1 + value.len() } else { end })
    });
    let words = head.split(' ').map(|word| match word.split_once('[') {
        _ if !word.starts_with('-') => format!("\\fI{}\\fR", escape(word)),
        Some((name, mode)) => format!("\\fB{}\\fR[{}", escape(name), escape(mode)),
        None => match word.strip_suffix(',') {
            Some(name) => format!("\\fB{}\\fR,", escape(name)),
            None => format!("\\fB{}\\fR", escape(word)),
        },
    });
    format!(".TP\n{}\n{}\n", words.collect::<Vec<_>>().join(" "), escape(help.trim_start()))
}

fn options<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.map(option).collect()
}

fn synopsis(usage: &str, command: &str) -> String {
    let rest = usage.strip_prefix(command).unwrap_or_else(|| panic!("{usage:?} is not about {command:?}"));
    format!(".SH SYNOPSIS\n.B {}\n{}\n", escape(command), escape(rest.trim_start()))
}

fn usage(help: &str) -> &str {
    help.lines().find_map(|line| line.strip_prefix("usage: ")).expect("a usage")
}

/// The help of a command that is for bundles and for containers from images has two parts.
const END: &str = "\nglobal options: see 'forgeone --help'\n";

fn page(name: &str, help: &str, edition: &str) -> String {
    let (help, more) = help.split_once(END).unwrap_or((help, ""));
    let about = help.lines().next().expect("what it does");
    let mut out = header(&format!("forgeone-{name}"), edition, about);
    out += &synopsis(usage(help), &format!("forgeone {name}"));
    out += &format!(".SH DESCRIPTION\n{}", description(help, about));
    let list = options(section(help, "options:"));
    if !list.is_empty() {
        out += &format!(".SH OPTIONS\n{list}");
    }
    if let Some((help, _)) = more.split_once(END) {
        let about = help.lines().next().expect("what it does");
        out += &format!(".SH \"CONTAINERS FROM IMAGES\"\n.nf\n{}\n.fi\n.PP\n", escape(usage(help)));
        out += &format!("{}{}", description(help, about), options(section(help, "options:")));
    }
    out += ".PP\nGlobal options stand in\n.BR forgeone (1).\n";
    out += &format!(".SH \"EXIT STATUS\"\n{}\n", exit_status(name));
    out + ".SH \"SEE ALSO\"\n.BR forgeone (1)\n"
}

fn description(help: &str, about: &str) -> String {
    let text = help.lines().skip_while(|line| !line.starts_with("usage: ")).skip(1);
    let text = prose(text.take_while(|line| *line != "options:"));
    if text.is_empty() { sentence(about) } else { text }
}

fn sentence(about: &str) -> String {
    let mut letters = about.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase()).into_iter();
    format!("{}.\n", escape(&first.chain(letters).collect::<String>()))
}

fn exit_status(name: &str) -> &'static str {
    match name {
        "run" => {
            "That of the program, or 128 and the signal\\(aqs number if a signal ended it; 1 if the container can\\(aqt be run."
        }
        "exec" => {
            "That of the program, or 128 and the signal\\(aqs number if a signal ended it; 255 if it can\\(aqt be started."
        }
        _ => "0, or 1 after a failure, which is one line on standard error.",
    }
}

fn main_page(help: &str, edition: &str, commands: &[(&str, &str)]) -> String {
    let introduction = help.lines().take_while(|line| !line.starts_with("usage: "));
    let mut out = header("forgeone", edition, "run containers from images and OCI bundles");
    out += &synopsis(usage(help), "forgeone");
    out += &format!(".SH DESCRIPTION\n{}", prose(introduction));
    out += ".SH COMMANDS\n";
    for (name, about) in commands {
        out += &format!(".TP\n.BR forgeone\\-{} (1)\n{}\n", escape(name), escape(about.trim_start()));
    }
    out += &format!(".SH OPTIONS\n{}", options(section(help, "global options:")));
    out + REST
}

/// What the help has no room for.
const REST: &str = r#".SH "EXIT STATUS"
0, or 1 after a failure, which is one line on standard error; 3 if there is no such command.
.B run
and
.B exec
end with the program\(aqs own.
.SH ENVIRONMENT
.TP
.B FORGEONE_ROOT
As \fB\-\-root\fR.
.TP
.B XDG_RUNTIME_DIR
Where the states of other users than root are kept.
.TP
.B DEBUG
As \fB\-\-debug\fR if it is 1.
.TP
.BR LISTEN_FDS ", " LISTEN_PID
Sockets of the service manager, from descriptor 3 on, which
.B create
and
.B run
pass on to the program; see
.BR sd_listen_fds (3).
.TP
.B NOTIFY_SOCKET
The service manager\(aqs socket.
.BR create ", " start " and " run
give the program one of its own, and tell the manager when the program says READY=1 there; see
.BR sd_notify (3).
.BR start " and " "run \-\-detach"
wait for it.
.SH FILES
.TP
.I /run/forgeone/ID
The state of a container.
.TP
.I config.json
What a bundle\(aqs container is; see the OCI runtime specification.
.SH "SEE ALSO"
.BR runc (8),
.BR systemd.service (5)
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_the_help_writes_them() {
        let table = [
            (
                "-b, --bundle DIR           the bundle",
                "\\fB\\-b\\fR, \\fB\\-\\-bundle\\fR \\fIDIR\\fR\nthe bundle",
            ),
            ("--rootless[=MODE]        bear with it", "\\fB\\-\\-rootless\\fR[=MODE]\nbear with it"),
            (
                "--a-name-of-many-letters N JSON",
                "\\fB\\-\\-a\\-name\\-of\\-many\\-letters\\fR \\fIN\\fR\nJSON",
            ),
            ("--a-name-of-many-letters do it", "\\fB\\-\\-a\\-name\\-of\\-many\\-letters\\fR\ndo it"),
        ];
        for (line, want) in table {
            assert_eq!(option(line), format!(".TP\n{want}\n"));
        }
    }

    #[test]
    fn text_is_never_a_request() {
        assert_eq!(escape(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(escape("'\\fB"), "\\(aq\\efB");
        let text = "One\nline.\n\n    an example\n    of two\n\nMore.";
        let want = "One\nline.\n.PP\n.RS 4\n.nf\nan example\nof two\n.fi\n.RE\n.PP\nMore.\n";
        assert_eq!(prose(text.lines()), want);
    }
}
