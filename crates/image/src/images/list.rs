//! The table of images, and how long ago and how large is said.

use crate::failure::Failure;
use crate::image::Config;
use crate::store::{Image, Store};
use forgeone_cli::human::{size, span};
use forgeone_cli::show::{self, Format};
use forgeone_distribution::{Reference, calendar};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// How many digits of an id are shown.
const SHORT: usize = 12;

/// An image, as it is shown.
pub(super) struct Shown {
    id: String,
    repository: String,
    tag: String,
    digest: String,
    /// RFC 3339, as the image has it.
    created: Option<String>,
    /// Bytes, unpacked.
    size: u64,
}

pub(super) fn images(store: &Store) -> Result<Vec<Shown>, Failure> {
    let shown = |image: Image| {
        let (_, config) = store.manifest(&image)?;
        let created = Config::parse(&store.document(&config.digest)?)?.created;
        let none = || "<none>".to_owned();
        Ok(Shown {
            id: config.digest.to_string(),
            repository: image.name.as_ref().map_or_else(none, |name| name.repository().to_string()),
            tag: image.name.as_ref().and_then(Reference::tag).map_or_else(none, str::to_owned),
            digest: image.manifest.digest.to_string(),
            created,
            size: image.unpacked(),
        })
    };
    store.images()?.into_iter().map(shown).collect()
}

/// What an image is called.
pub(super) fn called(image: &Image) -> String {
    image.name.as_ref().map_or_else(|| image.manifest.digest.to_string(), Reference::to_string)
}

/// The ids, each once.
pub(super) fn ids(images: &[Shown]) -> String {
    let mut ids: Vec<&str> = images.iter().map(Shown::short).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.iter().map(|id| format!("{id}\n")).collect()
}

/// All of them, with the names that Docker's and Podman's JSON and templates have.
pub(super) fn shown(images: &[Shown], format: &Format) -> Result<String, Failure> {
    let row = |image: &Shown| {
        let since = told(image.created.as_deref());
        let Shown { id, repository, tag, digest, created, size: bytes } = image;
        let cells = [repository, tag, image.short(), &since, &size(*bytes)].map(str::to_owned);
        let mut value = json!({
            "Id": id, "ID": image.short(), "Repository": repository, "Tag": tag, "Digest": digest, "Created": created,
            "CreatedAt": created, "CreatedSince": since, "Size": bytes,
        });
        if matches!(format, Format::Template(_)) {
            // As people read it: programs read JSON.
            value["Size"] = size(*bytes).into();
        }
        (cells.to_vec(), value)
    };
    let rows: Vec<_> = images.iter().map(row).collect();
    Ok(show::rows(format, &["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], &rows)?)
}

/// How long ago a time was.
pub(super) fn told(time: Option<&str>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    time.and_then(seconds).map_or_else(|| "N/A".to_owned(), |then| ago(now - then))
}

impl Shown {
    fn short(&self) -> &str {
        let hex = self.id.strip_prefix("sha256:").unwrap_or(&self.id);
        &hex[..hex.len().min(SHORT)]
    }
}

/// Seconds since 1970 of a time as RFC 3339 writes it; fractions of a second are left out.
fn seconds(time: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let clock = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let zone = time.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), ..] => {
            let minutes = zone.get(1..3)?.parse::<i64>().ok()? * 60 + zone.get(4..6)?.parse::<i64>().ok()?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    Some(calendar::days(year, month, day) * 86_400 + clock - offset * 60)
}

/// `3 minutes ago`.
fn ago(seconds: i64) -> String {
    span(u64::try_from(seconds).unwrap_or(0)) + " ago"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_told_as_people_say_them() {
        for (time, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:30:15.123456789Z", Some(1_709_209_815)),
            ("2024-02-29T12:30:15+02:00", Some(1_709_202_615)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800)),
            ("2024-02-29", None),
            ("yesterday", None),
        ] {
            assert_eq!(seconds(time), expected, "{time}");
        }
        let told = [-5, 1, 59, 60, 7200, 86_400 * 8, 86_400 * 800].map(ago).join(", ");
        let expected =
            "0 seconds ago, 1 second ago, 59 seconds ago, 1 minute ago, 2 hours ago, 1 week ago, 2 years ago";
        assert_eq!(told, expected);
        let told = [0, 999, 1000, 7_812_345, 99_960_000, 1_234_567_890].map(size).join(", ");
        assert_eq!(told, "0B, 999B, 1.00kB, 7.81MB, 100MB, 1.23GB");
    }
}
