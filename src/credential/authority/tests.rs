use super::*;

#[test]
fn every_cloud_has_its_own_hosts() {
    for (cloud, host, audience) in [
        (Cloud::Public, "login.microsoftonline.com", "AzureADTokenExchange"),
        (Cloud::UsGovernment, "login.microsoftonline.us", "AzureADTokenExchangeUSGov"),
        (Cloud::China, "login.partner.microsoftonline.cn", "AzureADTokenExchangeChina"),
    ] {
        let authority = Authority::new(cloud.authority_host(), "t").ok().unwrap();
        assert_eq!(authority.token_endpoint().as_str(), format!("https://{host}/t/oauth2/v2.0/token"));
        assert_eq!(cloud.exchange_audience(), format!("api://{audience}"));
        assert_eq!(Cloud::of_authority(cloud.authority_host()), cloud);
        for form in [
            format!("{host}/"),
            format!(" {host} "),
            format!("{host}:443"),
            format!("https://{host}/common"),
            format!("https://{host}:8443/contoso.com/oauth2/v2.0/token?x=y#z"),
            format!("HTTPS://{}./", host.to_uppercase()),
        ] {
            assert_eq!(Cloud::of_authority(&form), cloud, "{form}");
        }
    }
    assert_eq!(Cloud::of_authority("https://login-us.microsoftonline.com"), Cloud::UsGovernment);
    for other in [
        "https://notmicrosoftonline.us",
        "https://example.com/login.microsoftonline.us",
        "https://x/a.cn",
        "https://login.example.cn",
        "https://notchinacloudapi.cn",
        "://",
    ] {
        assert_eq!(Cloud::of_authority(other), Cloud::Public, "{other}");
    }
    assert_eq!(Cloud::of_authority("http://127.0.0.1:1"), Cloud::Public);
    assert_eq!(Cloud::of_authority("https://login.chinacloudapi.cn"), Cloud::China);
}

#[test]
fn a_bare_host_has_the_scheme_of_its_kind() {
    for (scheme, url) in [("https", "https://host:1/"), ("http", "http://host:1/")] {
        assert_eq!(base_url("x", " host:1 ", scheme).unwrap().as_str(), url);
        assert_eq!(base_url("x", "https://host", scheme).unwrap().scheme(), "https");
    }
}

#[test]
fn no_more_than_scheme_and_host_is_shown() {
    for (text, expected) in [
        ("https://login.example.com", "https://login.example.com"),
        ("http://127.0.0.1:8080/path?query#part", "http://127.0.0.1:8080"),
        ("https://user:p@ss@host:1/x", "https://host:1"),
        ("user:p@ss@host", "host"),
        ("host/@ss", "host"),
        ("https://user:p/ss@host", "(not a URL)"),
    ] {
        assert_eq!(shown(text), expected);
    }
}

#[test]
fn tenants_are_ids_or_names() {
    for tenant in ["7e57e57e-0000-4000-8000-000000000001", "contoso.onmicrosoft.com"] {
        assert!(check_tenant(tenant).is_ok());
    }
    for tenant in ["", ".", "..", ".-", "a/b", "a b", "..\\..", "a;b", "--help", "a&b", "é"] {
        assert!(check_tenant(tenant).is_err(), "{tenant}");
    }
}
