//! Against Debian's registry.

use crate::{at, client, options, password};
use forgeone_distribution::{
    AuthFiles, Client, Content, Credentials, Descriptor, Digest, Kind, Options, Reference, Uploaded,
    http::Trust, media_type,
};
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use testkit::registry::{PASSWORD, USER};
use testkit::{Registry, Temp};

/// Bytes that don't repeat soon.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(length)
    .collect()
}

/// Pushes an artifact with these bytes as its layer.
fn push(client: &Client, reference: &Reference, layer: &[u8], subject: Option<Descriptor>) -> Digest {
    let (config, layer_is) = (Descriptor::of(media_type::EMPTY, b"{}"), Descriptor::of("text/plain", layer));
    client.put_blob(reference.repository(), &config, None, &mut Cursor::new(b"{}")).unwrap();
    client.put_blob(reference.repository(), &layer_is, None, &mut Cursor::new(layer)).unwrap();
    let content = Content {
        artifact_type: Some("application/x.test".to_owned()),
        config: Some(config),
        layers: Some(vec![layer_is]),
        subject,
        ..Content::of_type(media_type::MANIFEST)
    };
    client.put_manifest(reference, media_type::MANIFEST, &content.to_bytes().unwrap()).unwrap()
}

/// Pulls it again, all of it.
fn pull(client: &Client, reference: &Reference) -> (Digest, Vec<u8>) {
    let manifest = client.manifest(reference).unwrap();
    let mut layer = Vec::new();
    let layers = manifest.content().layers.as_ref().unwrap();
    client.blob(reference.repository(), &layers[0], &mut layer).unwrap();
    (manifest.digest().clone(), layer)
}

#[test]
fn what_was_pushed_is_pulled_listed_and_deleted() {
    let Some(registry) = Registry::plain() else { return };
    let (client, reference) = (client(), at(registry.host(), "team/app:1"));
    let missing = client.manifest(&reference).unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
    let text = format!("pull {reference}: the registry has no such manifest; check name and tag");
    assert_eq!(missing.to_string(), text);
    assert_eq!(client.resolve(&reference), Ok(None));

    let data = bytes(300_000);
    let digest = push(&client, &reference, &data, None);
    assert_eq!(pull(&client, &reference), (digest.clone(), data.clone()));
    let by_digest = reference.repository().with_digest(&digest);
    assert_eq!(pull(&client, &by_digest).1, data);
    let found = client.resolve(&reference).unwrap().unwrap();
    assert_eq!((&found.digest, found.media_type.as_str()), (&digest, media_type::MANIFEST));

    for tag in ["2", "3"] {
        push(&client, &reference.repository().tagged(tag).unwrap(), &data, None);
    }
    let mut tags = client.tags(reference.repository()).unwrap();
    tags.sort();
    assert_eq!(tags, ["1", "2", "3"]);
    client.delete_manifest(&by_digest).unwrap();
    assert_eq!(client.manifest(&reference).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(client.delete_manifest(&by_digest).unwrap_err().kind(), Kind::NotFound);
    client.delete_blob(reference.repository(), &Digest::of(&data)).unwrap();
    assert_eq!(client.has_blob(reference.repository(), &Digest::of(&data)), Ok(false));
    assert_eq!(client.tags(at(registry.host(), "no/such").repository()).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn blobs_are_sent_once_and_mounted_from_other_repositories() {
    let Some(registry) = Registry::plain() else { return };
    let (client, data) = (client(), bytes(10_000));
    let (one, other) = (at(registry.host(), "one"), at(registry.host(), "other"));
    let blob = Descriptor::of("text/plain", &data);
    let put = |into: &Reference, from: Option<&Reference>| {
        client.put_blob(into.repository(), &blob, from.map(Reference::repository), &mut Cursor::new(&data))
    };
    assert_eq!(put(&one, None), Ok(Uploaded::Pushed));
    assert_eq!(put(&one, None), Ok(Uploaded::Existed));
    assert_eq!(put(&other, Some(&one)), Ok(Uploaded::Mounted));
    let mut pulled = Vec::new();
    client.blob(other.repository(), &blob, &mut pulled).unwrap();
    assert_eq!(pulled, data);
    let elsewhere = at(registry.host(), "third");
    assert_eq!(put(&elsewhere, Some(&at(registry.host(), "not/there"))), Ok(Uploaded::Pushed));
}

#[test]
fn a_large_blob_is_pushed_in_pieces() {
    let Some(registry) = Registry::plain() else { return };
    let client = Client::new(Options { piece: Some(70_000), ..options() }).unwrap();
    let (reference, data) = (at(registry.host(), "pieces"), bytes(1_000_000));
    let digest = push(&client, &reference, &data, None);
    assert_eq!(pull(&client, &reference), (digest, data));
}

#[test]
fn other_bytes_than_the_digest_says_are_refused() {
    let Some(registry) = Registry::plain() else { return };
    for piece in [None, Some(1000)] {
        let client = Client::new(Options { piece, ..options() }).unwrap();
        let reference = at(registry.host(), "wrong");
        let blob = Descriptor::of("text/plain", &[1; 5000]);
        let error =
            client.put_blob(reference.repository(), &blob, None, &mut Cursor::new([2; 5000])).unwrap_err();
        assert!(error.to_string().contains("DIGEST_INVALID"), "{error}");
        assert_eq!(client.has_blob(reference.repository(), &blob.digest), Ok(false));
    }
}

#[test]
fn referrers_are_listed_where_the_registry_has_no_list() {
    let Some(registry) = Registry::plain() else { return };
    let (client, reference) = (client(), at(registry.host(), "signed:1"));
    let digest = push(&client, &reference, b"image", None);
    let repository = reference.repository();
    assert_eq!(client.referrers(repository, &digest, None), Ok(Vec::new()));
    let subject = client.resolve(&reference).unwrap().unwrap();
    let signatures = [b"first", b"other"]
        .map(|layer| push(&client, &repository.tagged("signature").unwrap(), layer, Some(subject.clone())));
    let found = client.referrers(repository, &digest, Some("application/x.test")).unwrap();
    let digests: Vec<_> = found.iter().map(|found| found.digest.clone()).collect();
    assert_eq!(digests, signatures);
    assert_eq!(client.referrers(repository, &digest, Some("application/x.other")), Ok(Vec::new()));
}

#[test]
fn tls_and_a_password_are_needed_where_they_are_asked_for() {
    let Some(registry) = Registry::guarded() else { return };
    let reference = at(registry.host(), "secret:1");
    let trust = Trust { authorities: vec![registry.authority()], ..Trust::default() };
    let with = |trust: Trust, credentials| Client::new(Options { trust, credentials, ..options() }).unwrap();

    let unknown = with(Trust::default(), password(USER, PASSWORD)).manifest(&reference).unwrap_err();
    assert_eq!(unknown.kind(), Kind::Insecure);
    assert!(unknown.to_string().contains("its certificate is of an unknown authority; put "), "{unknown}");
    for (credentials, cause) in [
        (Credentials::Anonymous, format!("{} wants a user name and password; log in with ", registry.host())),
        (
            password(USER, "falsch"),
            "the server answers 401 Unauthorized: UNAUTHORIZED authentication required; log in ".to_owned(),
        ),
    ] {
        let error = with(trust.clone(), credentials).manifest(&reference).unwrap_err();
        assert_eq!(error.kind(), Kind::Credentials);
        assert!(error.to_string().contains(&cause) && !error.to_string().contains("falsch"), "{error}");
    }
    let known = with(trust, password(USER, PASSWORD));
    let data = bytes(50_000);
    let digest = push(&known, &reference, &data, None);
    assert_eq!(pull(&known, &reference), (digest, data));
}

#[test]
fn certs_d_and_an_auth_file_are_read() {
    let Some(registry) = Registry::guarded() else { return };
    let place = Temp::new("client");
    let certs = place.path().join("certs.d").join(registry.host());
    fs::create_dir_all(&certs).unwrap();
    fs::copy(registry.authority(), certs.join("ca.crt")).unwrap();
    let auth = place.path().join("auth.json");
    // tester:geheim
    fs::write(
        &auth,
        format!(r#"{{"auths": {{"{}": {{"auth": "dGVzdGVyOmdlaGVpbQ=="}}}}}}"#, registry.host()),
    )
    .unwrap();
    let trust = Trust { directories: vec![place.path().join("certs.d")], ..Trust::default() };
    let credentials = Credentials::Files(AuthFiles::only(&auth));
    let client = Client::new(Options { trust, credentials, ..options() }).unwrap();
    push(&client, &at(registry.host(), "a:1"), b"x", None);
    assert_eq!(pull(&client, &at(registry.host(), "a:1")).1, b"x");
}

#[test]
fn a_certificate_of_ones_own_is_shown_where_it_is_asked_for() {
    let (Some(registry), Some(other)) = (Registry::mutual(), Registry::mutual()) else { return };
    let (place, reference) = (Temp::new("client"), at(registry.host(), "a:1"));
    let certs = place.path().join(registry.host());
    fs::create_dir(&certs).unwrap();
    fs::copy(registry.authority(), certs.join("ca.crt")).unwrap();
    let trust = Trust { directories: vec![place.path().to_owned()], ..Trust::default() };
    let client = || Client::new(Options { trust: trust.clone(), ..options() }).unwrap();
    let show = |(certificate, key): (PathBuf, PathBuf)| {
        fs::copy(certificate, certs.join("client.cert")).unwrap();
        fs::copy(key, certs.join("client.key")).unwrap();
    };
    // Which alert comes depends on the server.
    let refused = || {
        let error = client().manifest(&reference).unwrap_err();
        let said = error.to_string();
        let alert = said.contains(": TLS: it answers with the alert ");
        let help = said.ends_with("asks for a client's certificate: certs.d/HOST[:PORT]/*.cert and *.key");
        assert!(error.kind() == Kind::Insecure && alert && help, "{said}");
    };
    refused();
    // One of another authority, which has the same name.
    show(other.identity());
    refused();
    show(registry.identity());
    push(&client(), &reference, b"x", None);
    assert_eq!(pull(&client(), &reference).1, b"x");
    fs::copy(other.identity().1, certs.join("client.key")).unwrap();
    let error = client().manifest(&reference).unwrap_err().to_string();
    assert!(error.ends_with("client.cert: they don't belong together"), "{error}");
}
