//! References of images.

use super::report::{Report, Severity};
use forgeone_distribution::Reference;

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
    Reference::parse(image).map(drop).map_err(|wrong| (wrong.reason, wrong.help))
}
