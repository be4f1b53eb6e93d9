//! pasta(1): it goes into the background by itself, once the interface is there and it listens.

use super::program::{NAMESPACE, command, process_of, said, spawn};
use super::record::Process;
use super::{ADDRESS, DNS, GATEWAY, MTU, PREFIX, Wish};
use crate::error::{Error, Kind, Result};
use crate::network::Protocol;
use crate::network::model::Port;
use crate::network::resolver::upstream;
use forgeone_sys::{BorrowedFd, fs};
use std::net::IpAddr;
use std::path::Path;
use std::process::Stdio;

/// Where it writes its process's number.
const PID: &str = "pasta.pid";
/// What it says is read up to this size.
const SAID_MAX: usize = 16 << 10;

pub(super) fn start(path: &Path, directory: &Path, namespace: BorrowedFd, wish: &Wish) -> Result<Process> {
    let pid = directory.join(PID);
    let mut command = command(path, directory, namespace)?;
    command.args(words(wish)).arg("--pid").arg(&pid).args(["--netns", NAMESPACE]);
    let (reader, writer) = fs::pipe()?;
    command.stdout(Stdio::null()).stderr(Stdio::from(writer));
    let child = spawn(&mut command);
    drop(command);
    let mut child = child?;
    let text = fs::read_up_to(&reader, SAID_MAX)?;
    let status = child.wait().map_err(|e| Error::new(Kind::System, e.to_string()))?;
    let number = std::fs::read_to_string(&pid);
    // It is kept in the record.
    let _ = std::fs::remove_file(&pid);
    if !status.success() {
        return Err(said(&text));
    }
    process_of(number.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0))
}

/// What it is told, but for where.
fn words(wish: &Wish) -> Vec<String> {
    let mut words: Vec<String> = ["--quiet", "--config-net", "--netns-only"].map(String::from).into();
    let mut say = |name: &str, value: String| words.extend([name.to_owned(), value]);
    say("--ns-ifname", wish.interface.clone());
    say("--address", ADDRESS.to_string());
    say("--netmask", PREFIX.to_string());
    say("--gateway", GATEWAY.to_string());
    say("--dns-forward", DNS.to_string());
    say("--mtu", wish.mtu.unwrap_or(MTU).to_string());
    if let Some(mac) = wish.mac {
        say("--ns-mac-addr", mac.to_string());
    }
    // By itself it would lead every port that is open inside out, and into the host's loopback interface.
    say("--tcp-ns", "none".to_owned());
    say("--udp-ns", "none".to_owned());
    for (option, protocol) in [("--tcp-ports", Protocol::Tcp), ("--udp-ports", Protocol::Udp)] {
        let ports: Vec<String> =
            wish.ports.iter().filter(|port| port.protocol == protocol).map(port).collect();
        if ports.is_empty() {
            say(option, "none".to_owned());
        }
        ports.into_iter().for_each(|port| say(option, port));
    }
    if !wish.host_loopback {
        words.push("--no-map-gw".to_owned());
    }
    words
}

/// `ADDRESS/HOST:CONTAINER`.
fn port(Port { host, host_port, container_port, .. }: &Port) -> String {
    let address = host.map(|host| format!("{host}/")).unwrap_or_default();
    format!("{address}{host_port}:{container_port}")
}

/// The servers that the container asks: the host's first one of IPv4 behind [`DNS`], or, where it has none, those of IPv6
/// that are no addresses of the host itself.
pub(super) fn servers() -> Vec<IpAddr> {
    let servers: Vec<IpAddr> = upstream::of_host().into_iter().map(|server| server.ip()).collect();
    match servers.iter().any(IpAddr::is_ipv4) {
        true => vec![DNS.into()],
        false => servers.into_iter().filter(|server| !server.is_loopback()).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_pasta_is_told() {
        let publish = |protocol, host: Option<&str>, host_port| Port {
            protocol,
            host: host.map(|host| host.parse().unwrap()),
            host_port,
            container_port: 80,
        };
        let ports = vec![
            publish(Protocol::Tcp, None, 8080),
            publish(Protocol::Tcp, Some("::1"), 81),
            publish(Protocol::Udp, Some("127.0.0.1"), 53),
        ];
        let mac = Some("02:00:00:00:00:07".parse().unwrap());
        let wish = Wish { interface: "eth0".into(), ports, mac, mtu: Some(1400), ..Wish::default() };
        assert_eq!(
            words(&wish).join(" "),
            "--quiet --config-net --netns-only --ns-ifname eth0 --address 10.0.2.100 --netmask 24 --gateway 10.0.2.2 \
             --dns-forward 10.0.2.3 --mtu 1400 --ns-mac-addr 02:00:00:00:00:07 --tcp-ns none --udp-ns none \
             --tcp-ports 8080:80 --tcp-ports ::1/81:80 --udp-ports 127.0.0.1/53:80 --no-map-gw"
        );
        let open = words(&Wish { host_loopback: true, ..Wish::default() }).join(" ");
        assert!(open.ends_with("--tcp-ports none --udp-ports none"), "{open}");
    }
}
