//! Configurations in registries: Debian's, with TLS and a user.

use forgeone_config::{pull_config, push_config, ContainerConfig, Kind, ARTIFACT_TYPE};
use forgeone_distribution::http::Trust;
use forgeone_distribution::{
    media_type, Client, Content, Credentials, Descriptor, Options, Reference, Secret,
};
use std::io::Cursor;
use testkit::registry::{PASSWORD, USER};
use testkit::Registry;

fn client(registry: &Registry) -> Client {
    let trust = Trust { authorities: vec![registry.authority()], ..Trust::default() };
    let credentials = Credentials::Password(USER.into(), Secret::new(PASSWORD));
    Client::new(Options { trust, credentials, ..Options::default() }).unwrap()
}

fn at(registry: &Registry, rest: &str) -> Reference {
    Reference::parse(&format!("{}/{rest}", registry.host())).unwrap()
}

#[test]
fn what_is_pushed_is_pulled_by_tag_and_digest() {
    let Some(registry) = Registry::guarded() else { return };
    let client = client(&registry);
    let config =
        ContainerConfig::builder().image("nginx:1").env([("A", "ä\n")]).tty(true).args(["x", "y"]).build();
    let reference = at(&registry, "configs/web:1");
    let digest = push_config(&client, &reference, &config).unwrap();
    assert_eq!(pull_config(&client, &reference), Ok((config.clone(), digest.clone())));
    // The same is the same; what the tag names changes, the digest's doesn't.
    assert_eq!(push_config(&client, &reference, &config), Ok(digest.clone()));
    push_config(&client, &reference, &ContainerConfig::default()).unwrap();
    assert_eq!(pull_config(&client, &reference).unwrap().0, ContainerConfig::default());
    assert_eq!(pull_config(&client, &reference.repository().with_digest(&digest)).unwrap().0, config);
    let manifest = client.manifest(&reference).unwrap();
    assert_eq!(manifest.content().artifact_type.as_deref(), Some(ARTIFACT_TYPE));
}

#[test]
fn what_is_no_configuration_is_refused() {
    let Some(registry) = Registry::guarded() else { return };
    let client = client(&registry);
    let missing = pull_config(&client, &at(&registry, "none:1")).unwrap_err();
    assert_eq!(missing.kind(), Kind::Remote);
    assert!(
        missing.to_string().contains("the registry has no such manifest; check name and tag"),
        "{missing}"
    );
    let reference = at(&registry, "image:1");
    for (kind, layers, cause) in [
        (None, vec![("x/y", "a")], "it is \"application/vnd.oci.empty.v1+json\", no configuration; "),
        (Some(ARTIFACT_TYPE), vec![], "a configuration has one layer"),
        (Some(ARTIFACT_TYPE), vec![("x/y", "a")], "its layer is \"x/y\", not application/vnd.forgeone"),
        (Some(ARTIFACT_TYPE), vec![(ARTIFACT_TYPE, "{\"imgae\": 1}")], "did you mean \"image\"?"),
        (Some(ARTIFACT_TYPE), vec![(ARTIFACT_TYPE, "nothing")], "image:1:1:1: "),
    ] {
        let mut descriptors = Vec::new();
        for (media_type, text) in [(media_type::EMPTY, "{}")].into_iter().chain(layers) {
            let descriptor = Descriptor::of(media_type, text.as_bytes());
            client.put_blob(reference.repository(), &descriptor, None, &mut Cursor::new(text)).unwrap();
            descriptors.push(descriptor);
        }
        let content = Content {
            artifact_type: kind.map(str::to_owned),
            config: Some(descriptors.remove(0)),
            layers: Some(descriptors),
            ..Content::of_type(media_type::MANIFEST)
        };
        client.put_manifest(&reference, media_type::MANIFEST, &content.to_bytes().unwrap()).unwrap();
        let error = pull_config(&client, &reference).unwrap_err().to_string();
        assert!(error.starts_with(&format!("pull {reference}:")) && error.contains(cause), "{error}");
    }
}
