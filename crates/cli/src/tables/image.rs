//! The commands of `forgeone-image`: images and configurations.

use super::{GLOBAL, TEMPLATE};
use crate::table::{Command, Flag, Program, plain, switch, value};

/// The command line of the program for images.
pub const IMAGE: Program = Program { commands: COMMANDS, global: GLOBAL };

const QUIET: Flag = switch("quiet", Some('q'), "only ids");
const SILENT: Flag = switch("quiet", Some('q'), "don't show progress");

const AUTH_FILE: Flag =
    value("authfile", None, "FILE", "where credentials are (containers-auth.json, Docker's config.json)");
const AUTHORITY: Flag =
    value("cacert", None, "FILE", "authority that is trusted besides the machine's (repeatable)");
const VERIFY: Flag = switch("tls-verify", None, "want HTTPS and a certificate from the registry (true)");

const PULL: Command = Command {
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
        SILENT,
    ],
    ..plain("pull", "fetch images from a registry")
};

const PUSH: Command = Command {
    words: &["<image>", "[destination]"],
    text: "\
Without destination it goes where its name says. What the registry has isn't sent
again. Prints the digest that it has there.

    forgeone push web:1 registry.example/team/web:1",
    flags: &[AUTH_FILE, AUTHORITY, VERIFY, SILENT],
    ..plain("push", "send an image to a registry")
};

const LOAD: Command = Command {
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
};

const SAVE: Command = Command {
    words: &["<image>", "[images...]"],
    text: "    forgeone save web:1 | ssh other forgeone load",
    flags: &[
        value("output", Some('o'), "FILE", "instead of standard output"),
        value("format", None, "FORMAT", "docker-archive or oci-archive (docker-archive)"),
    ],
    ..plain("save", "write images to an archive")
};

const IMAGES: Command =
    Command { flags: &[TEMPLATE, QUIET], ..plain("images", "list the images of this machine") };

const TAG: Command =
    Command { words: &["<image>", "<name>"], ..plain("tag", "give an image a further name") };

const RMI: Command = Command {
    words: &["<image>", "[images...]"],
    text: "\
An image is a name, a digest, or the beginning of an id. Its name is removed, and
with its last name the image. What a container is made of stays for it.",
    flags: &[switch("force", Some('f'), "remove all names of an id, also of one that containers have")],
    ..plain("rmi", "remove images")
};

const IMAGE_GROUP: &[Command] = &[
    Command {
        words: &["<image>"],
        flags: &[TEMPLATE, switch("no-trunc", None, "whole commands and comments")],
        ..plain("image history", "show how an image was made")
    },
    Command {
        words: &["<image>", "[images...]"],
        flags: &[TEMPLATE],
        ..plain("image inspect", "show all that is known of images, as JSON")
    },
    Command { name: "image load", ..LOAD },
    Command { name: "image ls", ..IMAGES },
    Command {
        text: "Also removes what came of pulls that didn't end.",
        flags: &[
            switch("all", Some('a'), "all images that no container has"),
            switch("force", Some('f'), "don't ask"),
        ],
        ..plain("image prune", "remove images without a name")
    },
    Command { name: "image pull", ..PULL },
    Command { name: "image push", ..PUSH },
    Command { name: "image rm", ..RMI },
    Command { name: "image save", ..SAVE },
    Command { name: "image tag", ..TAG },
];

const COMMANDS: &[Command] = &[
    Command {
        words: &["<command>", "[arguments...]"],
        verbatim: Some(0),
        text: "'forgeone config help' lists the commands.",
        ..plain("config", "check, show, merge, convert, encrypt and compare configurations")
    },
    PULL,
    PUSH,
    Command {
        words: &["[registry]"],
        text: "\
Without registry it is Docker Hub. What is kept is what Podman and others keep, in
the same file; registry may be a part of one: quay.io/team.

    pass show registry | forgeone login -u ada --password-stdin registry.example",
        flags: &[
            value("username", Some('u'), "NAME", "who; asked for, if it isn't given"),
            switch("password-stdin", None, "read the password from standard input"),
            AUTH_FILE,
            AUTHORITY,
            VERIFY,
        ],
        ..plain("login", "tell who asks a registry")
    },
    Command { words: &["[registry]"], flags: &[AUTH_FILE], ..plain("logout", "forget who asks a registry") },
    Command {
        words: &["<file>", "[name]"],
        text: "\
A tar archive of a root file system, compressed or not; - is standard input. Prints
the image's id.

    debootstrap stable root && tar -C root -c . | forgeone import - debian",
        flags: &[CHANGE, AUTHOR, MESSAGE],
        ..plain("import", "make an image of a tar archive")
    },
    LOAD,
    SAVE,
    IMAGES,
    TAG,
    RMI,
    Command {
        words: &["<command>", "[arguments...]"],
        group: IMAGE_GROUP,
        ..plain("image", "history, inspect, load, ls, prune, pull, push, rm, save, tag")
    },
    Command {
        flags: &[switch("repair", None, "mend what can be, remove the rest")],
        ..plain("fsck", "read all that is kept of images, and tell what is damaged")
    },
];

/// What other programs have `forgeone-image` do, most of it for a container whose directory they know. It is in no help:
/// people ask those.
pub const IMAGE_FOR_CONTAINERS: Program = Program {
    commands: &[
        Command {
            words: &["<word>"],
            flags: &[
                CONTAINER,
                value("type", None, "TYPE", "image, directory, archive or disk (as the word says)"),
                value("storage-driver", None, "DRIVER", "overlay, btrfs or vfs (the first that works)"),
                value("pull", None, "WHEN", "missing, always or never (missing)"),
                value("platform", None, "OS/ARCH[/VARIANT]", "instead of this machine's"),
                AUTH_FILE,
                AUTHORITY,
                VERIFY,
                switch(
                    "failure",
                    None,
                    "write why it failed to the file of that name there, and don't tell it",
                ),
                switch("quiet", Some('q'), "don't show progress"),
            ],
            failure: 125,
            ..plain("rootfs", "find what a container is made from, and write its image.json")
        },
        Command {
            words: &["<directory>", "[directories...]"],
            ..plain("discard", "remove directories of containers, whoever their files belong to")
        },
        plain("usage", "what images take, as JSON"),
        Command { flags: &[CONTAINER], ..plain("diff", "what a container has added, changed and removed") },
        Command {
            words: &["[name]"],
            flags: &[CONTAINER, CHANGE, AUTHOR, MESSAGE],
            ..plain("commit", "make an image of what a container has changed")
        },
        Command {
            flags: &[CONTAINER, PID, value("output", Some('o'), "FILE", "write to FILE (standard output)")],
            ..plain("export", "a container's files as a tar archive")
        },
        Command {
            words: &["<inside>", "<outside>"],
            flags: &[CONTAINER, PID, ARCHIVE],
            ..plain("copy-out", "copy files out of a container; - is a tar archive")
        },
        Command {
            words: &["<outside>", "<inside>"],
            flags: &[CONTAINER, PID, ARCHIVE],
            ..plain("copy-in", "copy files into a container; - is a tar archive")
        },
        Command {
            words: &["<name>"],
            flags: &[CONTAINER, PID],
            ..plain("snapshot-create", "keep what a container has changed by now")
        },
        Command {
            flags: &[CONTAINER, PID, TEMPLATE, switch("quiet", Some('q'), "only names")],
            ..plain("snapshot-ls", "list a container's snapshots")
        },
        Command {
            words: &["<name>"],
            flags: &[CONTAINER, PID],
            ..plain("snapshot-restore", "have a container as it was then")
        },
        Command {
            words: &["<name>", "[names...]"],
            flags: &[CONTAINER, PID],
            ..plain("snapshot-rm", "remove snapshots of a container")
        },
    ],
    global: GLOBAL,
};

const PID: Flag = value("pid", None, "PID", "the container's first process, if it runs");
pub(super) const ARCHIVE: Flag = switch("archive", Some('a'), "keep owners");
pub(super) const CHANGE: Flag = value(
    "change",
    Some('c'),
    "INSTRUCTION",
    "change the image's config: CMD, ENV, USER and so on (repeatable)",
);
pub(super) const AUTHOR: Flag = value("author", None, "NAME", "who made the image");
pub(super) const MESSAGE: Flag =
    value("message", Some('m'), "TEXT", "what was changed, for the image's history");
const CONTAINER: Flag = value("container", None, "DIR", "the container's directory");
