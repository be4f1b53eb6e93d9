//! Which devices a container may use: the rules, and what they come to on cgroup v1.
//!
//! The last rule that matches decides, for reading, writing and making a node each on its own. In front of the
//! bundle's rules stands "deny all", so that an empty list allows nothing of itself (GHSA-g54h-m393-cpwq); behind
//! them stand, as with runc, the devices that every container has.
//!
//! v1 knows no order: a group has a default and a set of exceptions to it. [`DeviceRules`] is that form, and a list
//! that can't be brought into it ("all but one of these") is refused; on v2 the rules become a program
//! ([`super::program`]), which has no such limit.

use super::step::refuse;
use crate::error::Result;
use crate::faults;
use crate::spec::DeviceRule;

/// Reading, writing, making nodes; or several.
pub(super) type Access = u8;
/// As `BPF_DEVCG_ACC_MKNOD`, `READ` and `WRITE` have it.
pub(super) const MKNOD: Access = 1;
const READ: Access = 2;
const WRITE: Access = 4;
pub(super) const ALL: Access = MKNOD | READ | WRITE;

/// Block or character device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Block,
    Char,
}

/// The devices that a rule is about; `None` stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Devices {
    pub(super) kind: Option<Kind>,
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
}

/// A device rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) allow: bool,
    pub(super) devices: Devices,
    pub(super) access: Access,
}

/// All devices.
const EVERY: Devices = Devices { kind: None, major: None, minor: None };

/// What every container may use, whatever its bundle says, as with runc: any node may be made (not opened), and
/// null, zero, full, random, urandom, tty, ptmx, the pseudo terminals and tun are for use.
const DEFAULT: [Rule; 11] = [
    allow(Kind::Char, None, None, MKNOD),
    allow(Kind::Block, None, None, MKNOD),
    allow(Kind::Char, Some(1), Some(3), ALL),
    allow(Kind::Char, Some(1), Some(8), ALL),
    allow(Kind::Char, Some(1), Some(7), ALL),
    allow(Kind::Char, Some(5), Some(0), ALL),
    allow(Kind::Char, Some(1), Some(5), ALL),
    allow(Kind::Char, Some(1), Some(9), ALL),
    allow(Kind::Char, Some(136), None, ALL),
    allow(Kind::Char, Some(5), Some(2), ALL),
    allow(Kind::Char, Some(10), Some(200), ALL),
];

const fn allow(kind: Kind, major: Option<u32>, minor: Option<u32>, access: Access) -> Rule {
    Rule { allow: true, devices: Devices { kind: Some(kind), major, minor }, access }
}

/// The bundle's rules between "deny all" and the default ones.
pub(super) fn rules(asked: &[DeviceRule]) -> Result<Vec<Rule>> {
    let mut rules = Vec::with_capacity(asked.len() + DEFAULT.len() + 1);
    rules.push(Rule { allow: faults::without("device-list"), devices: EVERY, access: ALL });
    for (i, rule) in asked.iter().enumerate() {
        rules.push(parse(rule, &format!("linux.resources.devices[{i}]"))?);
    }
    rules.extend(DEFAULT);
    Ok(rules)
}

fn parse(rule: &DeviceRule, field: &str) -> Result<Rule> {
    let kind = match rule.kind.as_str() {
        "" | "a" => None,
        "b" => Some(Kind::Block),
        "c" => Some(Kind::Char),
        kind => return refuse(format_args!("{field}.type"), format_args!("{kind:?} is none of a, b and c")),
    };
    let number = |name: &str, value: Option<i64>| match value {
        None | Some(-1) => Ok(None),
        Some(n) => u32::try_from(n)
            .map(Some)
            .or_else(|_| refuse(format_args!("{field}.{name}"), format_args!("{n} is not a device number"))),
    };
    let devices = Devices { kind, major: number("major", rule.major)?, minor: number("minor", rule.minor)? };
    let mut access = 0;
    for letter in rule.access.chars() {
        access |= match letter {
            'r' => READ,
            'w' => WRITE,
            'm' => MKNOD,
            _ => {
                return refuse(
                    format_args!("{field}.access"),
                    format_args!("{letter:?} is none of r, w and m"),
                );
            }
        };
    }
    Ok(Rule { allow: rule.allow, devices, access: if access == 0 { ALL } else { access } })
}

impl Rule {
    /// Whether it is about everything, so that what was said before doesn't count.
    pub(super) fn is_total(&self) -> bool {
        self.devices == EVERY && self.access == ALL
    }
}

impl Devices {
    /// Whether all of `other` are among these.
    fn contains(&self, other: &Self) -> bool {
        fn holds<T: PartialEq>(outer: Option<T>, inner: Option<T>) -> bool {
            outer.is_none() || outer == inner
        }
        holds(self.kind, other.kind) && holds(self.major, other.major) && holds(self.minor, other.minor)
    }

    /// Whether there can be a device that is among both.
    fn overlaps(&self, other: &Self) -> bool {
        fn may<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
            a.is_none() || b.is_none() || a == b
        }
        may(self.kind, other.kind) && may(self.major, other.major) && may(self.minor, other.minor)
    }

    /// These as v1 can name them: `a` always means everything there, so it becomes `b` and `c`.
    fn by_kind(self) -> impl Iterator<Item = Self> {
        [Kind::Block, Kind::Char]
            .into_iter()
            .filter(move |kind| self.kind.is_none_or(|k| k == *kind))
            .map(move |kind| Self { kind: Some(kind), ..self })
    }
}

/// Device rules as a v1 group holds them: a default, and exceptions to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceRules {
    allow: bool,
    exceptions: Vec<(Devices, Access)>,
}

/// A line for `devices.allow` or `devices.deny`.
pub(super) type Line = (&'static str, String);

impl DeviceRules {
    /// What `rules` come to.
    ///
    /// # Errors
    /// When the rules leave a hole in a wildcard, which v1 can't express (it would ignore the hole).
    pub(super) fn new(rules: &[Rule]) -> Result<Self> {
        let mut state = Self::default();
        let mut holes: Vec<(Devices, Access)> = Vec::new();
        for rule in rules {
            if rule.is_total() {
                state = Self { allow: rule.allow, exceptions: Vec::new() };
                holes.clear();
                continue;
            }
            for devices in rule.devices.by_kind() {
                if rule.allow != state.allow {
                    state.add(devices, rule.access);
                    subtract(&mut holes, &devices, rule.access);
                } else {
                    subtract(&mut state.exceptions, &devices, rule.access);
                    let wider = state.exceptions.iter().filter(|(d, _)| d.overlaps(&devices));
                    let left = wider.fold(0, |all, (_, access)| all | access & rule.access);
                    if left != 0 {
                        holes.push((devices, left));
                    }
                }
            }
        }
        match holes.first() {
            None => Ok(state),
            Some((devices, access)) => {
                let what = line(devices, *access);
                let why = format_args!("cgroup v1 can't except {what:?} from the wider rule before it");
                refuse("linux.resources.devices", why)
            }
        }
    }

    fn add(&mut self, devices: Devices, access: Access) {
        match self.exceptions.iter_mut().find(|(d, _)| *d == devices) {
            Some((_, old)) => *old |= access,
            None => self.exceptions.push((devices, access)),
        }
    }

    fn files(&self) -> (&'static str, &'static str) {
        if self.allow { ("devices.allow", "devices.deny") } else { ("devices.deny", "devices.allow") }
    }

    /// What is allowed beside nothing; `None` where the default is to allow.
    pub(super) fn allowed(self) -> Option<Vec<(Devices, Access)>> {
        (!self.allow).then_some(self.exceptions)
    }

    /// Whether all is allowed.
    pub(super) fn allow_all(&self) -> bool {
        self.allow && self.exceptions.is_empty()
    }

    /// The lines that bring a group to these rules, whatever it had.
    pub(super) fn lines(&self) -> Vec<Line> {
        let (to_default, to_exception) = self.files();
        let exceptions =
            self.exceptions.iter().map(|(devices, access)| (to_exception, line(devices, *access)));
        std::iter::once((to_default, "a".to_owned())).chain(exceptions).collect()
    }
}

/// Takes `access` from the entries that are within `devices`.
fn subtract(entries: &mut Vec<(Devices, Access)>, devices: &Devices, access: Access) {
    for (inner, old) in entries.iter_mut() {
        if devices.contains(inner) {
            *old &= !access;
        }
    }
    entries.retain(|(_, access)| *access != 0);
}

/// `c 1:3 rwm`.
fn line(devices: &Devices, access: Access) -> String {
    let kind = match devices.kind {
        None => 'a',
        Some(Kind::Block) => 'b',
        Some(Kind::Char) => 'c',
    };
    let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
    let mut text = format!("{kind} {}:{} ", number(devices.major), number(devices.minor));
    text += &letters(access);
    text
}

/// `rwm`.
pub(super) fn letters(access: Access) -> String {
    let letters = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')];
    letters.iter().filter(|(a, _)| access & a != 0).map(|(_, c)| c).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    /// Rules written as `+c 1:3 rw`; `-a` alone stands for all.
    pub(crate) fn asked(rules: &[&str]) -> Vec<DeviceRule> {
        let rule = |text: &&str| {
            let mut fields = text[1..].split([' ', ':']);
            let kind = fields.next().unwrap().to_owned();
            let mut number = || fields.next().and_then(|n| n.parse().ok());
            let (major, minor) = (number(), number());
            let access = fields.next().unwrap_or_default().to_owned();
            DeviceRule { allow: text.starts_with('+'), kind, major, minor, access, ..Default::default() }
        };
        rules.iter().map(rule).collect()
    }

    impl DeviceRules {
        /// What the kernel answers (security/device_cgroup.c).
        pub(crate) fn allows(&self, block: bool, major: u32, minor: u32, access: u32) -> bool {
            let kind = if block { Kind::Block } else { Kind::Char };
            let device = Devices { kind: Some(kind), major: Some(major), minor: Some(minor) };
            let mut about = self.exceptions.iter().filter(|(devices, _)| devices.contains(&device));
            let excepted = if self.allow {
                about.any(|(_, denied)| u32::from(*denied) & access != 0)
            } else {
                about.any(|(_, allowed)| access & !u32::from(*allowed) == 0)
            };
            excepted != self.allow
        }
    }

    fn parsed(rules: &[&str]) -> Vec<Rule> {
        asked(rules).iter().map(|rule| parse(rule, "x").unwrap()).collect()
    }

    fn lines(rules: &[&str]) -> Vec<String> {
        let lines = DeviceRules::new(&parsed(rules)).unwrap().lines();
        lines.into_iter().map(|(file, line)| format!("{} {line}", &file[8..])).collect()
    }

    #[test]
    fn an_empty_list_denies_all_but_the_defaults() {
        for list in [&[][..], &["-a"]] {
            let lines = DeviceRules::new(&rules(&asked(list)).unwrap()).unwrap().lines();
            assert_eq!(lines.len(), 12);
            assert_eq!(lines[0], ("devices.deny", "a".into()));
            assert_eq!(lines[1], ("devices.allow", "c *:* m".into()));
            assert!(lines[1..].iter().all(|(file, _)| *file == "devices.allow"));
            assert!(!lines.iter().any(|(_, line)| line.starts_with("b ") && line != "b *:* m"));
        }
    }

    #[test]
    fn rules_come_to_a_default_and_exceptions() {
        for (rules, expected) in [
            (&["+c 1:3 rw", "+c 1:3 m"][..], &["deny a", "allow c 1:3 rwm"][..]),
            (&["+a"], &["allow a"]),
            (&["+c 1:3 rwm", "-a"], &["deny a"]),
            (&["+a", "-b 8:* w"], &["allow a", "deny b 8:* w"]),
            (&["+a", "-b 8:* w", "+b *:* rwm"], &["allow a"]),
            (&["+a *:* r"], &["deny a", "allow b *:* r", "allow c *:* r"]),
            (&["+c 10:229 rwm", "-c 10:229 w"], &["deny a", "allow c 10:229 rm"]),
            (&["+c 10:229 rwm", "-c 10:* rwm"], &["deny a"]),
            (
                &["+c 10:* rwm", "-c 10:229 rwm", "+c 10:229 rwm"],
                &["deny a", "allow c 10:* rwm", "allow c 10:229 rwm"],
            ),
            (&["+c *:* m", "-c 10:229 rwm", "+c *:* m"], &["deny a", "allow c *:* m"]),
            (&["-c 1:3 rwm"], &["deny a"]),
        ] {
            assert_eq!(lines(rules), expected, "{rules:?}");
        }
    }

    #[test]
    fn holes_in_wildcards_are_refused_on_v1() {
        for rules in [&["+c 10:* rwm", "-c 10:229 w"][..], &["+a", "-b 8:* w", "+b 8:1 w"]] {
            let error = DeviceRules::new(&parsed(rules)).unwrap_err().to_string();
            assert!(error.starts_with("linux.resources.devices: cgroup v1 can't except"), "{error}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_by_name() {
        let rule = |kind: &str, major, access: &str| DeviceRule {
            kind: kind.into(),
            major,
            access: access.into(),
            ..Default::default()
        };
        for (rule, field) in [
            (rule("p", None, ""), "type"),
            (rule("c", Some(-2), ""), "major"),
            (rule("c", Some(1 << 32), ""), "major"),
            (rule("c", Some(1), "rx"), "access"),
        ] {
            let error = rules(&[DeviceRule::default(), rule]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("linux.resources.devices[1].{field}: ")), "{error}");
        }
    }
}
