//! Health checks.

use super::Home;
use forgeone_runtime::monitor::Healthy;
use serde_json::json;
use std::fs;
use testkit::privileged;

#[test]
fn health_follows_what_the_check_says() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let check = json!({"test": ["sh", "-c", "echo looked; test -e /well"], "interval": "20ms", "retries": 2});
    let made = home.shell("sleep 600", json!({"healthcheck": check}));
    let mut client = made.start();
    let is = |wanted| {
        move |status: &forgeone_runtime::monitor::Status| {
            status.health.as_ref().is_some_and(|health| health.status == wanted)
        }
    };
    let status = made.until("it is unhealthy", is(Healthy::Unhealthy));
    let health = status.health.unwrap();
    assert!(health.failing >= 2 && health.log.len() <= 5, "{health:?}");
    assert_eq!((health.log[0].exit, health.log[0].output.as_str()), (Some(1), "looked\n"));
    fs::write(made.inside("well"), "").unwrap();
    let status = made.until("it is healthy", is(Healthy::Healthy));
    assert_eq!(status.health.unwrap().failing, 0);
    let changes: Vec<_> = made.events().into_iter().filter(|event| event["event"] == "health").collect();
    assert_eq!((&changes[0]["status"], &changes[1]["status"]), (&json!("unhealthy"), &json!("healthy")));
    client.stop(Some(9), None).unwrap();
}

#[test]
fn a_check_that_takes_too_long_is_ended_and_has_failed() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let check = json!({"test": ["sleep", "600"], "interval": "10ms", "timeout": "50ms", "retries": 1});
    let made = home.shell("sleep 600", json!({"healthcheck": check}));
    let mut client = made.start();
    let status = made.until("it is unhealthy", |status| {
        status.health.as_ref().is_some_and(|health| health.status == Healthy::Unhealthy)
    });
    let check = &status.health.unwrap().log[0];
    assert!(check.exit.is_none() && check.output.contains("more than 50ms"), "{check:?}");
    client.stop(Some(9), None).unwrap();
}

#[test]
fn a_check_that_can_t_be_started_says_why() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let check = json!({"test": ["/nope"], "interval": "10ms", "retries": 1});
    let made = home.shell("sleep 600", json!({"healthcheck": check}));
    let mut client = made.start();
    let status = made.until("it is unhealthy", |status| {
        status.health.as_ref().is_some_and(|health| health.status == Healthy::Unhealthy)
    });
    let check = &status.health.unwrap().log[0];
    assert!(check.exit.is_none() && check.output.contains("no such file"), "{check:?}");
    client.stop(Some(9), None).unwrap();
}

#[test]
fn failures_of_the_start_do_not_count() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let check = json!({"test": ["false"], "interval": "10ms", "retries": 1, "start_period": "1h"});
    let made = home.shell("sleep 600", json!({"healthcheck": check}));
    let mut client = made.start();
    let status = made
        .until("it was checked", |status| status.health.as_ref().is_some_and(|health| health.log.len() >= 3));
    let health = status.health.unwrap();
    assert_eq!((health.status, health.failing), (Healthy::Starting, 0));
    client.stop(Some(9), None).unwrap();
}

#[test]
fn what_is_unhealthy_is_started_again_where_that_is_asked_for() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let check = json!({"test": ["false"], "interval": "50ms", "retries": 1});
    let config = |action: &str| json!({"healthcheck": check, "annotations": {"io.forgeone.health.on-failure": action}});
    let again = home.shell("trap 'exit 0' TERM; while :; do sleep 0.01; done", config("restart"));
    let mut client = again.start();
    again.until("it was started again", |status| status.restarts >= 2);
    client.stop(None, None).unwrap();
    let over = home.shell("trap 'exit 8' TERM; while :; do sleep 0.01; done", config("stop"));
    assert_eq!(over.run().status, Some(8));
    let killed = home.shell("sleep 600", config("kill"));
    assert_eq!(killed.run().status, Some(137));
}
