//! What is in the log, whatever happens while it is written.
use super::*;
use std::fs as std_fs;
use std::os::fd::AsFd;
use std::path::Path;
use testkit::Temp;

fn dir(temp: &Temp) -> OwnedFd {
    fs::open(temp.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
}

/// What the container wrote, put together again from one file.
fn content(file: &Path) -> String {
    let text = std_fs::read(file).unwrap();
    let mut content = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let record = parse(line).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(line)));
        content.extend_from_slice(record.content);
        content.extend_from_slice(if record.full { b"\n" } else { b"" });
    }
    String::from_utf8(content).unwrap()
}

/// Has the log take this from a pipe.
fn take(log: &mut Log, stream: Stream, text: &str) -> Result<()> {
    let (reader, writer) = fs::pipe().unwrap();
    fs::write_all(&writer, text.as_bytes()).unwrap();
    drop(writer);
    let mut buffer = [0; 1000];
    loop {
        let (count, written) = log.take(stream, &reader, &mut buffer).unwrap();
        written?;
        if count == 0 {
            return Ok(());
        }
    }
}

#[test]
fn lines_are_records_of_their_stream_and_time() {
    let temp = Temp::new("log");
    let mut log = Log::open(&dir(&temp), Limits::default()).unwrap();
    take(&mut log, Stream::Stdout, "one\n\n  two").unwrap();
    take(&mut log, Stream::Stderr, "no\n").unwrap();
    log.write(Stream::Stdout, b"\n").unwrap();
    let text = std_fs::read_to_string(temp.path().join(FILE)).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap()).collect();
    let records: Vec<_> = lines.iter().map(|(_, record)| *record).collect();
    assert_eq!(records, ["stdout F one", "stdout F ", "stdout P   two", "stderr F no", "stdout F "]);
    assert!(lines.iter().all(|(time, _)| time.len() == 30 && time.ends_with('Z')), "{text}");
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let record = parse(b"2026-11-22T10:00:00.000000001Z stderr P a  b \n").unwrap();
    assert_eq!((record.stream, record.full, record.content), (Stream::Stderr, false, &b"a  b "[..]));
    for bad in [&b""[..], b"x", b"t stdout F", b"t stdin F x", b"t stdout Q x"] {
        assert_eq!(parse(bad), None, "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn a_long_line_comes_back_whole() {
    let temp = Temp::new("log");
    let mut log = Log::open(&dir(&temp), Limits::default()).unwrap();
    let line = "0123456789".repeat(2000) + "\n";
    take(&mut log, Stream::Stdout, &line).unwrap();
    log.write(Stream::Stdout, line.as_bytes()).unwrap();
    assert_eq!(content(&temp.path().join(FILE)), line.repeat(2));
}

#[test]
fn a_full_file_becomes_the_one_before_and_the_last_goes() {
    let temp = Temp::new("log");
    let mut log = Log::open(&dir(&temp), Limits { size: 100, files: 3 }).unwrap();
    for number in 0..10 {
        log.write(Stream::Stdout, format!("{number} {}\n", "x".repeat(100)).as_bytes()).unwrap();
    }
    assert_eq!(files(dir(&temp).as_fd()).unwrap(), ["log.2", "log.1", "log"]);
    let first = |name: &str| content(&temp.path().join(name)).split(' ').next().unwrap().to_owned();
    assert_eq!([first("log.2"), first("log.1"), first("log")], ["7", "8", "9"]);
}

#[test]
fn one_file_is_begun_anew() {
    let temp = Temp::new("log");
    let mut log = Log::open(&dir(&temp), Limits { size: 1, files: 1 }).unwrap();
    log.write(Stream::Stdout, b"old\n").unwrap();
    log.write(Stream::Stdout, b"new\n").unwrap();
    assert_eq!(content(&temp.path().join(FILE)), "new\n");
}

/// At each point at which a monitor may be killed, the next one finds what is written here, and makes it whole.
#[test]
fn what_a_killed_monitor_was_about_to_write_is_written_once() {
    let (before, piece) = ("before\n", "one\ntwo\nthr");
    for written in ["", "2026-11-22T10:00:00.000000001Z stdout F one\n2026-11-22T10", "whole"] {
        let temp = Temp::new("log");
        let mut log = Log::open(&dir(&temp), Limits::default()).unwrap();
        take(&mut log, Stream::Stdout, before).unwrap();
        let head = log.begin(Stream::Stdout).unwrap();
        // Killed here, or behind the next lines.
        let spool = [&head.bytes()[..], piece.as_bytes()].concat();
        std_fs::write(temp.path().join(SPOOL), spool).unwrap();
        match written {
            "whole" => log.append(Stream::Stdout, head.length, piece.as_bytes()).unwrap(),
            written => fs::write_all(&log.file, written.as_bytes()).unwrap(),
        }
        drop(log);
        let mut log = Log::open(&dir(&temp), Limits::default()).unwrap();
        assert_eq!(content(&temp.path().join(FILE)), format!("{before}{piece}"), "{written:?}");
        take(&mut log, Stream::Stdout, "ee\n").unwrap();
        assert_eq!(content(&temp.path().join(FILE)), format!("{before}{piece}ee\n"), "{written:?}");
    }
}

#[test]
fn a_head_without_a_piece_means_nothing() {
    let temp = Temp::new("log");
    let mut log = Log::open(&dir(&temp), Limits::default()).unwrap();
    log.begin(Stream::Stderr).unwrap();
    log.write(Stream::Stdout, b"later\n").unwrap();
    drop(log);
    let _log = Log::open(&dir(&temp), Limits::default()).unwrap();
    assert_eq!(content(&temp.path().join(FILE)), "later\n");
}
