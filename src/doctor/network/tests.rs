use super::*;

#[test]
fn private_link_names_have_a_public_one() {
    let public = without_privatelink("c.westeurope.privatelink.redis.azure.net");
    assert_eq!(public.as_deref(), Some("c.westeurope.redis.azure.net"));
    assert_eq!(without_privatelink("c.westeurope.redis.azure.net"), None);
}

#[test]
fn addresses_say_what_they_are() {
    for (address, what) in [("10.0.0.4", "private"), ("127.0.0.1", "this machine"), ("fd00::1", "private")] {
        assert!(described(address.parse().unwrap()).contains(what));
    }
    assert_eq!(described("20.1.2.3".parse().unwrap()), "20.1.2.3");
}

#[test]
fn a_resolver_that_is_down_is_another_cause_than_a_name_that_is_unknown() {
    let cause = |text: &str| unresolved("c.example", &io::Error::other(text), &Advice::default()).cause;
    assert_eq!(cause("Temporary failure in name resolution"), Some(Cause::DnsUnavailable));
    assert_eq!(cause("Name or service not known"), Some(Cause::NameNotFound));
    let link = unresolved("c.privatelink.redis.azure.net", &io::Error::other("x"), &Advice::default());
    assert_eq!(link.cause, Some(Cause::PrivateLinkName));
}
