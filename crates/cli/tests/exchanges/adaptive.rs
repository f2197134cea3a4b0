//! An adaptive rule sheds load share by share, and never opens.

use crate::support::{Dial, Gateway, Upstream, eventually, orders};

#[test]
fn the_more_calls_fail_the_fewer_pass_and_none_is_ever_the_last() {
    let status = Dial::at(200);
    let upstream = Upstream::dialled(&status);
    let gateway = Gateway::run(orders(&upstream, "{ trip: { adaptive: { memory: 20 } } }"));
    let mut client = gateway.client();
    for _ in 0..30 {
        assert_eq!(
            client.get("/a").status,
            200,
            "nothing is shed while all is well"
        );
    }
    assert_eq!(gateway.breaker("orders")["admit_probability"], 1.0);
    status.set(500);
    let mut refused = 0;
    eventually("it sheds", || {
        let answer = client.get("/a");
        if answer.status == 503 {
            refused += 1;
            assert_eq!(answer.fields.get("retry-after"), Some("1"));
            let reason = r#"breaker_adaptive; breaker="orders"; state=closed"#;
            assert_eq!(answer.fields.get("fusebox-reason"), Some(reason));
        }
        refused == 20
    });
    let breaker = gateway.breaker("orders");
    assert_eq!(
        (&breaker["state"], &breaker["attempts"]),
        (&"closed".into(), &0.into())
    );
    assert_eq!(breaker["counts"]["rejected_for"]["breaker_adaptive"], 20);
    let passes = breaker["admit_probability"].as_f64().unwrap();
    assert!(passes < 1.0, "{breaker}");
    let rule = &breaker["rules"][0];
    assert_eq!(
        (&rule["rule"], &rule["threshold"]),
        (&"adaptive".into(), &1.0.into())
    );
    assert!(rule["observed"].as_f64().unwrap() > 0.0, "{rule}");
    assert_eq!(breaker["explanation"]["rules"][0]["gap"], "never_trips");
    let rejected =
        r#"fusebox_breaker_rejected_reason_total{breaker="orders",reason="breaker_adaptive"}"#;
    assert_eq!(gateway.metric(rejected), Some(20.0));
    let probability = r#"fusebox_breaker_admit_probability{breaker="orders"}"#;
    assert!(
        gateway
            .metric(probability)
            .is_some_and(|passes| passes < 1.0)
    );
    status.set(200);
    eventually("it recovers", || {
        client.get("/a");
        gateway.breaker("orders")["admit_probability"] == 1.0
    });
    for _ in 0..30 {
        assert_eq!(client.get("/a").status, 200);
    }
    assert!(
        !gateway.breaker("orders")["recent"]
            .to_string()
            .contains("open")
    );
}
