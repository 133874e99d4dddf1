//! The credentials of S3: of the environment, or else of the files of the aws command line.

use std::path::PathBuf;

use arrow_salesforce::object_store;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use url::Url;

use super::environment::{Environment, is_loopback};

/// Variables that say where credentials come from. Where one is set, no file is asked.
const SOURCES: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
];

/// Settings of the credentials file.
const SECRETS: [&str; 3] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
];

/// The store of a bucket, given as `s3://bucket`.
///
/// # Errors
/// If the environment is wrong.
pub(crate) fn store(place: &str, environment: &Environment) -> object_store::Result<AmazonS3> {
    let mut builder = AmazonS3Builder::new().with_url(place);
    for (name, value) in of_files(environment) {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    for (name, value) in environment.with_prefix("AWS_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let endpoint = environment
        .get("AWS_ENDPOINT_URL_S3")
        .or_else(|| environment.get("AWS_ENDPOINT_URL"));
    let endpoint = endpoint.and_then(|url| Url::parse(url).ok());
    if endpoint.is_some_and(|url| is_loopback(&url)) {
        builder = builder.with_allow_http(true);
    }
    builder.build()
}

/// Settings of the profile in the files that `aws configure` writes, as builders call them.
fn of_files(environment: &Environment) -> Vec<(String, String)> {
    let profile = environment.get("AWS_PROFILE").unwrap_or("default");
    let read = |variable: &str, name: &str| {
        let set = environment.get(variable).map(PathBuf::from);
        let home = || {
            Some(
                PathBuf::from(environment.get("HOME")?)
                    .join(".aws")
                    .join(name),
            )
        };
        let text = set.or_else(home);
        let text = text.and_then(|path| std::fs::read_to_string(path).ok());
        text.unwrap_or_default()
    };
    let mut settings = Vec::new();
    if !SOURCES
        .iter()
        .any(|source| environment.get(source).is_some())
    {
        let text = read("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        for name in SECRETS {
            let value = setting(&text, profile, name);
            settings.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        }
    }
    let text = read("AWS_CONFIG_FILE", "config");
    let section = match profile {
        "default" => profile.to_owned(),
        profile => format!("profile {profile}"),
    };
    let region = setting(&text, &section, "region");
    settings.extend(region.map(|region| ("aws_region".to_owned(), region.to_owned())));
    settings
}

/// The value of a setting in a section of a file.
fn setting<'a>(text: &'a str, section: &str, name: &str) -> Option<&'a str> {
    let mut in_section = false;
    for line in text.lines().map(str::trim) {
        let header = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'));
        if let Some(header) = header {
            in_section = header.trim() == section;
        } else if in_section
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == name
        {
            return Some(value.trim());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_where_the_environment_says_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let home = folder.path().join(".aws");
        std::fs::create_dir(&home).unwrap();
        let credentials = "[default]\naws_access_key_id = A\naws_secret_access_key=s=\n\
                           [other]\naws_access_key_id = B\n";
        std::fs::write(home.join("credentials"), credentials).unwrap();
        let config = "[default]\nregion = eu-west-1\n[profile other]\nregion=us-west-2\n";
        std::fs::write(home.join("config"), config).unwrap();
        let home = ("HOME", folder.path().to_str().unwrap());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            of_files(&Environment::from([home])),
            [
                pair("aws_access_key_id", "A"),
                pair("aws_secret_access_key", "s="),
                pair("aws_region", "eu-west-1"),
            ]
        );
        assert_eq!(
            of_files(&Environment::from([home, ("AWS_PROFILE", "other")])),
            [
                pair("aws_access_key_id", "B"),
                pair("aws_region", "us-west-2")
            ]
        );
        assert_eq!(
            of_files(&Environment::from([home, ("AWS_ACCESS_KEY_ID", "C")])),
            [pair("aws_region", "eu-west-1")]
        );
        assert!(of_files(&Environment::default()).is_empty());
    }
}
