//! `forgeone config show URL`: servers in the test answer as the documentation of their API does.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::{Command, Stdio};
use testkit::server::{Asked, Reply, Server};
use testkit::{Registry, Temp};

const WEB: &str = "image: nginx:1.27\nname: web\n";

/// What `config WORDS` does with these variables: its status, output and errors.
fn config(words: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forgeone-image"));
    command.arg("config").args(words).env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn show(url: &str, variables: &[(&str, &str)]) -> String {
    let (status, out, err) = config(&["show", url], variables);
    assert_eq!((status, err.as_str()), (0, ""), "{url}");
    out
}

fn fails(url: &str, variables: &[(&str, &str)]) -> String {
    let (status, out, err) = config(&["show", url], variables);
    assert_eq!((status, out.as_str(), err.matches('\n').count()), (1, "", 1), "{url}: {err}");
    err
}

/// The same as a file.
fn shown(text: &str) -> String {
    let place = Temp::new("remote");
    let file = place.path().join("web.yaml");
    fs::write(&file, text).unwrap();
    show(file.to_str().unwrap(), &[])
}

#[test]
fn files_of_web_servers_are_read_wherever_files_are() {
    let server = Server::new(|asked| match asked.target.as_str() {
        "/web.yaml?token=geheim" | "/again.yaml" => Reply::new(200, WEB),
        "/typed" => {
            Reply::new(200, "{\"image\": \"a\"}").with("content-type", "application/json; charset=utf-8")
        }
        "/moved.yaml" => Reply::new(302, "").with("location", "/again.yaml"),
        "/away.yaml" => Reply::new(302, "").with("location", "http://example.invalid/x.yaml"),
        "/typo.yaml" => Reply::new(200, "image: a\nimgae: b\n"),
        "/base.yaml" => Reply::new(200, "extends: /etc/passwd\nimage: a\n"),
        "/large.yaml" => Reply::new(200, vec![b'#'; (4 << 20) + 1]),
        "/untyped" => Reply::new(200, WEB),
        _ => Reply::new(404, ""),
    });
    let at = |path: &str| format!("http://{}{path}", server.host());
    assert_eq!(show(&at("/web.yaml?token=geheim"), &[]), shown(WEB));
    assert_eq!(show(&at("/moved.yaml"), &[]), shown(WEB));
    assert_eq!(show(&at("/typed"), &[]), shown("image: a"));
    let (status, out, _) = config(&["validate", &at("/again.yaml")], &[]);
    assert!(status == 0 && out.starts_with(&format!("{}:1:1: warning: ", at("/again.yaml"))), "{out}");
    assert_eq!(config(&["diff", &at("/again.yaml"), &at("/again.yaml")], &[]).0, 0);
    assert_eq!(config(&["merge", &at("/again.yaml"), &at("/typed")], &[]).1, shown("image: a\nname: web\n"));

    assert!(fails(&at("/none.yaml"), &[]).ends_with("/none.yaml: the server answers 404 Not Found\n"));
    assert!(fails(&at("/large.yaml"), &[]).contains("has more than 4194304 bytes"));
    assert!(fails(&at("/untyped"), &[]).contains("its name has no extension"));
    assert!(config(&["show", &at("/base.yaml")], &[]).2.contains("extends: it names files beside this one"));
    assert!(config(&["show", &at("/typo.yaml")], &[]).2.contains("did you mean \"image\"?"));
    assert!(!fails(&at("/none.yaml?token=geheim"), &[]).contains("geheim"));
    let (_, out, _) = config(&["validate", &at("/web.yaml?token=geheim")], &[]);
    assert!(out.contains("/web.yaml:1:1: warning: ") && !out.contains("geheim"), "{out}");
    // Neither at once nor by a redirect.
    assert!(
        fails("http://example.invalid/web.yaml", &[])
            .contains("has no TLS, so that it could be changed on its way")
    );
    assert_eq!(config(&["show", &at("/away.yaml")], &[]).0, 1);
}

#[test]
fn the_library_asks_nobody_where_a_file_is_said() {
    let server = Server::new(|_| Reply::new(200, WEB));
    let url = format!("http://{}/web.yaml", server.host());
    let error = forgeone_config::load_config_from_file(&url).unwrap_err().to_string();
    assert_eq!(error, format!("load {url}: No such file or directory (os error 2)"));
    assert!(server.asked().is_empty());
    assert_eq!(forgeone_config::load_config(&url).unwrap().image, "nginx:1.27");
    let place = Temp::new("remote");
    let file = place.path().join("web.yaml");
    fs::write(&file, WEB).unwrap();
    assert_eq!(forgeone_config::load_config(file.to_str().unwrap()).unwrap().image, "nginx:1.27");
}

#[test]
fn a_registry_is_read_by_its_url() {
    let Some(registry) = Registry::guarded() else { return };
    let place = Temp::new("remote");
    let file = |name: &str, text: &str| {
        let path = place.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // tester:geheim
    let auth = file(
        "auth.json",
        &format!(r#"{{"auths": {{"{}": {{"auth": "dGVzdGVyOmdlaGVpbQ=="}}}}}}"#, registry.host()),
    );
    let (web, authority) = (file("web.yaml", WEB), registry.authority().to_str().unwrap().to_owned());
    let variables = [("REGISTRY_AUTH_FILE", auth.as_str()), ("SSL_CERT_FILE", authority.as_str())];
    let url = format!("oci://{}/configs/web:1", registry.host());
    assert_eq!(config(&["push", &web, &url], &variables).0, 0);
    assert_eq!(show(&url, &variables), shown(WEB));
    assert_eq!(config(&["validate", &url], &variables).0, 0);
    assert!(fails(&url, &variables[1..]).contains("wants a user name and password"));
}

/// As Vault's documentation of "read secret version" has it.
fn vault(asked: &Asked) -> Reply {
    if asked.header("x-vault-token") != Some("s.geheim") {
        return Reply::new(403, r#"{"errors":["permission denied"]}"#);
    }
    let wrapped = |data: &str| {
        let metadata = r#"{"created_time":"2018-03-22T02:24:06.945319214Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":2}"#;
        Reply::new(
            200,
            format!(r#"{{"request_id":"x","data":{{"data":{data},"metadata":{metadata}}},"auth":null}}"#),
        )
    };
    match asked.target.as_str() {
        "/v1/secret/data/team/web" => wrapped(r#"{"image":"nginx:1.27","name":"web"}"#),
        "/v1/secret/data/team/web?version=1" => wrapped(r#"{"image":"nginx:1.27"}"#),
        "/v1/secret/data/file" => wrapped(r#"{"config.yaml":"image: nginx:1.27\nname: web\n"}"#),
        "/v1/secret/data/keys" => wrapped(r#"{"a":"image: a","b.json":"{\"image\":\"b\"}","c":1}"#),
        "/v1/secret/data/deleted" => Reply::new(
            404,
            r#"{"data":{"data":null,"metadata":{"deletion_time":"2018-03-22T02:36:43Z","destroyed":false,"version":1}}}"#,
        ),
        _ => Reply::new(404, r#"{"errors":[]}"#),
    }
}

#[test]
fn vault_is_read_by_path_and_key() {
    let server = Server::new(vault);
    let address = format!("http://{}", server.host());
    let variables =
        [("VAULT_ADDR", address.as_str()), ("VAULT_TOKEN", "s.geheim"), ("VAULT_NAMESPACE", "team")];
    assert_eq!(show("vault://secret/team/web", &variables), shown(WEB));
    assert_eq!(show("vault://secret/team/web?version=1", &variables), shown("image: nginx:1.27"));
    assert_eq!(show("vault://secret/file", &variables), shown(WEB));
    assert_eq!(show("vault://secret/keys?key=a", &variables), shown("image: a"));
    assert_eq!(show("vault://secret/keys?key=b.json", &variables), shown("image: b"));
    assert!(server.asked().iter().all(|asked| asked.header("x-vault-namespace") == Some("team")));
    for (url, cause) in [
        ("vault://secret/none", "vault://secret/none: the server answers 404 Not Found\n"),
        ("vault://secret/deleted", "the server answers 404 Not Found: this version was deleted\n"),
        ("vault://secret/keys?key=x", "there is no key \"x\" in it\n"),
        ("vault://secret/keys?key=c", "what stands at \"c\" is no text\n"),
        ("vault://secret", "it isn't vault://MOUNT/PATH\n"),
        ("vault://secret/web?bogus=1", "after ? there may be key=KEY and version=NUMBER, with & between\n"),
    ] {
        assert!(fails(url, &variables).ends_with(cause), "{}", fails(url, &variables));
    }
    let wrong = fails("vault://secret/team/web", &[("VAULT_ADDR", &address), ("VAULT_TOKEN", "s.falsch")]);
    assert!(wrong.contains("403 Forbidden: permission denied") && !wrong.contains("falsch"), "{wrong}");
    assert!(fails("vault://secret/web", &[]).contains("VAULT_ADDR doesn't say where Vault is; set it"));
    assert!(
        fails("vault://secret/web", &variables[..1])
            .contains("there is neither VAULT_TOKEN nor ~/.vault-token")
    );
    let skip = [variables[0], variables[1], ("VAULT_SKIP_VERIFY", "1")];
    assert!(fails("vault://secret/web", &skip).contains("asks to trust anybody: refused"));
    // A token that was left by a log-in.
    let home = Temp::new("home");
    fs::write(home.path().join(".vault-token"), "s.geheim\n").unwrap();
    let variables = [variables[0], ("HOME", home.path().to_str().unwrap())];
    assert_eq!(show("vault://secret/team/web", &variables), shown(WEB));
}

/// As Kubernetes' documentation of ConfigMap and Secret v1 has it.
fn kubernetes(asked: &Asked) -> Reply {
    if asked.header("authorization") != Some("Bearer geheim") {
        return Reply::new(
            401,
            r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","code":401}"#,
        );
    }
    match asked.target.as_str() {
        "/api/v1/namespaces/prod/configmaps/web" => Reply::new(
            200,
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"web"},"data":{"web.yaml":"image: nginx:1.27\nname: web\n"}}"#,
        ),
        "/api/v1/namespaces/prod/configmaps/two" => {
            Reply::new(200, r#"{"kind":"ConfigMap","data":{"a":"image: a","b.toml":"image = \"b\""}}"#)
        }
        "/api/v1/namespaces/prod/configmaps/empty" => Reply::new(200, r#"{"kind":"ConfigMap"}"#),
        // image: nginx:1.27, name: web
        "/api/v1/namespaces/prod/secrets/web" => Reply::new(
            200,
            r#"{"kind":"Secret","type":"Opaque","data":{"web.yaml":"aW1hZ2U6IG5naW54OjEuMjcKbmFtZTogd2ViCg=="}}"#,
        ),
        _ => Reply::new(
            404,
            r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"configmaps \"x\" not found","reason":"NotFound","code":404}"#,
        ),
    }
}

fn kubeconfig(place: &Temp, server: &str, user: &str) -> String {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u, namespace: n}}}}]\n\
        clusters: [{{name: k, cluster: {{server: \"{server}\"}}}}]\nusers: [{{name: u, user: {user}}}]\n"
    );
    let file = place.path().join("kubeconfig");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn kubernetes_is_read_by_namespace_kind_name_and_key() {
    let (server, place) = (Server::new(kubernetes), Temp::new("kube"));
    let address = format!("http://{}/", server.host());
    fs::write(place.path().join("token"), "geheim\n").unwrap();
    for user in ["{token: geheim}", "{tokenFile: token}"] {
        let file = kubeconfig(&place, &address, user);
        let variables = [("KUBECONFIG", file.as_str())];
        assert_eq!(show("k8s://prod/configmap/web", &variables), shown(WEB));
        assert_eq!(show("k8s://prod/secret/web/web.yaml", &variables), shown(WEB));
        assert_eq!(show("k8s://prod/configmap/two/b.toml", &variables), shown("image: b"));
        for (url, cause) in [
            ("k8s://prod/configmap/two", "it has several keys: a, b.toml; add / and one of them\n"),
            ("k8s://prod/configmap/two/c", "there is no key \"c\" in it\n"),
            ("k8s://prod/configmap/empty", "it has no data\n"),
            ("k8s://prod/configmap/x", "the server answers 404 Not Found: configmaps \"x\" not found\n"),
            ("k8s://prod/pod/x", "or …/secret/NAME[/KEY]\n"),
            ("k8s://prod/secret/../web", "or …/secret/NAME[/KEY]\n"),
        ] {
            assert!(fails(url, &variables).ends_with(cause), "{}", fails(url, &variables));
        }
    }
    let file = kubeconfig(&place, &address, "{token: falsch}");
    let wrong = fails("k8s://prod/configmap/web", &[("KUBECONFIG", &file)]);
    assert!(wrong.contains("401 Unauthorized: Unauthorized") && !wrong.contains("falsch"), "{wrong}");
    for (user, cause) in [
        (
            "{exec: {command: aws}}",
            "has a program say who asks, which isn't executed; use a token or a certificate",
        ),
        ("{client-certificate-data: '!'}", "a certificate or key is no base64"),
        ("{tokenFile: none}", "No such file or directory"),
    ] {
        let file = kubeconfig(&place, &address, user);
        assert!(fails("k8s://prod/configmap/web", &[("KUBECONFIG", &file)]).contains(cause));
    }
    fs::write(place.path().join("broken"), "users: [{token: geheim\n").unwrap();
    let broken = place.path().join("broken");
    let wrong = fails("k8s://prod/configmap/web", &[("KUBECONFIG", broken.to_str().unwrap())]);
    assert!(wrong.contains("it is no file of kubectl: line ") && !wrong.contains("geheim"), "{wrong}");
    assert!(fails("k8s://prod/configmap/web", &[]).contains("nor is this a Pod; set KUBECONFIG"));
}
