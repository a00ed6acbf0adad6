use super::*;
use redis::Pipeline;

fn replies(lines: &[&str]) -> RedisResult<Vec<Value>> {
    lines.iter().map(|line| redis::parse_redis_value(format!("{line}\r\n").as_bytes())).collect()
}

fn refusal(pipeline: &Pipeline, (offset, count): (usize, usize), lines: &[&str]) -> Option<String> {
    let call = PipelineRequest { pipeline, offset, count };
    call.refusal(&replies(lines)).map(|error| error.code().to_owned())
}

#[test]
fn a_pipeline_is_refused_only_if_all_of_it_is_known_to_be() {
    let mut two = redis::pipe();
    two.cmd("INCR").arg("a").cmd("INCR").arg("b");
    let noauth = "-NOAUTH Authentication required.";
    assert_eq!(refusal(&two, (0, 2), &[noauth, noauth]).as_deref(), Some("NOAUTH"));
    assert_eq!(refusal(&two, (0, 2), &[noauth, ":1"]), None);
    assert_eq!(refusal(&two, (0, 2), &[noauth, "-LOADING Redis is loading"]), None);
    for left_out in [(0, 1), (1, 1), (1, 9)] {
        assert_eq!(refusal(&two, left_out, &[noauth]), None, "{left_out:?}");
    }
    let mut script = two.clone();
    script.cmd("EVAL").arg("return redis.error_reply('NOAUTH')").arg(0);
    assert_eq!(refusal(&script, (0, 3), &[noauth, noauth, noauth]), None);
}
