//! The assertions of the JWT bearer grant, verified with a public key.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// What an assertion claims.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    /// The client id.
    pub(crate) iss: String,
    /// The user's name.
    pub(crate) sub: String,
    /// The login URL.
    pub(crate) aud: String,
    /// When it expires, in seconds of the epoch.
    #[serde(deserialize_with = "seconds")]
    pub(crate) exp: i64,
}

/// A number, or its text: Salesforce accepts both, and simple-salesforce sends the text.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Number(i64),
        Text(String),
    }
    match Seconds::deserialize(from)? {
        Seconds::Number(seconds) => Ok(seconds),
        Seconds::Text(text) => text.parse().map_err(D::Error::custom),
    }
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
}

/// Reads an assertion whose RS256 signature a public key (PEM, PKCS#1 or SPKI) confirms.
pub(crate) fn verified(assertion: &str, public_key: &str) -> Option<Claims> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Header = serde_json::from_slice(&base64(header)?).ok()?;
    if header.alg != "RS256" {
        return None;
    }
    let der = pem(public_key)?;
    let key = pkcs1(&der).unwrap_or(&der);
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
        .verify(signed.as_bytes(), &base64(signature)?)
        .ok()?;
    serde_json::from_slice(&base64(claims)?).ok()
}

/// The content of a PEM text.
pub(crate) fn pem(text: &str) -> Option<Vec<u8>> {
    let body: String = text
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .map(str::trim)
        .collect();
    base64(&body)
}

/// The RSA key inside a SubjectPublicKeyInfo: `SEQUENCE { SEQUENCE {…}, BIT STRING }`.
fn pkcs1(der: &[u8]) -> Option<&[u8]> {
    let (0x30, outer, _) = element(der)? else {
        return None;
    };
    let (0x30, _, rest) = element(outer)? else {
        return None;
    };
    match element(rest)? {
        (0x03, bits, _) => bits.strip_prefix(&[0]),
        _ => None,
    }
}

/// Tag and content of the first DER element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (length, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        let length = length.iter().fold(0, |sum: usize, byte| {
            sum.wrapping_mul(256) + usize::from(*byte)
        });
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Decodes Base64 in its plain or its URL alphabet, with or without padding.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let alphabet = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    GeneralPurpose::new(alphabet, CONFIG).decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_two_alphabets() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm9vYg", b"foob"),
            ("-_8=", &[0xFB, 0xFF]),
            ("+/8", &[0xFB, 0xFF]),
        ] {
            assert_eq!(base64(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(base64("a b"), None);
    }

    #[test]
    fn the_key_is_found_inside_its_wrapper() {
        let wrapped = [
            0x30, 0x0A, 0x30, 0x02, 0x05, 0x00, 0x03, 0x04, 0x00, 1, 2, 3,
        ];
        assert_eq!(pkcs1(&wrapped), Some(&[1, 2, 3][..]));
        assert_eq!(pkcs1(&wrapped[..8]), None);
    }
}
