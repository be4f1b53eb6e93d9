//! From `linux.cgroupsPath` and `linux.resources` to what is to be made and written: pure, on plain data.
//!
//! A controller belongs to v1 where a v1 hierarchy with it is mounted, otherwise to cgroup2. Device rules need no
//! controller on cgroup2. What a bundle asks for and the machine doesn't have is an error that names the field.

use super::devices::{self, DeviceRules};
use super::layout::{Layout, Mode};
use super::path::Name;
use super::paths::Paths;
use super::step::{Step, Write, refuse};
use super::{program, systemd, v1, v2};
use crate::error::{Error, Kind, Result};
use crate::spec::{Cpu, Memory, Resources};
use forgeone_sys::bpf::BpfInstruction;
use std::collections::BTreeMap;

/// What the caller decides, not the bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where the caller has no rights over cgroups (rootless), go without a group, unless the bundle asks for limits
    /// or names its group; and without device rules, which a user namespace never may set and doesn't need.
    pub tolerate_missing_rights: bool,
    /// Host user id that is to own the group on cgroup2, so that the container may make groups in it
    /// (config-linux.md, "Cgroup ownership"). Not heeded beside v1, which can't be delegated safely.
    pub owner: Option<u32>,
    /// The systemd that is to make the group, as a unit; without one it is made here.
    pub systemd: Option<systemd::Facts>,
    /// Those of the bundle, which may set properties of that unit.
    pub annotations: BTreeMap<String, String>,
}

/// How a container's first process gets into its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Entry {
    /// It is born there (cgroup2), or goes there itself before it does anything else (v1).
    #[default]
    AtBirth,
    /// Somebody else moves it there once it exists, as systemd does with the processes of a scope that it is asked
    /// to make ([`Plan::unit`]): the process has to wait for that.
    Moved,
}

/// A container's group, decided: nothing has been touched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// How the first process gets in.
    pub entry: Entry,
    /// The unit that systemd is to make.
    pub unit: Option<systemd::Unit>,
    /// v1, one for each hierarchy.
    pub v1: Vec<Place>,
    /// cgroup2.
    pub v2: Option<Place>,
    /// Whether a hierarchy without rights and without limits is passed over.
    pub tolerant: bool,
    /// Whether device rules are left out where the caller may not set them.
    pub devices_may_fail: bool,
}

/// A container's group in one hierarchy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// As v1's mount option: `cpu,cpuacct`, `name=systemd`; empty for cgroup2.
    pub controllers: String,
    /// Absolute path of the mount point.
    pub mount: String,
    /// The group below `mount`, without a slash at either end.
    pub group: String,
    /// Set where this is v1's cpuset.
    pub cpuset: Option<Cpuset>,
    /// What is written, in order.
    pub steps: Vec<Step>,
    /// Device rules, where this is the hierarchy that has them.
    pub devices: Devices,
    /// Which controllers the group gets, on cgroup2.
    pub enable: Enable,
    /// Host user id that is to own it.
    pub owner: Option<u32>,
}

/// What v1's cpuset needs before anybody can enter: a new group has no CPU and no memory node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpuset {
    /// Names of the files for CPUs and memory nodes.
    pub files: [&'static str; 2],
    /// Whether the bundle leaves each open, so that the group gets what its parent has.
    pub inherit: [bool; 2],
}

/// Device rules in the form that the hierarchy takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Devices {
    /// None here.
    #[default]
    None,
    /// For v1's `devices`.
    Rules(DeviceRules),
    /// For cgroup2.
    Program(Vec<BpfInstruction>),
}

/// Which controllers a cgroup2 group gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enable {
    /// Those that have to be there, with the field that needs each.
    pub needed: Vec<(String, String)>,
    /// Also whatever else there is, as where cgroup2 is alone: others count on its numbers.
    pub all: bool,
}

impl Place {
    /// Absolute path of the group.
    pub fn path(&self) -> String {
        self.level(&self.group)
    }

    /// The levels of the group from the top, without the last: `a`, `a/b` for `a/b/c`.
    pub(super) fn parents(&self) -> impl Iterator<Item = &str> {
        self.group.match_indices('/').map(|(end, _)| &self.group[..end])
    }

    /// Absolute path of a level.
    pub(super) fn level(&self, level: &str) -> String {
        if level.is_empty() { self.mount.clone() } else { format!("{}/{level}", self.mount) }
    }

    /// Whether the directory is all that is to be made.
    pub(super) fn is_bare(&self) -> bool {
        let v1 = !self.controllers.is_empty();
        v1 && self.cpuset.is_none() && self.steps.is_empty() && self.devices == Devices::None
    }

    /// The first field that asks for a limit here.
    pub fn limit(&self) -> Option<&str> {
        self.steps.first().map(Step::field)
    }
}

/// A plan for the container `id`, and warnings.
///
/// # Errors
/// What is wrong in `cgroups_path` or `resources`, or can't be had on this machine, by field.
pub fn plan(
    layout: &Layout,
    id: &str,
    cgroups_path: &str,
    resources: Option<&Resources>,
    options: &Options,
) -> Result<(Plan, Vec<String>)> {
    let (name, unit) = match &options.systemd {
        None => (Name::new(id, cgroups_path)?, None),
        Some(facts) => {
            let (unit, group) = systemd::Unit::new(facts, id, cgroups_path, layout.mode())?;
            (Name::exact(group), Some(unit))
        }
    };
    let mut builder = Builder::new(layout, &name, options);
    // A user's own systemd has no right to them either.
    let user = options.systemd.as_ref().is_some_and(|facts| facts.user);
    builder.plan.devices_may_fail = options.tolerate_missing_rights || user;
    builder.plan.tolerant = options.tolerate_missing_rights && cgroups_path.is_empty() && unit.is_none();
    let none = Resources::default();
    let resources = resources.unwrap_or(&none);
    builder.limits(resources)?;
    builder.devices(resources)?;
    builder.unified(resources)?;
    builder.cpuset();
    if let (Some(unit), Some(facts)) = (unit, &options.systemd) {
        builder.unit(unit, facts, resources, &options.annotations)?;
    }
    Ok((builder.plan, builder.warnings))
}

/// The same for a container whose groups are there, at `paths`: only limits, no device rules. `oom_killer` says that the
/// OOM killer is to be let loose again.
pub(super) fn plan_change(
    layout: &Layout,
    paths: &Paths,
    resources: &Resources,
    oom_killer: bool,
) -> Result<(Plan, Vec<String>)> {
    let mut builder = Builder::of(layout, paths);
    builder.limits(resources)?;
    if oom_killer && let Home::V1(place) = builder.home("memory") {
        let field = "linux.resources.memory.disableOOMKiller";
        place.steps.push(Step::Write(Write::new(field, "memory.oom_control", 0)));
    }
    builder.unified(resources)?;
    builder.cpuset();
    Ok((builder.plan, builder.warnings))
}

struct Builder<'a> {
    layout: &'a Layout,
    plan: Plan,
    warnings: Vec<String>,
    /// What is to be said of a controller that is nowhere.
    lacking: &'static str,
}

/// Where a controller is.
enum Home<'a> {
    V1(&'a mut Place),
    V2(&'a mut Place),
    Nowhere,
}

impl<'a> Builder<'a> {
    fn new(layout: &'a Layout, name: &Name, options: &Options) -> Self {
        let mut plan = Plan::default();
        for hierarchy in &layout.v1 {
            let first = &hierarchy.controllers[0];
            if first.starts_with("name=") && first != "name=systemd" {
                // Others' book-keeping, as of OpenRC: not ours to fill.
                continue;
            }
            plan.v1.push(Place {
                controllers: hierarchy.controllers.join(","),
                mount: hierarchy.mount.clone(),
                group: name.in_v1(&hierarchy.own),
                ..Place::default()
            });
        }
        let alone = layout.mode() == Mode::V2;
        plan.v2 = layout.v2.as_ref().map(|unified| Place {
            mount: unified.mount.clone(),
            group: name.in_v2(&unified.own),
            enable: Enable { all: alone, ..Enable::default() },
            owner: options.owner.filter(|_| alone),
            ..Place::default()
        });
        Self { layout, plan, warnings: Vec::new(), lacking: "is not mounted" }
    }

    /// For the groups that a container has.
    fn of(layout: &'a Layout, paths: &Paths) -> Self {
        let place = |controllers: String, mount: &str, path: Option<&String>| {
            let group = path?.strip_prefix(mount)?.trim_matches('/').to_owned();
            Some(Place { controllers, mount: mount.to_owned(), group, ..Place::default() })
        };
        let v1 = layout.v1.iter().filter_map(|hierarchy| {
            let controllers = hierarchy.controllers.join(",");
            let path = paths.v1.get(&controllers);
            place(controllers, &hierarchy.mount, path)
        });
        let v2 = layout.v2.as_ref().and_then(|v2| place(String::new(), &v2.mount, paths.v2.as_ref()));
        let plan = Plan { v1: v1.collect(), v2, ..Plan::default() };
        Self { layout, plan, warnings: Vec::new(), lacking: "has no group of the container's" }
    }

    fn nowhere(&self, field: &str, controller: &str) -> Error {
        let message = format!("{field}: the {controller} controller of cgroups {}", self.lacking);
        Error::new(Kind::Unsupported, message)
    }

    fn home(&mut self, controller: &str) -> Home<'_> {
        let has = |place: &&mut Place| place.controllers.split(',').any(|c| c == controller);
        if let Some(place) = self.plan.v1.iter_mut().find(has) {
            return Home::V1(place);
        }
        match &mut self.plan.v2 {
            Some(place) if !self.layout.unmounted.iter().any(|c| c == controller) => Home::V2(place),
            _ => Home::Nowhere,
        }
    }

    /// Adds the steps of a controller, called `names.0` on v1 and `names.1` on v2, to the hierarchy that has it.
    fn add(
        &mut self,
        names: (&str, &str),
        on_v1: impl FnOnce() -> Result<Vec<Step>>,
        on_v2: impl FnOnce() -> Result<Vec<Step>>,
    ) -> Result<()> {
        match self.home(names.0) {
            Home::V1(place) => place.steps.extend(on_v1()?),
            Home::V2(place) => {
                let steps = on_v2()?;
                if let Some(first) = steps.first() {
                    place.enable.needed.push((names.1.to_owned(), first.field().to_owned()));
                }
                place.steps.extend(steps);
            }
            Home::Nowhere => {
                if let Some(first) = on_v1()?.first() {
                    return Err(self.nowhere(first.field(), names.0));
                }
            }
        }
        Ok(())
    }

    fn limits(&mut self, resources: &Resources) -> Result<()> {
        if let Some(memory) = &resources.memory {
            self.warn_memory(memory);
            self.add(("memory", "memory"), || v1::memory(memory), || v2::memory(memory))?;
        }
        if let Some(cpu) = &resources.cpu {
            self.warn_cpu(cpu);
            self.add(("cpu", "cpu"), || v1::cpu(cpu), || v2::cpu(cpu))?;
            self.add(("cpuset", "cpuset"), || v1::cpuset(cpu), || v1::cpuset(cpu))?;
        }
        if let Some(pids) = &resources.pids {
            self.add(("pids", "pids"), || v1::pids(pids), || v1::pids(pids))?;
        }
        if let Some(io) = &resources.block_io {
            self.add(("blkio", "io"), || v1::block_io(io), || v2::block_io(io))?;
        }
        let pages = &resources.hugepage_limits;
        self.add(("hugetlb", "hugetlb"), || v1::hugetlb(pages), || v2::hugetlb(pages))?;
        if let Some(network) = &resources.network {
            self.add(("net_cls", "net_cls"), || v1::net_cls(network), || v2::network(network))?;
            self.add(("net_prio", "net_prio"), || v1::net_prio(network), || v2::network(network))?;
        }
        let rdma = &resources.rdma;
        self.add(("rdma", "rdma"), || v1::rdma(rdma), || v1::rdma(rdma))
    }

    fn warn_memory(&mut self, memory: &Memory) {
        let mut warn = |field: &str, why: &str| {
            self.warnings.push(format!("linux.resources.memory.{field}: {why}"));
        };
        if memory.kernel.is_some_and(|n| n != 0) {
            warn("kernel", "ignored: kernels since 5.11 have no limit of its own for kernel memory");
        }
        if memory.use_hierarchy == Some(false) {
            warn("useHierarchy", "ignored: groups inside always count to the group");
        }
        let limited = memory.kernel_tcp.is_some_and(|n| n > 0);
        if limited && matches!(self.home("memory"), Home::V2(_)) {
            let why =
                "linux.resources.memory.kernelTCP: ignored: on cgroup v2 these buffers count to the limit";
            self.warnings.push(why.into());
        }
    }

    fn warn_cpu(&mut self, cpu: &Cpu) {
        if cpu.idle == Some(1) && v1::set(cpu.shares).is_some() {
            let why = "ignored: an idle group (linux.resources.cpu.idle) has the smallest weight";
            self.warnings.push(format!("linux.resources.cpu.shares: {why}"));
        }
    }

    fn devices(&mut self, resources: &Resources) -> Result<()> {
        let rules = devices::rules(&resources.devices)?;
        let has = |place: &&mut Place| place.controllers.split(',').any(|c| c == "devices");
        if let Some(place) = self.plan.v1.iter_mut().find(has) {
            place.devices = Devices::Rules(DeviceRules::new(&rules)?);
        } else if let Some(place) = &mut self.plan.v2 {
            place.devices = Devices::Program(program::assemble(&rules));
        } else if self.plan.devices_may_fail {
            self.warnings
                .push("linux.resources.devices: no cgroup is mounted: devices are not filtered".into());
        } else {
            return Err(self.nowhere("linux.resources.devices", "devices"));
        }
        Ok(())
    }

    /// Says what v1's cpuset is to inherit, and by which names.
    fn cpuset(&mut self) {
        let noprefix = self.layout.v1.iter().any(|h| h.noprefix);
        let Home::V1(place) = self.home("cpuset") else { return };
        let names = ["cpuset.cpus", "cpuset.mems"];
        let files = if noprefix { ["cpus", "mems"] } else { names };
        let mut inherit = [true; 2];
        for step in &mut place.steps {
            let Step::Write(write) = step else { continue };
            let Some(i) = names.iter().position(|name| *name == write.file) else { continue };
            inherit[i] = false;
            write.file = files[i].into();
        }
        place.cpuset = Some(Cpuset { files, inherit });
    }

    /// Gives the plan its unit, with all that was decided as properties, too.
    fn unit(
        &mut self,
        mut unit: systemd::Unit,
        facts: &systemd::Facts,
        resources: &Resources,
        annotations: &BTreeMap<String, String>,
    ) -> Result<()> {
        let rules = devices::rules(&resources.devices)?;
        let steps = self.plan.places().flat_map(|place| &place.steps);
        unit.decide(steps, &rules, annotations, facts.version, self.layout.mode())?;
        self.plan.unit = Some(unit);
        self.plan.entry = Entry::Moved;
        Ok(())
    }

    fn unified(&mut self, resources: &Resources) -> Result<()> {
        let mode = self.layout.mode();
        for (file, value) in &resources.unified {
            let field = format!("linux.resources.unified[{file:?}]");
            if matches!(mode, Mode::V1 | Mode::None) {
                return refuse(field, "invalid configuration: needs cgroup v2, which is not mounted");
            }
            let controller = v2::unified_controller(file)?;
            let place = match self.home(controller) {
                Home::V2(place) => place,
                Home::V1(_) => {
                    let cause = "invalid configuration: the controller belongs to cgroup v1:";
                    return refuse(field, format_args!("{cause} {controller}"));
                }
                Home::Nowhere => return Err(self.nowhere(&field, controller)),
            };
            if !controller.is_empty() {
                place.enable.needed.push((controller.to_owned(), field));
            }
            place.steps.extend(v2::unified(file, value));
        }
        Ok(())
    }
}

/// What is needed to show a container its cgroups in `/sys/fs/cgroup`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupView {
    /// v1 hierarchies.
    pub v1: Vec<Subsystem>,
    /// cgroup2; its name is empty where it is alone, and then it is what is shown at the mount itself.
    pub v2: Option<Subsystem>,
}

/// One hierarchy of a [`CgroupView`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subsystem {
    /// Name of the directory, as on the host: `memory`, `cpu,cpuacct`, `systemd`, `unified`.
    pub name: String,
    /// Names of symlinks to it: `cpu` and `cpuacct`.
    pub aliases: Vec<String>,
    /// Mount option that makes a mount of this hierarchy (in a cgroup namespace); empty for cgroup2.
    pub option: String,
    /// Absolute path of the container's group on the host.
    pub host: String,
}

impl Plan {
    /// What a container with this group sees of cgroups; `paths` are the places that it really got.
    pub fn view(&self, paths: &Paths) -> CgroupView {
        let subsystem = |place: &Place| {
            let name = place.mount.rsplit('/').next().unwrap_or_default().to_owned();
            let controllers = place.controllers.split(',');
            let aliases = controllers.filter(|c| *c != name && !c.is_empty() && !c.starts_with("name="));
            Subsystem {
                aliases: aliases.map(String::from).collect(),
                option: place.controllers.clone(),
                host: place.path(),
                name,
            }
        };
        let mut v2 = self.v2.as_ref().filter(|_| paths.v2.is_some()).map(subsystem);
        if let (Some(v2), true) = (&mut v2, self.v1.is_empty()) {
            v2.name.clear();
        }
        let v1 = self.v1.iter().filter(|place| paths.v1.contains_key(&place.controllers));
        CgroupView { v1: v1.map(subsystem).collect(), v2 }
    }

    /// All places, cgroup2 last.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.v1.iter().chain(&self.v2)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests;
