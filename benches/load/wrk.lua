-- What wrk has measured, as one line of JSON behind its own words. Latencies are in microseconds.
function done(summary, latency)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
    print(string.format(
        '{"ops":%d,"seconds":%.6f,"bytes":%d,"p50_us":%d,"p99_us":%d,"p999_us":%d,"max_us":%d,"errors":%d}',
        summary.requests, summary.duration / 1e6, summary.bytes,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max, failed))
end
