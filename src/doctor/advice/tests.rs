use super::*;

fn of(host: &str) -> Advice {
    let options = vec![("--credential", "az".to_owned()), ("--key-prefix", "it's mine:".to_owned())];
    let username = Some(UserName::new("default"));
    Advice { host: host.to_owned(), port: 10_000, options, username, ..Advice::default() }
}

#[test]
fn names_of_azures_are_filled_in() {
    let managed = of("contoso.westeurope.redis.azure.net").assign("0a-1b");
    assert!(managed.starts_with("az redisenterprise database access-policy-assignment create --resource-group \"$(az"));
    for part in ["--cluster-name contoso ", "assignment-name 0a1b ", "--access-policy-name default --object-id 0a-1b"] {
        assert!(managed.contains(part), "{managed}");
    }
    let classic = of("contoso.redis.cache.windows.net").assign("0a-1b");
    assert!(classic.starts_with("az redis access-policy-assignment create") && classic.contains("--name contoso "));
    // The first regions of Azure Managed Redis have this name.
    let older = of("contoso.westeurope.redis.cache.windows.net").assign("0a-1b");
    assert!(older.starts_with("az redisenterprise"), "{older}");
    assert!(of("10.0.0.4").assign("0a-1b").contains("--cluster-name <CACHE> "));
    assert_eq!((usual_port("c.redis.cache.windows.net"), usual_port("c.eu.redis.azure.net")), (6380, 10_000));
}

#[test]
fn the_doctor_is_called_as_it_was_but_for_what_changes() {
    let advice = of("cache");
    let told = advice.again(&[("--port", "6380"), ("--key-prefix", ""), ("--read-only", "yes")]);
    assert_eq!(told, "entra-redis doctor --host cache --port 6380 --credential az --username default --read-only");
    assert!(advice.again(&[]).contains(r"--key-prefix 'it'\''s mine:'"), "{}", advice.again(&[]));
    let advice = Advice { username: Some(UserName::new("an-access-key-of-the-cache")), ..advice };
    assert!(advice.again(&[]).ends_with("--username '<OBJECT_ID>'"), "{}", advice.again(&[]));
}
