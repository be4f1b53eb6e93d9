//! The same by an ordinary user, with the ranges of /etc/subuid.

use crate::kit::Machine;
use std::fs;
use std::process::Command;
use testkit::{Temp, privileged};

const USER: u32 = 54_327;
/// The first id of the user's range.
const RANGE: u32 = 820_000;

const SCRIPT: &str = r#"set -e
cd "$1"; f=$2; export HOME=$1 XDG_RUNTIME_DIR=$1/run
$f run --rm --rootfs root.tar.gz /bin/sh -c 'echo id $(id -u); echo x > /x; ls -ln /x | cut -c1-10'
$f import root.tar.gz mini:1 > /dev/null
$f run -d --name web mini:1 /bin/sh -c 'trap "exit 0" TERM; while :; do sleep 0.1; done' > /dev/null
$f exec web /bin/sh -c 'grep CapEff /proc/self/status | cut -f2'
$f exec -u 5:6 web /bin/sh -c 'echo $(id -u) $(id -g)'
$f cp root.tar.gz web:/y; $f cp web:/y y; cmp y root.tar.gz; $f diff web | grep '/y$'
$f stop web; $f wait web; $f rm web
$f run --name copy --storage-driver vfs mini:1 /bin/sh -c 'echo 1 > /n; rm /etc/passwd'
$f diff copy | grep -e '/n$' -e passwd; $f snapshot create copy first; $f cp root.tar.gz copy:/n
$f snapshot restore copy first; $f cp copy:/n n; cat n; $f commit copy next:1 > /dev/null
$f run --rm next:1 /bin/sh -c 'cat /n; test -e /etc/passwd || echo none'; $f snapshot rm copy first; $f rm copy
$f rmi next:1 mini:1 > /dev/null; $f ps -aq; ls "$1/.local/share/forgeone/containers"
"#;

const SHOWN: &str = "id 0\n-rw-r--r--\n00000000a80425fb\n5 6\nA /y\nweb\n0\nweb\n\
    D /etc/passwd\nA /n\nfirst\nfirst\n1\n1\nnone\nfirst\ncopy\n";

#[test]
fn an_ordinary_user_runs_enters_copies_and_removes() {
    let Some(machine) = Machine::new() else { return };
    if !privileged::program("newuidmap", "uidmap") || !privileged::program("setpriv", "util-linux") {
        return;
    }
    let home = Temp::new("user");
    let at = |name: &str| home.path().join(name);
    fs::copy(machine.archive(), at("root.tar.gz")).unwrap();
    fs::write(at("script"), SCRIPT).unwrap();
    fs::create_dir(at("run")).unwrap();
    let ranges = format!("tester:{RANGE}:65536\n");
    let passwd = fs::read_to_string("/etc/passwd").unwrap() + &format!("tester:x:{USER}:{USER}::/:/bin/sh\n");
    let mut mounts = String::new();
    for (name, text) in [("passwd", &passwd), ("subuid", &ranges), ("subgid", &ranges)] {
        fs::write(at(name), text).unwrap();
        mounts += &format!("mount --bind {0}/{name} /etc/{name} && ", home.path().display());
    }
    if fs::exists("/dev/net/tun").unwrap() {
        // Some machines keep it for root.
        let tun = at("tun").display().to_string();
        mounts += &format!("mknod -m 666 {tun} c 10 200 && mount --bind {tun} /dev/net/tun && ");
    }
    let script = format!(
        "{mounts}chown -R {USER}:{USER} {0} && exec setpriv --reuid {USER} --regid {USER} --clear-groups sh {0}/script {0} {1}",
        home.path().display(),
        machine.command(&[]).get_program().display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
    let output = machine.finish(&mut command);
    // Its files are other owners'; the test is root and takes them away with the rest.
    assert_eq!((output.code, output.stdout.as_str()), (0, SHOWN), "{}", output.stderr);
}
