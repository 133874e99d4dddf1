//! What the image says of itself, and what its build is given.

use std::fs;

use super::metadata::{members, metadata};
use super::{none_of, root};

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

#[test]
fn the_image_is_named_as_its_metadata() {
    let (dockerfile, metadata) = (read("Dockerfile"), read("metadata.yaml"));
    // The last stage is the image that is built without a target.
    let (_, dockerfile) = dockerfile.rsplit_once("\nFROM ").unwrap();
    let after = |text: &str, key: &str| {
        let value = text.split_once(key).unwrap().1.lines().next();
        value.unwrap().trim().to_owned()
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(after(&metadata, "dockerImageTag:"), version);
    assert_eq!(after(dockerfile, "LABEL io.airbyte.version="), version);
    assert_eq!(
        after(dockerfile, "LABEL io.airbyte.name="),
        after(&metadata, "dockerRepository:")
    );
    assert_eq!(
        after(dockerfile, "ENTRYPOINT ["),
        format!("{:?}]", after(dockerfile, "AIRBYTE_ENTRYPOINT="))
    );
}

/// The layer of the dependencies is made from the manifests alone, and cargo reads all of them.
#[test]
fn the_build_of_the_image_is_given_every_manifest() {
    let (dockerfile, metadata) = (read("Dockerfile"), metadata());
    let mut wrong = Vec::new();
    for package in members(&metadata).into_values() {
        let manifest = package["manifest_path"].as_str().unwrap();
        let manifest = manifest.strip_prefix(root().to_str().unwrap()).unwrap();
        let manifest = manifest.trim_start_matches('/');
        let copied = dockerfile.lines().any(|line| {
            let mut words = line.split(' ');
            words.next() == Some("COPY") && words.any(|word| word == manifest)
        });
        if !copied {
            wrong.push(manifest.to_owned());
        }
    }
    none_of(&wrong, "the Dockerfile does not copy");
}
