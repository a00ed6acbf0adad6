use super::*;

#[test]
fn a_ratio_outside_zero_to_one_is_rejected() {
    for ratio in [0.0, -0.5, 1.01, f64::NAN, f64::INFINITY] {
        let config = TokenManagerConfig::new().expiration_refresh_ratio(ratio);
        let error = config.validate().unwrap_err();
        assert!(error.to_string().starts_with("`expiration_refresh_ratio`"), "{error}");
    }
    for ratio in [f64::MIN_POSITIVE, 0.01, 1.0] {
        let config = TokenManagerConfig::new().expiration_refresh_ratio(ratio);
        assert!(config.validate().is_ok());
    }
}

#[test]
fn zero_timeouts_are_rejected_by_name() {
    let config = TokenManagerConfig::new().token_request_execution_timeout(Duration::ZERO);
    let error = config.validate().unwrap_err().to_string();
    assert!(error.starts_with("`token_request_execution_timeout`"), "{error}");
    let config = TokenManagerConfig::new().min_refresh_interval(Duration::ZERO);
    let error = config.validate().unwrap_err().to_string();
    assert!(error.starts_with("`min_refresh_interval`"), "{error}");
}
