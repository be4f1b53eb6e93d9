//! What rules are made of: [`Statement`]s on [`Field`]s, as nft(8) has them, and the kernel's expressions and registers
//! that they become.
//!
//! ```text
//! ip saddr @blocked drop     Match(&[Ip4Source], …) Drop     [payload → reg 8] [lookup reg 8] [immediate verdict]
//! ```
//!
//! Registers are of four bytes, from 8 on; a key of several fields lies in a row, each rounded up to four bytes.

use super::super::message::{put, put_nested};

/// Something of a packet that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `meta protocol`: the EtherType (bridge).
    Protocol,
    /// `meta nfproto`: `AF_INET` or `AF_INET6`, a byte (inet).
    NfProto,
    /// `meta l4proto`: a byte; of IPv6 what comes after all extension headers.
    L4Proto,
    /// `meta iif`: the number of the interface that it came by; 1 is lo.
    Iif,
    /// `iifname`, 16 bytes.
    IifName,
    /// `oifname`, 16 bytes.
    OifName,
    /// `meta pkttype`: a byte, [`PACKET_HOST`] or [`PACKET_OTHERHOST`] (linux/if_packet.h).
    PktType,
    /// `ether saddr`.
    EtherSource,
    /// `ether daddr`.
    EtherDestination,
    /// `arp saddr ip`.
    ArpSourceIp,
    /// `ip saddr`.
    Ip4Source,
    /// `ip daddr`.
    Ip4Destination,
    /// `ip6 saddr`.
    Ip6Source,
    /// `ip6 daddr`.
    Ip6Destination,
    /// `th dport`: of TCP, UDP and SCTP.
    DestinationPort,
    /// `icmp type` and `icmpv6 type`.
    IcmpType,
    /// The target of neighbour discovery (`icmpv6 taddr`).
    NeighbourTarget,
    /// `ct state`: bits of [`STATE_INVALID`] and their like.
    CtState,
    /// `ct status`: bits of [`STATUS_DNAT`] and their like.
    CtStatus,
    /// `fib daddr type`: [`TYPE_LOCAL`] is an address of this host.
    FibDestinationType,
}

/// A frame for this host.
pub const PACKET_HOST: u8 = 0;
/// A frame for another station.
pub const PACKET_OTHERHOST: u8 = 3;
/// `ct state invalid`: what belongs to no connection and begins none.
pub const STATE_INVALID: u32 = 1;
/// `ct state established`.
pub const STATE_ESTABLISHED: u32 = 2;
/// `ct state related`: errors about a connection, and connections that another has announced.
pub const STATE_RELATED: u32 = 4;
/// `ct state untracked`: neighbour discovery, and what a rule has said.
pub const STATE_UNTRACKED: u32 = 64;
/// `ct status dnat`: the destination was translated.
pub const STATUS_DNAT: u32 = 1 << 5;
/// `fib type local` (`RTN_LOCAL`).
pub const TYPE_LOCAL: u32 = 2;

/// How a field is loaded.
enum Source {
    Meta(u32),
    /// Header (0 link, 1 network, 2 transport), offset.
    Payload(u32, u32),
    Ct(u32),
    Fib,
}

impl Field {
    /// Its bytes.
    pub fn size(self) -> usize {
        match self {
            Self::NfProto | Self::L4Proto | Self::PktType | Self::IcmpType => 1,
            Self::Protocol | Self::DestinationPort => 2,
            Self::EtherSource | Self::EtherDestination => 6,
            Self::IifName
            | Self::OifName
            | Self::Ip6Source
            | Self::Ip6Destination
            | Self::NeighbourTarget => 16,
            _ => 4,
        }
    }

    fn source(self) -> Source {
        match self {
            Self::Protocol => Source::Meta(1),
            Self::Iif => Source::Meta(4),
            Self::IifName => Source::Meta(6),
            Self::OifName => Source::Meta(7),
            Self::NfProto => Source::Meta(15),
            Self::L4Proto => Source::Meta(16),
            Self::PktType => Source::Meta(19),
            Self::EtherDestination => Source::Payload(0, 0),
            Self::EtherSource => Source::Payload(0, 6),
            Self::Ip4Source => Source::Payload(1, 12),
            Self::Ip4Destination => Source::Payload(1, 16),
            Self::ArpSourceIp => Source::Payload(1, 14),
            Self::Ip6Source => Source::Payload(1, 8),
            Self::Ip6Destination => Source::Payload(1, 24),
            Self::IcmpType => Source::Payload(2, 0),
            Self::DestinationPort => Source::Payload(2, 2),
            Self::NeighbourTarget => Source::Payload(2, 8),
            Self::CtState => Source::Ct(0),
            Self::CtStatus => Source::Ct(2),
            Self::FibDestinationType => Source::Fib,
        }
    }
}

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes this hook's chain.
    Accept,
    /// It is gone.
    Drop,
    /// Back to the chain that jumped here.
    Return,
    /// To another chain and back.
    Jump(String),
    /// To another chain, and from there to where this one was called.
    Goto(String),
}

/// A set that is looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetName {
    /// One of the table's.
    Named(&'static str),
    /// One of this rule's own, made before it in the same batch ([`super::Batch::anonymous`]).
    Anonymous(u32),
}

impl From<&'static str> for SetName {
    fn from(name: &'static str) -> Self {
        Self::Named(name)
    }
}

/// A part of a rule. Those that match let the rule end if they don't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// The field has this value, of the field's size.
    Is(Field, Vec<u8>),
    /// It has another.
    IsNot(Field, Vec<u8>),
    /// Its first bits, so many, are those of the value.
    Within(Field, Vec<u8>, u8),
    /// It is between these, both included.
    Between(Field, Vec<u8>, Vec<u8>),
    /// It has one of these bits; four bytes in the machine's order.
    Has(Field, u32),
    /// It has none of them.
    HasNot(Field, u32),
    /// The fields are in a set.
    In(Vec<Field>, SetName),
    /// They are not.
    NotIn(Vec<Field>, SetName),
    /// What a map of verdicts says, if it says anything.
    Vmap(Vec<Field>, SetName),
    /// `dnat to … map`: to the address and port that a map says, if it does; addresses of `AF_INET` or `AF_INET6`.
    DnatMap(u8, Vec<Field>, &'static str),
    /// `ether daddr set … map`: what a map says, if it does.
    DestinationMap(Vec<Field>, &'static str),
    /// `meta pkttype set host`.
    ForHost,
    /// The source becomes an address of the interface that it leaves by.
    Masquerade,
    /// `counter`.
    Counter,
    /// `reject with icmpx admin-prohibited`.
    Reject,
    /// `reject with tcp reset`.
    Reset,
    /// The end.
    Verdict(Verdict),
}

/// `NFT_REG32_00`.
const FIRST: u32 = 8;

impl Statement {
    /// Adds the expressions that it becomes to a list of them.
    pub(super) fn encode(&self, list: &mut Vec<u8>) {
        const BITWISE: (&str, u16) = ("bitwise", 4);
        match self {
            Self::Is(field, value) => compare(list, *field, 0, value),
            Self::IsNot(field, value) => compare(list, *field, 1, value),
            Self::Within(field, value, bits) => within(list, *field, value, usize::from(*bits)),
            Self::Between(field, first, last) => {
                load(list, *field, FIRST);
                cmp(list, 5, first);
                cmp(list, 3, last);
            }
            Self::Has(field, mask) | Self::HasNot(field, mask) => {
                load(list, *field, FIRST);
                expression(list, BITWISE.0, |data| {
                    number(data, 1, FIRST);
                    number(data, 2, FIRST);
                    number(data, 3, 4);
                    value(data, BITWISE.1, &mask.to_ne_bytes());
                    value(data, 5, &[0; 4]);
                });
                cmp(list, u32::from(matches!(self, Self::Has(..))), &[0; 4]);
            }
            Self::In(fields, set) => lookup(list, fields, set, None, false),
            Self::NotIn(fields, set) => lookup(list, fields, set, None, true),
            Self::Vmap(fields, set) => lookup(list, fields, set, Some(0), false),
            Self::DnatMap(family, fields, map) => {
                lookup(list, fields, &(*map).into(), Some(FIRST), false);
                let port = FIRST + if i32::from(*family) == libc::AF_INET { 1 } else { 4 };
                expression(list, "nat", |data| {
                    number(data, 1, 1);
                    number(data, 2, (*family).into());
                    number(data, 3, FIRST);
                    number(data, 5, port);
                    // An address and a port of their own (NF_NAT_RANGE_MAP_IPS, PROTO_SPECIFIED).
                    number(data, 7, 3);
                });
            }
            Self::DestinationMap(fields, map) => {
                lookup(list, fields, &(*map).into(), Some(FIRST), false);
                expression(list, "payload", |data| {
                    for (kind, value) in [(5, FIRST), (2, 0), (3, 0), (4, 6), (6, 0), (7, 0), (8, 0)] {
                        number(data, kind, value);
                    }
                });
            }
            Self::ForHost => {
                immediate(list, FIRST, |data| put(data, 1, &[PACKET_HOST]));
                expression(list, "meta", |data| {
                    number(data, 2, 19);
                    number(data, 3, FIRST);
                });
            }
            Self::Masquerade => expression(list, "masq", |_| {}),
            Self::Counter => expression(list, "counter", |_| {}),
            Self::Reject => expression(list, "reject", |data| {
                number(data, 1, 2);
                put(data, 2, &[3]);
            }),
            Self::Reset => expression(list, "reject", |data| {
                number(data, 1, 1);
                put(data, 2, &[0]);
            }),
            Self::Verdict(verdict) => immediate(list, 0, |data| verdict.encode(data)),
        }
    }
}

impl Verdict {
    /// `NFTA_DATA_VERDICT`.
    pub(super) fn encode(&self, data: &mut Vec<u8>) {
        let (code, chain) = match self {
            Self::Drop => (0, None),
            Self::Accept => (1, None),
            Self::Jump(chain) => (-3_i32, Some(chain)),
            Self::Goto(chain) => (-4, Some(chain)),
            Self::Return => (-5, None),
        };
        put_nested(data, 2, |data| {
            number(data, 1, code as u32);
            if let Some(chain) = chain {
                text(data, 2, chain);
            }
        });
    }
}

/// An expression of a list (`NFTA_LIST_ELEM`).
fn expression(list: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Vec<u8>)) {
    put_nested(list, 1, |expression| {
        text(expression, 1, name);
        put_nested(expression, 2, fill);
    });
}

fn load(list: &mut Vec<u8>, field: Field, register: u32) {
    load_part(list, field, register, field.size());
}

/// Loads the first bytes of a field.
fn load_part(list: &mut Vec<u8>, field: Field, register: u32, size: usize) {
    let (name, attributes) = match field.source() {
        Source::Meta(key) => ("meta", vec![(2, key), (1, register)]),
        Source::Payload(base, offset) => {
            ("payload", vec![(1, register), (2, base), (3, offset), (4, size as u32)])
        }
        Source::Ct(key) => ("ct", vec![(2, key), (1, register)]),
        // The type of the destination (NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR).
        Source::Fib => ("fib", vec![(1, register), (2, 3), (3, 2)]),
    };
    expression(list, name, |data| attributes.iter().for_each(|(kind, value)| number(data, *kind, *value)));
}

fn compare(list: &mut Vec<u8>, field: Field, operation: u32, value: &[u8]) {
    load(list, field, FIRST);
    cmp(list, operation, value);
}

/// `NFT_CMP_EQ` 0, `NEQ` 1, `LTE` 3, `GTE` 5.
fn cmp(list: &mut Vec<u8>, operation: u32, with: &[u8]) {
    expression(list, "cmp", |data| {
        number(data, 1, FIRST);
        number(data, 2, operation);
        value(data, 3, with);
    });
}

/// Whole bytes are loaded alone; a prefix that ends within one is masked, as nft does both.
fn within(list: &mut Vec<u8>, field: Field, prefix: &[u8], bits: usize) {
    if bits.is_multiple_of(8) && matches!(field.source(), Source::Payload(..)) && bits > 0 {
        load_part(list, field, FIRST, bits / 8);
        return cmp(list, 0, &prefix[..bits / 8]);
    }
    let mask = |at: usize| match bits.saturating_sub(at * 8) {
        0 => 0,
        left @ 1..8 => !(0xff_u8 >> left),
        _ => 0xff,
    };
    let mask: Vec<u8> = (0..prefix.len()).map(mask).collect();
    load(list, field, FIRST);
    expression(list, "bitwise", |data| {
        number(data, 1, FIRST);
        number(data, 2, FIRST);
        number(data, 3, prefix.len() as u32);
        value(data, 4, &mask);
        value(data, 5, &vec![0; prefix.len()]);
    });
    let masked: Vec<u8> = prefix.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect();
    cmp(list, 0, &masked);
}

fn lookup(list: &mut Vec<u8>, fields: &[Field], set: &SetName, to: Option<u32>, inverted: bool) {
    let mut register = FIRST;
    for field in fields {
        load(list, *field, register);
        register += field.size().div_ceil(4) as u32;
    }
    expression(list, "lookup", |data| {
        match set {
            SetName::Named(name) => text(data, 1, name),
            SetName::Anonymous(id) => {
                text(data, 1, "__set%d");
                number(data, 4, *id);
            }
        }
        number(data, 2, FIRST);
        if let Some(register) = to {
            number(data, 3, register);
        }
        if inverted {
            number(data, 5, 1);
        }
    });
}

fn immediate(list: &mut Vec<u8>, register: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    expression(list, "immediate", |data| {
        number(data, 1, register);
        put_nested(data, 2, fill);
    });
}

/// A number of 32 bits, as all of them: in the network's order.
pub(super) fn number(bytes: &mut Vec<u8>, kind: u16, value: u32) {
    put(bytes, kind, &value.to_be_bytes());
}

/// With the NUL byte at its end.
pub(super) fn text(bytes: &mut Vec<u8>, kind: u16, text: &str) {
    put(bytes, kind, &[text.as_bytes(), b"\0"].concat());
}

/// `NFTA_DATA_VALUE` in an attribute.
pub(super) fn value(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    put_nested(bytes, kind, |data| put(data, 1, value));
}
