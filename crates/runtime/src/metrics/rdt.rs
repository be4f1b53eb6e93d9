//! Intel RDT: the share of a container's class in resctrl, what the machine has of each, and what was monitored.
//!
//! The kernel's filesystems/resctrl.rst. What a machine can't share or monitor is absent; of the container's own
//! monitoring group where it has one, otherwise of its class, which others may be in.

use super::files::Files;
use crate::json::Extra;
use crate::resctrl::Paths;
use forgeone_sys::{Errno, Result};
use serde_json::Value;
use std::path::Path;

/// A resource: its name in `info` and in `schemata`, its names here, and the numbers in `info`.
const RESOURCES: [(&str, [&str; 3], &[&str]); 2] = [
    ("L3", ["l3_cache_info", "l3_cache_schema_root", "l3_cache_schema"], &["min_cbm_bits", "num_closids"]),
    (
        "MB",
        ["mem_bw_info", "mem_bw_schema_root", "mem_bw_schema"],
        &["bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids"],
    ),
];

/// What is monitored, by runc's names and the kernel's.
const MONITORED: [(&str, &[&str]); 2] =
    [("mbm_stats", &["mbm_total_bytes", "mbm_local_bytes"]), ("cmt_stats", &["llc_occupancy"])];

/// Reads the numbers of a container that has a class.
pub(super) fn read(paths: &Paths) -> Result<Extra> {
    let mut out = Extra::new();
    if paths.group.is_empty() {
        return Ok(out);
    }
    let top = top(&paths.group);
    let (schemata, schemata_top) = (text(&paths.group, "schemata")?, text(top, "schemata")?);
    for (name, [info, share_top, share], numbers) in RESOURCES {
        let dir = format!("{top}/info/{name}");
        let mask = text(&dir, "cbm_mask")?;
        let mut about = Extra::new();
        put(&mut about, "cbm_mask", Some(mask.trim()).filter(|mask| !mask.is_empty()));
        for file in numbers {
            put(&mut about, file, Some(count(&dir, file)?).filter(|count| *count != 0));
        }
        if !about.is_empty() {
            put(&mut out, info, Some(about));
            put(&mut out, share_top, line_of(&schemata_top, name));
            put(&mut out, share, line_of(&schemata, name));
        }
    }
    put(&mut out, "schemata", Some(schemata.lines().map(str::trim).collect::<Value>()));
    let features = text(top, "info/L3_MON/mon_features")?;
    let group = if paths.monitor.is_empty() { &paths.group } else { &paths.monitor };
    for (key, files) in MONITORED {
        if features.lines().any(|feature| files.contains(&feature)) {
            put(&mut out, key, Some(monitored(&format!("{group}/mon_data"), files)?));
        }
    }
    Ok(out)
}

/// The directory with `info`: the class itself where it is the default one, otherwise the one above.
fn top(class: &str) -> &str {
    match class.rsplit_once('/') {
        Some((above, _)) if Path::new(above).join("info").is_dir() => above,
        _ => class,
    }
}

/// A file's text; empty where the machine has no such file.
fn text(dir: &str, file: &str) -> Result<String> {
    Files::open(dir).and_then(|files| files.text(file)).or_else(|e| match e.errno() {
        Errno::NOENT => Ok(String::new()),
        _ => Err(e),
    })
}

/// A file's number; 0 where there is none, or the hardware can't give it (`Unavailable`).
fn count(dir: &str, file: &str) -> Result<u64> {
    Ok(text(dir, file)?.trim().parse().unwrap_or(0))
}

fn put(out: &mut Extra, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        out.insert(key.to_owned(), value.into());
    }
}

/// What the files of each domain say, in their order.
fn monitored(data: &str, files: &[&str]) -> Result<Vec<Value>> {
    let mut domains = Vec::new();
    for name in Files::open(data)?.directories()? {
        let mut domain = Extra::new();
        for file in files {
            put(&mut domain, file, Some(count(&format!("{data}/{name}"), file)?));
        }
        domains.push(Value::Object(domain));
    }
    Ok(domains)
}

/// The share of a resource: `L3` may also be split, as `L3CODE` and `L3DATA`.
fn line_of<'a>(schemata: &'a str, name: &str) -> Option<&'a str> {
    schemata.lines().map(str::trim).rfind(|line| line.starts_with(name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::fs;
    use testkit::Temp;

    /// The files that the kernel would make, with one class and a monitoring group in it.
    fn resctrl() -> (Temp, Paths) {
        let top = Temp::new("resctrl");
        for (file, text) in [
            ("schemata", "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n"),
            ("info/L3/cbm_mask", "fffff\n"),
            ("info/L3/min_cbm_bits", "1\n"),
            ("info/L3/num_closids", "16\n"),
            ("info/MB/bandwidth_gran", "10\n"),
            ("info/MB/delay_linear", "0\n"),
            ("info/MB/min_bandwidth", "10\n"),
            ("info/MB/num_closids", "8\n"),
            ("info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n"),
            ("web/schemata", "    MB:0= 20;1= 70\n    L3:0=0000f;1=00ff0\n"),
            ("web/mon_data/mon_L3_00/llc_occupancy", "1\n"),
            ("web/mon_groups/web/mon_data/mon_L3_01/llc_occupancy", "5\n"),
            ("web/mon_groups/web/mon_data/mon_L3_01/mbm_total_bytes", "6\n"),
            ("web/mon_groups/web/mon_data/mon_L3_01/mbm_local_bytes", "Unavailable\n"),
            ("web/mon_groups/web/mon_data/mon_L3_00/llc_occupancy", "2\n"),
            ("web/mon_groups/web/mon_data/mon_L3_00/mbm_total_bytes", "3\n"),
            ("web/mon_groups/web/mon_data/mon_L3_00/mbm_local_bytes", "4\n"),
        ] {
            let file = top.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let group = top.path().join("web").display().to_string();
        let monitor = format!("{group}/mon_groups/web");
        (top, Paths { group, monitor, ..Paths::default() })
    }

    fn json(paths: &Paths) -> String {
        serde_json::to_string(&read(paths).unwrap()).unwrap()
    }

    #[test]
    fn shares_and_what_was_monitored_are_told_as_runc_tells_them() {
        let (top, paths) = resctrl();
        let shares = concat!(
            r#"{"l3_cache_info":{"cbm_mask":"fffff","min_cbm_bits":1,"num_closids":16},"#,
            r#""l3_cache_schema_root":"L3:0=fffff;1=fffff","l3_cache_schema":"L3:0=0000f;1=00ff0","#,
            r#""mem_bw_info":{"bandwidth_gran":10,"min_bandwidth":10,"num_closids":8},"#,
            r#""mem_bw_schema_root":"MB:0=100;1=100","mem_bw_schema":"MB:0= 20;1= 70","#,
            r#""schemata":["MB:0= 20;1= 70","L3:0=0000f;1=00ff0"]"#,
        );
        let monitored = concat!(
            r#","mbm_stats":[{"mbm_total_bytes":3,"mbm_local_bytes":4},{"mbm_total_bytes":6,"mbm_local_bytes":0}]"#,
            r#","cmt_stats":[{"llc_occupancy":2},{"llc_occupancy":5}]}"#
        );
        assert_eq!(json(&paths), format!("{shares}{monitored}"));
        // Without a group of its own, the class is told; what isn't monitored is left out.
        fs::write(top.path().join("info/L3_MON/mon_features"), "llc_occupancy\n").unwrap();
        let class = Paths { monitor: String::new(), ..paths };
        assert_eq!(json(&class), format!("{shares},\"cmt_stats\":[{{\"llc_occupancy\":1}}]}}"));
    }

    #[test]
    fn the_default_class_is_the_top_and_no_class_has_nothing() {
        let (top, _) = resctrl();
        let paths = Paths { group: top.path().display().to_string(), ..Paths::default() };
        fs::remove_dir_all(top.path().join("info/L3_MON")).unwrap();
        fs::remove_dir_all(top.path().join("info/MB")).unwrap();
        let expected = concat!(
            r#"{"l3_cache_info":{"cbm_mask":"fffff","min_cbm_bits":1,"num_closids":16},"#,
            r#""l3_cache_schema_root":"L3:0=fffff;1=fffff","l3_cache_schema":"L3:0=fffff;1=fffff","#,
            r#""schemata":["L3:0=fffff;1=fffff","MB:0=100;1=100"]}"#
        );
        assert_eq!(json(&paths), expected);
        assert_eq!(json(&Paths::default()), "{}");
    }
}
