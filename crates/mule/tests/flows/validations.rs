//! The validation module: what holds, and the error of what does not.

use fusebox_mule::{Event, Value};

use super::{CONFIGS, Line, Running, errors, event};

fn app(inner: &str) -> String {
    format!(
        "{CONFIGS}<flow name='in'><http:listener config-ref='In' path='/'/></flow>
<validation:ip-filter-list name='near'><validation:ips><validation:ip value='10.0.0.0/8'/><validation:ip value='127.0.0.1'/></validation:ips></validation:ip-filter-list>
<flow name='f'>{inner}</flow>"
    )
}

async fn told(inner: &str, event: Event) -> Result<(), (String, String)> {
    match Running::new(&app(inner)).run("f", event).await {
        Ok(_) => Ok(()),
        Err(failure) => {
            let error = &failure.error;
            Err((error.kind.to_string(), error.description.to_string()))
        }
    }
}

#[tokio::test]
async fn each_validation_has_its_error_and_its_words() {
    let list = |items: &[&str]| Value::array(items.iter().map(|it| (*it).into()).collect());
    let cases: Vec<(&str, Value, Value, &str, &str)> = vec![
        (
            r##"is-not-null value="#[payload]""##,
            1.into(),
            Value::Null,
            "NULL",
            "value is null",
        ),
        (
            r##"is-null value="#[payload]""##,
            Value::Null,
            1.into(),
            "NOT_NULL",
            "value was expected to be null",
        ),
        (
            r##"is-true expression="#[payload]""##,
            true.into(),
            false.into(),
            "INVALID_BOOLEAN",
            "Value was expected to be true but it was false instead",
        ),
        (
            r##"is-false expression="#[payload]""##,
            false.into(),
            true.into(),
            "INVALID_BOOLEAN",
            "Value was expected to be false but it was true instead",
        ),
        (
            "is-not-blank-string",
            "a".into(),
            " ".into(),
            "BLANK_STRING",
            "String is blank",
        ),
        (
            r##"is-blank-string value="#[payload]""##,
            " ".into(),
            "a".into(),
            "NOT_BLANK_STRING",
            "String is not blank",
        ),
        (
            "is-not-empty-collection",
            list(&["a"]),
            list(&[]),
            "EMPTY_COLLECTION",
            "Collection is empty",
        ),
        (
            "is-empty-collection",
            list(&[]),
            list(&["a"]),
            "NOT_EMPTY_COLLECTION",
            "Collection is not empty",
        ),
        (
            r##"is-email email="#[payload]""##,
            "a@b.com".into(),
            "a@b".into(),
            "INVALID_EMAIL",
            "a@b is not a valid email address",
        ),
        (
            r##"is-url url="#[payload]""##,
            "http://a".into(),
            "a".into(),
            "INVALID_URL",
            "a is not a valid url",
        ),
        (
            r##"is-ip ip="#[payload]""##,
            "::1".into(),
            "1.2.3".into(),
            "INVALID_IP",
            "1.2.3 is not a valid ip address",
        ),
        (
            r##"is-allowed-ip ipAddress="#[payload]" allowList="near""##,
            "/127.0.0.1:5".into(),
            "8.8.8.8".into(),
            "REJECTED_IP",
            "8.8.8.8 was rejected by ip filter",
        ),
        (
            r##"is-not-denied-ip ipAddress="#[payload]" denyList="near""##,
            "8.8.8.8".into(),
            "10.1.2.3".into(),
            "REJECTED_IP",
            "10.1.2.3 was rejected by ip filter",
        ),
        (
            r##"is-number value="#[payload]" numberType="LONG" minValue="5""##,
            "5".into(),
            "4".into(),
            "INVALID_NUMBER",
            "4 is lower that 5",
        ),
        (
            r##"is-time time="#[payload]" pattern="yyyy-MM-dd""##,
            "2024-02-29".into(),
            "2023-02-32".into(),
            "INVALID_TIME",
            "2023-02-32 is not a valid time for the pattern yyyy-MM-dd under locale en",
        ),
        (
            r##"is-time time="#[payload]" pattern="HH:mm""##,
            "23:59".into(),
            "24:61".into(),
            "INVALID_TIME",
            "24:61 is not a valid time for the pattern HH:mm under locale en",
        ),
        (
            r##"matches-regex value="#[payload]" regex="[a-c]+""##,
            "abc".into(),
            "abd".into(),
            "MISMATCH",
            "abd is not valid under the terms of regex [a-c]+",
        ),
        (
            r##"validate-size value="#[payload]" min="2" max="3""##,
            "abc".into(),
            "a".into(),
            "INVALID_SIZE",
            "value a was expected to have a size of at least 2 but it only has 1",
        ),
        (
            r##"validate-size value="#[payload]" max="1""##,
            "a".into(),
            "abc".into(),
            "INVALID_SIZE",
            "value abc was expected to have a size of at most 1 but it has 3",
        ),
    ];
    for (validation, good, bad, kind, what) in cases {
        let inner = format!("<validation:{validation}/>");
        assert_eq!(told(&inner, event(good)).await, Ok(()), "{validation}");
        let broken = (format!("VALIDATION:{kind}"), what.to_owned());
        assert_eq!(
            told(&inner, event(bad.clone())).await,
            Err(broken),
            "{validation}"
        );
        // Each is a kind of VALIDATION:VALIDATION, and its message may be the application's.
        let own = format!(
            r##"<try><validation:{validation} message="bad cup"/><error-handler><on-error-propagate type="VALIDATION:VALIDATION"><raise-error type="APP:BAD" description="#[error.description]"/></on-error-propagate></error-handler></try>"##
        );
        let told = told(&own, event(bad)).await;
        assert_eq!(told, Err(("APP:BAD".to_owned(), "bad cup".to_owned())));
    }
}

#[tokio::test]
async fn a_time_has_passed_or_not() {
    // The world's time is the beginning of 1970.
    let validation = |kind, since| {
        format!(
            r##"<validation:{kind} time="20" timeUnit="SECONDS" since="#[{since} as DateTime]"/>"##
        )
    };
    let (long, short) = ("'1969-12-31T23:59:00Z'", "'1969-12-31T23:59:50Z'");
    for (kind, good, bad, error) in [
        ("is-elapsed", long, short, "VALIDATION:NOT_ELAPSED_TIME"),
        ("is-not-elapsed", short, long, "VALIDATION:ELAPSED_TIME"),
    ] {
        assert_eq!(
            told(&validation(kind, good), Event::default()).await,
            Ok(())
        );
        let told = told(&validation(kind, bad), Event::default()).await;
        assert_eq!(told.unwrap_err().0, error);
    }
}

#[tokio::test]
async fn several_validations_make_one_error() {
    let both = r##"<validation:is-email email="#[payload.mail]"/><validation:is-url url="#[payload.url]"/>"##;
    let given =
        |mail: &str, url: &str| event(Value::record([("mail", mail.into()), ("url", url.into())]));
    let all = format!("<validation:all>{both}</validation:all>");
    let any = format!("<validation:any>{both}</validation:any>");
    let told_of = async |app: &str, mail, url| told(app, given(mail, url)).await;
    let both_bad = "m is not a valid email address\nu is not a valid url";
    let multiple = |what: &str| Err(("VALIDATION:MULTIPLE".to_owned(), what.to_owned()));
    assert_eq!(told_of(&all, "a@b.com", "http://a").await, Ok(()));
    assert_eq!(
        told_of(&all, "a@b.com", "u").await,
        multiple("u is not a valid url")
    );
    assert_eq!(told_of(&all, "m", "u").await, multiple(both_bad));
    assert_eq!(told_of(&any, "m", "http://a").await, Ok(()));
    assert_eq!(told_of(&any, "m", "u").await, multiple(both_bad));
    // An error of another kind is that error.
    let other = all.replace("#[payload.url]", "#[payload.url + [1]]");
    let (kind, _) = told_of(&other, "m", "u").await.unwrap_err();
    assert_eq!(kind, "MULE:EXPRESSION");
}

#[test]
fn what_is_wrong_about_a_validation_is_told_at_its_place() {
    for (inner, said) in [
        (
            r#"<validation:is-number value="1" numberType="WHOLE"/>"#,
            "a.xml:5:60: error: `numberType` is `WHOLE`; expected one of INTEGER, LONG, SHORT, DOUBLE, FLOAT",
        ),
        (
            r#"<validation:all><logger/></validation:all>"#,
            "a.xml:5:32: error: `logger` is not allowed in `validation:all`; put validations into it, and nothing else",
        ),
        (
            r#"<validation:any/>"#,
            "a.xml:5:16: error: `validation:any` has no validations; add one, such as `<validation:is-true expression=\"#[…]\"/>`",
        ),
    ] {
        assert_eq!(errors(&app(inner), &Line::default()), [said]);
    }
}
