//! Messages of DNS (RFC 1035, EDNS: RFC 6891), as far as a resolver looks into them that knows addresses and a few names,
//! and passes everything else on as it came.
//!
//! ```text
//! id  flags  counts ×4 │ question: name, type, class │ records …, OPT among the additional ones
//! ```
//!
//! Nothing that comes is trusted: a read ends where the message does, and every answer is made anew.

use std::net::IpAddr;

/// The header's length.
const HEADER: usize = 12;
/// What a client without EDNS takes by UDP.
const PLAIN: usize = 512;
/// What we take by UDP ourselves, which is what is agreed on to pass everywhere.
const OWN_SIZE: u16 = 1232;
/// The longest name.
const NAME_MAX: usize = 255;

/// Bits of the flags.
const RESPONSE: u16 = 1 << 15;
const OPCODE: u16 = 0xf << 11;
const AUTHORITATIVE: u16 = 1 << 10;
const TRUNCATED: u16 = 1 << 9;
const RECURSION_DESIRED: u16 = 1 << 8;
const RECURSION_AVAILABLE: u16 = 1 << 7;

/// What a reply says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Fine = 0,
    BadFormat = 1,
    Failed = 2,
    NoSuchName = 3,
    NotImplemented = 4,
    Refused = 5,
}

/// Types of records.
pub(super) const A: u16 = 1;
pub(super) const PTR: u16 = 12;
pub(super) const AAAA: u16 = 28;
const OPT: u16 = 41;
pub(super) const ANY: u16 = 255;
/// The class of the Internet.
pub(super) const IN: u16 = 1;

/// A question.
#[derive(Debug)]
pub(super) struct Query<'a> {
    bytes: &'a [u8],
    /// Name, type and class.
    question: &'a [u8],
    /// In lower case, without the last dot; none where it has characters that no name of ours has.
    pub(super) name: Option<String>,
    pub(super) kind: u16,
    pub(super) class: u16,
    /// What a client with EDNS takes.
    edns: Option<u16>,
}

/// What a message is to us.
#[derive(Debug)]
pub(super) enum Read<'a> {
    Query(Query<'a>),
    /// None that we know what to do with: what is replied.
    Wrong(Vec<u8>),
    /// Nothing that is answered.
    Nothing,
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Address(IpAddr),
    Name(String),
}

/// Reads what a client sent.
pub(super) fn read(bytes: &[u8]) -> Read<'_> {
    let Some(flags) = number(bytes, 2).filter(|_| bytes.len() >= HEADER) else { return Read::Nothing };
    if flags & RESPONSE != 0 {
        return Read::Nothing;
    }
    if flags & OPCODE != 0 {
        return Read::Wrong(bare(bytes, Code::NotImplemented));
    }
    query(bytes).map_or_else(|| Read::Wrong(bare(bytes, Code::BadFormat)), Read::Query)
}

/// A message with one question, whose records end where it does.
fn query(bytes: &[u8]) -> Option<Query<'_>> {
    let [questions, answers, authorities, additional] = [4, 6, 8, 10].map(|at| number(bytes, at));
    if questions? != 1 || answers? != 0 {
        return None;
    }
    let (name, end) = name(bytes, HEADER)?;
    let (kind, class) = (number(bytes, end)?, number(bytes, end + 2)?);
    let question = &bytes[HEADER..end + 4];
    let (mut at, mut edns) = (end + 4, None);
    for _ in 0..u32::from(authorities?) + u32::from(additional?) {
        let of = skip_name(bytes, at)?;
        if number(bytes, of)? == OPT {
            edns = number(bytes, of + 2);
        }
        at = of + 10 + usize::from(number(bytes, of + 8)?);
        bytes.get(..at)?;
    }
    Some(Query { bytes, question, name, kind, class, edns })
}

impl Query<'_> {
    pub(super) fn id(&self) -> u16 {
        number(self.bytes, 0).unwrap_or(0)
    }

    /// How long an answer by UDP may be.
    pub(super) fn limit(&self) -> usize {
        self.edns.map_or(PLAIN, |size| usize::from(size).max(PLAIN))
    }

    /// As it is asked of another server.
    pub(super) fn question(&self) -> Question {
        Question { message: self.bytes.to_vec(), length: self.question.len() }
    }

    /// An answer of our own, of at most `limit` bytes: where they don't suffice it says so, and is asked for by TCP.
    pub(super) fn reply(&self, code: Code, own: bool, records: &[Record], limit: usize) -> Vec<u8> {
        let authoritative = if own { AUTHORITATIVE } else { 0 };
        let mut reply = self.head(flags_of(self.bytes, code) | authoritative, records.len());
        records.iter().for_each(|record| put(&mut reply, record));
        if reply.len() + OWN_OPT.len() > limit {
            reply = self.head(flags_of(self.bytes, code) | authoritative | TRUNCATED, 0);
        }
        if self.edns.is_some() {
            reply[10..HEADER].copy_from_slice(&1u16.to_be_bytes());
            reply.extend_from_slice(&OWN_OPT);
        }
        reply
    }

    /// The header and the question.
    fn head(&self, flags: u16, answers: usize) -> Vec<u8> {
        let answers = u16::try_from(answers).unwrap_or(u16::MAX);
        let mut head = Vec::with_capacity(PLAIN);
        for number in [self.id(), flags, 1, answers, 0, 0] {
            head.extend_from_slice(&number.to_be_bytes());
        }
        head.extend_from_slice(self.question);
        head
    }
}

/// The record of EDNS in our answers.
const OWN_OPT: [u8; 11] = [0, 0, OPT as u8, (OWN_SIZE >> 8) as u8, (OWN_SIZE & 0xff) as u8, 0, 0, 0, 0, 0, 0];

/// A question that another server is asked.
#[derive(Debug)]
pub(super) struct Question {
    message: Vec<u8>,
    /// Of the question itself.
    length: usize,
}

impl Question {
    /// The message with this id.
    pub(super) fn with_id(&mut self, id: u16) -> &[u8] {
        self.message[..2].copy_from_slice(&id.to_be_bytes());
        &self.message
    }

    /// Whether both ask the same.
    pub(super) fn is(&self, query: &Query) -> bool {
        self.asked() == query.question
    }

    /// Whether a message answers it: the id, and the question itself, which servers repeat.
    pub(super) fn is_answered_by(&self, reply: &[u8], id: u16) -> bool {
        let (asked, kept) = (self.asked(), reply.get(HEADER..HEADER + self.length));
        let (name, rest) = asked.split_at(asked.len().saturating_sub(4));
        let same = |kept: &[u8]| kept.starts_with_ignoring_case(name) && kept.ends_with(rest);
        number(reply, 0) == Some(id)
            && number(reply, 2).is_some_and(|flags| flags & RESPONSE != 0 && flags & OPCODE == 0)
            && number(reply, 4) == Some(1)
            && kept.is_some_and(same)
    }

    fn asked(&self) -> &[u8] {
        &self.message[HEADER..HEADER + self.length]
    }

    /// An answer for whoever asked under this id, of at most `limit` bytes; a longer one is cut after the question, and
    /// says so.
    pub(super) fn pass_on(&self, mut reply: Vec<u8>, id: u16, limit: usize) -> Vec<u8> {
        reply[..2].copy_from_slice(&id.to_be_bytes());
        if reply.len() > limit {
            let flags = number(&reply, 2).unwrap_or(0) | TRUNCATED;
            reply.truncate(HEADER + self.length);
            reply[2..4].copy_from_slice(&flags.to_be_bytes());
            reply[6..HEADER].fill(0);
        }
        reply
    }

    /// What is said where nobody answers.
    pub(super) fn failure(&self, id: u16) -> Vec<u8> {
        let mut reply = self.message[..HEADER + self.length].to_vec();
        reply[..2].copy_from_slice(&id.to_be_bytes());
        reply[2..4].copy_from_slice(&flags_of(&self.message, Code::Failed).to_be_bytes());
        reply[6..HEADER].fill(0);
        reply
    }
}

/// Whether a server says that it can't answer: another one may.
pub(super) fn is_failure(reply: &[u8]) -> bool {
    let failures = [Code::Failed, Code::NotImplemented, Code::Refused].map(|code| code as u16);
    number(reply, 2).is_some_and(|flags| failures.contains(&(flags & 0xf)))
}

trait StartsIgnoringCase {
    fn starts_with_ignoring_case(&self, start: &[u8]) -> bool;
}

impl StartsIgnoringCase for [u8] {
    /// The lengths of labels are below every letter.
    fn starts_with_ignoring_case(&self, start: &[u8]) -> bool {
        self.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start))
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

/// The flags of a reply to a message.
fn flags_of(query: &[u8], code: Code) -> u16 {
    let asked = number(query, 2).unwrap_or(0);
    RESPONSE | RECURSION_AVAILABLE | (asked & (OPCODE | RECURSION_DESIRED)) | code as u16
}

/// A reply without a question, to what could not be read.
fn bare(bytes: &[u8], code: Code) -> Vec<u8> {
    let mut reply = bytes[..HEADER].to_vec();
    reply[2..4].copy_from_slice(&flags_of(bytes, code).to_be_bytes());
    reply[4..HEADER].fill(0);
    reply
}

/// The name at a place, and where it ends. A question's is whole: there is nothing before it that it could point to.
fn name(bytes: &[u8], start: usize) -> Option<(Option<String>, usize)> {
    let (mut at, mut text, mut ours) = (start, String::new(), true);
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        match length {
            0 => return Some((ours.then_some(text), at)),
            1..=63 if at + length - start < NAME_MAX => {
                let label = bytes.get(at..at + length)?;
                at += length;
                ours &= label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
                if !text.is_empty() {
                    text.push('.');
                }
                text.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
            }
            _ => return None,
        }
    }
}

/// Where a name ends, which may point elsewhere.
fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// Appends a record of the name that was asked for, which stands behind the header.
fn put(reply: &mut Vec<u8>, record: &Record) {
    let (kind, data) = match record {
        Record::Address(IpAddr::V4(address)) => (A, address.octets().to_vec()),
        Record::Address(IpAddr::V6(address)) => (AAAA, address.octets().to_vec()),
        Record::Name(name) => (PTR, labels(name)),
    };
    reply.extend_from_slice(&(0xc000 | HEADER as u16).to_be_bytes());
    for number in [kind, IN, 0, 0, data.len() as u16] {
        // Type, class, for how long it may be kept (not at all: containers come and go), length.
        reply.extend_from_slice(&number.to_be_bytes());
    }
    reply.extend_from_slice(&data);
}

/// A name as it is sent.
fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| (1..=63).contains(&label.len())) {
        if bytes.len() + label.len() + 2 > NAME_MAX {
            break;
        }
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// Reads bytes as a question and as an answer to it, and answers it.
#[cfg(any(test, feature = "fuzz"))]
pub(super) fn fuzz(bytes: &[u8]) {
    let query = match read(bytes) {
        Read::Query(query) => query,
        Read::Wrong(reply) => return assert_eq!((reply.len(), &reply[..2]), (HEADER, &bytes[..2])),
        Read::Nothing => return,
    };
    let address = Record::Address(IpAddr::from([10, 0, 0, 1]));
    for records in [&[][..], &[Record::Name(query.name.clone().unwrap_or_default()), address]] {
        let reply = query.reply(Code::Fine, true, records, query.limit());
        assert!(reply.len() <= query.limit().max(PLAIN), "{} bytes", reply.len());
        let (_, end) = name(&reply, HEADER).unwrap_or_default();
        assert_eq!(&reply[HEADER..end + 4], query.question);
    }
    let mut question = query.question();
    assert_eq!(&question.with_id(query.id())[2..], &bytes[2..]);
    let failure = question.failure(7);
    assert!(question.is_answered_by(&failure, 7) && !question.is_answered_by(&failure, 8));
    assert!(!question.is_answered_by(bytes, query.id()), "a question is no answer");
    let cut = question.pass_on([failure, vec![0; 4096]].concat(), 9, PLAIN);
    assert!(cut.len() <= PLAIN && question.is_answered_by(&cut, 9));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// `id`, flags, a question and further bytes, with counts of records.
    fn message(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
        let head = [0xbeef, flags].into_iter().chain(counts).flat_map(u16::to_be_bytes);
        head.chain(rest.iter().copied()).collect()
    }

    fn asked(name: &str, kind: u16) -> Vec<u8> {
        [labels(name), kind.to_be_bytes().to_vec(), IN.to_be_bytes().to_vec()].concat()
    }

    #[test]
    fn a_question_is_read_in_any_case_and_of_any_type() {
        let edns = [&asked("WeB.Example", 64999)[..], &[0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]].concat();
        let bytes = message(0x0100, [1, 0, 0, 1], &edns);
        let Read::Query(query) = read(&bytes) else { panic!("{bytes:?}") };
        assert_eq!((query.name.as_deref(), query.kind, query.class), (Some("web.example"), 64999, 1));
        assert_eq!((query.id(), query.limit()), (0xbeef, 4096));
        let reply = query.reply(Code::Fine, true, &[Record::Address(IpAddr::from([10, 0, 0, 2]))], 512);
        assert!(query.question().is_answered_by(&reply, 0xbeef));
        assert_eq!(reply.len(), 12 + 17 + 16 + 11);
    }

    #[test]
    fn what_is_no_question_is_told_or_left_alone() {
        let fine = asked("web", A);
        let wrong = |bytes: &[u8]| match read(bytes) {
            Read::Wrong(reply) => Some(number(&reply, 2).unwrap() & 0xf),
            Read::Query(_) => panic!("{bytes:?}"),
            Read::Nothing => None,
        };
        assert_eq!(wrong(&[1, 2, 3]), None);
        assert_eq!(wrong(&message(RESPONSE, [1, 0, 0, 0], &fine)), None);
        assert_eq!(wrong(&message(5 << 11, [1, 0, 0, 0], &fine)), Some(4));
        let long = [63u8; 300];
        for (counts, rest) in [
            ([0, 0, 0, 0], &fine[..]),
            ([2, 0, 0, 0], &fine),
            ([1, 1, 0, 0], &fine),
            ([1, 0, 0, 9], &fine),
            ([1, 0, 0, 0], &fine[..fine.len() - 1]),
            ([1, 0, 0, 0], &[0xc0, 12, 0, 1, 0, 1]),
            ([1, 0, 0, 0], &[64, 1, 0, 1, 0, 1]),
            ([1, 0, 0, 0], &long),
        ] {
            assert_eq!(wrong(&message(0, counts, rest)), Some(1), "{rest:?}");
        }
    }

    #[test]
    fn an_answer_is_one_to_the_same_question_with_the_same_id() {
        let bytes = message(0, [1, 0, 0, 0], &asked("web", A));
        let Read::Query(query) = read(&bytes) else { panic!("{bytes:?}") };
        let mut question = query.question();
        question.with_id(7);
        let answer = |name: &str, kind: u16| {
            let mut answer = message(RESPONSE, [1, 0, 0, 0], &asked(name, kind));
            answer[..2].copy_from_slice(&[0, 7]);
            answer
        };
        assert!(question.is_answered_by(&answer("WEB", A), 7));
        assert!(!question.is_answered_by(&answer("web", A), 8));
        assert!(!question.is_answered_by(&answer("wec", A), 7));
        // Letters of names alone have a case: type 0x61 isn't 0x41.
        assert!(!question.is_answered_by(&answer("web", AAAA), 7));
        assert!(!question.is_answered_by(&answer("web", A)[..18], 7));
    }

    #[test]
    fn what_does_not_fit_is_asked_for_again_by_tcp() {
        let bytes = message(0, [1, 0, 0, 0], &asked("web", A));
        let Read::Query(query) = read(&bytes) else { panic!("{bytes:?}") };
        let many = vec![Record::Address(IpAddr::from([10, 0, 0, 2])); 100];
        let reply = query.reply(Code::Fine, true, &many, 512);
        assert!(number(&reply, 2).unwrap() & TRUNCATED != 0 && reply.len() == bytes.len());
        assert_eq!(number(&query.reply(Code::Fine, true, &many, 65535), 6), Some(100));
    }
}
