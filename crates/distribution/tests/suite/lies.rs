//! Servers that lie, hang, or have too much to do.

use crate::auth::index;
use crate::{at, client, options};
use forgeone_distribution::http::Patience;
use forgeone_distribution::{Client, Descriptor, Digest, Kind, Options, Uploaded};
use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testkit::server::{Asked, Reply, Server};

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

/// A server that answers but to what the client asks to find out whether TLS is spoken.
fn registry(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
    Server::new(answer)
}

/// A server that gives each answer once, then the last one for ever.
fn in_turn(answers: Vec<Reply>) -> Server {
    let next = AtomicUsize::new(0);
    registry(move |_| answers[next.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone())
}

fn manifest(server: &Server) -> (Kind, String) {
    let error = client().manifest(&at(server.host(), "a:1")).unwrap_err();
    (error.kind(), error.to_string())
}

/// The bytes 0 to 99 as a blob, pulled.
fn blob(server: &Server, options: Options) -> Result<Vec<u8>, (Kind, String)> {
    let mut pulled = Vec::new();
    let all: Vec<u8> = (0..100).collect();
    let reference = at(server.host(), "a");
    let outcome =
        Client::new(options).unwrap().blob(reference.repository(), &Descriptor::of("x", &all), &mut pulled);
    outcome.map(|()| pulled).map_err(|e| (e.kind(), e.to_string()))
}

fn all() -> Vec<u8> {
    (0..100).collect()
}

#[test]
fn a_manifest_of_another_digest_or_type_is_refused() {
    let body = r#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;
    let wrong = format!("sha256:{}", "0".repeat(64));
    let both = body.replace("\"layers\"", "\"manifests\":[],\"layers\"");
    let claims = body.replace("{\"schemaVersion\":2", "{\"schemaVersion\":2,\"mediaType\":\"application/x\"");
    let one = body.replace("\"schemaVersion\":2", "\"schemaVersion\":1");
    for (reply, cause) in [
        (
            Reply::new(200, body).with("content-type", OCI).with("docker-content-digest", wrong),
            "what came has the digest sha256:",
        ),
        (
            Reply::new(200, body).with("content-type", OCI).with("docker-content-digest", "md5:1"),
            "which is none",
        ),
        (Reply::new(200, body).with("content-type", "text/html"), "is no media type of a manifest"),
        (Reply::new(200, body), "is no media type of a manifest"),
        (Reply::new(200, claims).with("content-type", OCI), "but says that it is application/x"),
        (Reply::new(200, both).with("content-type", OCI), "which has config and layers, without manifests"),
        (Reply::new(200, one).with("content-type", OCI), "it is of schema 1, not 2"),
        (Reply::new(200, "<html>").with("content-type", OCI), "it is no manifest: "),
        (
            Reply::new(200, format!("{{\"a\":{}", "[".repeat(100_000))).with("content-type", OCI),
            "it is no manifest: ",
        ),
        (Reply::Raw(b"\x00\x01nonsense\r\n\r\n".to_vec()), "it isn't HTTP that comes"),
    ] {
        let server = registry(move |_| reply.clone());
        let (kind, message) = manifest(&server);
        assert!(kind == Kind::Content && message.contains(cause), "{kind:?} {message}");
        assert!(
            message.starts_with(&format!("pull {}/a:1: ", server.host())) && !message.contains('\n'),
            "{message}"
        );
    }
}

#[test]
fn a_huge_manifest_is_refused_whether_its_size_is_told_or_not() {
    let told = Reply::new(200, vec![b' '; (4 << 20) + 1]).with("content-type", OCI);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {OCI}\r\n\r\n");
    let untold = Reply::Raw([head.into_bytes(), vec![b' '; 8 << 20]].concat());
    for reply in [told, untold] {
        let (kind, message) = manifest(&registry(move |_| reply.clone()));
        assert!(kind == Kind::Content && message.contains("has more than 4194304 bytes"), "{message}");
    }
}

#[test]
fn too_much_to_do_and_failures_are_waited_for() {
    for status in [429, 500, 502, 503, 504] {
        let server =
            in_turn(vec![Reply::new(status, ""), Reply::new(status, "").with("retry-after", "0"), index()]);
        let client =
            Client::new(Options { plain_http: vec![server.host().to_owned()], ..options() }).unwrap();
        client.manifest(&at(server.host(), "a")).unwrap();
        assert_eq!(server.asked().len(), 3);
    }
    let server =
        registry(|_| Reply::new(500, r#"{"errors":[{"code":"UNKNOWN","message":"dis\u001b[31mk"}]}"#));
    let (kind, message) = manifest(&server);
    let expected = format!(
        "pull {}/a:1: the server answers 500 Internal Server Error: UNKNOWN dis [31mk; try again later",
        server.host()
    );
    assert_eq!((kind, message), (Kind::Unavailable, expected));
    assert_eq!(server.asked().iter().filter(|asked| asked.target.contains("manifests")).count(), 3);
}

#[test]
fn who_asks_to_wait_for_an_hour_is_told_to_the_user() {
    let server = registry(|_| Reply::new(429, "").with("retry-after", "3600"));
    let (kind, message) = manifest(&server);
    assert_eq!(kind, Kind::Unavailable);
    assert!(message.ends_with("the server answers 429 Too Many Requests; try again in 3600 s"), "{message}");
}

#[test]
fn who_hangs_is_given_up() {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {OCI}\r\ncontent-length: 10\r\n\r\n{{");
    for silence in [Reply::Silence(Vec::new()), Reply::Silence(head.into_bytes())] {
        let server = registry(move |_| silence.clone());
        let patience = Patience { idle: Duration::from_millis(200), attempts: 2, ..options().patience };
        let plain_http = vec![server.host().to_owned()];
        let client = Client::new(Options { patience, plain_http, ..options() }).unwrap();
        let error = client.manifest(&at(server.host(), "a")).unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(error.to_string().contains("it hangs: nothing came in time; try again later"), "{error}");
    }
}

#[test]
fn nobody_there_is_told_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = client().manifest(&at(&host, "a")).unwrap_err();
    let text = format!("pull {host}/a:latest: connect to {host}: nobody listens there; check host and port");
    assert_eq!((error.kind(), error.to_string()), (Kind::Unavailable, text));
}

#[test]
fn redirects_end() {
    let server = registry(|_| Reply::new(302, "").with("location", "/v2/again"));
    let (kind, message) = manifest(&server);
    assert!(kind == Kind::Content && message.contains("redirects more than 5 times"), "{message}");
    let server = registry(|_| Reply::new(302, "").with("location", "file:///etc/shadow"));
    assert!(manifest(&server).1.contains("is no address"));
}

#[test]
fn a_blob_of_other_bytes_or_another_size_is_refused() {
    let mut other = all();
    other[50] = 0;
    for (reply, cause) in [
        (Reply::new(200, other), "what came has the digest sha256:"),
        (Reply::new(200, vec![0; 101]), "it has 101 bytes, not 100 as its manifest says"),
        (Reply::new(200, vec![0; 99]), "it has 99 bytes, not 100 as its manifest says"),
        (
            Reply::Raw([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![0; 10_000]].concat()),
            "it has more bytes, not 100",
        ),
    ] {
        let server = registry(move |_| reply.clone());
        let (kind, message) = blob(&server, options()).unwrap_err();
        assert!(kind == Kind::Content && message.contains(cause), "{kind:?} {message}");
    }
    let server = registry(|_| Reply::new(404, ""));
    assert_eq!(blob(&server, options()).unwrap_err().0, Kind::NotFound);
}

/// Breaks off after 40 bytes each time; with ranges, or without them.
fn breaking(ranges: bool, skew: u64) -> Server {
    registry(move |asked| {
        let start = asked
            .header("range")
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let start: usize = start.filter(|_| ranges).unwrap_or(0);
        let mut end = (start + 40).min(100);
        let mut head = "HTTP/1.1 200 OK\r\n".to_owned();
        if start > 0 {
            head = format!("HTTP/1.1 206 Partial\r\ncontent-range: bytes {}-99/100\r\n", start as u64 + skew);
        } else if asked.header("range").is_some() {
            end = 100;
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", 100 - start));
        Reply::Raw([head.as_bytes(), &all()[start..end]].concat())
    })
}

#[test]
fn a_blob_goes_on_where_the_connection_broke() {
    let server = breaking(true, 0);
    assert_eq!(blob(&server, options()), Ok(all()));
    let asked = server.asked();
    let ranges: Vec<_> = asked
        .iter()
        .filter(|asked| asked.target.contains("blobs"))
        .map(|asked| asked.header("range"))
        .collect();
    assert_eq!(ranges, [None, Some("bytes=40-"), Some("bytes=80-")]);
    assert_eq!(blob(&breaking(false, 0), options()), Ok(all()));
    let (kind, message) = blob(&breaking(true, 1), options()).unwrap_err();
    assert!(kind == Kind::Content && message.contains("another part came"), "{message}");
}

#[test]
fn a_blob_that_makes_no_progress_is_given_up() {
    let server = registry(|_| Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_vec()));
    let (kind, message) = blob(&server, options()).unwrap_err();
    assert_eq!(kind, Kind::Unavailable);
    assert!(message.contains("the connection broke off; try again later"), "{message}");
    assert_eq!(server.asked().iter().filter(|asked| asked.target.contains("blobs")).count(), 3);
}

#[test]
fn an_upload_that_breaks_is_begun_anew() {
    let puts = AtomicUsize::new(0);
    let server = registry(move |asked| match asked.method.as_str() {
        "HEAD" => Reply::new(404, ""),
        "POST" => Reply::new(202, "").with("location", "/upload?state=1"),
        "PUT" if puts.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Raw(Vec::new()),
        "PUT" => Reply::new(201, ""),
        _ => Reply::new(404, ""),
    });
    let reference = at(server.host(), "a");
    let blob = Descriptor::of("x", &all());
    let outcome = client().put_blob(reference.repository(), &blob, None, &mut Cursor::new(all()));
    assert_eq!(outcome, Ok(Uploaded::Pushed));
    let asked = server.asked();
    let last = asked.last().unwrap();
    assert_eq!(
        (last.target.as_str(), last.body.len()),
        (&*format!("/upload?state=1&digest=sha256%3A{}", blob.digest.hex()), 100)
    );
    assert_eq!(asked.iter().filter(|asked| asked.method == "POST").count(), 2);
}

#[test]
fn an_upload_in_pieces_goes_on_from_what_the_registry_has() {
    let patches = AtomicUsize::new(0);
    let server = registry(move |asked| match asked.method.as_str() {
        "HEAD" => Reply::new(404, ""),
        "POST" => Reply::new(202, "").with("location", "/upload").with("oci-chunk-min-length", "40"),
        // The second piece comes only in part, and nobody says so.
        "PATCH" => match patches.fetch_add(1, Ordering::SeqCst) {
            1 => Reply::Raw(Vec::new()),
            _ => {
                let end = asked.header("content-range").unwrap().split_once('-').unwrap().1.to_owned();
                Reply::new(202, "").with("location", "/upload").with("range", format!("0-{end}"))
            }
        },
        "GET" => Reply::new(204, "").with("location", "/upload").with("range", "0-49"),
        _ => Reply::new(201, ""),
    });
    let client = Client::new(Options { piece: Some(10), ..options() }).unwrap();
    let reference = at(server.host(), "a");
    client
        .put_blob(reference.repository(), &Descriptor::of("x", &all()), None, &mut Cursor::new(all()))
        .unwrap();
    let asked = server.asked();
    let pieces: Vec<_> = asked.iter().filter(|asked| asked.method == "PATCH").collect();
    let ranges: Vec<_> = pieces.iter().map(|asked| asked.header("content-range").unwrap()).collect();
    assert_eq!(ranges, ["0-39", "40-79", "50-89", "90-99"]);
    assert_eq!(pieces[2].body, &all()[50..90]);
}

#[test]
fn lists_go_on_at_their_own_host_alone() {
    let server = registry(|asked| match asked.target.contains("last=b") {
        false => {
            Reply::new(200, r#"{"tags":["a","b"]}"#).with("link", r#"</v2/a/tags/list?last=b>; rel="next""#)
        }
        true => Reply::new(200, r#"{"tags":["c"]}"#),
    });
    assert_eq!(client().tags(at(server.host(), "a").repository()).unwrap(), ["a", "b", "c"]);
    let server =
        registry(|_| Reply::new(200, r#"{"tags":[]}"#).with("link", "<http://localhost:1/x>; rel=next"));
    let error = client().tags(at(server.host(), "a").repository()).unwrap_err();
    assert!(error.to_string().contains("another host: refused"), "{error}");
    let server = registry(|_| Reply::new(200, r#"{"tags":null}"#).with("link", "</v2/x>; rel=next"));
    let error = client().tags(at(server.host(), "a").repository()).unwrap_err();
    assert!(error.to_string().contains("the list doesn't end"), "{error}");
}

#[test]
fn referrers_of_a_registry_that_lists_them_are_filtered_here_too() {
    let digest = Digest::of(b"x");
    let body = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"m","digest":"{digest}","size":1,"artifactType":"a"}},
        {{"mediaType":"m","digest":"{digest}","size":1,"artifactType":"b"}}]}}"#
    );
    let server = registry(move |_| Reply::new(200, &*body));
    let found = client().referrers(at(server.host(), "a").repository(), &digest, Some("b")).unwrap();
    assert_eq!(found.iter().map(|found| found.artifact_type.as_deref()).collect::<Vec<_>>(), [Some("b")]);
    assert!(server.asked().last().unwrap().target.ends_with("?artifactType=b"));
}
