//! A network's resolver, asked by dig from a network namespace of a member, with servers of the test's own behind it.

use super::names::{HOSTILE, House, World};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;
use testkit::eventually;

pub(crate) fn members_find_each_other_by_name() {
    let house = House::new("bridge");
    house.member("a", "web", &["10.200.0.2/16", "fd00:1::2/64"], &["www", "pool"]);
    house.member("b", "db", &["10.200.0.3/16"], &["pool"]);
    house.ensure();
    assert_eq!(house.dig("web"), "10.200.0.2\n");
    assert_eq!(house.dig("WWW AAAA"), "fd00:1::2\n");
    assert_eq!(house.dig("@fd00:1::1 db"), "10.200.0.3\n");
    assert_eq!(house.dig("+tcp bbbbbbbbbbbb"), "10.200.0.3\n");
    assert_eq!(house.dig("-x 10.200.0.2"), "web.\n");
    assert_eq!(house.dig("-x fd00:1::2"), "web.\n");
    // A name of ours has no other types, and isn't asked for elsewhere.
    let none = house.dig_all("db MX");
    assert!(
        none.contains("status: NOERROR") && none.contains("ANSWER: 0") && none.contains("flags: qr aa rd ra")
    );
    assert!(house.dig_all("-x 10.200.0.9").contains("status: NXDOMAIN"));
    // All that bear it, each of them first in its turn.
    let turns = [house.dig("pool"), house.dig("pool")];
    assert!(turns.iter().all(|turn| turn.lines().count() == 2) && turns[0] != turns[1], "{turns:?}");
    // As programs ask.
    assert_eq!(house.inside("getent ahostsv4 www | head -1 | cut -d' ' -f1"), "10.200.0.2\n");
    assert!(house.inside("busybox nslookup db 2>&1").contains("10.200.0.3"));

    // Who comes is there at once, who goes isn't any more.
    house.member("c", "late", &["10.200.0.4/16"], &[]);
    assert_eq!(house.dig("late"), "10.200.0.4\n");
    house.leaves("b");
    assert_eq!(house.dig("pool"), "10.200.0.2\n");
}

pub(crate) fn others_are_asked_for_the_rest() {
    let house = House::new("bridge");
    house.member("a", "web", &["10.200.0.2/16", "fd00:1::2/64"], &[]);
    house.ensure();
    let _world = World::new("192.0.2.53");
    let _second = World::new("192.0.2.54");
    assert_eq!(house.dig("good.example"), "203.0.113.1\n");
    assert_eq!(house.dig("+tcp good.example"), "203.0.113.1\n");
    // Of a type and a class that nobody knows here.
    assert!(house.dig_all("good.example TYPE64999").contains("status: NOERROR"));
    // What is too long comes by TCP.
    assert_eq!(house.dig("big.example").lines().count(), 100);
    let cut = house.dig_all("+ignore big.example");
    assert!(cut.contains("flags: qr tc"), "{cut}");
    // A server that doesn't keep to the length is kept to it.
    assert!(house.dig_all("+ignore +noedns long.example").contains("flags: qr tc"));
    // Options of EDNS go there and come back.
    assert!(house.dig_all("+nsid good.example").contains("NSID: 77 6f 72 6c 64"));

    // The host's servers change, and a member may have its own.
    house.servers(&["192.0.2.54"]);
    assert_eq!(house.dig("who.example"), "203.0.113.54\n");
    house.asks("a", &["192.0.2.53"]);
    assert_eq!(house.dig("who.example"), "203.0.113.53\n");
    // Itself is nobody who could be asked.
    house.asks("a", &["10.200.0.1"]);
    assert!(house.dig_all("who.example").contains("status: SERVFAIL"));
}

pub(crate) fn servers_that_hang_fail_or_lie_are_not_believed() {
    let house = House::new("bridge");
    house.member("a", "web", &["10.200.0.2/16"], &[]);
    house.ensure();
    house.servers(&["192.0.2.53", "192.0.2.54"]);
    // Nobody is there yet.
    assert!(house.dig_all("good.example").contains("status: SERVFAIL"));
    let world = World::new("192.0.2.53");
    let _second = World::new("192.0.2.54");
    // First an answer with another id, one to another question, one from another port, each with an address of its own.
    assert_eq!(house.dig("liar.example"), "203.0.113.1\n");
    assert_eq!(world.lies(), 3);
    // The second one is asked.
    assert_eq!(house.dig("fail.example"), "203.0.113.54\n");
    assert_eq!(house.dig("hang.example"), "203.0.113.54\n");
    assert_eq!(house.dig("+tcp hang.example"), "203.0.113.54\n");
    // Both say no: that is passed on.
    assert!(house.dig_all("refused.example").contains("status: REFUSED"));
}

pub(crate) fn nothing_is_forwarded_from_an_internal_network() {
    let house = House::new("bridge");
    house.network(|network| network["internal"] = true.into());
    house.member("a", "web", &["10.200.0.2/16"], &[]);
    house.ensure();
    let world = World::new("192.0.2.53");
    assert_eq!(house.dig("web"), "10.200.0.2\n");
    assert!(house.dig_all("good.example").contains("status: NXDOMAIN"));
    assert_eq!(world.questions(), 0);
}

pub(crate) fn strangers_and_hostile_questions_do_no_harm() {
    let house = House::new("bridge");
    house.member("a", "web", &["10.200.0.2/16"], &[]);
    house.ensure();
    // An address of the host that isn't one of the network's.
    house.sh("ip addr add 198.51.100.7/32 dev lo");
    assert!(house.host("dig +time=5 @10.200.0.1 -b 198.51.100.7 web").contains("status: REFUSED"));
    assert!(
        house.host("dig +time=5 @10.200.0.1 web").contains("status: NOERROR"),
        "the host itself is inside"
    );
    let udp = UdpSocket::bind("10.200.0.1:0").unwrap();
    udp.connect("10.200.0.1:53").unwrap();
    udp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for bytes in HOSTILE {
        udp.send(bytes).unwrap();
        let mut tcp = TcpStream::connect("10.200.0.1:53").unwrap();
        let _ = tcp.write_all(&[&(bytes.len() as u16).to_be_bytes(), *bytes].concat());
        // Its answer, or its end.
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = tcp.read(&mut [0; 600]).unwrap_or(0);
    }
    // One of one address too many is not listened to; who says nothing is in nobody's way.
    let mut silent: Vec<_> = (0..20).map(|_| TcpStream::connect("10.200.0.1:53").unwrap()).collect();
    let last = silent.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(last.read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(house.dig("+tcp web"), "10.200.0.2\n");
    // More questions than are passed on at a time: the rest is told so at once.
    house.servers(&["192.0.2.53"]);
    let _hangs = UdpSocket::bind("192.0.2.53:53").unwrap();
    let ask = |id: u8| [&[id, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4], &b"hang"[..], &[0, 0, 1, 0, 1]].concat();
    for id in 0..100 {
        udp.send(&ask(id)).unwrap();
    }
    let mut reply = [0; 600];
    eventually("more than 64 questions of one are refused", || {
        let length = udp.recv(&mut reply).unwrap();
        length > 4 && reply[3] & 0xf == 2 && reply[0] >= 64
    });
    assert_eq!(house.dig("web"), "10.200.0.2\n");
}

pub(crate) fn a_server_of_the_host_keeps_its_port() {
    let house = House::new("bridge");
    house.member("a", "web", &["10.200.0.2/16"], &[]);
    let theirs = TcpListener::bind("0.0.0.0:53").unwrap();
    house.ensure();
    let port = house.port().expect("another port");
    assert_eq!(house.dig(&format!("-p {port} web")), "10.200.0.2\n");
    assert_eq!(house.dig(&format!("+tcp -p {port} web")), "10.200.0.2\n");
    // The next one has it again.
    drop(theirs);
    house.kill();
    house.ensure();
    assert_eq!((house.port(), house.dig("web")), (None, "10.200.0.2\n".to_owned()));
}

pub(crate) fn it_lives_as_long_as_the_network_has_members() {
    let house = House::new("bridge");
    house.member("a", "web", &["10.200.0.2/16"], &[]);
    house.ensure();
    let first = house.resolver().expect("a resolver");
    house.ensure();
    assert_eq!(house.resolver(), Some(first), "one is enough");
    house.kill();
    house.ensure();
    assert!(house.resolver().is_some_and(|pid| pid != first));
    assert_eq!(house.dig("web"), "10.200.0.2\n");

    // Who changes networks has the lock: one that comes as the last one goes keeps its resolver, or gets another.
    let lock = house.lock();
    house.leaves("a");
    house.member("b", "db", &["10.200.0.3/16"], &[]);
    house.ensure();
    drop(lock);
    assert_eq!(house.dig("db"), "10.200.0.3\n");
    house.leaves("b");
    eventually("nobody needs it", || house.resolver().is_none());
    house.member("a", "web", &["10.200.0.2/16"], &[]);
    house.ensure();
    assert_eq!(house.dig("web"), "10.200.0.2\n");
    // A network that was removed, and another one of its name.
    house.again();
    house.member("c", "new", &["10.200.0.4/16"], &[]);
    house.ensure();
    eventually("the new one's is there alone", || house.resolvers().len() == 1);
    assert_eq!(house.dig(&format!("-p {} new", house.port().unwrap_or(53))), "10.200.0.4\n");
}

pub(crate) fn it_has_few_rights_and_little_memory() {
    let house = House::new("bridge");
    house.member("a", "web", &["10.200.0.2/16"], &[]);
    // Something of a container, which must not outlive it.
    let rootfs = house.path("data/containers/x/rootfs");
    std::fs::create_dir_all(&rootfs).unwrap();
    house.sh(&format!("mount -t tmpfs none {}", rootfs.display()));
    house.ensure();
    assert_eq!(house.dig("web"), "10.200.0.2\n");
    let pid = house.resolver().unwrap();
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let status = read("status");
    for line in [
        "CapEff:\t0000000000001000",
        "CapBnd:\t0000000000001000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Threads:\t1",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let mounts = read("mountinfo");
    let line =
        |place: &str| mounts.lines().rfind(|line| line.split(' ').nth(4) == Some(place)).map(str::to_owned);
    assert_eq!(line(rootfs.to_str().unwrap()), None);
    assert!(line("/").unwrap().split(' ').nth(5).unwrap().starts_with("ro"), "{mounts}");
    let networks = line(house.path("data/networks").to_str().unwrap()).unwrap();
    assert!(networks.split(' ').nth(5).unwrap().starts_with("rw"), "{networks}");
    let dirty = read("smaps_rollup")
        .lines()
        .find_map(|line| line.strip_prefix("Private_Dirty:")?.split_whitespace().next()?.parse::<u64>().ok());
    assert!(dirty.unwrap() < 300, "{dirty:?} KiB");
    house.sh(&format!("umount {}", rootfs.display()));
}
