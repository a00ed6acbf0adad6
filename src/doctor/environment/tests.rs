use super::*;

#[test]
fn what_is_meant_as_the_host_is_found() {
    for (given, meant) in [
        ("rediss://cache.redis.azure.net:10000/0", "cache.redis.azure.net"),
        ("cache.redis.azure.net:10000", "cache.redis.azure.net"),
        ("cache.redis.azure.net:6380,password=x,ssl=True", "cache.redis.azure.net"),
        ("rediss://user:pass@cache/0", "cache"),
        ("https:// /", "<HOST>"),
    ] {
        assert!(!is_host(given));
        assert_eq!(named(given), meant);
    }
    for good in ["cache", "10.0.0.4", "::1", "a-b.c_d.example"] {
        assert!(is_host(good), "{good}");
    }
}

#[test]
fn what_is_missing_is_named() {
    assert!(complete("`AZURE_TENANT_ID` is missing for a service principal").contains("az account show"));
    assert!(complete("`AZURE_CLIENT_ID`, `AZURE_TENANT_ID` is missing for x").contains("AZURE_TENANT_ID="));
    assert!(complete("`AZURE_CLIENT_SECRET` is not set").contains("credential reset"));
}
