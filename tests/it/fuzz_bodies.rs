//! The fuzz targets, replayed over their seeds: what fuzzing has found stays found, on a stable compiler.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::common::root;

#[path = "../../fuzz/src/bodies.rs"]
mod bodies;

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    paths
}

fn names(folder: &str) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().map(|name| name.to_string_lossy().into_owned());
    entries(&root().join(folder)).into_iter().filter_map(stem).collect()
}

#[test]
fn every_seed_keeps_the_promises_of_its_target() {
    for (name, body) in bodies::TARGETS {
        let seeds = entries(&root().join("fuzz/seeds").join(name));
        assert!(!seeds.is_empty(), "{name} has no seed");
        for seed in seeds {
            let data = std::fs::read(&seed).expect("a seed can be read");
            assert!(data.len() <= 4096, "{} is too large for a seed", seed.display());
            if let Err(panic) = std::panic::catch_unwind(|| body(&data)) {
                eprintln!("seed {}", seed.display());
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn every_seed_does_so_when_it_is_cut() {
    for (name, body) in bodies::TARGETS {
        for seed in entries(&root().join("fuzz/seeds").join(name)) {
            let data = std::fs::read(&seed).expect("a seed can be read");
            // Saved queries are read by a tokeniser, which is slow when it is not optimised.
            let step = if name == "front_matter" { 7 } else { 1 };
            (0..data.len()).step_by(step).for_each(|end| body(&data[..end]));
        }
    }
}

#[test]
fn every_target_has_seeds_a_program_and_a_place_in_the_manifest() {
    let targets: BTreeSet<String> = bodies::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz/seeds"), targets);
    assert_eq!(names("fuzz/fuzz_targets"), targets);
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("the manifest can be read");
    let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
    let programs = manifest["bin"].as_array().expect("programs").iter();
    let programs: BTreeSet<String> =
        programs.filter_map(|program| program["name"].as_str().map(str::to_owned)).collect();
    assert_eq!(programs, targets);
}
