use super::per_second;

#[test]
fn the_rate_is_read_from_the_csv() {
    let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"GET bench:small\",\"1001600.00\",\"0.219\"\n";
    assert_eq!(per_second(csv), Ok(1_001_600.0));
    assert!(per_second("").is_err());
    assert!(per_second("\"test\",\"rps\"").is_err());
}
