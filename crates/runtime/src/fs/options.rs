//! Mount options: the words of config.md, "Linux mount options", as what the kernel is asked for.
//!
//! Words are read from left to right and the last that speaks of the same thing wins, as in mount(8).
//! What is not a word of the table is the file system's own and is passed through untouched. A word that
//! switches something on or off for the whole tree (`rro`, `rnosuid`, …) is kept apart from its plain sister.
//!
//! The access-time flavours exclude each other, so they are one value here and not three bits: a flavour that
//! is chosen replaces the one before. Taking one back (`atime`, `nostrictatime`) undoes an earlier word, no more, as with
//! mount(8); for a whole tree it means the kernel's default, `relatime`. `norelatime` only ever takes an earlier
//! `relatime` back: since Linux 2.6.30 it can't do more.

use forgeone_sys::mount::{MountAttrFlags, MountFlags, MountPropagationFlags};

/// `MS_I_VERSION`.
const I_VERSION: MountFlags = MountFlags::from_bits_retain(1 << 23);

/// Per-mount attributes to switch on and off, as mount_setattr(2) takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Switched on.
    pub set: MountAttrFlags,
    /// Switched off; holds `MOUNT_ATTR__ATIME` whenever a flavour of access times is chosen.
    pub clear: MountAttrFlags,
}

impl Default for Attributes {
    fn default() -> Self {
        Self { set: MountAttrFlags::empty(), clear: MountAttrFlags::empty() }
    }
}

impl Attributes {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.clear.is_empty()
    }

    fn change(&mut self, on: bool, attribute: MountAttrFlags) {
        self.set.set(attribute, on);
        self.clear.set(attribute, !on);
    }

    /// These and then `later` on the same mount.
    pub fn then(self, later: Self) -> Self {
        Self { set: (self.set - later.clear) | later.set, clear: (self.clear - later.set) | later.clear }
    }

    /// These, with `reset` switched off as well.
    pub fn resetting(self, reset: MountAttrFlags) -> Self {
        Self { clear: self.clear | reset, ..self }
    }

    fn finish(mut self, atime: Option<Atime>) -> Self {
        if let Some(atime) = atime {
            self.set |= atime.attribute();
            self.clear |= MountAttrFlags::MOUNT_ATTR__ATIME;
        }
        self
    }
}

/// One change of propagation (mount_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagation {
    /// Exactly one of shared, slave, private, unbindable.
    pub kind: MountPropagationFlags,
    /// Whether the mounts below change as well.
    pub recursive: bool,
}

impl Propagation {
    /// The change that `word` asks for, such as `rslave`.
    pub fn parse(word: &str) -> Option<Self> {
        match lookup(word)? {
            Word::Propagation(kind, recursive) => Some(Self { kind, recursive }),
            _ => None,
        }
    }
}

/// All that a mount's options say.
#[derive(Clone, Debug, PartialEq)]
pub struct MountOptions {
    /// `bind` or `rbind`; the value says whether it is the recursive one.
    pub bind: Option<bool>,
    /// `remount`: change what is mounted there.
    pub remount: bool,
    /// `tmpcopyup`: fill a new tmpfs with what it covers.
    pub copy_up: bool,
    /// `idmap` or `ridmap`, as written.
    pub idmap: Option<&'static str>,
    /// Attributes of the mount itself.
    pub attributes: Attributes,
    /// Whether any word spoke of the mount itself or of its file system, be it to take something back.
    pub flags_named: bool,
    /// Attributes of the mount and of all below it.
    pub recursive: Attributes,
    /// Flags of the file system as a whole (`sync`, `lazytime`, …), without read-only.
    pub superblock: MountFlags,
    /// Changes of propagation, in their order.
    pub propagation: Vec<Propagation>,
    /// The file system's own options, one each, in their order.
    pub data: Vec<String>,
}

/// Flavours of access-time updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Atime {
    Relative,
    No,
    Strict,
}

impl Atime {
    fn attribute(self) -> MountAttrFlags {
        match self {
            Self::Relative => MountAttrFlags::MOUNT_ATTR_RELATIME,
            Self::No => MountAttrFlags::MOUNT_ATTR_NOATIME,
            Self::Strict => MountAttrFlags::MOUNT_ATTR_STRICTATIME,
        }
    }

    /// What is chosen after `self` was taken back, for the whole `tree` or not.
    fn taken_back(self, now: Option<Self>, tree: bool) -> Option<Self> {
        match now {
            Some(other) if other != self => Some(other),
            _ => (tree && self != Self::Relative).then_some(Self::Relative),
        }
    }
}

/// What an option word means.
#[derive(Clone, Copy)]
enum Word {
    Defaults,
    Bind(bool),
    Remount,
    CopyUp,
    Idmap,
    /// Attribute, switched on or off, for the whole tree or not.
    Attribute(MountAttrFlags, bool, bool),
    /// Flavour, chosen or taken back, for the whole tree or not.
    Atime(Atime, bool, bool),
    Superblock(MountFlags, bool),
    Propagation(MountPropagationFlags, bool),
}

use Word::Superblock as Super;
use Word::{Atime as Time, Attribute as Attr, Bind, CopyUp, Defaults, Idmap, Propagation as Prop, Remount};

const RDONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;
const NOSUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
const NODEV: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;
const NOEXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;
const NODIRATIME: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODIRATIME;
const NOSYMFOLLOW: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW;

/// The table of config.md, sorted.
const WORDS: &[(&str, Word)] = &[
    ("async", Super(MountFlags::SYNCHRONOUS, false)),
    ("atime", Time(Atime::No, false, false)),
    ("bind", Bind(false)),
    ("defaults", Defaults),
    ("dev", Attr(NODEV, false, false)),
    ("diratime", Attr(NODIRATIME, false, false)),
    ("dirsync", Super(MountFlags::DIRSYNC, true)),
    ("exec", Attr(NOEXEC, false, false)),
    ("idmap", Idmap),
    ("iversion", Super(I_VERSION, true)),
    ("lazytime", Super(MountFlags::LAZYTIME, true)),
    ("loud", Super(MountFlags::SILENT, false)),
    ("mand", Super(MountFlags::PERMIT_MANDATORY_FILE_LOCKING, true)),
    ("noatime", Time(Atime::No, true, false)),
    ("nodev", Attr(NODEV, true, false)),
    ("nodiratime", Attr(NODIRATIME, true, false)),
    ("noexec", Attr(NOEXEC, true, false)),
    ("noiversion", Super(I_VERSION, false)),
    ("nolazytime", Super(MountFlags::LAZYTIME, false)),
    ("nomand", Super(MountFlags::PERMIT_MANDATORY_FILE_LOCKING, false)),
    ("norelatime", Time(Atime::Relative, false, false)),
    ("nostrictatime", Time(Atime::Strict, false, false)),
    ("nosuid", Attr(NOSUID, true, false)),
    ("nosymfollow", Attr(NOSYMFOLLOW, true, false)),
    ("private", Prop(MountPropagationFlags::PRIVATE, false)),
    ("ratime", Time(Atime::No, false, true)),
    ("rbind", Bind(true)),
    ("rdev", Attr(NODEV, false, true)),
    ("rdiratime", Attr(NODIRATIME, false, true)),
    ("relatime", Time(Atime::Relative, true, false)),
    ("remount", Remount),
    ("rexec", Attr(NOEXEC, false, true)),
    ("ridmap", Idmap),
    ("rnoatime", Time(Atime::No, true, true)),
    ("rnodev", Attr(NODEV, true, true)),
    ("rnodiratime", Attr(NODIRATIME, true, true)),
    ("rnoexec", Attr(NOEXEC, true, true)),
    ("rnorelatime", Time(Atime::Relative, false, true)),
    ("rnostrictatime", Time(Atime::Strict, false, true)),
    ("rnosuid", Attr(NOSUID, true, true)),
    ("rnosymfollow", Attr(NOSYMFOLLOW, true, true)),
    ("ro", Attr(RDONLY, true, false)),
    ("rprivate", Prop(MountPropagationFlags::PRIVATE, true)),
    ("rrelatime", Time(Atime::Relative, true, true)),
    ("rro", Attr(RDONLY, true, true)),
    ("rrw", Attr(RDONLY, false, true)),
    ("rshared", Prop(MountPropagationFlags::SHARED, true)),
    ("rslave", Prop(MountPropagationFlags::DOWNSTREAM, true)),
    ("rstrictatime", Time(Atime::Strict, true, true)),
    ("rsuid", Attr(NOSUID, false, true)),
    ("rsymfollow", Attr(NOSYMFOLLOW, false, true)),
    ("runbindable", Prop(MountPropagationFlags::UNBINDABLE, true)),
    ("rw", Attr(RDONLY, false, false)),
    ("shared", Prop(MountPropagationFlags::SHARED, false)),
    ("silent", Super(MountFlags::SILENT, true)),
    ("slave", Prop(MountPropagationFlags::DOWNSTREAM, false)),
    ("strictatime", Time(Atime::Strict, true, false)),
    ("suid", Attr(NOSUID, false, false)),
    ("symfollow", Attr(NOSYMFOLLOW, false, false)),
    ("sync", Super(MountFlags::SYNCHRONOUS, true)),
    ("tmpcopyup", CopyUp),
    ("unbindable", Prop(MountPropagationFlags::UNBINDABLE, false)),
];

fn lookup(word: &str) -> Option<Word> {
    WORDS.binary_search_by(|(name, _)| (*name).cmp(word)).ok().map(|at| WORDS[at].1)
}

/// The option words that are understood and carried out, sorted; what `features` lists.
pub fn known_options() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|(name, _)| *name)
}

/// Reads a mount's options. Nothing is refused here: whether words fit together is for the plan.
pub fn parse(options: &[String]) -> MountOptions {
    let mut out = MountOptions {
        bind: None,
        remount: false,
        copy_up: false,
        idmap: None,
        attributes: Attributes::default(),
        flags_named: false,
        recursive: Attributes::default(),
        superblock: MountFlags::empty(),
        propagation: Vec::new(),
        data: Vec::new(),
    };
    // By "for the whole tree or not".
    let mut atime = [None; 2];
    for option in options {
        let Some(word) = lookup(option) else {
            split_data(option, &mut out.data);
            continue;
        };
        out.flags_named |= matches!(word, Attr(.., false) | Time(.., false) | Super(..));
        match word {
            Defaults => {}
            Bind(recursive) => out.bind = Some(recursive || out.bind == Some(true)),
            Remount => out.remount = true,
            CopyUp => out.copy_up = true,
            Idmap => out.idmap = Some(if option == "ridmap" { "ridmap" } else { "idmap" }),
            Attr(attribute, on, false) => out.attributes.change(on, attribute),
            Attr(attribute, on, true) => out.recursive.change(on, attribute),
            Time(flavour, true, tree) => atime[usize::from(tree)] = Some(flavour),
            Time(flavour, false, tree) => {
                let now = &mut atime[usize::from(tree)];
                *now = flavour.taken_back(*now, tree);
            }
            Super(flag, on) => out.superblock.set(flag, on),
            Prop(kind, recursive) => out.propagation.push(Propagation { kind, recursive }),
        }
    }
    out.attributes = out.attributes.finish(atime[0]);
    out.recursive = out.recursive.finish(atime[1]);
    out
}

impl MountOptions {
    /// What a bind mount has from its source and doesn't keep: as soon as the options speak of one flag of the mount,
    /// those that they don't speak of are off, as with mount(2) and `mount --bind -o`. Access times stay as they are
    /// until a word speaks of them. In a user namespace what the source has is locked (mount_namespaces(7)), but for
    /// one flag.
    pub fn reset(&self, user_namespace: bool) -> MountAttrFlags {
        if !self.flags_named {
            return MountAttrFlags::empty();
        }
        let Attributes { set, clear } = self.attributes;
        let mut reset = NOSYMFOLLOW;
        if !user_namespace {
            reset |= RDONLY | NOSUID | NODEV | NOEXEC;
            if set.contains(NODIRATIME) || clear.contains(MountAttrFlags::MOUNT_ATTR__ATIME) {
                reset |= NODIRATIME | MountAttrFlags::MOUNT_ATTR__ATIME;
            }
        }
        reset - set
    }
}

/// A file system's options may stand together in one string; quotes and backslashes keep commas from separating.
fn split_data(option: &str, data: &mut Vec<String>) {
    if option.contains(['"', '\\']) {
        data.push(option.to_owned());
    } else {
        data.extend(option.split(',').filter(|o| !o.is_empty()).map(str::to_owned));
    }
}

/// Whether fsconfig(2) can carry these: it takes no value of 256 bytes or more, knows nothing of quotes, and has no
/// word for two of the superblock's flags. What it can't carry goes through mount(2).
pub(super) fn fit_fsconfig(superblock: MountFlags, data: &[String]) -> bool {
    !superblock.intersects(I_VERSION | MountFlags::SILENT)
        && data.iter().all(|option| {
            let value = option.split_once('=').map_or("", |(_, value)| value);
            value.len() < 256 && !option.contains(['"', '\\', ','])
        })
}

/// The flags of mount(2) that mean the same as these attributes.
pub(super) fn mount_flags(attributes: MountAttrFlags) -> MountFlags {
    const PAIRS: [(MountAttrFlags, MountFlags); 8] = [
        (RDONLY, MountFlags::RDONLY),
        (NOSUID, MountFlags::NOSUID),
        (NODEV, MountFlags::NODEV),
        (NOEXEC, MountFlags::NOEXEC),
        (NODIRATIME, MountFlags::NODIRATIME),
        (NOSYMFOLLOW, MountFlags::NOSYMFOLLOW),
        (MountAttrFlags::MOUNT_ATTR_NOATIME, MountFlags::NOATIME),
        (MountAttrFlags::MOUNT_ATTR_STRICTATIME, MountFlags::STRICTATIME),
    ];
    PAIRS.iter().filter(|(a, _)| attributes.contains(*a)).fold(MountFlags::empty(), |all, (_, f)| all | *f)
}

/// The option words for flags of the superblock; fsconfig(2) has the same, but for `iversion` and `silent`.
pub(super) fn superblock_words(flags: MountFlags) -> impl Iterator<Item = &'static str> {
    WORDS.iter().filter_map(move |(name, word)| match word {
        Super(flag, true) if flags.contains(*flag) => Some(*name),
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ATIME: MountAttrFlags = MountAttrFlags::MOUNT_ATTR__ATIME;
    const NOATIME: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOATIME;
    const STRICT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    const NONE: MountAttrFlags = MountAttrFlags::empty();

    fn read(words: &str) -> MountOptions {
        parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_table_is_sorted_and_whole() {
        assert!(WORDS.is_sorted_by_key(|(name, _)| *name));
        // config.md 1.3 lists 61 words; `rnodev` is missing there, by oversight.
        assert_eq!(WORDS.len(), 62);
    }

    #[test]
    fn attributes_of_one_mount() {
        for (words, set, clear) in [
            ("defaults", NONE, NONE),
            ("ro", RDONLY, NONE),
            ("rw", NONE, RDONLY),
            ("ro rw", NONE, RDONLY),
            ("rw ro", RDONLY, NONE),
            ("nosuid nodev noexec", NOSUID | NODEV | NOEXEC, NONE),
            ("suid dev exec", NONE, NOSUID | NODEV | NOEXEC),
            ("nodiratime", NODIRATIME, NONE),
            ("diratime", NONE, NODIRATIME),
            ("nosymfollow", NOSYMFOLLOW, NONE),
            ("symfollow", NONE, NOSYMFOLLOW),
            ("relatime", NONE, ATIME),
            ("noatime", NOATIME, ATIME),
            ("strictatime", STRICT, ATIME),
            ("noatime strictatime", STRICT, ATIME),
            ("strictatime noatime", NOATIME, ATIME),
            ("noatime relatime", NONE, ATIME),
            ("atime", NONE, NONE),
            ("noatime atime", NONE, NONE),
            ("strictatime atime", STRICT, ATIME),
            ("nostrictatime", NONE, NONE),
            ("noatime nostrictatime", NOATIME, ATIME),
            ("norelatime", NONE, NONE),
            ("relatime norelatime", NONE, NONE),
            ("noatime norelatime", NOATIME, ATIME),
            ("noatime nodiratime ro", NOATIME | NODIRATIME | RDONLY, ATIME),
        ] {
            let got = read(words);
            assert_eq!((got.attributes.set, got.attributes.clear), (set, clear), "{words}");
            assert!(got.recursive.is_empty(), "{words}");
        }
    }

    #[test]
    fn recursive_words_are_the_plain_ones_with_r() {
        for word in WORDS.iter().filter_map(|(name, word)| match word {
            Attr(_, _, true) | Time(_, _, true) => Some(*name),
            _ => None,
        }) {
            let (tree, plain) = (read(word), read(&word[1..]));
            let want = match word {
                "ratime" | "rnostrictatime" => read("relatime").attributes,
                _ => plain.attributes,
            };
            assert_eq!(tree.recursive, want, "{word}");
            assert!(tree.attributes.is_empty() && plain.recursive.is_empty(), "{word}");
        }
    }

    #[test]
    fn a_bind_keeps_its_sources_flags_until_one_is_named() {
        let locked = RDONLY | NOSUID | NODEV | NOEXEC;
        for (words, reset) in [
            ("bind rprivate defaults", NONE),
            ("rbind rro", NONE),
            ("bind ro", (locked | NOSYMFOLLOW) - RDONLY),
            ("bind rw", locked | NOSYMFOLLOW),
            ("bind dev", locked | NOSYMFOLLOW),
            ("bind atime", locked | NOSYMFOLLOW),
            ("bind sync", locked | NOSYMFOLLOW),
            ("bind nosymfollow nosuid nodev noexec ro", NONE),
            ("bind nodiratime", locked | NOSYMFOLLOW | ATIME),
            ("bind relatime", locked | NOSYMFOLLOW | ATIME | NODIRATIME),
            ("bind diratime", locked | NOSYMFOLLOW),
        ] {
            assert_eq!(read(words).reset(false), reset, "{words}");
            assert_eq!(read(words).reset(true), reset & NOSYMFOLLOW, "{words}");
        }
    }

    #[test]
    fn bind_remount_and_propagation() {
        let got = read("bind");
        assert_eq!(got.bind, Some(false));
        assert_eq!(read("bind rbind").bind, Some(true));
        assert_eq!(read("rbind bind").bind, Some(true));
        assert!(read("remount").remount && read("tmpcopyup").copy_up);
        assert_eq!(read("idmap").idmap, Some("idmap"));
        assert_eq!(read("ridmap").idmap, Some("ridmap"));
        let changes = read("rslave shared").propagation;
        assert_eq!(changes, [Propagation::parse("rslave").unwrap(), Propagation::parse("shared").unwrap()]);
        assert!(changes[0].recursive && !changes[1].recursive);
        assert_eq!(Propagation::parse("ro"), None);
        assert_eq!(Propagation::parse("sideways"), None);
    }

    #[test]
    fn what_is_unknown_is_the_file_systems() {
        let got = read("mode=755 size=64k,nr_inodes=5 ro lowerdir=\"a,b\" newinstance");
        assert_eq!(got.data, ["mode=755", "size=64k", "nr_inodes=5", "lowerdir=\"a,b\"", "newinstance"]);
        assert!(!fit_fsconfig(got.superblock, &got.data));
        assert!(fit_fsconfig(got.superblock, &got.data[..3]));
        assert!(!fit_fsconfig(MountFlags::empty(), &[format!("lowerdir={}", "x".repeat(256))]));
        assert!(fit_fsconfig(MountFlags::empty(), &[format!("lowerdir={}", "x".repeat(255))]));
    }

    #[test]
    fn superblock_flags() {
        let flags = read("sync dirsync lazytime mand silent iversion").superblock;
        let words = superblock_words(flags).collect::<Vec<_>>();
        assert_eq!(words, ["dirsync", "iversion", "lazytime", "mand", "silent", "sync"]);
        assert!(!fit_fsconfig(flags, &[]));
        assert!(
            read("sync async lazytime nolazytime mand nomand silent loud iversion noiversion")
                .superblock
                .is_empty()
        );
    }

    #[test]
    fn mount2_has_the_same_flags() {
        let flags = mount_flags(RDONLY | NOSUID | NODEV | NOEXEC | NODIRATIME | NOSYMFOLLOW | STRICT);
        assert_eq!(flags.bits(), 1 | 2 | 4 | 8 | 2048 | 256 | (1 << 24));
        assert_eq!(mount_flags(NOATIME), MountFlags::NOATIME);
    }

    #[test]
    fn later_attributes_win() {
        let (early, late) = (read("ro nosuid noatime").attributes, read("rw strictatime").attributes);
        let both = early.then(late);
        assert_eq!((both.set, both.clear), (NOSUID | STRICT, RDONLY | ATIME));
        let both = late.then(early);
        assert_eq!((both.set, both.clear), (RDONLY | NOSUID | NOATIME, ATIME));
    }
}
