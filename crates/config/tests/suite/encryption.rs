//! What is encrypted: who opens it, and that nobody else is told.

use age::secrecy::ExposeSecret;
use forgeone_config::encryption::*;
use forgeone_config::{
    config_to_string, load_config_from_variables, merge_configs, parse_config, Format, Kind,
};
use forgeone_config::{
    load_config_from_file, load_encrypted_config_from_file, load_encrypted_document_from_file,
};
use std::fs;
use std::process::Command;
use testkit::Temp;

const SECRET: &str = "hunter2-and-more";

struct Keys {
    temp: Temp,
    public: String,
    file: String,
}

impl Keys {
    fn new() -> Self {
        let temp = Temp::new("config-encryption");
        let key = age::x25519::Identity::generate();
        let file = temp.path().join("key.txt").to_str().unwrap().to_owned();
        fs::write(&file, format!("# a key\n{}\n", key.to_string().expose_secret())).unwrap();
        Self { temp, public: key.to_public().to_string(), file }
    }

    fn recipients(&self) -> Recipients {
        Recipients::keys([self.public.as_str()]).unwrap()
    }

    fn identities(&self) -> Identities {
        let mut identities = Identities::none();
        identities.add_file(&self.file, None).unwrap();
        identities
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.temp.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn web() -> String {
    format!("# the shop\nimage: nginx # newest\nenv:\n  PASSWORD: {SECRET}\n  LEVEL: info\n")
}

#[test]
fn a_whole_file_is_opened_by_each_recipient_and_nobody_else() {
    let (ann, bob, eve) = (Keys::new(), Keys::new(), Keys::new());
    let both = Recipients::keys([ann.public.as_str(), bob.public.as_str()]).unwrap();
    let sealed = encrypt_text(&web(), &both).unwrap();
    assert!(is_encrypted(sealed.as_bytes()) && !sealed.contains(SECRET));
    for name in ["web.yaml", "web.yaml.age"] {
        let path = ann.write(name, &sealed);
        for keys in [&ann, &bob] {
            let config = load_encrypted_config_from_file(&path, &keys.identities()).unwrap();
            assert_eq!(config.config(), &parse_config(&web(), Format::Yaml).unwrap());
        }
        let error = load_encrypted_config_from_file(&path, &eve.identities()).unwrap_err();
        assert_eq!(error.kind(), Kind::Encrypted);
        assert!(error.to_string().ends_with("decrypt: none of the identities opens it"), "{error}");
        let error = load_config_from_file(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("it is encrypted; give an identity or a passphrase that opens it"),
            "{error}"
        );
    }
}

#[test]
fn a_changed_or_shortened_file_is_refused() {
    let keys = Keys::new();
    let sealed = encrypt_text(&web(), &keys.recipients()).unwrap();
    let lines: Vec<&str> = sealed.lines().collect();
    let mut changed = lines.clone();
    let last = lines[lines.len() - 2];
    let other =
        if let Some(rest) = last.strip_prefix('A') { format!("B{rest}") } else { format!("A{}", &last[1..]) };
    changed[lines.len() - 2] = &other;
    let mut shortened = lines.clone();
    shortened.remove(lines.len() - 2);
    for damaged in [changed, shortened] {
        let error = decrypt_text(damaged.join("\n").as_bytes(), &keys.identities()).unwrap_err();
        assert_eq!(error.kind(), Kind::Encrypted, "{error}");
    }
}

#[test]
fn single_values_are_encrypted_and_the_rest_stays() {
    let keys = Keys::new();
    for (format, text) in [
        (Format::Yaml, web()),
        (
            Format::Json,
            format!(
                "{{\"env\": {{\"PASSWORD\": \"{SECRET}\", \"LEVEL\": \"info\"}}, \"image\": \"nginx\"}}\n"
            ),
        ),
        (
            Format::Toml,
            format!("image = 'nginx' # newest\n[env]\nPASSWORD = '''{SECRET}'''\nLEVEL = 'info'\n"),
        ),
    ] {
        let sealed = encrypt_values(&text, format, &["env.PASSWORD"], &keys.recipients()).unwrap();
        assert!(
            !sealed.contains(SECRET) && sealed.contains("LEVEL") && sealed.contains("age-encrypted:"),
            "{sealed}"
        );
        assert_eq!(text.contains("# newest"), sealed.contains("# newest"));
        assert_eq!(encrypted_paths(&sealed, format).unwrap(), ["env.PASSWORD"]);
        let path = keys.write(&format!("web.{format}"), &sealed);
        let config = load_encrypted_config_from_file(&path, &keys.identities()).unwrap();
        assert_eq!(config.config(), &parse_config(&text, format).unwrap());
        assert!(config.is_secret("env.PASSWORD", "") && !config.is_secret("env.LEVEL", "info"));
        assert!(config.is_secret("labels.a", &format!("x{SECRET}")));
        let plain = decrypt_values(&sealed, format, &keys.identities()).unwrap();
        assert_eq!(parse_config(&plain, format).unwrap(), parse_config(&text, format).unwrap());
        // Without a key it is refused, and never taken for what it stands for.
        let error = load_config_from_file(&path).unwrap_err();
        assert_eq!(error.kind(), Kind::Encrypted);
        assert!(error.to_string().contains("env.PASSWORD: it is encrypted; "), "{error}");
        assert_eq!(parse_config(&sealed, format).unwrap_err().kind(), Kind::Encrypted);
    }
    let error = load_config_from_variables([("FORGEONE_ENV_A", "age-encrypted:AAAA")]).unwrap_err();
    assert_eq!(error.kind(), Kind::Encrypted);
    for (path, message) in [
        ("env.NONE", "encrypt env.NONE: there is no such value"),
        ("env", "encrypt env: it is no text"),
        ("mounts[0].source", "encrypt mounts[0].source: there is no such value"),
    ] {
        let error = encrypt_values(&web(), Format::Yaml, &[path], &keys.recipients()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn an_encrypted_value_is_for_its_place() {
    let keys = Keys::new();
    let sealed = encrypt_values(&web(), Format::Yaml, &["env.PASSWORD"], &keys.recipients()).unwrap();
    let moved = keys.write("moved.yaml", &sealed.replace("PASSWORD", "LOGGED"));
    let error = load_encrypted_config_from_file(&moved, &keys.identities()).unwrap_err().to_string();
    assert!(
        error.contains(":4:11: env.LOGGED: it was encrypted for env.PASSWORD, and stands elsewhere"),
        "{error}"
    );
}

#[test]
fn a_base_may_be_encrypted() {
    let keys = Keys::new();
    keys.write("base.yaml", &encrypt_text(&web(), &keys.recipients()).unwrap());
    let path = keys.write("web.yaml", "extends: base.yaml\nname: web\n");
    let config = load_encrypted_config_from_file(&path, &keys.identities()).unwrap();
    assert_eq!(config.config().env.as_ref().unwrap()["PASSWORD"], SECRET);
    assert!(config.is_secret("env.PASSWORD", ""));
    let error = load_config_from_file(&path).unwrap_err();
    assert_eq!(error.kind(), Kind::Encrypted);
}

/// Whatever is wrong: nothing that was encrypted is in a message, in findings or in `{:?}`.
#[test]
fn secrets_are_in_no_message() {
    let keys = Keys::new();
    let passphrase = Passphrase::new(SECRET.to_owned()).unwrap();
    assert_eq!(format!("{passphrase:?}"), "Passphrase(…)");
    for (text, path) in [
        (format!("image: nginx\nrestart: {SECRET}\n"), "restart"),
        (format!("image: nginx\nnetwork: {{mode: {SECRET}}}\n"), "network.mode"),
        (format!("image: \"Bad {SECRET}\"\n"), "image"),
        (format!("image: nginx\nworking_dir: {SECRET}\n"), "working_dir"),
        (format!("image: nginx\nenv: {{\"A\": \"{SECRET}\\0\"}}\n"), "env.A"),
        (format!("image: nginx\nargs: [{SECRET}]\n"), "args[0]"),
    ] {
        let whole = encrypt_text(&text, &keys.recipients()).unwrap();
        let single = encrypt_values(&text, Format::Yaml, &[path], &keys.recipients()).unwrap();
        for sealed in [whole, single] {
            let file = keys.write("web.yaml", &sealed);
            let shown = match load_encrypted_document_from_file(&file, &keys.identities()) {
                Ok((document, Ok(config))) => {
                    format!("{document:?} {config:?} {config:#?} {:?}", config.check())
                }
                Ok((document, Err(e))) => format!("{document:?} {e} {e:#} {e:?}"),
                Err(e) => format!("{e} {e:#} {e:?}"),
            };
            assert!(!shown.contains(SECRET) && !shown.contains("hunter"), "{text}: {shown}");
        }
    }
    // Not well-formed, and so only as a whole.
    for text in [format!("{SECRET}: ["), format!("image: a\nimage: {SECRET}\n"), format!("{SECRET}: a\n")] {
        let file = keys.write("web.yaml", &encrypt_text(&text, &keys.recipients()).unwrap());
        let error = load_encrypted_config_from_file(&file, &keys.identities()).unwrap_err();
        assert!(!format!("{error} {error:#} {error:?}").contains(SECRET), "{text}: {error:#}");
    }
    // A private key where a public one belongs.
    let private = fs::read_to_string(&keys.file).unwrap();
    let private = private.lines().last().unwrap();
    let error = Recipients::keys([private]).unwrap_err();
    assert!(!format!("{error:?}").contains(&private[16..]), "{error}");
}

#[test]
fn a_finding_of_a_secret_has_its_place_and_code() {
    let keys = Keys::new();
    let sealed = encrypt_values("image: Bad\n", Format::Yaml, &["image"], &keys.recipients()).unwrap();
    let file = keys.write("web.yaml", &sealed);
    let findings = load_encrypted_config_from_file(&file, &keys.identities()).unwrap().check();
    let line =
        "error: image: (secret): it doesn't fit; why isn't shown, since it is encrypted; decrypt it, and \
        validate that [image.format]";
    assert_eq!(findings[0].to_string(), line);
    assert!(findings[1].to_string().contains("CPU time has no limit"), "{}", findings[1]);
}

#[test]
fn a_passphrase_opens_what_it_closed() {
    let passphrase = |text: &str| Passphrase::new(text.to_owned()).unwrap();
    let sealed = encrypt_text("image: a\n", &Recipients::passphrase(&passphrase("right"))).unwrap();
    let opened = |text: &str| {
        let mut identities = Identities::none();
        identities.add_passphrase(&passphrase(text));
        decrypt_text(sealed.as_bytes(), &identities).map(|text| text.to_string())
    };
    assert_eq!(opened("right").as_deref(), Ok("image: a\n"));
    let error = opened("wrong").unwrap_err().to_string();
    assert_eq!(error, "decrypt: the passphrase is another one, or it was changed");
    assert_eq!(Passphrase::new(String::new()).unwrap_err().to_string(), "the passphrase is empty");
}

#[test]
fn keys_of_ssh_open_with_their_own_passphrase_too() {
    let keys = Keys::new();
    for (kind, bits, passphrase) in
        [("ed25519", "256", ""), ("ed25519", "256", "of the key"), ("rsa", "2048", "")]
    {
        let file = keys.temp.path().join(format!("{kind}{}", passphrase.len()));
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-b", bits, "-N", passphrase, "-f"])
            .arg(&file)
            .status();
        if !made.is_ok_and(|status| status.success()) {
            testkit::skip("ssh-keygen of openssh-client is missing");
            return;
        }
        let public = fs::read_to_string(file.with_extension("pub")).unwrap();
        let sealed = encrypt_text("image: a\n", &Recipients::keys([public.as_str()]).unwrap()).unwrap();
        let file = file.to_str().unwrap();
        let mut identities = Identities::none();
        if !passphrase.is_empty() {
            let error = identities.add_file(file, None).unwrap_err().to_string();
            assert!(error.ends_with("the ssh key has a passphrase, which wasn't given"), "{error}");
        }
        let given = Passphrase::new(passphrase.to_owned()).ok();
        identities.add_file(file, given.as_ref()).unwrap();
        assert_eq!(
            *decrypt_text(sealed.as_bytes(), &identities).unwrap(),
            "image: a\n",
            "{kind} {passphrase}"
        );
    }
}

#[test]
fn a_file_without_a_key_is_no_identity() {
    let keys = Keys::new();
    let mut identities = Identities::none();
    for (text, end) in
        [("", "it holds no private key of age or ssh"), (SECRET, "it holds no private key of age or ssh")]
    {
        let error = identities.add_file(&keys.write("none", text), None).unwrap_err().to_string();
        assert!(error.starts_with("load the identity /") && error.ends_with(end), "{error}");
    }
    assert!(identities.add_file("/nonexistent", None).is_err() && identities.is_empty());
}

/// What is decrypted can be used as any configuration can.
#[test]
fn what_was_decrypted_can_be_merged_and_written() {
    let keys = Keys::new();
    let file = keys.write("web.yaml", &encrypt_text(&web(), &keys.recipients()).unwrap());
    let config = load_encrypted_config_from_file(&file, &keys.identities()).unwrap();
    let over = parse_config("name: web", Format::Yaml).unwrap();
    let text = config_to_string(&merge_configs(config.config(), &over), Format::Yaml).unwrap();
    assert!(text.contains(SECRET) && text.contains("name: web"));
}
