//! A transaction: messages that the kernel carries out all together or not at all.
//!
//! ```text
//! BATCH_BEGIN │ add table │ add set │ add element … │ add chain │ flush … │ add rule … │ BATCH_END
//! ```
//!
//! What is added may be there already, if it is the same; what is deleted or flushed has to be.

use super::super::message::{Request, attributes, number as number_at, put, put_nested};
use super::super::netlink::{NLM_F_ACK, NLM_F_REQUEST};
use super::rule::{Statement, Verdict, number, text, value};
use std::borrow::Cow;

/// A family of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4 and IPv6 (`NFPROTO_INET`).
    Inet = 1,
    /// Frames that a bridge has (`NFPROTO_BRIDGE`).
    Bridge = 7,
}

impl Family {
    /// nft's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Bridge => "bridge",
        }
    }
}

/// A type of keys and values, by nft's number, which it lists sets with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// An address of IPv4.
    Ipv4Addr = 7,
    /// An address of IPv6.
    Ipv6Addr = 8,
    /// A hardware address.
    EtherAddr = 9,
    /// The number of a protocol above IP.
    InetProto = 12,
    /// A port.
    InetService = 13,
    /// The name of an interface.
    IfName = 41,
}

impl Type {
    /// Its bytes in a key, which are whole registers but for the last field alone.
    fn size(self) -> usize {
        match self {
            Self::InetProto => 1,
            Self::InetService => 2,
            Self::Ipv4Addr => 4,
            Self::EtherAddr => 6,
            Self::Ipv6Addr | Self::IfName => 16,
        }
    }

    /// The number and the bytes of several in a row.
    fn row(types: &[Self]) -> (u32, u32) {
        let size = match types {
            [one] => one.size(),
            several => several.iter().map(|each| each.size().next_multiple_of(4)).sum(),
        };
        (types.iter().fold(0, |number, each| number << 6 | *each as u32), size as u32)
    }
}

/// What a map has for its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Values.
    Values(&'static [Type]),
    /// Verdicts.
    Verdicts,
}

/// A set or map of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// Its key's fields.
    pub key: &'static [Type],
    /// Absent in a set.
    pub data: Option<Data>,
}

/// An element's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of a set.
    None,
    /// Of a map of values: a row of fields ([`row`]).
    Bytes(Vec<u8>),
    /// Of a map of verdicts.
    Verdict(Verdict),
}

/// Fields in a row, each filled up to four bytes; a field alone stands as it is.
pub fn row(fields: &[&[u8]]) -> Vec<u8> {
    if let [one] = fields {
        return one.to_vec();
    }
    let mut bytes = Vec::with_capacity(64);
    for field in fields {
        bytes.extend(*field);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// Where packets are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// `NF_INET_PRE_ROUTING` 0, `LOCAL_IN` 1, `FORWARD` 2, `LOCAL_OUT` 3, `POST_ROUTING` 4; of bridges the same.
    pub number: u32,
    /// The order among those who meet them.
    pub priority: i32,
}

const NEWTABLE: u8 = 0;
const DELTABLE: u8 = 2;
const NEWCHAIN: u8 = 3;
const DELCHAIN: u8 = 5;
const NEWRULE: u8 = 6;
const DELRULE: u8 = 8;
const NEWSET: u8 = 9;
const DELSET: u8 = 11;
const NEWSETELEM: u8 = 12;
const DELSETELEM: u8 = 14;
/// `NFNL_SUBSYS_NFTABLES`.
pub(super) const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;

/// Most bytes of elements in one message, whose length has 16 bits.
const CHUNK: usize = 32 << 10;

/// Most bytes of a comment.
const COMMENT: usize = 120;

/// Changes of one table.
#[derive(Debug)]
pub struct Batch {
    family: Family,
    table: String,
    bytes: Vec<u8>,
    /// The messages; a message's number is its place.
    count: u32,
    /// The sets that rules of this batch have for themselves.
    anonymous: u32,
}

impl Batch {
    /// Nothing yet, for this table.
    pub fn new(family: Family, table: &str) -> Self {
        let mut batch = Self {
            family,
            table: table.to_owned(),
            bytes: Vec::with_capacity(8 << 10),
            count: 0,
            anonymous: 0,
        };
        batch.mark(BATCH_BEGIN);
        batch
    }

    /// Goes on with another table, in the same transaction.
    pub fn turn_to(&mut self, family: Family, table: &str) {
        (self.family, self.table) = (family, table.to_owned());
    }

    /// Adds the table.
    pub fn table(&mut self) {
        self.message(NEWTABLE, NLM_F_CREATE, |body| number(body, 2, 0));
    }

    /// Deletes it with all that is in it.
    pub fn delete_table(&mut self) {
        self.message(DELTABLE, 0, |_| {});
    }

    /// Adds a chain, a base chain if it has a hook; the policy is to accept.
    pub fn chain(&mut self, name: &str, hook: Option<Hook>) {
        self.message(NEWCHAIN, NLM_F_CREATE, |body| {
            text(body, 3, name);
            let Some(hook) = hook else { return };
            put_nested(body, 4, |data| {
                number(data, 1, hook.number);
                number(data, 2, hook.priority as u32);
            });
            number(body, 5, 1);
            text(body, 7, hook.kind);
        });
    }

    /// Deletes a chain, which nothing leads to and which has no rules.
    pub fn delete_chain(&mut self, name: &str) {
        self.message(DELCHAIN, 0, |body| text(body, 3, name));
    }

    /// Deletes the rules of all chains.
    pub fn flush_rules(&mut self) {
        self.message(DELRULE, 0, |_| {});
    }

    /// Adds a rule at the end of a chain, with a comment for who lists it.
    pub fn rule(&mut self, chain: &str, statements: &[Statement], comment: Option<&str>) {
        self.message(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |body| {
            text(body, 2, chain);
            put_nested(body, 4, |list| statements.iter().for_each(|statement| statement.encode(list)));
            if let Some(comment) = comment {
                put(body, 7, &note(comment));
            }
        });
    }

    /// Adds a set or map.
    pub fn set(&mut self, set: &Set) {
        let id = self.count;
        self.new_set(set.name, set.key, set.data, 0, id);
    }

    /// Adds a set for the next rule alone, which goes with it; the name that the rule has for it.
    pub fn anonymous(
        &mut self,
        key: &'static [Type],
        elements: impl IntoIterator<Item = Vec<u8>>,
    ) -> super::SetName {
        /// `NFT_SET_ANONYMOUS`, `NFT_SET_CONSTANT`.
        const FLAGS: u32 = 3;
        self.anonymous += 1;
        let id = 0x8000_0000 | self.anonymous;
        self.new_set("__set%d", key, None, FLAGS, id);
        self.some_elements("__set%d", Some(id), elements.into_iter().map(|key| (key, Value::None, None)));
        super::SetName::Anonymous(id)
    }

    fn new_set(&mut self, name: &str, key: &[Type], data: Option<Data>, flags: u32, id: u32) {
        /// `NFT_SET_MAP`.
        const MAP: u32 = 8;
        self.message(NEWSET, NLM_F_CREATE, |body| {
            text(body, 2, name);
            number(body, 3, flags | if data.is_some() { MAP } else { 0 });
            let (kind, size) = Type::row(key);
            number(body, 4, kind);
            number(body, 5, size);
            match data {
                Some(Data::Values(types)) => {
                    let (kind, size) = Type::row(types);
                    number(body, 6, kind);
                    number(body, 7, size);
                }
                // NFT_DATA_VERDICT
                Some(Data::Verdicts) => number(body, 6, 0xffff_ff00),
                None => {}
            }
            number(body, 10, id);
            put(body, 13, &orders(key, data));
        });
    }

    /// Deletes a set or map, which no rule looks into.
    pub fn delete_set(&mut self, name: &str) {
        self.message(DELSET, 0, |body| text(body, 2, name));
    }

    /// Deletes all elements of a set.
    pub fn flush_set(&mut self, name: &str) {
        self.message(DELSETELEM, 0, |body| text(body, 2, name));
    }

    /// Adds elements to a set: key, value and a comment. No key twice with different values.
    pub fn elements(
        &mut self,
        name: &str,
        elements: impl IntoIterator<Item = (Vec<u8>, Value, Option<String>)>,
    ) {
        self.some_elements(name, None, elements.into_iter());
    }

    fn some_elements(
        &mut self,
        name: &str,
        id: Option<u32>,
        elements: impl Iterator<Item = (Vec<u8>, Value, Option<String>)>,
    ) {
        let mut elements = elements.peekable();
        while elements.peek().is_some() {
            self.message(NEWSETELEM, NLM_F_CREATE, |body| {
                text(body, 2, name);
                if let Some(id) = id {
                    number(body, 4, id);
                }
                put_nested(body, 3, |list| {
                    let start = list.len();
                    while list.len() - start < CHUNK {
                        let Some((key, data, comment)) = elements.next() else { break };
                        put_nested(list, 1, |element| {
                            value(element, 1, &key);
                            match &data {
                                Value::None => {}
                                Value::Bytes(bytes) => value(element, 2, bytes),
                                Value::Verdict(verdict) => {
                                    put_nested(element, 2, |data| verdict.encode(data))
                                }
                            }
                            if let Some(comment) = &comment {
                                put(element, 6, &note(comment));
                            }
                        });
                    }
                });
            });
        }
    }

    /// A message of the table: `struct nfgenmsg`, the table's name, and what is added.
    fn message(&mut self, kind: u8, flags: u16, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut body = Vec::with_capacity(256);
        body.extend([self.family as u8, 0, 0, 0]);
        text(&mut body, 1, &self.table);
        fill(&mut body);
        let request = Request::new(SUBSYSTEM << 8 | u16::from(kind), NLM_F_REQUEST | flags, &body);
        self.bytes.extend(request.bytes(0));
        self.count += 1;
    }

    fn mark(&mut self, kind: u16) {
        let [high, low] = SUBSYSTEM.to_be_bytes();
        let request = Request::new(kind, NLM_F_REQUEST, &[0, 0, high, low]);
        self.bytes.extend(request.bytes(0));
        self.count += 1;
    }

    /// How many messages there are, with the one that begins it.
    pub(super) fn len(&self) -> u32 {
        self.count
    }

    /// All of it, with messages that are numbered from here; the last but the end is acknowledged once it is done.
    pub(super) fn finish(mut self, first: u32) -> Vec<u8> {
        let (mut at, mut sequence, messages) = (0, first, self.count);
        self.mark(BATCH_END);
        while at < self.bytes.len() {
            if sequence == first.wrapping_add(messages - 1) {
                let flags = u16::from_ne_bytes([self.bytes[at + 6], self.bytes[at + 7]]) | NLM_F_ACK;
                self.bytes[at + 6..at + 8].copy_from_slice(&flags.to_ne_bytes());
            }
            self.bytes[at + 8..at + 12].copy_from_slice(&sequence.to_ne_bytes());
            sequence = sequence.wrapping_add(1);
            at += length(&self.bytes, at).max(16);
        }
        self.bytes
    }
}

/// Bytes of the message that begins there, with its padding.
fn length(batch: &[u8], at: usize) -> usize {
    number_at(batch, at).map_or(0, |length| (length as usize).next_multiple_of(4))
}

/// The message of this number, counted from 0.
pub(super) fn nth(batch: &[u8], number: u32) -> Option<&[u8]> {
    let mut at = 0;
    for _ in 0..number {
        at += length(batch, at).max(16);
        batch.get(at)?;
    }
    batch.get(at..at + number_at(batch, at)? as usize)
}

/// By which nft knows in what order bytes of keys and values stand (`NFTNL_UDATA_SET_KEYBYTEORDER` 0, `DATABYTEORDER`
/// 1): the machine's for a name alone, else the network's.
fn orders(key: &[Type], data: Option<Data>) -> Vec<u8> {
    let order = |types: &[Type]| if types == [Type::IfName] { 1_u32 } else { 2 };
    let mut bytes = [&[0, 4][..], &order(key).to_ne_bytes()].concat();
    if let Some(Data::Values(types)) = data {
        bytes.extend([1, 4]);
        bytes.extend(order(types).to_ne_bytes());
    }
    bytes
}

/// A comment as nft writes and reads it: type 0, length with the NUL byte, text.
fn note(comment: &str) -> Vec<u8> {
    let comment = &comment[..comment.floor_char_boundary(COMMENT)];
    [&[0, comment.len() as u8 + 1], comment.as_bytes(), b"\0"].concat()
}

/// A message of a batch in nft's words, and the expression of it that begins at an offset or around it.
pub(super) fn describe(message: &[u8], offset: Option<usize>) -> String {
    let kind = message.get(4).copied().unwrap_or_default();
    let (words, object) = match kind {
        NEWTABLE => ("add table", 0),
        DELTABLE => ("delete table", 0),
        NEWCHAIN => ("add chain", 3),
        DELCHAIN => ("delete chain", 3),
        NEWRULE => ("add rule", 2),
        DELRULE => ("flush table", 0),
        NEWSET => ("add set", 2),
        DELSET => ("delete set", 2),
        NEWSETELEM => ("add element", 2),
        DELSETELEM => ("flush set", 2),
        _ => ("batch", 0),
    };
    let family = match message.get(16) {
        Some(1) => " inet",
        Some(7) => " bridge",
        _ => "",
    };
    let all = message.get(20..).unwrap_or_default();
    let named =
        |kind| attributes(all).find(|(found, _)| *found == kind && kind != 0).map(|(_, value)| plain(value));
    let mut text = format!("{words}{family}");
    for name in [named(1), named(object), named(7).filter(|_| kind == NEWCHAIN)].into_iter().flatten() {
        text = format!("{text} {name}");
    }
    let expression = offset.and_then(|offset| expression_at(message, all, offset));
    match expression.filter(|_| kind == NEWRULE) {
        Some(name) => format!("{text}: {name}"),
        None => text,
    }
}

/// The name of the expression that the byte at this offset of a rule's message lies in.
fn expression_at<'a>(message: &[u8], all: &'a [u8], offset: usize) -> Option<Cow<'a, str>> {
    let (_, list) = attributes(all).find(|(kind, _)| *kind == 4)?;
    let at = message.as_ptr() as usize + offset;
    // The list's element begins four bytes before its value.
    let within = |value: &[u8]| {
        (value.as_ptr() as usize).saturating_sub(4) <= at && at < value.as_ptr_range().end as usize
    };
    let (_, found) = attributes(list).find(|(_, value)| within(value))?;
    attributes(found).find(|(kind, _)| *kind == 1).map(|(_, name)| plain(name))
}

/// Text without the NUL byte at its end.
pub(super) fn plain(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(value.strip_suffix(b"\0").unwrap_or(value))
}
