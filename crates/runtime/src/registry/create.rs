//! Making a container: the nine steps that [`create_container`](super::create_container) tells of.

use super::container::{Container, check_name};
use super::found::{self, Found};
use super::given::Given;
use super::image::ImageConfig;
use super::names::new_id;
use super::network;
use super::record::AnonymousVolume;
use super::record::{self, Record};
use super::register::{Register, replace};
use super::rootfs::{RootfsPlan, Source};
use super::spec::user::User;
use super::spec::{self, Inputs, capabilities};
use super::volumes::{Volume, Volumes, asked_for};
use super::{Creation, SourceKind, prepare, remove};
use crate::clock;
use crate::error::{During, Error, Kind, Result};
use crate::network::Networks;
use forgeone_config::{
    ContainerConfig, ExecMode, MountType, PullPolicy, Severity, Volume as Asked, check_config,
};
use forgeone_sys::{OwnedFd, fs, process, random};
use forgeone_trust::{AdmissionRequest, ContainerDNA, Operation, Subject, ZTAContract, admit, fingerprint};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The policy of containers for which nobody wrote one.
const POLICY: &str = "default";

/// See [`Register::create`].
pub(super) fn create(
    register: &Register,
    image_path: &str,
    id: Option<&str>,
    config: Option<&ContainerConfig>,
    how: &Creation,
) -> Result<Container> {
    let config = effective(image_path, config, how)?;
    let warnings = check(&config)?;

    // 1. The id. Whoever asks for one of his own gets it.
    let id = match id {
        Some(id) => id.to_owned(),
        None => new_id()?,
    };
    crate::plan::check_id(&id)?;
    admitted(&id, &config, None)?;
    let mut new = New::begin(register, &id)?;
    let name = register.name(config.name.as_deref(), &id)?;
    new.name = Some(name.clone());

    let source = new.fetch(&config, how)?;
    let image_config = ImageConfig::parse(source.config.as_ref())?;
    let digest = source.image.as_ref().map(|image| image.digest.as_str());
    admitted(&id, &config, digest)?;

    // 2. Who it is.
    let dna = dna(&id, &config, digest)?;
    // 3. What it is held to.
    let contract = contract(&config);
    // 4. Its files: what they are made of. They are mounted when it starts, in a mount namespace of the monitor's.
    let disk_bytes = config.resource_limits.as_ref().and_then(|limits| limits.disk_bytes);
    let mut rootfs = RootfsPlan::new(&source, &register.places().container(&id), disk_bytes)?;
    new.make_files(&mut rootfs, &config)?;

    let mut record = Record {
        version: record::VERSION,
        id: id.clone(),
        name,
        created: clock::now(),
        image: source.image,
        image_config,
        config,
        rootfs,
        anonymous_volumes: Vec::new(),
        auto_remove: how.auto_remove,
    };
    record.anonymous_volumes = anonymous_volumes(&record)?;
    let networks = Networks::of(register.places());
    record.config.network.get_or_insert_default();
    // Before a network is made for it.
    network::wanted(&record, &networks.list()?, found::is_rootless())?;
    if !found::is_rootless() {
        network::settle(&networks, &mut record.config)?;
    }
    network::wanted(&record, &networks.list()?, found::is_rootless())?;
    // All that can be found out without starting it, before anything outside of its directory is made.
    spec::make(&Inputs {
        record: &record,
        user: &User::default(),
        found: &Found::look(register, &record, false)?,
        given: &Given::default(),
    })?;
    for secret in record.config.secrets.iter().flatten().filter(|secret| secret.file.is_some()) {
        prepare::value(secret)?;
    }
    new.keep("dna.json", &dna)?;
    new.keep("contract.json", &contract)?;
    // 5. to 8. The register has it from here on, with its volumes, labels and annotations. Its life begins as `created`;
    // its metrics are those of the cgroup that has its id for a name, which `stats` finds by it.
    new.finish(&record)?;
    // 9. The container, and with it its id.
    let container = register.container(&id)?;
    let gone = || Error::new(Kind::NotFound, format!("container {id} was removed while it was made"));
    Ok(container.ok_or_else(gone)?.warned(warnings))
}

/// What is asked for, as a whole: the path beats the configuration's image, and paths don't depend on the caller's
/// directory any more.
fn effective(image_path: &str, config: Option<&ContainerConfig>, how: &Creation) -> Result<ContainerConfig> {
    let mut config = config.cloned().unwrap_or_default();
    if !image_path.is_empty() {
        config.image = image_path.to_owned();
    }
    let is_path = ["./", "../"].iter().any(|start| config.image.starts_with(start))
        || config.image == "."
        || config.image == "..";
    if is_path || (!config.image.is_empty() && !matches!(how.source, None | Some(SourceKind::Image))) {
        let absolute = std::path::absolute(&config.image)
            .map_err(|e| Error::new(Kind::Config, format!("image {:?}: {e}", config.image)))?;
        config.image = absolute.to_string_lossy().into_owned();
    }
    if how.host_environment {
        let own = config.env.take().unwrap_or_default();
        let host = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        config.env = Some(host.chain(own).collect());
    }
    Ok(config)
}

/// Refuses what can't be; gives what is to be told. That limits are missing is none of it: there are default ones.
fn check(config: &ContainerConfig) -> Result<Vec<String>> {
    if let Some(name) = &config.name {
        check_name(name)?;
    }
    let findings = check_config(config);
    let errors: Vec<String> =
        findings.iter().filter(|f| f.severity == Severity::Error).map(ToString::to_string).collect();
    if !errors.is_empty() {
        return Err(Error::new(Kind::Config, errors.join("; ")));
    }
    let engine = config.exec_mode.unwrap_or_default();
    if engine != ExecMode::Native {
        let word = format!("{engine:?}").to_lowercase();
        let message = format!("exec_mode {word}: this version has no such engine; leave it out for native");
        return Err(Error::new(Kind::Unsupported, message));
    }
    let told = findings.iter().filter(|finding| finding.code != "limits.missing");
    Ok(told.map(ToString::to_string).collect())
}

/// Asks for admission: first for what is known without the image, then for all.
fn admitted(id: &str, config: &ContainerConfig, digest: Option<&str>) -> Result<()> {
    let annotations: BTreeMap<_, _> = config.annotations.clone().unwrap_or_default().into_iter().collect();
    let text = serde_json::to_vec(config).map_err(|e| Error::new(Kind::Config, e.to_string()))?;
    let request = AdmissionRequest {
        operation: Operation::Create,
        id,
        subject: match digest {
            Some(digest) => Subject::Image { digest },
            None => Subject::Bundle { config: &text, rootfs: None },
        },
        exec_mode: config.exec_mode.unwrap_or_default(),
        args: config.args.as_deref().unwrap_or_default(),
        annotations: &annotations,
        trusted_issuers: config.trusted_issuers.as_deref().unwrap_or_default(),
        minimum_entropy: config.minimum_entropy,
    };
    admit(&request).map(drop).map_err(|refusal| Error::new(Kind::Refused, refusal.to_string()))
}

/// Identity and fingerprint: over the configuration and the image's digest, so that two containers have the same hash
/// if they were made from the same.
fn dna(id: &str, config: &ContainerConfig, digest: Option<&str>) -> Result<ContainerDNA> {
    let text = serde_json::to_vec(config).map_err(|e| Error::new(Kind::Config, e.to_string()))?;
    let mut entropy = [0; 32];
    random::getrandom(&mut entropy).during(|| "container dna")?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(ContainerDNA {
        id: id.to_owned(),
        hash: fingerprint([text.as_slice(), digest.unwrap_or_default().as_bytes()]),
        signer: String::new(),
        resource_limits: config.resource_limits.clone().unwrap_or_default(),
        trust_label: "unsigned".to_owned(),
        runtime_entropy: entropy.iter().map(|byte| format!("{byte:02x}")).collect(),
        created_at: since.as_secs(),
        identity: None,
    })
}

fn contract(config: &ContainerConfig) -> ZTAContract {
    ZTAContract {
        runtime_policy_id: POLICY.to_owned(),
        trusted_issuers: config.trusted_issuers.clone().unwrap_or_default(),
        minimum_entropy: config.minimum_entropy.unwrap_or_default(),
        exec_mode: config.exec_mode.unwrap_or_default(),
    }
}

/// A volume for each directory that the image wants to be one, unless something is mounted there.
fn anonymous_volumes(record: &Record) -> Result<Vec<AnonymousVolume>> {
    let config = &record.config;
    let mounts = config.mounts.iter().flatten().map(|mount| mount.destination.as_str());
    let taken: Vec<&str> =
        mounts.chain(config.volumes.iter().flatten().map(|volume| volume.path.as_str())).collect();
    let wanted = record.image_config.volumes.keys().map(|path| format!("/{}", path.trim_matches('/')));
    let wanted = wanted.filter(|path| path != "/" && !taken.contains(&path.as_str()));
    wanted.map(|path| Ok(AnonymousVolume { name: new_id()?, path })).collect()
}

/// The volumes of a container, to be made where there is none of that name.
fn wanted_volumes(record: &Record) -> impl Iterator<Item = Volume> {
    let named = record.config.volumes.iter().flatten().map(|volume| asked_for(volume, false));
    let plain = |name: &str| Asked { name: name.to_owned(), ..Asked::default() };
    let mounts = record.config.mounts.iter().flatten().filter(|mount| mount.mount_type == MountType::Volume);
    let mounts = mounts.map(move |mount| asked_for(&plain(&mount.source), false));
    let own = record.anonymous_volumes.iter().map(move |volume| asked_for(&plain(&volume.name), true));
    named.chain(mounts).chain(own)
}

/// A container that isn't whole yet; unless it is finished, nothing of it stays.
struct New<'r> {
    register: &'r Register,
    id: &'r str,
    dir: Option<OwnedFd>,
    /// Once it has one.
    name: Option<String>,
}

impl<'r> New<'r> {
    fn begin(register: &'r Register, id: &'r str) -> Result<Self> {
        Ok(Self { register, id, dir: Some(register.begin(id)?), name: None })
    }

    /// Has the image's helper find, pull or unpack what the container is made from.
    fn fetch(&self, config: &ContainerConfig, how: &Creation) -> Result<Source> {
        let places = self.register.places();
        let directory = places.container(self.id);
        let mut command = Command::new(&places.image_helper);
        command.arg("rootfs").arg("--data-root").arg(&places.data_root).arg("--container").arg(&directory);
        let options = [
            ("--pull", config.pull_policy.map(PullPolicy::word)),
            ("--platform", config.platform.as_deref()),
            ("--storage-driver", how.storage_driver.as_deref()),
            ("--type", how.source.map(SourceKind::word)),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                command.args([option, value]);
            }
        }
        // Why it fails comes in a file, so that progress can be shown meanwhile.
        command.arg("--failure").arg(&config.image).stdin(Stdio::null()).stdout(Stdio::null());
        let ended = process::spawn(&mut command).and_then(|mut child| child.wait()).map_err(|e| {
            let message = format!("execute {}: {e}; make install brings it", places.image_helper.display());
            Error::new(Kind::System, message)
        })?;
        if !ended.success() {
            let failure = std::fs::read_to_string(directory.join("failure"));
            let failure = failure.unwrap_or_else(|_| format!("{}: {ended}", places.image_helper.display()));
            return Err(Error::new(Kind::Config, failure.trim_end()));
        }
        let text = std::fs::read(directory.join("image.json"));
        let wrong = |e: &dyn std::fmt::Display| Error::new(Kind::System, format!("image.json: {e}"));
        serde_json::from_slice(&text.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))
    }

    fn keep(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_vec_pretty(value);
        let text = text.map_err(|e| Error::new(Kind::System, format!("{name}: {e}")))?;
        self.dir.as_ref().map_or(Ok(()), |dir| replace(dir, name, &text))
    }

    /// What its files need to be mounted, and the copy of the user's own filter.
    fn make_files(&self, rootfs: &mut RootfsPlan, config: &ContainerConfig) -> Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        fs::mkdirat(dir, "rootfs", 0o755).during(|| "rootfs")?;
        if let Some(upper) = &mut rootfs.upper {
            upper.prepare()?;
        }
        let Some(file) = spec::profile_file(config.security_opt.as_deref()) else { return Ok(()) };
        spec::read_profile(Path::new(file), &capabilities::effective(config)?.0)?;
        let text = std::fs::read(file).map_err(|e| Error::new(Kind::Config, format!("{file}: {e}")))?;
        replace(dir, found::PROFILE, &text)
    }

    /// From now on it is a container. Volumes that were made for it and the record come together: if one fails, neither
    /// stays.
    fn finish(mut self, record: &Record) -> Result<()> {
        let volumes = Volumes::of(self.register.places());
        let _lock = self.register.lock()?;
        let mut made = Vec::new();
        let done = wanted_volumes(record).try_for_each(|volume| {
            if volumes.make(&volume)? {
                made.push(volume.name);
            }
            Ok(())
        });
        match done.and_then(|()| self.keep(record::FILE, record)) {
            Ok(()) => {
                self.dir = None;
                Ok(())
            }
            Err(e) => {
                let undone = made.iter().filter_map(|name| volumes.discard(name).err());
                Err(Error::all(std::iter::once(e.clone()).chain(undone).collect()).unwrap_or(e))
            }
        }
    }
}

impl Drop for New<'_> {
    fn drop(&mut self) {
        if self.dir.is_some() {
            // Why it failed is what is told; what stays in spite of this, the next command takes away.
            let _ = self.name.take().map(|name| self.register.unname(&name, self.id));
            let _ = remove::directory(self.register.places(), self.id);
        }
    }
}
