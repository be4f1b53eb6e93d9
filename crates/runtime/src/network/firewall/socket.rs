//! The socket to the packet filter, one for each thread, which stays open: when one is closed the kernel waits until all
//! that was replaced is freed, which takes longer than the change itself.

use forgeone_sys::fs::{self, AtFlags, CWD};
use forgeone_sys::net::nftables::Nftables;
use std::cell::RefCell;
use std::rc::Rc;

/// Device and inode of a network namespace.
type Namespace = (u64, u64);

thread_local! {
    static SOCKET: RefCell<Option<(Namespace, Rc<Nftables>)>> = const { RefCell::new(None) };
}

/// The socket of the network namespace that the calling thread is in.
pub(super) fn current() -> forgeone_sys::Result<Rc<Nftables>> {
    let namespace = fs::statat(CWD, "/proc/thread-self/ns/net", AtFlags::empty())?;
    let namespace = (namespace.st_dev, namespace.st_ino);
    SOCKET.with_borrow_mut(|kept| match kept {
        Some((of, socket)) if *of == namespace => Ok(socket.clone()),
        _ => {
            let socket = Rc::new(Nftables::open()?);
            *kept = Some((namespace, socket.clone()));
            Ok(socket)
        }
    })
}
