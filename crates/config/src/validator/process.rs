//! The program: its name, arguments, environment, directory and user.

use super::names;
use super::report::{Report, Severity};
use crate::ContainerConfig;

pub(super) fn check(config: &ContainerConfig, report: &mut Report) {
    if let Some(name) = &config.name {
        names::name(report, "name", "name.format", name);
    }
    if let Some(command) = &config.command {
        names::argument(report, "command", "command.format", command, false);
    }
    report.each("args", config.args.iter().flatten().map(String::as_str), |report, _, argument: &str| {
        names::argument(report, "", "args.format", argument, true);
    });
    environment(config, report);
    if let Some(directory) = &config.working_dir {
        names::path(report, "working_dir", "working_dir.path", directory);
    }
    report.each(
        "trusted_issuers",
        config.trusted_issuers.iter().flatten().map(String::as_str),
        |report, _, issuer: &str| {
            if issuer.trim().is_empty() {
                report.error(
                    "",
                    "issuers.empty",
                    issuer,
                    "nobody has this name",
                    "leave it out, or name who is trusted",
                );
            }
        },
    );
    if let Some(user) = &config.user {
        check_user(user, report);
    }
    report.each(
        "group_add",
        config.group_add.iter().flatten().map(String::as_str),
        |report, _, group: &str| {
            if !is_account(group) {
                report.error(
                    "",
                    "user.format",
                    group,
                    "it is neither a name nor a number of a group",
                    "correct it",
                );
            }
        },
    );
}

fn environment(config: &ContainerConfig, report: &mut Report) {
    let mut variables: Vec<_> = config.env.iter().flatten().collect();
    variables.sort();
    for (name, value) in variables {
        report.within("env", |report| {
            if name.is_empty() || name.contains(['=', '\0']) {
                let reason = "a variable's name isn't empty and has neither = nor NUL";
                report.error(name, "env.name", name, reason, "correct it");
            }
            // The value itself may be a secret: it isn't shown.
            if value.contains('\0') {
                let reason = "its value has a NUL byte, which ends a text for the kernel";
                report.missing(Severity::Error, name, "env.value", reason, "leave it out");
            }
        });
    }
}

/// `USER[:GROUP]`, names or numbers up to 2^31 - 1: a larger one could become root where it is taken for negative.
fn check_user(user: &str, report: &mut Report) {
    let (name, group) = user.split_once(':').map_or((user, None), |(name, group)| (name, Some(group)));
    if !is_account(name) || group.is_some_and(|group| !is_account(group)) {
        let reason = "it isn't USER or USER:GROUP, each a name or a number up to 2147483647";
        report.error("user", "user.format", user, reason, "write such as 1000:1000 or www-data");
    }
}

fn is_account(name: &str) -> bool {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return name.parse::<u32>().is_ok_and(|number| number <= i32::MAX as u32);
    }
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-$".contains(c))
}
