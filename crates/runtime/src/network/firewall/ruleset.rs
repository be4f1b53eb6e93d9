//! What tables hold, as plain data, and the transaction that brings the kernel's to it.

use forgeone_sys::net::nftables::{
    Batch, Data, Family, Field, Hook, Set, SetName, Statement, Type, Value, Verdict,
};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A table: its sets, and its chains in the order in which they are listed.
#[derive(Debug, PartialEq)]
pub(super) struct Table {
    pub(super) family: Family,
    pub(super) sets: Vec<Elements>,
    pub(super) chains: Vec<Chain>,
}

/// A set with its elements; no key is twice in it.
#[derive(Debug, PartialEq)]
pub(super) struct Elements {
    pub(super) set: Set,
    pub(super) elements: BTreeMap<Vec<u8>, (Value, Option<String>)>,
}

impl Elements {
    pub(super) fn new(name: &'static str, key: &'static [Type], data: Option<Data>) -> Self {
        Self { set: Set { name, key, data }, elements: BTreeMap::new() }
    }

    /// Adds a key, unless it is there.
    pub(super) fn add(&mut self, key: Vec<u8>) {
        self.map(key, Value::None, None);
    }

    /// Adds a key and its value; who was there first stays.
    pub(super) fn map(&mut self, key: Vec<u8>, value: Value, comment: Option<&str>) {
        self.elements.entry(key).or_insert_with(|| (value, comment.map(str::to_owned)));
    }

    /// What rules know it by.
    pub(super) fn name(&self) -> SetName {
        self.set.name.into()
    }
}

/// A chain, with a hook if packets come to it by themselves.
#[derive(Debug, PartialEq)]
pub(super) struct Chain {
    pub(super) name: String,
    pub(super) hook: Option<Hook>,
    pub(super) rules: Vec<Rule>,
}

impl Chain {
    pub(super) fn new(name: &str, rules: Vec<Rule>) -> Self {
        Self { name: name.to_owned(), hook: None, rules }
    }

    pub(super) fn base(name: &str, hook: Hook, rules: Vec<Rule>) -> Self {
        Self { name: name.to_owned(), hook: Some(hook), rules }
    }
}

/// A rule: its statements, and what it says of itself.
#[derive(Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) statements: Vec<Statement>,
    /// Addresses of which one has to be the source or the destination, looked for after the first statement.
    pub(super) among: Option<(Field, Vec<IpAddr>)>,
    pub(super) comment: Option<String>,
}

impl Rule {
    pub(super) fn new(statements: Vec<Statement>) -> Self {
        Self { statements, among: None, comment: None }
    }

    pub(super) fn comment(self, text: impl Into<String>) -> Self {
        Self { comment: Some(text.into()), ..self }
    }
}

/// How much of a table there is before.
pub(super) enum Before<'a> {
    /// It stays, with its hooks; these are its chains.
    Chains(&'a [String]),
    /// Nobody knows: it goes and comes anew, in the same transaction.
    Unknown,
}

impl Table {
    /// Adds to a batch what brings the kernel's table of this name to this.
    pub(super) fn write(&self, name: &str, before: &Before, batch: &mut Batch) {
        batch.turn_to(self.family, name);
        batch.table();
        if let Before::Unknown = before {
            batch.delete_table();
            batch.table();
        }
        self.sets.iter().for_each(|elements| batch.set(&elements.set));
        if let Before::Chains(chains) = before {
            batch.flush_rules();
            self.sets.iter().for_each(|elements| batch.flush_set(elements.set.name));
            let gone = chains.iter().filter(|name| !self.chains.iter().any(|chain| chain.name == **name));
            gone.for_each(|chain| batch.delete_chain(chain));
        }
        self.chains.iter().for_each(|chain| batch.chain(&chain.name, chain.hook));
        for Elements { set, elements } in &self.sets {
            let all =
                elements.iter().map(|(key, (value, comment))| (key.clone(), value.clone(), comment.clone()));
            batch.elements(set.name, all);
        }
        for chain in &self.chains {
            chain.rules.iter().for_each(|rule| rule.write(&chain.name, batch));
        }
    }
}

impl Rule {
    fn write(&self, chain: &str, batch: &mut Batch) {
        let Some((field, addresses)) = &self.among else {
            return batch.rule(chain, &self.statements, self.comment.as_deref());
        };
        let key: &[Type] = if field.size() == 4 { &[Type::Ipv4Addr] } else { &[Type::Ipv6Addr] };
        let set = batch.anonymous(key, addresses.iter().map(bytes));
        let mut statements = self.statements.clone();
        statements.insert(1, Statement::In(vec![*field], set));
        batch.rule(chain, &statements, self.comment.as_deref());
    }
}

/// One of the two families of addresses, with all that differs between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// `AF_INET` or `AF_INET6`.
    pub(super) number: u8,
    /// The EtherType.
    pub(super) ethertype: [u8; 2],
    pub(super) source: Field,
    pub(super) destination: Field,
}

pub(super) const V4: Version =
    Version { number: 2, ethertype: [8, 0], source: Field::Ip4Source, destination: Field::Ip4Destination };
pub(super) const V6: Version = Version {
    number: 10,
    ethertype: [0x86, 0xdd],
    source: Field::Ip6Source,
    destination: Field::Ip6Destination,
};

impl Version {
    pub(super) fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == V4)
    }

    /// `meta nfproto ipv4`, which nft leaves out where an address follows.
    pub(super) fn is(self) -> Statement {
        Statement::Is(Field::NfProto, vec![self.number])
    }

    /// The same of a bridge's frames.
    pub(super) fn is_frame(self) -> Statement {
        Statement::Is(Field::Protocol, self.ethertype.to_vec())
    }
}

/// A network that a field is in.
pub(super) fn within(field: Field, net: IpNet) -> Statement {
    Statement::Within(field, bytes(&net.addr()), net.prefix_len())
}

/// The bytes of an address.
pub(super) fn bytes(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An interface's name as the kernel compares it: of 16 bytes.
pub(super) fn interface(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

pub(super) fn accept() -> Statement {
    Statement::Verdict(Verdict::Accept)
}

pub(super) fn drop() -> Statement {
    Statement::Verdict(Verdict::Drop)
}

pub(super) fn goto(chain: &str) -> Statement {
    Statement::Verdict(Verdict::Goto(chain.to_owned()))
}

/// `icmpv6 type`.
pub(super) fn icmp6(kind: u8) -> [Statement; 2] {
    [Statement::Is(Field::L4Proto, vec![58]), Statement::Is(Field::IcmpType, vec![kind])]
}
