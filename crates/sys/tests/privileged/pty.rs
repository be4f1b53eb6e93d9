//! Ptys of an own devpts.

use crate::support::{in_child, need_root};
use forgeone_sys::fs::{self, CWD, FileType, Mode, OFlags};
use forgeone_sys::mount::{self, MountAttrFlags};
use forgeone_sys::process::{self, Namespaces};
use forgeone_sys::pty::{self, Pty};
use forgeone_sys::{Errno, OwnedFd, signal};
use testkit::Temp;

/// The root of a new devpts that is mounted nowhere.
pub(crate) fn devpts() -> OwnedFd {
    let context = mount::fsopen("devpts").unwrap();
    mount::fsconfig_string(&context, "mode", "0620").unwrap();
    mount::fsconfig_string(&context, "ptmxmode", "0666").unwrap();
    mount::fsconfig_create(&context).unwrap();
    mount::fsmount(&context, MountAttrFlags::MOUNT_ATTR_NOEXEC).unwrap()
}

/// What is written to one end comes out of the other.
pub(crate) fn are_connected(pty: &Pty) {
    fs::write_all(&pty.master, b"hello\n").unwrap();
    let mut buffer = [0; 16];
    let count = fs::read(&pty.peer, &mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"hello\n");
}

pub(crate) fn open_and_become_controlling_terminal() {
    need_root();
    in_child(Namespaces::empty(), || {
        // The end of the terminal will come as SIGHUP.
        signal::block_all().unwrap();
        let pty = pty::open_pty(devpts()).unwrap();
        assert!(pty::is_terminal(&pty.peer) && !pty::is_terminal(fs::pipe().unwrap().0));
        assert!(fs::cloexec(&pty.master).unwrap() && fs::cloexec(&pty.peer).unwrap());
        are_connected(&pty);
        pty::set_window_size(&pty.master, 40, 132).unwrap();
        assert_eq!(pty::window_size(&pty.peer).unwrap(), (40, 132));
        process::setsid().unwrap();
        assert!(fs::open("/dev/tty", OFlags::RDWR, Mode::empty()).is_err());
        pty::set_controlling_terminal(&pty.peer).unwrap();
        let tty = fs::open("/dev/tty", OFlags::RDWR, Mode::empty()).unwrap();
        assert_eq!(pty::window_size(tty).unwrap(), (40, 132));
    });
}

pub(crate) fn raw_mode_is_undone() {
    need_root();
    in_child(Namespaces::empty(), || {
        let pty = pty::open_pty(devpts()).unwrap();
        let guard = pty::raw_mode(&pty.peer).unwrap();
        fs::write_all(&pty.master, b"x").unwrap();
        assert_eq!(fs::read(&pty.peer, &mut [0; 4]).unwrap(), 1);
        drop(guard);
        // In cooked mode input is echoed; in raw mode it was not.
        fs::write_all(&pty.master, b"y\n").unwrap();
        let mut echoed = [0; 8];
        let count = fs::read(&pty.master, &mut echoed).unwrap();
        assert_eq!(&echoed[..count], b"y\r\n");
        let error = pty::raw_mode(fs::pipe().unwrap().0).unwrap_err();
        assert_eq!(error.errno(), Errno::NOTTY);
    });
}

pub(crate) fn what_is_not_a_devpts_is_refused() {
    in_child(Namespaces::MOUNT, || {
        let context = mount::fsopen("tmpfs").unwrap();
        mount::fsconfig_create(&context).unwrap();
        let fake = mount::fsmount(&context, MountAttrFlags::empty()).unwrap();
        fs::mknodat(&fake, "ptmx", FileType::CharacterDevice, 0o666, 5, 2).unwrap();
        let error = pty::open_pty(&fake).unwrap_err();
        assert_eq!(error.errno(), Errno::NODEV);
        assert!(error.to_string().contains("not the terminal device \"ptmx\" of a devpts"), "{error}");
        fs::unlinkat(&fake, "ptmx", fs::AtFlags::empty()).unwrap();
        fs::symlinkat("/dev/ptmx", &fake, "ptmx").unwrap();
        assert_eq!(pty::open_pty(&fake).unwrap_err().errno(), Errno::NODEV);
        // In a real devpts, another device that is mounted over it.
        let real = devpts();
        let temp = Temp::new("devpts");
        let place = fs::openat(CWD, temp.path(), OFlags::PATH, Mode::empty()).unwrap();
        mount::move_mount(&real, &place).unwrap();
        mount::mount_bind("/dev/null", temp.path().join("ptmx"), false).unwrap();
        let refused = pty::open_pty(&real).unwrap_err();
        mount::umount(temp.path(), mount::UnmountFlags::DETACH).unwrap();
        assert_eq!(refused.errno(), Errno::NODEV, "{refused}");
    });
}
