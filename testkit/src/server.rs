//! A small HTTP server that answers as a test says, lies included: wrong lengths, half answers, silence.
//!
//! Each connection is served by a thread of its own, and one request each; what was asked is kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The first byte of who wants to speak TLS.
const TLS: u8 = 22;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `GET`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// What followed.
    pub body: Vec<u8>,
}

impl Asked {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a server answers with.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Status, headers, body; the length is told.
    Full(u16, Vec<(String, String)>, Vec<u8>),
    /// These bytes, whatever they are; then the connection is closed.
    Raw(Vec<u8>),
    /// These bytes, and nothing more until whoever asked goes away.
    Silence(Vec<u8>),
}

impl Reply {
    /// A status with a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Full(status, Vec::new(), body.into())
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Self::Full(_, headers, _) = &mut self {
            headers.push((name.to_owned(), value.into()));
        }
        self
    }
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers each request as `answer` says.
    pub fn new(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let host = listener.local_addr().expect("an address").to_string();
        let (asked, open) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<Mutex<Vec<TcpStream>>>::default());
        let ended = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let thread = {
            let (asked, open, ended) = (asked.clone(), open.clone(), ended.clone());
            std::thread::spawn(move || {
                let mut workers = Vec::new();
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { continue };
                    if ended.load(Ordering::SeqCst) {
                        break;
                    }
                    if let Ok(copy) = stream.try_clone() {
                        open.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
                    }
                    let (asked, answer) = (asked.clone(), answer.clone());
                    workers.push(std::thread::spawn(move || drop(serve(&stream, &asked, &*answer))));
                }
                workers.into_iter().for_each(|worker| drop(worker.join()));
            })
        };
        Self { host, asked, open, ended, thread: Some(thread) }
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // To be woken, it has to be called.
        drop(TcpStream::connect(&self.host));
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.thread.take().map(JoinHandle::join);
    }
}

fn serve(
    stream: &TcpStream,
    asked: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked) -> Reply,
) -> std::io::Result<()> {
    let mut first = [0];
    stream.peek(&mut first)?;
    if first == [TLS] {
        // As servers without TLS do: they end it.
        return stream.shutdown(Shutdown::Both);
    }
    let request = read(stream)?;
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    let mut out = stream;
    match answer(&request) {
        Reply::Raw(bytes) => out.write_all(&bytes)?,
        Reply::Silence(bytes) => {
            out.write_all(&bytes)?;
            std::io::copy(&mut { stream }, &mut std::io::sink())?;
        }
        Reply::Full(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} Status\r\nconnection: close\r\n");
            if !headers.iter().any(|(name, _)| name == "content-length") {
                head.push_str(&format!("content-length: {}\r\n", body.len()));
            }
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            out.write_all(format!("{head}\r\n").as_bytes())?;
            if request.method != "HEAD" {
                out.write_all(&body)?;
            }
        }
    }
    stream.shutdown(Shutdown::Write)?;
    // Closing while something comes would take the answer away again.
    std::io::copy(&mut { stream }, &mut std::io::sink()).map(drop)
}

fn read(stream: &TcpStream) -> std::io::Result<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = || -> std::io::Result<String> {
        let mut line = String::new();
        (&mut reader).take(1 << 16).read_line(&mut line)?;
        if line.is_empty() {
            Err(std::io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(line.trim_end().to_owned())
        }
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let mut request = Asked {
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        ..Asked::default()
    };
    loop {
        let header = line()?;
        let Some((name, value)) = header.split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_end(&mut request.body)?;
    Ok(request)
}
