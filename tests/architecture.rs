//! The modules import each other in one direction.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules that each module imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// `src/a/b.rs` is `a::b`, and `src/a/mod.rs` is `a`.
fn module(source: &Path, file: &Path) -> String {
    let path = file.strip_prefix(source).unwrap().with_extension("");
    let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
    let parts = parts.strip_suffix(&["mod"]).unwrap_or(&parts);
    parts.join("::")
}

/// The paths of a `use`, one for each name in its braces.
fn expand(path: &str) -> Vec<String> {
    let Some((start, rest)) = path.split_once('{') else {
        return vec![path.trim().to_owned()];
    };
    let inner = rest.rsplit_once('}').unwrap().0;
    let (mut depth, mut names) = (0, vec![String::new()]);
    for character in inner.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match (character, depth) {
            (',', 0) => names.push(String::new()),
            _ => names.last_mut().unwrap().push(character),
        }
    }
    let names = names.iter().map(|name| name.trim());
    let names = names.filter(|name| !name.is_empty());
    names
        .flat_map(|name| expand(&format!("{}{name}", start.trim())))
        .collect()
}

/// A path from the crate's root, of what a module calls by `crate`, `super` or `self`.
fn absolute(module: &str, path: &str) -> Option<String> {
    if let Some(rest) = path.strip_prefix("crate::") {
        return Some(rest.to_owned());
    }
    if let Some(rest) = path.strip_prefix("self::") {
        return Some(format!("{module}::{rest}"));
    }
    let (mut base, mut rest) = (module, path.strip_prefix("super::")?);
    loop {
        base = base.rsplit_once("::").map_or("", |(parent, _)| parent);
        match rest.strip_prefix("super::") {
            Some(further) => rest = further,
            None => return Some(format!("{base}::{rest}").trim_matches(':').to_owned()),
        }
    }
}

/// The paths of all `use` statements, a line each.
fn statements(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        let is_use = line.starts_with("use ") || line.starts_with("pub use ");
        let Some((_, start)) = line.split_once("use ").filter(|_| is_use) else {
            continue;
        };
        let mut path = start.to_owned();
        while !path.ends_with(';') {
            path.push_str(lines.next().unwrap().trim());
        }
        found.push(path.trim_end_matches(';').to_owned());
    }
    found
}

fn imports() -> Imports {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    let texts: BTreeMap<String, String> = found
        .iter()
        .map(|file| (module(&source, file), fs::read_to_string(file).unwrap()))
        .filter(|(name, _)| !matches!(name.as_str(), "lib" | "main"))
        .collect();
    // The longest beginning of a path that is a module.
    let owner = |path: &str| {
        let ends = path.match_indices("::").map(|(at, _)| &path[..at]);
        let beginnings = ends.chain([path]).collect::<Vec<_>>();
        let known = beginnings
            .into_iter()
            .rev()
            .find(|own| texts.contains_key(*own));
        known.map(str::to_owned)
    };
    let of = |(module, text): (&String, &String)| {
        let code = text.split("#[cfg(test)]").next().unwrap();
        let uses = statements(code);
        let paths = uses.iter().flat_map(|path| expand(path));
        let paths = paths.filter_map(|path| absolute(module, &path));
        let modules = paths.filter_map(|path| owner(&path));
        let others = modules.filter(|other| other != module).collect();
        (module.clone(), others)
    };
    texts.iter().map(of).collect()
}

/// The modules that can be reached from one by its imports.
fn reached(imports: &Imports, from: &str) -> BTreeSet<String> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(module) = next.pop() {
        for other in &imports[&module] {
            if reached.insert(other.clone()) {
                next.push(other.clone());
            }
        }
    }
    reached
}

#[test]
fn imports_form_no_circle() {
    let imports = imports();
    let count: usize = imports.values().map(BTreeSet::len).sum();
    assert!(count > 300, "only {count} imports were found");
    for module in imports.keys() {
        let others = reached(&imports, module);
        assert!(
            !others.contains(module),
            "{module} reaches itself: {others:?}"
        );
    }
}

/// The protocol and the API know neither each other, nor the streams, nor the
/// terminal.
#[test]
fn the_protocol_and_the_api_stand_on_their_own() {
    for (area, shared) in [
        ("singer", &["json", "timestamp"][..]),
        ("freshchat", &["error", "json", "secret", "timestamp"]),
    ] {
        for (module, others) in &imports() {
            let is_own = |module: &str| module.split("::").next() == Some(area);
            for other in others
                .iter()
                .filter(|other| is_own(module) && !is_own(other))
            {
                assert!(shared.contains(&other.as_str()), "{module} imports {other}");
            }
        }
    }
}

/// The names of all structs, enums, traits and type aliases of a file.
fn type_names(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let (keyword, rest) = line.split_once(' ')?;
        let is_type = ["struct", "enum", "trait", "type"].contains(&keyword);
        let name = rest.split(|c: char| !c.is_alphanumeric()).next()?;
        // Associated types are named by their traits.
        let is_associated = ["Error", "Item", "Value"].contains(&name);
        (is_type && !(keyword == "type" && is_associated)).then_some(name)
    })
}

#[test]
fn a_name_stands_for_one_type() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in &found {
        let code = fs::read_to_string(file).unwrap();
        for name in type_names(&code) {
            let places = places.entry(name.to_owned()).or_default();
            places.push(module(&source, file));
        }
    }
    assert!(places.len() > 150, "only {} types were found", places.len());
    places.retain(|_, places| places.len() > 1);
    assert_eq!(places, BTreeMap::new());
}

/// A search for a file's name finds one file.
#[test]
fn file_names_differ() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    let mut names = BTreeSet::new();
    for file in found {
        let name = file.file_name().unwrap().to_owned();
        assert!(name == "mod.rs" || names.insert(name), "{}", file.display());
    }
}
