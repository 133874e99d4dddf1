//! The signed token of the JWT bearer flow (RFC 7523): RS256 over a claim of two minutes.

use base64::engine::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::{Error, PemObject as _};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use crate::bulk::error::BulkError;

/// How long a token is valid, in seconds. Salesforce takes up to three minutes; clocks differ.
const LIFETIME: i64 = 120;

/// Salesforce's names of itself, as the receiver of a token.
const AUDIENCES: [&str; 2] = [
    "https://login.salesforce.com",
    "https://test.salesforce.com",
];

/// Signs for one user of one app.
pub(super) struct Signer {
    key: RsaKeyPair,
    client_id: String,
    username: String,
    /// The login URL first. An org can expect one of the general ones at its own host.
    audiences: Vec<String>,
}

impl Signer {
    /// # Errors
    /// [`BulkError::PrivateKey`].
    pub(super) fn new(
        login_url: &Url,
        client_id: &str,
        username: &str,
        private_key: &SecretString,
    ) -> Result<Self, BulkError> {
        let mut audiences = vec![login_url.origin().ascii_serialization()];
        for audience in AUDIENCES {
            if audiences[0] != audience {
                audiences.push(audience.to_owned());
            }
        }
        Ok(Self {
            key: read_key(private_key.expose_secret())?,
            client_id: client_id.to_owned(),
            username: username.to_owned(),
            audiences,
        })
    }

    /// How many audiences there are to try.
    pub(super) fn audiences(&self) -> usize {
        self.audiences.len()
    }

    /// A token for an audience, signed at `now` (seconds since 1970).
    ///
    /// # Errors
    /// [`BulkError::PrivateKey`].
    pub(super) fn sign(&self, audience: usize, now: i64) -> Result<SecretString, BulkError> {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        let claim = json!({
            "iss": self.client_id,
            "sub": self.username,
            "aud": self.audiences[audience],
            "exp": now + LIFETIME,
        });
        let claim = URL_SAFE_NO_PAD.encode(claim.to_string());
        let mut token = format!("{header}.{claim}");
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                token.as_bytes(),
                &mut signature,
            )
            .map_err(|_| refused("it cannot sign"))?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token.into())
    }
}

fn refused(reason: impl Into<String>) -> BulkError {
    BulkError::PrivateKey {
        reason: reason.into(),
    }
}

/// Reads `-----BEGIN PRIVATE KEY-----` (PKCS #8) or `-----BEGIN RSA PRIVATE KEY-----` (PKCS #1).
fn read_key(pem: &str) -> Result<RsaKeyPair, BulkError> {
    let read = match &read_pem(pem)? {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err(refused(OTHER_KIND)),
    };
    read.map_err(|rejected| refused(format!("it is not such a key ({rejected})")))
}

const OTHER_KIND: &str = "it is a key of another kind";

fn read_pem(pem: &str) -> Result<PrivateKeyDer<'static>, BulkError> {
    let read = PrivateKeyDer::from_pem_slice(in_lines(pem).as_bytes());
    read.map_err(|error| {
        let label = pem
            .split_once("-----BEGIN ")
            .and_then(|(_, rest)| rest.split_once("-----"))
            .map(|(label, _)| label);
        refused(match (label, error) {
            (None, _) => "it does not begin with -----BEGIN PRIVATE KEY-----",
            (_, Error::MissingSectionEnd { .. }) => {
                "it breaks off before -----END PRIVATE KEY-----"
            }
            (Some("ENCRYPTED PRIVATE KEY"), _) => "it is encrypted with a passphrase",
            (Some("CERTIFICATE"), _) => "it is a certificate, which goes into the app",
            (Some("PUBLIC KEY"), _) => "it is the public key",
            (Some("PRIVATE KEY" | "RSA PRIVATE KEY"), _) => {
                "what is between its first and its last line is no base64"
            }
            _ => OTHER_KIND,
        })
    })
}

/// PEM text with each marker on a line of its own, and without the padding of base64: a form of one
/// line has blanks in place of line breaks, or the two characters `\n`, and its end may be cut off.
fn in_lines(pem: &str) -> String {
    const DASHES: &str = "-----";
    let padding = |character: char| character == '=' || character.is_whitespace();
    let mut lines = String::with_capacity(pem.len() + 8);
    let pem = pem.replace("\\n", "\n");
    let mut label = "";
    for part in pem.split(DASHES) {
        if let Some(begun) = part.strip_prefix("BEGIN ") {
            label = begun;
            lines.extend(["\n-----BEGIN ", label, "-----\n"]);
        } else if part.starts_with("END ") {
            lines.extend(["\n-----END ", label, "-----\n"]);
        } else {
            lines.push_str(part.trim_end_matches(padding));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    use proptest::prelude::*;
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    /// Made for tests.
    const KEY: &str = testkit::JWT_PRIVATE_KEY;

    fn signer(login_url: &str) -> Signer {
        let url = Url::parse(login_url).unwrap();
        Signer::new(&url, "3MVG9.id", "loader@acme.example", &KEY.into()).unwrap()
    }

    fn complaint(pem: &str) -> String {
        read_key(pem).unwrap_err().to_string()
    }

    #[test]
    fn the_claim_is_signed() {
        let signer = signer("https://acme.my.salesforce.com/");
        let token = signer.sign(0, 1_700_000_000).unwrap();
        let (signed, signature) = token.expose_secret().rsplit_once('.').unwrap();
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let parts: Vec<_> = signed.split('.').map(decode).collect();
        let parts: Vec<_> = parts.into_iter().map(String::from_utf8).collect();
        assert_eq!(parts[0].as_deref().unwrap(), r#"{"alg":"RS256"}"#);
        insta::assert_snapshot!(parts[1].as_deref().unwrap(), @r#"{"aud":"https://acme.my.salesforce.com","exp":1700000120,"iss":"3MVG9.id","sub":"loader@acme.example"}"#);
        let public = signer.key.public().as_ref();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
            .verify(signed.as_bytes(), &decode(signature))
            .unwrap();
    }

    #[test]
    fn the_login_url_is_the_first_audience() {
        let audiences = |url| signer(url).audiences.join(" ");
        assert_eq!(
            audiences("https://acme.my.salesforce.com/x"),
            "https://acme.my.salesforce.com https://login.salesforce.com https://test.salesforce.com"
        );
        assert_eq!(
            audiences("https://test.salesforce.com"),
            "https://test.salesforce.com https://login.salesforce.com"
        );
    }

    #[test]
    fn keys_in_each_form() {
        let key = read_pem(KEY).unwrap();
        let der = key.secret_der();
        // A PKCS #8 key of 2,048 bits holds the PKCS #1 key after 26 bytes.
        let inner = STANDARD_NO_PAD.encode(&der[26..]);
        let modulus = |pem: &str| read_key(pem).unwrap().public().as_ref().to_vec();
        let expected = modulus(KEY);
        for pem in [
            KEY.replace('\n', " "),
            KEY.replace('\n', "\\n"),
            KEY.replace('\n', "\r\n"),
            format!("-----BEGIN RSA PRIVATE KEY-----\n{inner}\n-----END RSA PRIVATE KEY-----"),
            format!("Bag Attributes\n    friendlyName: x\n{KEY}\nand more"),
            format!("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n{KEY}"),
            KEY.replace("END PRIVATE KEY-----", "END PRIVATE KEY"),
            KEY.trim().to_owned(),
        ] {
            assert_eq!(modulus(&pem), expected);
        }
    }

    #[test]
    fn what_is_no_key_is_named() {
        let texts = [
            complaint("MIIEvQ"),
            complaint("-----BEGIN PRIVATE KEY-----\nMIIEvQ"),
            complaint(&KEY.replace("PRIVATE", "ENCRYPTED PRIVATE")),
            complaint(&KEY.replace("PRIVATE KEY", "CERTIFICATE")),
            complaint("-----BEGIN PRIVATE KEY-----\nMIIEvQ==\n-----END PRIVATE KEY-----"),
            complaint("-----BEGIN PRIVATE KEY-----\n???\n-----END PRIVATE KEY-----"),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        private_key: it does not begin with -----BEGIN PRIVATE KEY-----; give an RSA key of at least 2048 bits as PEM text, such as openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 makes
        private_key: it breaks off before -----END PRIVATE KEY-----; give an RSA key of at least 2048 bits as PEM text, such as openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 makes
        private_key: it is encrypted with a passphrase; give an RSA key of at least 2048 bits as PEM text, such as openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 makes
        private_key: it is a certificate, which goes into the app; give an RSA key of at least 2048 bits as PEM text, such as openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 makes
        private_key: it is not such a key (InvalidEncoding); give an RSA key of at least 2048 bits as PEM text, such as openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 makes
        private_key: what is between its first and its last line is no base64; give an RSA key of at least 2048 bits as PEM text, such as openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 makes
        ");
    }

    proptest! {
        #[test]
        fn base64_is_read_as_written(bytes: Vec<u8>, width in 1..80_usize, padded: bool) {
            let text = if padded { STANDARD.encode(&bytes) } else { STANDARD_NO_PAD.encode(&bytes) };
            for separator in ["\n", "\r\n", " ", "\\n", " \n "] {
                let lines: Vec<_> = text.as_bytes().chunks(width).collect();
                let lines = String::from_utf8(lines.join(separator.as_bytes())).unwrap();
                let pem = format!(
                    "-----BEGIN PRIVATE KEY-----{separator}{lines}{separator}-----END PRIVATE KEY-----"
                );
                let key = read_pem(&pem).unwrap();
                prop_assert_eq!(key.secret_der(), bytes.as_slice());
            }
        }
    }
}
