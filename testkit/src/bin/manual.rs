//! `manual DOOR SHARE`: writes the door's manual pages, and the scripts by which shells complete its commands, to where
//! they lie below a system's `share`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;
use std::process::Command;

/// Where each shell looks, and under which name.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/forgeone"),
    ("zsh", "zsh/site-functions/_forgeone"),
    ("fish", "fish/vendor_completions.d/forgeone.fish"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(door), Some(share)) = (arguments.next(), arguments.next()) else {
        return Err("usage: manual DOOR SHARE".into());
    };
    let (door, share) = (Path::new(&door), Path::new(&share));
    for (name, page) in testkit::manual::pages(door, &date()?) {
        write(&share.join("man/man1").join(name), page.as_bytes())?;
    }
    for (shell, place) in COMPLETIONS {
        let output = Command::new(door).args(["completion", shell]).output()?;
        if !output.status.success() {
            return Err(format!("completion {shell}: {}", output.status).into());
        }
        write(&share.join(place), &output.stdout)?;
    }
    Ok(())
}

/// Of the build; for one that is to be repeated to the byte, of what `SOURCE_DATE_EPOCH` says.
fn date() -> Result<String, Box<dyn Error>> {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").map_or("now".to_owned(), |seconds| format!("@{seconds}"));
    let output = Command::new("date").args(["--utc", "+%F", "--date", &epoch]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    std::fs::write(path, bytes)
}
