//! Who asks: tokens, and where passwords go.

use crate::{at, client, options, password};
use forgeone_distribution::{AuthFiles, Client, Credentials, Kind, Options};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::Temp;
use testkit::server::{Asked, Reply, Server};

/// `user:pass`, as a header has it.
const BASIC: &str = "Basic dXNlcjpwYXNz";

/// An index without manifests.
pub(crate) fn index() -> Reply {
    let body = r#"{"schemaVersion":2,"manifests":[]}"#;
    Reply::new(200, body).with("content-type", "application/vnd.oci.image.index.v1+json")
}

/// A registry that wants a token of `realm`.
fn registry(realm: String) -> Server {
    Server::new(move |asked| match asked.header("authorization") {
        Some("Bearer good") => index(),
        _ => Reply::new(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}"#).with(
            "www-authenticate",
            format!(r#"Bearer realm="{realm}",service="reg & co",scope="repository:a:pull""#),
        ),
    })
}

fn token(asked: &Asked) -> Reply {
    let known =
        asked.header("authorization") == Some(BASIC) || asked.body.ends_with(b"refresh_token=ident%2B");
    if known { Reply::new(200, r#"{"token":"good","expires_in":300}"#) } else { Reply::new(401, "") }
}

#[test]
fn a_token_is_fetched_once_and_used_until_it_ends() {
    let tokens = Server::new(token);
    let registry = registry(format!("http://{}/token", tokens.host()));
    let client = Client::new(Options { credentials: password("user", "pass"), ..options() }).unwrap();
    for _ in 0..3 {
        client.manifest(&at(registry.host(), "a")).unwrap();
    }
    let asked = tokens.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].target, "/token?service=reg%20%26%20co&scope=repository%3Aa%3Apull");
    // The registry itself never sees the password.
    assert!(registry.asked().iter().all(|asked| asked.header("authorization") != Some(BASIC)));
}

#[test]
fn an_identity_token_of_an_auth_file_is_exchanged() {
    let tokens = Server::new(token);
    let registry = registry(format!("http://{}/token", tokens.host()));
    let place = Temp::new("auth");
    let file = place.path().join("auth.json");
    fs::write(&file, format!(r#"{{"auths":{{"{}":{{"identitytoken":"ident+"}}}}}}"#, registry.host()))
        .unwrap();
    let credentials = Credentials::Files(AuthFiles::only(&file));
    Client::new(Options { credentials, ..options() }).unwrap().manifest(&at(registry.host(), "a")).unwrap();
    let asked = tokens.asked();
    assert_eq!((asked[0].method.as_str(), asked.len()), ("POST", 1));
    assert!(asked[0].body.starts_with(b"grant_type=refresh_token&"), "{asked:?}");
}

#[test]
fn a_token_that_is_refused_names_the_way_out() {
    let tokens = Server::new(token);
    let registry = registry(format!("http://{}/token", tokens.host()));
    let error = client().manifest(&at(registry.host(), "a")).unwrap_err();
    let (host, realm) = (registry.host(), tokens.host());
    let text = format!(
        "pull {host}/a:latest: token from http://{realm}/token: the server answers 401 Unauthorized; \
        log in with forgeone login {host}, or check the auth file"
    );
    assert_eq!((error.kind(), error.to_string()), (Kind::Credentials, text));
}

#[test]
fn a_token_server_without_tls_elsewhere_gets_nothing() {
    let registry = registry("http://tokens.example/token".to_owned());
    let client = Client::new(Options { credentials: password("user", "pass"), ..options() }).unwrap();
    let error = client.manifest(&at(registry.host(), "a")).unwrap_err();
    assert_eq!(error.kind(), Kind::Insecure, "{error}");
}

#[test]
fn a_redirect_to_another_host_carries_no_credentials() {
    let elsewhere = Server::new(|_| index());
    let target = format!("http://{}/blob", elsewhere.host());
    let registry = Server::new(move |asked| match asked.header("authorization") {
        Some(BASIC) => Reply::new(307, "").with("location", &*target),
        _ => Reply::new(401, "").with("www-authenticate", "Basic realm=x"),
    });
    let client = Client::new(Options { credentials: password("user", "pass"), ..options() }).unwrap();
    client.manifest(&at(registry.host(), "a")).unwrap();
    let asked = elsewhere.asked();
    assert_eq!((asked.len(), asked[0].header("authorization")), (1, None));
    assert_eq!(registry.asked().last().unwrap().header("authorization"), Some(BASIC));
}

#[test]
fn another_host_that_asks_for_a_password_gets_none() {
    let elsewhere = Server::new(|_| Reply::new(401, "").with("www-authenticate", "Basic realm=x"));
    let target = format!("http://{}/blob", elsewhere.host());
    let registry = Server::new(move |_| Reply::new(307, "").with("location", &*target));
    let client = Client::new(Options { credentials: password("user", "pass"), ..options() }).unwrap();
    assert_eq!(client.manifest(&at(registry.host(), "a")).unwrap_err().kind(), Kind::Credentials);
    let all = [registry.asked(), elsewhere.asked()].concat();
    assert!(all.iter().all(|asked| asked.header("authorization").is_none()), "{all:?}");
}

#[test]
fn a_credential_helper_is_asked_for_the_registry() {
    let registry = Server::new(|asked| match asked.header("authorization") {
        Some(BASIC) => index(),
        _ => Reply::new(401, "").with("www-authenticate", "Basic realm=x"),
    });
    let place = Temp::new("helper");
    let program = place.path().join("docker-credential-test");
    let script = "#!/bin/sh\nread server; echo \"$1 $server\" >\"$0.asked\"\n\
        echo '{\"ServerURL\":\"x\",\"Username\":\"user\",\"Secret\":\"pass\"}'\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let file = place.path().join("config.json");
    fs::write(&file, format!(r#"{{"credHelpers":{{"{}":"test"}}}}"#, registry.host())).unwrap();
    // Found by PATH: in a process of its own, since a variable can't be changed in one with threads.
    if std::env::var_os("HELPER_TEST").is_none() {
        let path = format!("{}:{}", place.path().display(), std::env::var("PATH").unwrap());
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "auth::a_credential_helper_is_asked_for_the_registry", "--nocapture"]);
        command.env("PATH", path).env("HELPER_TEST", registry.host()).env("HELPER_FILE", &file);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let asked = fs::read_to_string(place.path().join("docker-credential-test.asked")).unwrap();
        assert_eq!(asked, format!("get {}\n", registry.host()));
        return;
    }
    let (host, file) = (std::env::var("HELPER_TEST").unwrap(), std::env::var("HELPER_FILE").unwrap());
    let credentials = Credentials::Files(AuthFiles::only(file));
    Client::new(Options { credentials, ..options() }).unwrap().manifest(&at(&host, "a")).unwrap();
}

#[test]
fn tokens_are_asked_for_again_when_the_registry_forgets_them() {
    let count = Arc::new(AtomicUsize::new(0));
    let given = count.clone();
    let tokens = Server::new(move |_| {
        let number = given.fetch_add(1, Ordering::SeqCst);
        Reply::new(200, format!(r#"{{"access_token":"t{number}"}}"#))
    });
    let (realm, valid) = (format!("http://{}/", tokens.host()), count.clone());
    let registry = Server::new(move |asked| {
        let newest = format!("Bearer t{}", valid.load(Ordering::SeqCst).wrapping_sub(1));
        match asked.header("authorization") == Some(&*newest) {
            true => index(),
            false => Reply::new(401, "").with("www-authenticate", format!("Bearer realm=\"{realm}\"")),
        }
    });
    let client = client();
    client.manifest(&at(registry.host(), "a")).unwrap();
    count.store(5, Ordering::SeqCst);
    client.manifest(&at(registry.host(), "a")).unwrap();
    assert_eq!(tokens.asked().len(), 2);
}
