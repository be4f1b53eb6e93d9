//! `list`: the containers below the state root, as a table, as JSON or by their ids.

use super::{Door, show};
use forgeone_cli::Failure;
use forgeone_cli::output;
use forgeone_cli::{Call, usage, wants_json};
use forgeone_runtime::Result;
use forgeone_runtime::lifecycle::Listed;

const TITLES: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];

/// Read directly: getpwuid(3) would load libraries into a static program.
const PASSWD: &str = "/etc/passwd";

/// A container and its owner's name.
type Row = (Listed, String);

pub(crate) fn run(door: &Door, call: &Call) -> Result<u8> {
    let json = wants_json(call)?;
    let rows = rows(door, call)?;
    let text = match (call.flags.switch("quiet"), json) {
        (true, _) => rows.iter().map(|(row, _)| format!("{}\n", row.id)).collect(),
        (false, true) => as_json(&rows),
        (false, false) => as_table(&rows),
    };
    output::print(&text)?;
    Ok(0)
}

/// The containers that can be read; of the others it is said why not.
fn rows(door: &Door, call: &Call) -> Result<Vec<Row>> {
    if door.root.named && door.root.path.try_exists().is_ok_and(|there| !there) {
        return Err(usage(format!("option --root: {} does not exist", door.root.path.display())));
    }
    let found = door.runtime.list()?;
    let passwd = if found.is_empty() { Vec::new() } else { std::fs::read(PASSWD).unwrap_or_default() };
    let passwd = String::from_utf8_lossy(&passwd);
    let mut rows = Vec::new();
    for entry in found {
        match entry {
            Ok(row) => {
                let owner = owner(&passwd, row.owner);
                rows.push((row, owner));
            }
            Err(e) => drop(Failure::of_command(e, call.command).report(door.log)),
        }
    }
    Ok(rows)
}

/// The user's name, or `#` and the number of one without a name.
fn owner(passwd: &str, uid: u32) -> String {
    let number = uid.to_string();
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id == number && !name.is_empty()).then(|| name.to_owned())
    };
    passwd.lines().find_map(of_line).unwrap_or_else(|| format!("#{number}"))
}

/// As runc has it: `null` for none.
fn as_json(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "null\n".to_owned();
    }
    let rows: Vec<_> = rows.iter().map(|(row, owner)| show::container(row, owner)).collect();
    format!("{}\n", serde_json::Value::from(rows))
}

fn as_table(rows: &[Row]) -> String {
    let titles = TITLES.map(str::to_owned);
    let cells = rows.iter().map(|(row, owner)| {
        [&row.id, &row.pid.to_string(), &row.status, &row.bundle, &row.created, owner].map(Clone::clone)
    });
    show::table(&std::iter::once(titles).chain(cells).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str) -> Row {
        let row = Listed {
            version: "1.3.0".into(),
            id: id.into(),
            pid: 42,
            status: "running".into(),
            bundle: "/b".into(),
            created: "2026-11-21T22:40:26.5Z".into(),
            ..Listed::default()
        };
        (row, "root".into())
    }

    #[test]
    fn the_table_is_aligned_as_runcs_is() {
        assert_eq!(as_table(&[]), "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
        let want = "\
ID              PID         STATUS      BUNDLE      CREATED                  OWNER
a-longer-name   42          running     /b          2026-11-21T22:40:26.5Z   root
";
        assert_eq!(as_table(&[row("a-longer-name")]), want);
    }

    #[test]
    fn json_of_none_is_null() {
        assert_eq!(as_json(&[]), "null\n");
        assert!(as_json(&[row("a")]).starts_with(r#"[{"ociVersion":"1.3.0","id":"a","pid":42,"#));
    }

    #[test]
    fn an_owner_without_a_name_is_a_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n:x:7:7\nbroken\nada:x:1000:1000::/home/ada:/bin/sh\n";
        let table = [(0, "root"), (1000, "ada"), (7, "#7"), (65534, "#65534")];
        for (uid, want) in table {
            assert_eq!(owner(passwd, uid), want);
        }
    }
}
