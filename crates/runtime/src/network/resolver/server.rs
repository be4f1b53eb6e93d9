//! The loop: questions of the network's members, answers of other servers, and members that come and go.
//!
//! Everything has a bound: questions that others are asked, in all and of one member; clients by TCP, in all and of one
//! member; the length of messages; the time that anybody may take.

use super::client::Client;
use super::forward::{Asker, Forward, Step, is_soon};
use super::keeper::Keeper;
use super::message::{Code, IN, Query, Read, read};
use super::names::{Found, Names};
use super::place::Place;
use super::upstream::{PORT, Upstream};
use crate::error::{Error, Kind, Result};
use crate::network::Network;
use crate::network::networks::remove_bridge;
use crate::registry::Places;
use forgeone_sys::inotify::Inotify;
use forgeone_sys::signal::{PollFd, poll};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

/// Questions that other servers are asked at a time, and those of one asker.
const FORWARDS: usize = 256;
const FORWARDS_OF_ONE: usize = 64;
/// Clients by TCP at a time, and those of one address.
const CLIENTS: usize = 64;
const CLIENTS_OF_ONE: usize = 8;
/// Questions taken from a listener before others have their turn.
const TURN: usize = 64;
/// How long it waits for somebody to come after the last has gone. To make and to remove a bridge takes the kernel far
/// longer than to start a container: who starts one after the other finds it.
const LINGER: Duration = Duration::from_secs(1);
/// The longest message.
const MESSAGE_MAX: usize = 1 << 16;

/// An address of the network at which questions are taken.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
}

pub(super) struct Server {
    places: Places,
    network: Network,
    place: Place,
    listeners: Vec<Listener>,
    addresses: Vec<IpAddr>,
    watch: Inotify,
    keeper: Keeper,
    names: Names,
    /// Since when nobody is in the network.
    empty_since: Option<Instant>,
    upstream: Upstream,
    forwards: Vec<Forward>,
    clients: Vec<Client>,
    /// Of the next client.
    number: u64,
    /// Which of several addresses is the first.
    turn: usize,
    buffer: Vec<u8>,
}

/// Which descriptors have something.
struct Ready {
    watch: bool,
    keeper: Vec<bool>,
    udp: Vec<bool>,
    tcp: Vec<bool>,
    forwards: Vec<bool>,
    clients: Vec<bool>,
}

impl Server {
    pub(super) fn new(
        places: &Places,
        network: Network,
        place: Place,
        listeners: Vec<Listener>,
    ) -> Result<Self> {
        let addresses = super::addresses(&network);
        let watch = Inotify::new()?;
        watch.add(&place.endpoints())?;
        let names = Names::of(&network, place.members()?);
        Ok(Self {
            places: places.clone(),
            network,
            place,
            empty_since: None,
            listeners,
            addresses,
            watch,
            keeper: Keeper::new(places)?,
            names,
            upstream: Upstream::default(),
            forwards: Vec::new(),
            clients: Vec::new(),
            number: 0,
            turn: 0,
            buffer: vec![0; MESSAGE_MAX],
        })
    }

    /// Until nobody is in the network any more.
    pub(super) fn serve(mut self) -> Result<()> {
        let mut changed = true;
        loop {
            self.empty_since = match self.names.is_empty() {
                true => self.empty_since.or_else(|| Some(Instant::now())),
                false => None,
            };
            let over = self.empty_since.is_some_and(|since| since.elapsed() >= LINGER);
            if (over || changed && !self.place.is_taken()) && self.is_over()? {
                return Ok(());
            }
            let ready = self.wait()?;
            changed = ready.watch;
            // Before any question: who has been told that a member is there finds it.
            if changed {
                self.watch.wait(Some(0))?;
                self.names = Names::of(&self.network, self.place.members()?);
            }
            let now = Instant::now();
            self.keeper.step(&ready.keeper, now, self.names.members());
            self.step_forwards(&ready.forwards, now);
            self.step_clients(&ready.clients, now);
            for listener in 0..self.listeners.len() {
                if ready.udp[listener] {
                    self.take_questions(listener, now);
                }
                if ready.tcp[listener] {
                    self.take_clients(listener, now);
                }
            }
        }
    }

    /// Whether the network is empty, told while nobody else can change that: whoever comes next finds no resolver, and
    /// starts one.
    fn is_over(&mut self) -> Result<bool> {
        let lock = self.place.lock()?;
        self.names = Names::of(&self.network, self.place.members()?);
        if !self.names.is_empty() && self.place.is_taken() {
            return Ok(false);
        }
        let gone = match self.place.is_taken() {
            true => remove_bridge(&self.places, &self.network),
            false => Ok(()),
        };
        self.place.give_up(lock);
        gone.map(|()| true)
    }

    fn wait(&self) -> Result<Ready> {
        let kept = self.keeper.poll();
        let keeps = kept.len();
        let mut fds = vec![PollFd::readable(&self.watch)];
        fds.extend(kept);
        fds.extend(self.listeners.iter().map(|listener| PollFd::readable(&listener.udp)));
        fds.extend(self.listeners.iter().map(|listener| PollFd::readable(&listener.tcp)));
        // One that waits for nothing is none that is kept.
        fds.extend(self.forwards.iter().filter_map(Forward::poll));
        fds.extend(self.clients.iter().map(Client::poll));
        let ends =
            self.forwards.iter().map(Forward::until).chain(self.clients.iter().filter_map(Client::until));
        let ends = ends.chain(self.empty_since.map(|since| since + LINGER)).chain(self.keeper.until());
        let wait =
            ends.min().map(|end| end.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        poll(&mut fds, wait.map(|wait| i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)))?;
        let mut ready = fds.iter().map(PollFd::is_ready);
        let mut next = |count: usize| ready.by_ref().take(count).collect::<Vec<_>>();
        Ok(Ready {
            watch: next(1)[0],
            keeper: next(keeps),
            udp: next(self.listeners.len()),
            tcp: next(self.listeners.len()),
            forwards: next(self.forwards.len()),
            clients: next(self.clients.len()),
        })
    }

    fn step_forwards(&mut self, ready: &[bool], now: Instant) {
        for (forward, ready) in std::mem::take(&mut self.forwards).into_iter().zip(ready) {
            let step = if *ready || forward.until() <= now {
                forward.step(*ready, now, &mut self.buffer)
            } else {
                Step::Waits(forward)
            };
            self.keep(step, now);
        }
    }

    fn keep(&mut self, step: Step, now: Instant) {
        match step {
            Step::Waits(forward) => self.forwards.push(forward),
            Step::Answered(asker, reply) => self.tell(asker, &reply, now),
        }
    }

    /// An answer that can't be sent is lost, as datagrams are; the client asks again.
    fn tell(&mut self, asker: Asker, reply: &[u8], now: Instant) {
        match asker {
            Asker::Udp { listener, peer, .. } => drop(self.listeners[listener].udp.send_to(reply, peer)),
            Asker::Tcp { client, .. } => {
                if let Some(client) = self.clients.iter_mut().find(|known| known.number == client) {
                    client.answer(reply, now);
                }
            }
        }
    }

    fn step_clients(&mut self, ready: &[bool], now: Instant) {
        // Those that have come in this turn are behind these.
        let mut numbers: Vec<u64> = self.clients.iter().map(|client| client.number).collect();
        numbers.truncate(ready.len());
        for (number, ready) in numbers.into_iter().zip(ready) {
            let Some(place) = self.clients.iter().position(|client| client.number == number) else {
                continue;
            };
            let client = &mut self.clients[place];
            let late = client.until().is_some_and(|until| until <= now);
            let asker = Asker::Tcp { client: number, address: client.address };
            let goes_on = match (ready, late) {
                (true, _) => match client.step(now, &mut self.buffer) {
                    Ok(Some(question)) => self.take_question(asker, &question, now),
                    Ok(None) => true,
                    Err(_) => false,
                },
                (false, late) => !late,
            };
            if !goes_on {
                self.clients.retain(|client| client.number != number);
            }
        }
    }

    fn take_clients(&mut self, listener: usize, now: Instant) {
        for _ in 0..TURN {
            let (stream, peer) = match self.listeners[listener].tcp.accept() {
                Ok(accepted) => accepted,
                Err(_) => return,
            };
            let address = peer.ip().to_canonical();
            let of_one = self.clients.iter().filter(|client| client.address == address).count();
            let welcome =
                self.clients.len() < CLIENTS && of_one < CLIENTS_OF_ONE && self.names.is_inside(address);
            if welcome && stream.set_nonblocking(true).is_ok() {
                self.number += 1;
                self.clients.push(Client::new(self.number, address, stream, now));
            }
        }
    }

    fn take_questions(&mut self, listener: usize, now: Instant) {
        for _ in 0..TURN {
            match self.listeners[listener].udp.recv_from(&mut self.buffer) {
                Ok((length, peer)) => {
                    let question = self.buffer[..length].to_vec();
                    self.take_question(Asker::Udp { listener, peer, limit: 0 }, &question, now);
                }
                Err(e) if is_soon(&e) => return,
                // Of an earlier answer: nobody took it.
                Err(_) => {}
            }
        }
    }

    /// Answers a message, or asks another server; `false` for one that gets no answer.
    fn take_question(&mut self, mut asker: Asker, bytes: &[u8], now: Instant) -> bool {
        let query = match read(bytes) {
            Read::Nothing => return false,
            Read::Wrong(reply) => {
                self.tell(asker, &reply, now);
                return true;
            }
            Read::Query(query) => query,
        };
        if let Asker::Udp { limit, .. } = &mut asker {
            *limit = query.limit();
        }
        let (code, own, records) = match self.find(&query, asker.address()) {
            Known::Ours(records) => (Code::Fine, true, records),
            Known::No(code) => (code, false, Vec::new()),
            Known::Elsewhere => return self.forward(asker, &query, now),
        };
        let reply = query.reply(code, own, &records, asker.limit());
        self.tell(asker, &reply, now);
        true
    }

    fn find(&mut self, query: &Query, asker: IpAddr) -> Known {
        // Names of a network are for those who are in it.
        if !self.names.is_inside(asker) {
            return Known::No(Code::Refused);
        }
        if let Some(name) = query.name.as_deref().filter(|_| matches!(query.class, IN | super::message::ANY))
        {
            self.turn = self.turn.wrapping_add(1);
            match self.names.find(name, query.kind, self.turn) {
                Found::Ours(records) => return Known::Ours(records),
                Found::Nobody => return Known::No(Code::NoSuchName),
                Found::Elsewhere => {}
            }
        }
        if self.network.internal { Known::No(Code::NoSuchName) } else { Known::Elsewhere }
    }

    fn forward(&mut self, asker: Asker, query: &Query, now: Instant) -> bool {
        let mut of_one = 0;
        for other in self.forwards.iter().filter(|other| other.asker.address() == asker.address()) {
            if other.asker == asker && other.asked_as == query.id() && other.question.is(query) {
                // Its answer is on the way.
                return true;
            }
            of_one += 1;
        }
        let servers = self.servers(asker.address());
        if servers.is_empty() || of_one >= FORWARDS_OF_ONE || self.forwards.len() >= FORWARDS {
            let reply = query.reply(Code::Failed, false, &[], asker.limit());
            self.tell(asker, &reply, now);
            return true;
        }
        let step = Forward::begin(asker, query.question(), query.id(), servers, now);
        self.keep(step, now);
        true
    }

    /// Those of the asker's own, otherwise the host's; never ourselves.
    fn servers(&mut self, asker: IpAddr) -> Vec<SocketAddr> {
        let own = self.names.member(asker).map_or(&[][..], |member| &member.dns);
        let mut servers: Vec<SocketAddr> = own.iter().map(|server| (*server, PORT).into()).collect();
        if servers.is_empty() {
            servers.extend(self.upstream.servers());
        }
        servers.retain(|server| !self.addresses.contains(&server.ip()));
        servers
    }
}

/// What we know of a question.
enum Known {
    Ours(Vec<super::message::Record>),
    No(Code),
    Elsewhere,
}

/// Takes questions at these addresses: at the port of DNS, or where another server has that, at another one.
pub(super) fn listen(addresses: &[IpAddr]) -> Result<(Vec<Listener>, u16)> {
    /// How often a port is drawn that is free for all addresses and both protocols.
    const DRAWS: usize = 16;
    let mut failure = None;
    for port in [PORT].into_iter().chain([0; DRAWS]) {
        match listen_at(addresses, port) {
            Ok(listening) => return Ok(listening),
            Err(e) if e.0.kind() == std::io::ErrorKind::AddrInUse => failure = Some(e),
            Err(e) => return Err(cannot(e)),
        }
    }
    Err(failure.map_or_else(|| Error::new(Kind::System, "resolver: no address"), cannot))
}

fn cannot((e, at): (std::io::Error, SocketAddr)) -> Error {
    Error::new(Kind::System, format!("resolver: listen at {at}: {e}"))
}

fn listen_at(
    addresses: &[IpAddr],
    mut port: u16,
) -> std::result::Result<(Vec<Listener>, u16), (std::io::Error, SocketAddr)> {
    let mut listeners = Vec::new();
    for address in addresses {
        let at = SocketAddr::new(*address, port);
        let bound = || {
            let udp = UdpSocket::bind(at)?;
            let at = udp.local_addr()?;
            let tcp = TcpListener::bind(at)?;
            udp.set_nonblocking(true)?;
            tcp.set_nonblocking(true)?;
            Ok((Listener { udp, tcp }, at.port()))
        };
        let (listener, chosen) = bound().map_err(|e| (e, at))?;
        port = chosen;
        listeners.push(listener);
    }
    Ok((listeners, port))
}
