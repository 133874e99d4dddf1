use std::collections::HashMap;

use super::*;

fn network(variables: &[(&str, &str)]) -> Result<Network, NetworkError> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    Network::of(|name| variables.get(name).map(OsString::from))
}

/// Which variable names the proxy of a URL.
fn route(network: &Network, url: &str) -> String {
    let proxy = network.proxy_for(&Url::parse(url).unwrap());
    proxy.map_or_else(|| "direct".to_owned(), ToString::to_string)
}

#[test]
fn each_scheme_has_its_proxy() {
    let variables = [
        ("HTTPS_PROXY", " http://me:secret@secure.example:3128/ "),
        ("https_proxy", "http://other:1"),
        ("http_proxy", "plain.example"),
        ("ALL_PROXY", "socks5://all.example:1080"),
    ];
    let network = network(&variables).unwrap();
    assert_eq!(
        route(&network, "https://acme.my.salesforce.com"),
        "the proxy secure.example:3128 (HTTPS_PROXY)"
    );
    assert_eq!(
        route(&network, "http://minio.example:9000"),
        "the proxy plain.example:80 (http_proxy)"
    );
    assert!(!format!("{network:?}").contains("secret"), "{network:?}");
}

#[test]
fn a_proxy_for_all_is_for_what_has_no_other() {
    let all = ("all_proxy", "all.example:3128");
    let only = network(&[all, ("HTTPS_PROXY", ""), ("HTTP_PROXY", " ")]).unwrap();
    for url in ["https://x.example", "http://x.example"] {
        assert_eq!(route(&only, url), "the proxy all.example:3128 (all_proxy)");
    }
    let both = network(&[all, ("HTTPS_PROXY", "https://secure.example")]).unwrap();
    assert_eq!(
        route(&both, "https://x.example"),
        "the proxy secure.example:443 (HTTPS_PROXY)"
    );
    // What cannot be used for http alone is let be.
    let socks = ("ALL_PROXY", "socks5h://all.example");
    let used = network(&[socks, ("HTTPS_PROXY", "secure.example")]).unwrap();
    assert_eq!(route(&used, "http://x.example"), "direct");
    network(&[socks]).unwrap_err();
}

#[test]
fn hosts_that_go_direct() {
    let list = "Example.com, .corp.example *.wild.example\t10.0.0.0/8,192.0.2.7,fd12::/16,[2001:db8::1],\
        2001:db8::2,ported.example:8443,192.0.2.8:9000,dotted.example.";
    let some = network(&[("HTTPS_PROXY", "p.example"), ("NO_PROXY", list)]).unwrap();
    for url in [
        "https://example.com",
        "https://a.b.EXAMPLE.com:8443",
        "https://example.com./",
        "https://corp.example",
        "https://x.corp.example",
        "https://x.wild.example",
        "https://10.200.3.4",
        "https://192.0.2.7:9000",
        "https://[fd12:3::1]",
        "https://[2001:db8::1]",
        "https://[2001:db8::2]:9000",
        "https://ported.example:8443",
        "https://192.0.2.8:9000",
        "https://dotted.example",
    ] {
        assert_eq!(route(&some, url), "direct", "{url}");
    }
    for url in [
        "https://notexample.com",
        "https://example.com.evil.example",
        "https://corp.example.org",
        "https://11.0.0.1",
        "https://192.0.2.70",
        "https://[fd13::1]",
        "https://[2001:db8::3]",
        "https://ported.example",
        "https://192.0.2.8",
    ] {
        assert_ne!(route(&some, url), "direct", "{url}");
    }
    let all = network(&[("HTTPS_PROXY", "p.example"), ("no_proxy", "a,*")]).unwrap();
    assert_eq!(route(&all, "https://192.0.2.1"), "direct");
}

#[test]
fn what_only_this_machine_reaches_goes_direct() {
    let remote = network(&[("ALL_PROXY", "p.example:3128")]).unwrap();
    let local = network(&[("ALL_PROXY", "http://127.0.0.1:3128")]).unwrap();
    for url in ["http://localhost:1", "https://127.0.0.9", "http://[::1]:2"] {
        assert_eq!(route(&remote, url), "direct", "{url}");
        assert_ne!(route(&local, url), "direct", "{url}");
    }
    for url in [
        "http://169.254.169.254/latest",
        "http://169.254.170.23",
        "http://[fd00:ec2::254]",
        "http://[fe80::1]",
    ] {
        assert_eq!(route(&remote, url), "direct", "{url}");
        assert_eq!(route(&local, url), "direct", "{url}");
    }
}

#[test]
fn errors_name_the_variable_and_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    let empty = empty.to_str().unwrap();
    let shown = |name, value| {
        let error = network(&[(name, value)]).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        error.replace(folder.path().to_str().unwrap(), "FOLDER")
    };
    let texts = [
        shown("HTTPS_PROXY", "http://me:hunter2@host:port"),
        shown("https_proxy", "http://"),
        shown("ALL_PROXY", "socks5://me:hunter2@host:1080"),
        shown("HTTP_PROXY", "ftp://host"),
        shown("NO_PROXY", "example.com,10.0.0.0/33"),
        shown("no_proxy", "https://example.com"),
        shown("NO_PROXY", "example.com:http"),
        shown("SSL_CERT_FILE", ""),
        shown("SSL_CERT_FILE", "/no/such.pem"),
        shown("SSL_CERT_FILE", empty),
        shown("SSL_CERT_DIR", folder.path().to_str().unwrap()),
    ];
    insta::assert_snapshot!(texts.join("\n"), @r#"
    HTTPS_PROXY is no address of a proxy (invalid port number); give http://host:port or https://host:port, with user:password@ before the host if it asks for them, and special characters of both percent-encoded
    https_proxy is no address of a proxy (empty host); give http://host:port or https://host:port, with user:password@ before the host if it asks for them, and special characters of both percent-encoded
    ALL_PROXY names a proxy of the kind socks5, which is not supported; give http://host:port or https://host:port, with user:password@ before the host if it asks for them, and special characters of both percent-encoded
    HTTP_PROXY names a proxy of the kind ftp, which is not supported; give http://host:port or https://host:port, with user:password@ before the host if it asks for them, and special characters of both percent-encoded
    NO_PROXY has the entry "10.0.0.0/33", which is no host; give entries such as example.com, .example.com, 192.0.2.7, 10.0.0.0/8, example.com:8080, or * for all
    no_proxy has the entry "https://example.com", which is no host; give entries such as example.com, .example.com, 192.0.2.7, 10.0.0.0/8, example.com:8080, or * for all
    NO_PROXY has the entry "example.com:http", which is no host; give entries such as example.com, .example.com, 192.0.2.7, 10.0.0.0/8, example.com:8080, or * for all
    SSL_CERT_FILE is empty; name a file of certificates in PEM form, or unset it to trust the system's
    SSL_CERT_FILE names /no/such.pem, which cannot be read (No such file or directory (os error 2)); name a file of certificates in PEM form, or unset it to trust the system's
    SSL_CERT_FILE names FOLDER/empty.pem, which holds no certificate (-----BEGIN CERTIFICATE-----); name a file of certificates in PEM form, or unset it to trust the system's
    SSL_CERT_DIR names no folder with certificates in PEM form (FOLDER); correct it, or unset it to trust the system's
    "#);
}
