//! The oldest Rust that `Cargo.toml` promises is enough for the dependencies too.

use std::collections::{HashMap, HashSet};
use std::process::Command;

use serde_json::Value;

fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The packages as cargo resolves them for this machine: the build has downloaded no others.
fn metadata() -> Value {
    let host = stdout(Command::new("rustc").args(["--print", "host-tuple"]));
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .args(["--filter-platform", host.trim()])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&stdout(&mut cargo)).unwrap()
}

/// `[1, 89, 0]` for `1.89`.
fn version(text: &str) -> [u64; 3] {
    let mut numbers = text.split('.').map(|number| number.parse().unwrap());
    [(); 3].map(|()| numbers.next().unwrap_or(0))
}

/// Whether a package needs this dependency to be built, not just to be tested.
fn is_built(dependency: &Value) -> bool {
    let kinds = dependency["dep_kinds"].as_array().unwrap();
    kinds.iter().any(|kind| kind["kind"] != "dev")
}

/// The ids of the packages that are built for the program, itself among them.
fn built(metadata: &Value) -> HashSet<&str> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let nodes: HashMap<_, _> = nodes.iter().map(|it| (it["id"].as_str(), it)).collect();
    let mut found = HashSet::new();
    let mut open = vec![metadata["resolve"]["root"].as_str().unwrap()];
    while let Some(id) = open.pop() {
        if found.insert(id) {
            let dependencies = nodes[&Some(id)]["deps"].as_array().unwrap();
            let needed = dependencies.iter().filter(|it| is_built(it));
            open.extend(needed.map(|it| it["pkg"].as_str().unwrap()));
        }
    }
    found
}

#[test]
fn no_dependency_needs_a_newer_rust() {
    let metadata = metadata();
    let built = built(&metadata);
    let packages = metadata["packages"].as_array().unwrap();
    let packages = packages
        .iter()
        .filter(|package| built.contains(package["id"].as_str().unwrap()));
    let oldest = version(env!("CARGO_PKG_RUST_VERSION"));
    let mut stated = 0;
    for package in packages {
        if let Some(needed) = package["rust_version"].as_str() {
            stated += 1;
            let (name, at) = (&package["name"], &package["version"]);
            assert!(version(needed) <= oldest, "{name} {at} needs Rust {needed}");
        }
    }
    assert!(stated > 1, "only the program itself states a version");
}
