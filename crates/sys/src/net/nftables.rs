//! nf_tables(netlink): the packet filter's tables, of the network namespace that the socket was opened in.
//!
//! A [`Batch`] of changes is carried out as one: packets meet the state before or the state after. What rules say is
//! [`rule`]; the words are those of nft(8).

mod batch;
pub mod rule;

pub use batch::{Batch, Data, Family, Hook, Set, Type, Value, row};
pub use rule::{Field, SetName, Statement, Verdict};

use super::message::{Reply, Request, attributes, number, replies};
use super::netlink::{self, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR};
use crate::error::{Errno, Error, Fail, Result, check, retry};
use batch::{SUBSYSTEM, describe, nth, plain};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvFlags, SendFlags};
use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
const GETRULE: u16 = 7;

/// Answers and notifications are shorter.
const BUFFER: usize = 64 << 10;

/// A socket to the packet filter.
#[derive(Debug)]
pub struct Nftables {
    socket: OwnedFd,
    sequence: Cell<u32>,
}

impl Nftables {
    /// Opens a socket in the current network namespace, where it stays.
    pub fn open() -> Result<Self> {
        let socket = netlink::open(Some(rustix::net::netlink::NETFILTER), "NETLINK_NETFILTER")?;
        Ok(Self { socket, sequence: Cell::new(0) })
    }

    /// Carries out all of a batch, or nothing of it. The error names the message that the kernel has refused, in nft's
    /// words, and its reason.
    pub fn commit(&self, batch: Batch) -> Result<()> {
        let first = self.sequence.get().wrapping_add(1);
        let last = first.wrapping_add(batch.len() - 1);
        self.sequence.set(last.wrapping_add(1));
        let bytes = batch.finish(first);
        let call = || "nftables(commit)".to_owned();
        self.make_room(bytes.len());
        retry(|| rustix::net::send(&self.socket, &bytes, SendFlags::empty())).fail(call)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let received = self.receive(&mut buffer, &call)?;
            // What an earlier batch was told besides has other numbers.
            for reply in replies(&buffer[..received]).filter(|reply| reply.kind == NLMSG_ERROR) {
                if let Some(verdict) = judge(&reply, &bytes, first, last) {
                    return verdict;
                }
            }
        }
    }

    /// A batch is sent in one piece, which the socket has to have room for.
    fn make_room(&self, bytes: usize) {
        let room = (bytes * 2).min(i32::MAX as usize) as i32;
        if room < 128 << 10 {
            return;
        }
        let size = size_of::<i32>() as libc::socklen_t;
        // SAFETY: the option's value is an int of `size` bytes, which outlives the call.
        let _ = check(unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_SNDBUFFORCE,
                (&raw const room).cast(),
                size,
            )
        });
    }

    fn receive(&self, buffer: &mut [u8], call: &dyn Fn() -> String) -> Result<usize> {
        let received = retry(|| rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::TRUNC));
        let (length, whole) = received.fail(call)?;
        if whole > length { Err(Error::new(call(), Errno::MSGSIZE)) } else { Ok(length) }
    }

    /// The chains of a table, by their names; none if there is no such table.
    pub fn chains(&self, family: Family, table: &str) -> Result<Vec<String>> {
        let mut found = vec![];
        self.list(GETCHAIN, family, &[], &mut |reply| found.extend(chain_of(reply, table)))?;
        Ok(found)
    }

    /// How many rules a chain has; none if there is no such chain.
    pub fn rules(&self, family: Family, table: &str, chain: &str) -> Result<usize> {
        let mut found = 0;
        let wanted = [(1, table), (2, chain)];
        let take = &mut |reply: &Reply| found += usize::from(reply.kind == SUBSYSTEM << 8 | NEWRULE);
        match self.list(GETRULE, family, &wanted, take) {
            Err(e) if e.errno() == Errno::NOENT => Ok(0),
            result => result.map(|()| found),
        }
    }

    fn list(
        &self,
        kind: u16,
        family: Family,
        wanted: &[(u16, &str)],
        take: &mut dyn FnMut(&Reply),
    ) -> Result<()> {
        let call = || match kind {
            GETCHAIN => format!("nftables(list chains {})", family.word()),
            _ => format!("nftables(list rules {})", family.word()),
        };
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let mut body = vec![family as u8, 0, 0, 0];
        wanted.iter().for_each(|(kind, name)| rule::text(&mut body, *kind, name));
        let request = Request::new(SUBSYSTEM << 8 | kind, NLM_F_REQUEST | NLM_F_DUMP, &body).bytes(sequence);
        retry(|| rustix::net::send(&self.socket, &request, SendFlags::empty())).fail(call)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let received = self.receive(&mut buffer, &call)?;
            for reply in replies(&buffer[..received]).filter(|reply| reply.sequence == sequence) {
                match reply.kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return netlink::verdict(&reply, &call),
                    _ => take(&reply),
                }
            }
        }
    }
}

impl AsFd for Nftables {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What an error's message says about a batch: refused, done, or nothing yet.
fn judge(reply: &Reply, batch: &[u8], first: u32, last: u32) -> Option<Result<()>> {
    /// `NLMSGERR_ATTR_OFFS`.
    const OFFSET: u16 = 2;
    if number(reply.body, 0)? == 0 {
        return (reply.sequence == last).then_some(Ok(()));
    }
    let offset = netlink::reason(reply, OFFSET).and_then(|value| number(value, 0));
    let place = reply.sequence.wrapping_sub(first);
    let message = nth(batch, place).filter(|_| place <= last.wrapping_sub(first))?;
    let call = || format!("nftables({})", describe(message, offset.map(|offset| offset as usize)));
    Some(netlink::verdict(reply, &call))
}

/// A chain's name, if it is of this table.
fn chain_of(reply: &Reply, table: &str) -> Option<String> {
    let all = || attributes(reply.body.get(4..).unwrap_or_default());
    let named = |wanted| all().find(|(kind, _)| *kind == wanted).map(|(_, value)| plain(value));
    (named(1)? == table).then(|| named(3).map(|name| name.into_owned()))?
}

/// Notifications about changes of tables, whoever makes them.
#[derive(Debug)]
pub struct Changes {
    socket: OwnedFd,
}

impl Changes {
    /// Listens from now on.
    pub fn open() -> Result<Self> {
        let socket = netlink::open(Some(rustix::net::netlink::NETFILTER), "NETLINK_NETFILTER")?;
        // A socket without an address is passed over. The group is NFNLGRP_NFTABLES, the seventh.
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 1 << 6))
            .fail(|| "bind(NETLINK_NETFILTER, NFNLGRP_NFTABLES)".into())?;
        Ok(Self { socket })
    }

    /// Takes what has come, without waiting; whether something of a table was deleted, or so much has come that it isn't
    /// known.
    pub fn deleted(&mut self, table: &str) -> Result<bool> {
        let mut buffer = vec![0; BUFFER];
        let mut found = false;
        loop {
            let received = retry(|| {
                rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT | RecvFlags::TRUNC)
            });
            match received {
                Ok((length, whole)) => {
                    found |= whole > length || replies(&buffer[..length]).any(|reply| deletes(&reply, table));
                }
                Err(Errno::NOBUFS) => found = true,
                Err(Errno::AGAIN) => return Ok(found),
                Err(errno) => return Err(Error::new("recv(NETLINK_NETFILTER)", errno)),
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether this tells that something of a table is no more: the table, a chain, a rule, a set, elements.
fn deletes(reply: &Reply, table: &str) -> bool {
    let kinds = [2, 5, 8, 11, 14].map(|kind| SUBSYSTEM << 8 | kind);
    let of = attributes(reply.body.get(4..).unwrap_or_default()).find(|(kind, _)| *kind == 1);
    kinds.contains(&reply.kind) && of.is_some_and(|(_, name)| plain(name) == table)
}

/// Reads bytes as the kernel's answers to a batch, lists and notifications.
#[cfg(any(test, feature = "fuzz"))]
pub(super) fn fuzz(bytes: &[u8]) {
    let mut batch = Batch::new(Family::Inet, "t");
    batch.table();
    batch.rule("c", &[Statement::Has(Field::CtState, 2), Statement::Verdict(Verdict::Accept)], Some("x"));
    let last = batch.len() - 1;
    let whole = batch.finish(0);
    for reply in replies(bytes) {
        let _ = (judge(&reply, &whole, 0, last), chain_of(&reply, "t"), deletes(&reply, "t"));
        assert!(describe(bytes, Some(reply.sequence as usize)).len() <= 64 + 3 * bytes.len());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn two_rules() -> Vec<u8> {
        let mut batch = Batch::new(Family::Inet, "t");
        batch.chain("c", Some(Hook { kind: "nat", number: 0, priority: -100 }));
        batch.rule("c", &[Statement::Counter, Statement::Masquerade], Some("why"));
        batch.finish(40)
    }

    #[test]
    fn a_refusal_names_the_message_and_the_expression() {
        let bytes = two_rules();
        let find = |text: &[u8]| bytes.windows(text.len()).position(|part| part == text).unwrap();
        let rule = {
            let chain = number(&bytes, 20).unwrap() as usize;
            20 + chain.next_multiple_of(4)
        };
        // errno, the head of the message that is meant, and what the kernel adds: 20 bytes, then attributes.
        let refusal = |sequence: u32, offset: usize| {
            let mut body = (-libc::ENOENT).to_ne_bytes().to_vec();
            body.extend([0; 16]);
            super::super::message::put(&mut body, 2, &(offset as u32).to_ne_bytes());
            let mut message = Request::new(NLMSG_ERROR, 0x300, &body).bytes(sequence);
            message[8..12].copy_from_slice(&sequence.to_ne_bytes());
            message
        };
        for (answer, expected) in [
            (refusal(41, 0), "nftables(add chain inet t c nat): ENOENT (No such file or directory)"),
            (
                refusal(42, find(b"masq\0") - rule),
                "nftables(add rule inet t c: masq): ENOENT (No such file or directory)",
            ),
            (
                refusal(42, find(b"counter\0") - rule - 4),
                "nftables(add rule inet t c: counter): ENOENT (No such file or directory)",
            ),
            (refusal(42, 4000), "nftables(add rule inet t c): ENOENT (No such file or directory)"),
        ] {
            let reply = replies(&answer).next().unwrap();
            assert_eq!(judge(&reply, &bytes, 40, 42).unwrap().unwrap_err().to_string(), expected);
        }
        assert!(judge(&replies(&refusal(39, 0)).next().unwrap(), &bytes, 40, 42).is_none());
    }

    #[test]
    fn deletions_of_the_table_are_noticed_and_no_others() {
        let told = |kind: u16, table: &str| {
            let mut body = vec![1, 0, 0, 0];
            rule::text(&mut body, 1, table);
            let bytes = Request::new(SUBSYSTEM << 8 | kind, 0, &body).bytes(0);
            deletes(&replies(&bytes).next().unwrap(), "forgeone")
        };
        assert!(told(2, "forgeone") && told(8, "forgeone") && told(14, "forgeone"));
        assert!(!told(0, "forgeone") && !told(6, "forgeone") && !told(2, "forgeone-1") && !told(2, "forge"));
    }

    #[test]
    fn many_elements_are_several_messages() {
        let mut batch = Batch::new(Family::Inet, "t");
        let elements = (0..5000_u32).map(|key| (key.to_be_bytes().to_vec(), Value::None, None));
        batch.elements("s", elements);
        let count = batch.len();
        let bytes = batch.finish(7);
        let lengths: Vec<_> = replies(&bytes).map(|reply| reply.body.len()).collect();
        assert_eq!(lengths.len() as u32, count + 1);
        assert_eq!(
            replies(&bytes).filter(|reply| reply.flags & 4 != 0).map(|reply| reply.sequence).last(),
            Some(6 + count)
        );
        assert!(lengths.len() > 3 && lengths.iter().all(|length| *length < 1 << 16), "{lengths:?}");
    }
}
