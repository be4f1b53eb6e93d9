//! The plan: everything that is decided before anything is touched, as plain data.
//!
//! ```text
//! Spec ──make──► Plan ──engine.adapt──► Plan ──adjust──► Plan ──tighten (admission)──► execution
//! ```
//!
//! Making a plan reads nothing but its arguments; executing one decides nothing.

pub mod memory;
pub mod namespaces;
pub mod process;
pub mod scheduling;

use crate::bundle::Bundle;
use crate::error::{Error, Kind, Result};
use crate::security::seccomp;
use crate::spec::{Hooks, Linux, Seccomp, Spec};
use crate::{cgroup, fs, network, resctrl};
use forgeone_config::ExecMode;
use forgeone_sys::process::Namespaces;
use forgeone_trust::Admission;
use namespaces::NamespacePlan;
use process::ProcessPlan;
use std::collections::BTreeMap;

/// What `create` carries out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Specification version of the config.
    pub version: String,
    /// What executes the program.
    pub exec_mode: ExecMode,
    /// The group (pod) that the container belongs to; its own id when it is alone.
    pub group: String,
    /// Namespaces.
    pub namespaces: NamespacePlan,
    /// Root file system.
    pub rootfs: fs::RootfsPlan,
    /// cgroups.
    pub cgroup: cgroup::Plan,
    /// The program.
    pub process: ProcessPlan,
    /// Whether the loopback interface is brought up: in a new network namespace.
    pub loopback: bool,
    /// Interfaces of the host that move in.
    pub net_devices: Vec<network::DevicePlan>,
    /// The share of caches and memory bandwidth.
    pub resctrl: Option<resctrl::Plan>,
    /// Host name, empty for none.
    pub hostname: String,
    /// NIS domain name, empty for none.
    pub domainname: String,
    /// Kernel parameters.
    pub sysctl: BTreeMap<String, String>,
    /// Hooks.
    pub hooks: Hooks,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What a plan depends on beside the bundle.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// chroot in place of pivot_root.
    pub no_pivot: bool,
    /// Lacking rights over cgroups is borne where no limits were asked for.
    pub rootless: bool,
    /// Capabilities that the runtime holds, a bit each; in a user namespace of its own a container's are all.
    pub held: u64,
    /// The systemd that is to make the cgroup, if one is.
    pub systemd: Option<cgroup::systemd::Facts>,
}

/// The right to make and to join namespaces, capabilities(7).
const CAP_SYS_ADMIN: u64 = 21;

fn refuse(field: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Config, format!("{field}: {cause}"))
}

/// Makes the plan of a bundle; also gives what the specification says to warn about.
///
/// # Errors
/// [`Kind::Config`] or [`Kind::Unsupported`], naming the field.
pub fn make(
    id: &str,
    bundle: &Bundle,
    layout: &cgroup::Layout,
    options: Options,
) -> Result<(Box<Plan>, Vec<String>)> {
    let spec = &bundle.spec;
    check_version(&spec.version)?;
    let empty = Linux::default();
    let linux = spec.linux.as_deref().unwrap_or(&empty);
    let process = spec.process.as_ref().ok_or_else(|| refuse("process", "is missing"))?;
    let namespaces = namespaces::plan(linux, !spec.hostname.is_empty(), !spec.domainname.is_empty())?;
    if !namespaces.contains(Namespaces::MOUNT) {
        return Err(refuse("linux.namespaces", "a mount namespace is needed to change the root"));
    }
    if options.held & 1 << CAP_SYS_ADMIN == 0 && !namespaces.contains(Namespaces::USER) {
        let cause = "no \"user\": without root, or CAP_SYS_ADMIN, a container needs a user namespace, as 'spec --rootless' has it";
        return Err(Error::new(Kind::Permission, format!("linux.namespaces: {cause}")));
    }
    let mut warnings = foreign_sections(spec);
    let (rootfs, more) = fs::plan(spec, &bundle.dir, &fs_options(&namespaces, &options))?;
    warnings.extend(more);
    let cgroup_options = cgroup::Options {
        tolerate_missing_rights: options.rootless,
        systemd: options.systemd,
        annotations: spec.annotations.clone(),
        ..Default::default()
    };
    let (cgroup, more) =
        cgroup::plan(layout, id, &linux.cgroups_path, linux.resources.as_ref(), &cgroup_options)?;
    warnings.extend(more);
    let mut filter = linux.seccomp.as_ref().map(seccomp::compile).transpose()?;
    if let Some(compiled) = &mut filter {
        warnings.append(&mut compiled.warnings);
    }
    let grantable = if namespaces.contains(Namespaces::USER) { u64::MAX } else { options.held };
    let (mut process, more) = process::plan(process, filter, grantable)?;
    process.personality = personality(linux)?;
    warnings.extend(more);
    process.memory_policy = linux.memory_policy.as_ref().map(memory::plan).transpose()?;
    check_hooks(spec.hooks.as_ref())?;
    let plan = Plan {
        version: spec.version.clone(),
        exec_mode: exec_mode(&spec.annotations)?,
        group: group(id, &spec.annotations),
        loopback: namespaces.new.contains(Namespaces::NET),
        net_devices: network::plan(&linux.net_devices, namespaces.contains(Namespaces::NET))?,
        namespaces,
        rootfs,
        cgroup,
        process,
        resctrl: linux.intel_rdt.as_ref().map(|wanted| resctrl::plan(id, wanted)).transpose()?,
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        sysctl: linux.sysctl.clone(),
        hooks: spec.hooks.clone().unwrap_or_default(),
        annotations: spec.annotations.clone(),
    };
    Ok((Box::new(plan), warnings))
}

/// A warning for each section of another system's, which means nothing to Linux: config.md, "Platform-specific
/// configuration".
fn foreign_sections(spec: &Spec) -> Vec<String> {
    let sections = ["solaris", "windows", "vm", "zos", "freebsd"].into_iter();
    let present = sections.filter(|section| spec.extra.contains_key(*section));
    present.map(|section| format!("{section}: is for another system than Linux, and is ignored")).collect()
}

/// Where plugins change a plan; there are none yet, so it stays as it is.
pub fn adjust(plan: Box<Plan>) -> Box<Plan> {
    plan
}

/// Takes from the plan what the admission takes.
pub fn tighten(plan: &mut Plan, admission: &Admission) {
    plan.rootfs.readonly |= admission.readonly_root;
    tighten_process(&mut plan.process, admission);
}

/// The same for a program alone, as `exec` starts it.
pub fn tighten_process(process: &mut ProcessPlan, admission: &Admission) {
    process.no_new_privileges |= admission.no_new_privileges;
    let dropped = admission
        .drop_capabilities
        .iter()
        .filter_map(|name| forgeone_sys::credentials::capability_number(name).map(|number| 1_u64 << number));
    let keep = !dropped.fold(0, |all, bit| all | bit);
    let sets = &mut process.capabilities;
    for set in [
        &mut sets.bounding,
        &mut sets.effective,
        &mut sets.permitted,
        &mut sets.inheritable,
        &mut sets.ambient,
    ] {
        *set &= keep;
    }
}

/// The profile of a filter that notifies, whose listener somebody has to take.
pub fn notifying_filter<'a>(plan: &Plan, spec: &'a Spec) -> Option<&'a Seccomp> {
    let notifies = plan.process.seccomp.as_ref().is_some_and(|filter| filter.notify);
    spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref()).filter(|_| notifies)
}

fn fs_options(namespaces: &NamespacePlan, options: &Options) -> fs::Options {
    fs::Options {
        no_pivot: options.no_pivot,
        rootless: options.rootless,
        user_namespace: namespaces.contains(Namespaces::USER),
        cgroup_namespace: namespaces.contains(Namespaces::CGROUP),
    }
}

/// SemVer of the 1.x line; the specification's own versions are backward compatible within it.
fn check_version(version: &str) -> Result<()> {
    if version.is_empty() {
        return Err(refuse("ociVersion", "is missing"));
    }
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let mut parts = core.split('.').map(|part| part.parse::<u32>());
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Ok(1)), Some(Ok(_)), Some(Ok(_)), None) => Ok(()),
        (Some(Ok(_)), Some(Ok(_)), Some(Ok(_)), None) => Err(refuse(
            "ociVersion",
            format_args!("{version} is not supported, 1.0.0 to {} are", crate::spec::VERSION),
        )),
        _ => Err(refuse("ociVersion", format_args!("\"{version}\" is not a version such as 1.0.2"))),
    }
}

fn check_hooks(hooks: Option<&Hooks>) -> Result<()> {
    let Some(hooks) = hooks else { return Ok(()) };
    let lists = [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ];
    for (point, list) in lists {
        for (i, hook) in list.iter().enumerate() {
            if !hook.path.starts_with('/') {
                let cause = format_args!("\"{}\" must be absolute", hook.path);
                return Err(refuse(&format!("hooks.{point}[{i}].path"), cause));
            }
            if hook.timeout.is_some_and(|seconds| seconds <= 0) {
                return Err(refuse(&format!("hooks.{point}[{i}].timeout"), "must be greater than 0"));
            }
        }
    }
    Ok(())
}

/// `linux.personality`, as personality(2) takes it; every program of the container has it.
///
/// # Errors
/// [`Kind::Config`] for a domain that is unknown, and for flags.
pub fn personality(linux: &Linux) -> Result<Option<u32>> {
    let Some(personality) = &linux.personality else { return Ok(None) };
    if let Some(flag) = personality.flags.first() {
        return Err(refuse("linux.personality.flags", format_args!("\"{flag}\" is not defined")));
    }
    // <linux/personality.h>: PER_LINUX and PER_LINUX32.
    match personality.domain.as_str() {
        "LINUX" => Ok(Some(0)),
        "LINUX32" => Ok(Some(8)),
        other => {
            Err(refuse("linux.personality.domain", format_args!("\"{other}\" is neither LINUX nor LINUX32")))
        }
    }
}

/// Annotations that choose an engine: ForgeOne's own, crun's, and those of WASM images.
pub const ENGINE_ANNOTATIONS: [&str; 3] =
    ["io.forgeone.engine", "run.oci.handler", "module.wasm.image/variant"];

/// The engine that the annotations choose.
///
/// # Errors
/// [`Kind::Unsupported`] for one that isn't part of this version.
pub fn exec_mode(annotations: &BTreeMap<String, String>) -> Result<ExecMode> {
    for key in ENGINE_ANNOTATIONS {
        match annotations.get(key).map(String::as_str) {
            None | Some("native") => {}
            Some(engine) => {
                let message =
                    format!("annotations[\"{key}\"]: the engine \"{engine}\" is not part of this version");
                return Err(Error::new(Kind::Unsupported, message));
            }
        }
    }
    Ok(ExecMode::Native)
}

/// The pod's id as containerd and CRI-O annotate it; a lone container is a group of one.
fn group(id: &str, annotations: &BTreeMap<String, String>) -> String {
    ["io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID", "io.podman.annotations.sandbox-id"]
        .iter()
        .find_map(|key| annotations.get(*key))
        .map_or_else(|| id.to_owned(), Clone::clone)
}

/// What the config says of trust, in annotations: issuers (comma-separated) and entropy (bits).
pub struct TrustDemands {
    /// `io.forgeone.trusted-issuers`.
    pub issuers: Vec<String>,
    /// `io.forgeone.minimum-entropy`.
    pub entropy: Option<f64>,
}

/// Reads the trust annotations.
///
/// # Errors
/// [`Kind::Config`] for an entropy that isn't a number.
pub fn trust_demands(spec: &Spec) -> Result<TrustDemands> {
    let issuers = spec.annotations.get("io.forgeone.trusted-issuers").map_or_else(Vec::new, |list| {
        list.split(',').map(str::trim).filter(|issuer| !issuer.is_empty()).map(str::to_owned).collect()
    });
    let key = "io.forgeone.minimum-entropy";
    let entropy = spec.annotations.get(key).map(|bits| bits.parse::<f64>()).transpose();
    let entropy = entropy.map_err(|_| refuse(&format!("annotations[\"{key}\"]"), "is not a number"))?;
    Ok(TrustDemands { issuers, entropy })
}

/// Checks a container id: as runc's, 1 to 1024 of `A-Za-z0-9_+-.`, and neither `.` nor `..`.
///
/// # Errors
/// [`Kind::Usage`], naming the id.
pub fn check_id(id: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    let why = if id.is_empty() {
        "is empty"
    } else if id.len() > 255 {
        "has more than 255 characters"
    } else if id == "." || id == ".." {
        "is a directory's name"
    } else if !id.chars().all(allowed) {
        "has other characters than letters, digits and _+-."
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Usage, format!("container id \"{}\" {why}", id.escape_debug())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_1_line_are_accepted() {
        for version in ["1.0.0", "1.0.2-dev", "1.3.0", "1.99.0", "1.2.0+build"] {
            check_version(version).unwrap();
        }
        for version in ["", "2.0.0", "0.9.0", "one", "1", "1.0", "1.0.0.0", "1.0.x"] {
            assert!(check_version(version).unwrap_err().to_string().starts_with("ociVersion: "), "{version}");
        }
    }

    #[test]
    fn ids_are_checked_strictly() {
        for id in ["a", "web-1", "a_b+c.d", &"x".repeat(255)] {
            check_id(id).unwrap();
        }
        for id in ["", ".", "..", "a/b", "../x", "a b", "ü", "a\n", "a\0", &"x".repeat(256)] {
            assert_eq!(check_id(id).unwrap_err().kind(), Kind::Usage, "{id:?}");
        }
    }

    #[test]
    fn an_engine_that_is_not_there_is_refused_by_name() {
        let annotations = BTreeMap::from([("run.oci.handler".to_owned(), "wasm".to_owned())]);
        let error = exec_mode(&annotations).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("run.oci.handler") && error.to_string().contains("wasm"));
    }

    #[test]
    fn a_container_without_a_pod_is_a_group_of_one() {
        assert_eq!(group("web", &BTreeMap::new()), "web");
        let pod = BTreeMap::from([("io.kubernetes.cri.sandbox-id".to_owned(), "pod7".to_owned())]);
        assert_eq!(group("web", &pod), "pod7");
    }
}
