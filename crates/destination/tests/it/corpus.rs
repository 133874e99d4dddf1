//! The corpus of the fuzz targets, replayed: each file is an input that reached new code, or that
//! failed once.

use std::fs;
use std::path::Path;

#[allow(
    unreachable_pub,
    reason = "the targets are public in their own package"
)]
#[path = "../../../../fuzz/src/lib.rs"]
mod targets;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut files = 0;
    for entry in fs::read_dir(folder.join(target)).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        run(&fs::read(&path).unwrap());
        files += 1;
    }
    assert!(files > 5, "{target} has {files} files");
}

#[test]
fn records() {
    replay("records", targets::records);
}

#[test]
fn cells() {
    replay("cells", targets::cells);
}

#[test]
fn states() {
    replay("states", targets::states);
}

#[test]
fn results() {
    replay("results", targets::results);
}

#[test]
fn config() {
    replay("config", targets::config);
}

#[test]
fn catalog() {
    replay("catalog", targets::catalog);
}
