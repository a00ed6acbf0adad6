use super::*;
use proptest::{collection::vec, prelude::*, sample::Index};
use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};

fn made() -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["cache.example".to_owned(), "*.example".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::IpAddress("10.0.0.4".parse().unwrap()));
    params.distinguished_name.push(DnType::CommonName, "cache.example");
    params.distinguished_name.push(DnType::OrganizationName, "Contoso");
    params.not_before = date_time_ymd(1999, 12, 31);
    params.not_after = date_time_ymd(2062, 1, 2);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn names_issuer_and_dates_are_read() {
    let read = Certificate::read(&made()).unwrap();
    assert_eq!(read.names, ["cache.example", "*.example", "10.0.0.4"]);
    assert_eq!((read.issuer.as_str(), read.subject.as_str()), ("cache.example (Contoso)", "cache.example (Contoso)"));
    assert_eq!(read.not_before.unwrap().to_string(), "1999-12-31T00:00:00Z");
    // Later than 2049: the other form.
    assert_eq!(read.not_after.unwrap().to_string(), "2062-01-02T00:00:00Z");
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!(read.days_left(at("2062-01-01T00:00:00Z")), Some(1));
    assert_eq!(read.days_left(at("2062-01-03T12:00:00Z")), Some(-2));
    assert!(read.covers(at("2026-01-01T00:00:00Z")) && !read.covers(at("1999-01-01T00:00:00Z")));
    assert!(!read.covers(at("2062-01-03T00:00:00Z")));
}

proptest! {
    #[test]
    fn no_bytes_are_a_reason_to_panic(bytes in vec(any::<u8>(), 0..200)) {
        Certificate::read(&bytes);
    }

    #[test]
    fn no_damage_is_a_reason_to_panic(damage in vec((any::<Index>(), any::<u8>()), 1..8)) {
        let mut der = made();
        for (at, byte) in damage {
            let at = at.index(der.len());
            der[at] = byte;
        }
        Certificate::read(&der);
    }
}
