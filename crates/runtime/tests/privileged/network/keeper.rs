//! A network's resolver sees to it that what was made for the network is there, and that what was killed is taken away.

use super::lan::{Host, host, id, shown};
use forgeone_runtime::network::{Asked, Networks};
use testkit::{eventually, privileged, programs};

/// A host with the programs that a resolver is started by, and a network.
fn kept() -> Host {
    let mut host = host();
    host.places.monitor = programs::standalone();
    host.networks = Networks::of(&host.places);
    host.networks.create(&Asked { name: "net".to_owned(), ..Asked::default() }).unwrap();
    host
}

pub(crate) fn what_is_flushed_or_deleted_comes_back() {
    if !privileged::program("nft", "nftables") {
        return;
    }
    let host = kept();
    let (_web, _) = host.container("net", "web");
    let rules = || shown(None, "nft list ruleset").matches("masquerade").count();
    let before = rules();
    assert!(before > 0);
    for _ in 0..2 {
        shown(None, "nft flush ruleset");
        eventually("the rules are there again", || rules() == before);
    }
    shown(None, &format!("nft delete table inet {}", host.networks.table()));
    eventually("the table is there again", || rules() == before);
    drop(_web);
    eventually("nothing is left", || super::lan::interfaces().is_empty());
}

pub(crate) fn who_was_killed_is_gone_without_a_command() {
    let host = kept();
    let (web, _) = host.container("net", "web");
    let (db, _) = host.container("net", "db");
    let endpoint = |name: &str| host.file(&format!("net/endpoints/{}.json", id(name)));
    // As if it and its monitor had been killed: the kernel takes the namespace.
    drop(web);
    eventually("the one that was killed is in it no more", || !endpoint("web").exists());
    assert!(endpoint("db").exists());
    drop(db);
    eventually("the last one, too, and the bridge", || {
        !endpoint("db").exists() && super::lan::interfaces().is_empty()
    });
}
