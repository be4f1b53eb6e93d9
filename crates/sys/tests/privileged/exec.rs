//! Becoming another program.

use crate::support::run_and_exit;
use forgeone_sys::fs::{self, AtFlags, Mode, OFlags};
use forgeone_sys::process::{self, CloneArgs, Exit, Forked};
use forgeone_sys::{Errno, OwnedFd};
use std::ffi::{CStr, CString};

fn strings(words: &[&str]) -> Vec<CString> {
    words.iter().map(|word| CString::new(*word).unwrap()).collect()
}

/// Standard output of a child that calls `exec`.
fn output_of(exec: impl FnOnce(&[CString], &[CString])) -> String {
    let (reader, writer) = fs::pipe().unwrap();
    let Forked::Parent(child) = process::clone(&CloneArgs::default()).unwrap() else {
        run_and_exit(|| {
            fs::dup2_stdio(&writer, 1).unwrap();
            exec(&strings(&["sh", "-c", "echo $0:$A:$B"]), &strings(&["A=a b", "B="]));
        });
    };
    drop(writer);
    let text = fs::read_to_end(&reader, 4096).unwrap();
    assert_eq!(process::wait(child.pid).unwrap(), Exit::Code(0));
    String::from_utf8(text).unwrap()
}

pub(crate) fn execve_runs_a_program() {
    let output = output_of(|argv, envp| panic!("{}", process::execve(c"/bin/sh", argv, envp)));
    assert_eq!(output, "sh:a b:\n");
}

fn open(path: &str) -> OwnedFd {
    fs::open(path, OFlags::RDONLY, Mode::empty()).unwrap()
}

pub(crate) fn execveat_runs_a_sealed_copy_from_memory() {
    let program = open("/bin/sh");
    let length = fs::fstat(&program).unwrap().st_size as u64;
    let memory = fs::memfd_create("program", true).unwrap();
    assert_eq!(fs::copy_file(&program, &memory, length).unwrap(), length);
    fs::memfd_seal(&memory).unwrap();
    let output = output_of(|argv, envp| {
        panic!("{}", process::execveat(&memory, c"", argv, envp, AtFlags::EMPTY_PATH));
    });
    assert_eq!(output, "sh:a b:\n");
}

pub(crate) fn failure_names_program_and_arguments() {
    let argv = strings(&["a b", "1", "2", "3", "4", "5", "6", "7", "8"]);
    let error = process::execve(c"/no/such", &argv[..2], &strings(&["A=secret"]));
    let text = r#"execve("/no/such", ["a b", "1"], [/* 1 vars */]): ENOENT (No such file or directory)"#;
    assert_eq!(error.to_string(), text);
    let empty: &CStr = c"";
    let error = process::execveat(open("/etc"), empty, &argv, &[], AtFlags::EMPTY_PATH);
    assert_eq!(error.errno(), Errno::ACCESS);
    assert!(error.to_string().starts_with("execveat(</etc>, \"\", [\"a b\", "), "{error}");
    assert!(error.to_string().contains(", \"7\", ...], [/* 0 vars */], AT_EMPTY_PATH): EACCES"), "{error}");
}
