//! The commands of `forgeone-image`: images and configurations.

use super::{FORMAT, GLOBAL};
use crate::table::{Command, Flag, Program, plain, switch, value};

/// The command line of the program for images.
pub const IMAGE: Program = Program { commands: COMMANDS, global: GLOBAL };

const QUIET: Flag = switch("quiet", Some('q'), "only ids");

const AUTH_FILE: Flag =
    value("authfile", None, "FILE", "where credentials are (containers-auth.json, Docker's config.json)");
const AUTHORITY: Flag =
    value("cacert", None, "FILE", "authority that is trusted besides the machine's (repeatable)");
const VERIFY: Flag = switch("tls-verify", None, "want HTTPS and a certificate from the registry (true)");

const COMMANDS: &[Command] = &[
    Command {
        words: &["<command>", "[arguments...]"],
        verbatim: Some(0),
        text: "'forgeone config help' lists the commands.",
        ..plain("config", "check, show, merge, convert, encrypt and compare configurations")
    },
    Command {
        words: &["<image>", "[images...]"],
        text: "\
A name without a registry is one of Docker Hub. Prints the images' ids.

    forgeone pull alpine ghcr.io/owner/name@sha256:...",
        flags: &[
            AUTH_FILE,
            AUTHORITY,
            VERIFY,
            value("platform", None, "OS/ARCH[/VARIANT]", "instead of this machine's"),
            switch("all-tags", Some('a'), "all tags of a repository"),
            switch("quiet", Some('q'), "don't show progress"),
        ],
        ..plain("pull", "fetch images from a registry")
    },
    Command {
        words: &["[file]"],
        text: "\
An OCI image layout, as a directory or in a tar archive, or what 'docker save' or
'podman save' wrote, compressed or not; standard input if no file is named.

    podman save docker.io/library/alpine | forgeone load",
        flags: &[
            value("input", Some('i'), "FILE", "the archive or directory"),
            switch("quiet", Some('q'), "don't tell what was loaded"),
        ],
        ..plain("load", "take images out of an archive or a directory")
    },
    Command { flags: &[FORMAT, QUIET], ..plain("images", "list the images of this machine") },
    Command { words: &["<image>", "<name>"], ..plain("tag", "give an image a further name") },
    Command {
        words: &["<image>", "[images...]"],
        text: "\
An image is a name, a digest, or the beginning of an id. Its name is removed, and
with its last name the image.",
        flags: &[switch("force", Some('f'), "remove all names of an id")],
        ..plain("rmi", "remove images")
    },
];

/// What other programs have `forgeone-image` do for a container whose directory they know. It is in no help: people ask
/// those.
pub const IMAGE_FOR_CONTAINERS: Program = Program {
    commands: &[
        Command {
            words: &["<word>"],
            flags: &[
                CONTAINER,
                value("type", None, "TYPE", "image, directory, archive or disk (as the word says)"),
                value("storage-driver", None, "DRIVER", "overlay"),
                value("pull", None, "WHEN", "missing, always or never (missing)"),
                value("platform", None, "OS/ARCH[/VARIANT]", "instead of this machine's"),
                AUTH_FILE,
                AUTHORITY,
                VERIFY,
                switch("quiet", Some('q'), "don't show progress"),
            ],
            failure: 125,
            ..plain("rootfs", "find what a container is made from, and write its image.json")
        },
        Command {
            words: &["<directory>", "[directories...]"],
            ..plain("discard", "remove directories of containers, whoever their files belong to")
        },
    ],
    global: GLOBAL,
};

const CONTAINER: Flag = value("container", None, "DIR", "the container's directory");
