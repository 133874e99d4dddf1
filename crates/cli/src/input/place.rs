//! What is typed for an input -> its name and its place.

use std::path::PathBuf;

use super::InputError;

/// An input as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Argument {
    /// The table that it is, where it has a name.
    pub(crate) name: Option<String>,
    pub(crate) place: Place,
}

/// Where an input lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Stdin,
    /// A file, a directory or a glob of this machine.
    Local(PathBuf),
    /// The same elsewhere.
    Remote(String),
}

const SCHEMES: [&str; 10] = [
    "s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "https", "http",
];

impl Argument {
    /// Reads what was typed.
    ///
    /// # Errors
    /// [`InputError::Usage`] if it is empty, or a URL of a kind that is not known.
    pub(crate) fn parse(typed: &str) -> Result<Self, InputError> {
        let (name, place) = match typed.split_once('=') {
            Some((name, place)) if is_name(name) && !PathBuf::from(typed).exists() => {
                (Some(name.to_owned()), place)
            }
            _ => (None, typed),
        };
        let place = Place::parse(place)?;
        Ok(Self { name, place })
    }
}

impl Place {
    /// Reads what was typed, or stands in a query.
    ///
    /// # Errors
    /// As [`Argument::parse`].
    pub(crate) fn parse(typed: &str) -> Result<Self, InputError> {
        if typed == "-" {
            return Ok(Self::Stdin);
        }
        if typed.is_empty() {
            return Err(InputError::Usage(
                "an input is empty: name a file, a directory, a URL, or - for standard input"
                    .to_owned(),
            ));
        }
        if let Some((scheme, rest)) = typed.split_once("://") {
            let scheme = scheme.to_ascii_lowercase();
            if scheme == "file" {
                return local_of_url(typed);
            }
            if SCHEMES.contains(&scheme.as_str()) {
                return Ok(Self::Remote(format!("{scheme}://{rest}")));
            }
            if !PathBuf::from(typed).exists() {
                return Err(InputError::Usage(format!(
                    "{typed}: inputs are read from s3://, gs://, az:// and https://, not from {scheme}://"
                )));
            }
        }
        let home = typed.strip_prefix("~/").zip(etcetera::home_dir().ok());
        Ok(Self::Local(home.map_or_else(
            || PathBuf::from(typed),
            |(rest, home)| home.join(rest),
        )))
    }
}

fn local_of_url(typed: &str) -> Result<Place, InputError> {
    let url = url::Url::parse(typed).ok();
    let path = url.and_then(|url| url.to_file_path().ok());
    path.map(Place::Local).ok_or_else(|| {
        InputError::Usage(format!("{typed} names no file: write file:///path/to/file"))
    })
}

/// Whether a table can be called so in a query without quotes.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What is shown of a URL, and kept: without its query and its user, which may be secrets.
pub(crate) fn shown(url: &str) -> String {
    let is_http = url.starts_with("http://") || url.starts_with("https://");
    match url::Url::parse(url) {
        Ok(mut parsed) if is_http => {
            parsed.set_query(None);
            parsed.set_fragment(None);
            // Only a URL without a host refuses this.
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_before_the_first_equals_sign() {
        let named = |typed: &str| Argument::parse(typed).unwrap();
        assert_eq!(
            named("people=s3://b/x=1/a.parquet"),
            Argument {
                name: Some("people".into()),
                place: Place::Remote("s3://b/x=1/a.parquet".into()),
            }
        );
        assert_eq!(named("p=-").place, Place::Stdin);
        for unnamed in ["data/dt=1/a.csv", "https://h/x?a=b", "1a=b", "a-b=c"] {
            assert_eq!(named(unnamed).name, None, "{unnamed}");
        }
    }

    #[test]
    fn files_have_urls_too() {
        assert_eq!(
            Place::parse("file:///tmp/a%20b.csv").unwrap(),
            Place::Local("/tmp/a b.csv".into())
        );
        let wrong = Place::parse("ftp://host/a.csv").unwrap_err().to_string();
        assert!(wrong.contains("not from ftp://"), "{wrong}");
        assert!(Place::parse("").is_err());
    }

    #[test]
    fn secrets_of_a_url_are_not_shown() {
        assert_eq!(
            shown("https://me:pw@host/a.csv?X-Amz-Signature=1#f"),
            "https://host/a.csv"
        );
        assert_eq!(shown("s3://b/a?b.csv"), "s3://b/a?b.csv");
    }
}
