//! References of images.

use super::names::is_domain;
use super::report::{Report, Severity};

/// What a path may follow.
const TRANSPORTS: [&str; 4] = ["oci:", "oci-archive:", "docker-archive:", "forgepkg:"];

const CODE: &str = "image.format";

pub(super) fn check(image: &str, report: &mut Report) {
    if image.is_empty() {
        let help = "name one, such as nginx:1.27, or a path";
        return report.missing(Severity::Error, "image", "image.missing", "there is no image", help);
    }
    if let Err((reason, help)) = parse(image) {
        report.error("image", CODE, image, reason, help);
    }
}

/// Whether it is an image; if not, why and the way out.
fn parse(image: &str) -> Result<(), (String, String)> {
    let wrong = |reason: &str, help: &str| Err((reason.to_owned(), help.to_owned()));
    if image.chars().any(|c| c.is_control() || c == ' ') {
        return wrong("it has a space or control character", "leave it out");
    }
    if let Some(path) = TRANSPORTS.iter().find_map(|transport| image.strip_prefix(transport)) {
        if path.is_empty() {
            return wrong("no path follows", "add the path of the image");
        }
        return Ok(());
    }
    if ["/", "./", "../"].iter().any(|beginning| image.starts_with(beginning)) {
        return Ok(());
    }
    if image.contains("://") {
        return wrong("it is a URL", "leave out what stands before the host, and ://");
    }
    let (rest, digest) = image.split_once('@').map_or((image, None), |(rest, digest)| (rest, Some(digest)));
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if let Some(digest) = digest {
        check_digest(digest)?;
    }
    match tag {
        Some("") => return wrong("no tag follows the colon", "add one, or leave the colon out"),
        Some(tag) if !is_tag(tag) => {
            let reason =
                format!("{tag:?} is no tag: letters, digits, _, . and -, at most 128, not first . or -");
            return Err((reason, "choose such a tag".to_owned()));
        }
        _ => {}
    }
    check_name(name).map_err(|(reason, help)| match help {
        Some(help) => (reason, help),
        None => (reason, format!("write {:?}", format!("{}{}", name.to_lowercase(), &image[name.len()..]))),
    })
}

/// Whether it is a name; the way out is to write it in lower case where none is given.
fn check_name(name: &str) -> Result<(), (String, Option<String>)> {
    let wrong = |reason: &str, help: &str| Err((reason.to_owned(), Some(help.to_owned())));
    let (domain, path) = match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), path),
        _ => (None, name),
    };
    if let Some(domain) = domain {
        let (host, port) = domain.rsplit_once(':').map_or((domain, None), |(host, port)| (host, Some(port)));
        if !is_domain(host) {
            return wrong(&format!("{host:?} is no name of a registry"), "correct what stands before /");
        }
        if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
            return wrong("the registry's port is no number from 1 to 65535", "correct it");
        }
    }
    if name.len() > 255 {
        return wrong("the name is longer than 255", "choose a shorter one");
    }
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(("names of images are in lower case".to_owned(), None));
    }
    match path.split('/').find(|component| !is_component(component)) {
        None => Ok(()),
        Some("") => wrong("a part of the name is empty", "leave a / or : out"),
        Some(component) => {
            let reason =
                format!("{component:?} is no part of a name: a-z, 0-9, between them ., _, __ or dashes");
            wrong(&reason, "correct it")
        }
    }
}

fn is_tag(tag: &str) -> bool {
    tag.len() <= 128
        && !tag.starts_with(['.', '-'])
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(plain)
        && component.ends_with(plain)
        && component
            .split(plain)
            .all(|between| matches!(between, "" | "." | "_" | "__") || between.chars().all(|c| c == '-'))
}

fn check_digest(digest: &str) -> Result<(), (String, String)> {
    let length = match digest.split_once(':') {
        Some(("sha256", hex)) => Some((hex, 64)),
        Some(("sha512", hex)) => Some((hex, 128)),
        _ => None,
    };
    let hex = |hex: &str| hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match length {
        Some((text, length)) if text.len() == length && hex(text) => Ok(()),
        _ => {
            let reason = "the digest isn't sha256: and 64, or sha512: and 128, of 0-9 and a-f";
            Err((reason.to_owned(), "copy the whole digest".to_owned()))
        }
    }
}
