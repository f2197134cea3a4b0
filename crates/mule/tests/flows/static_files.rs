//! Files that a flow answers with.

use fusebox_mule::{Event, Value};

use super::{CONFIGS, Running};

fn request(path: &str) -> Event {
    Event {
        attributes: Value::record([
            ("listenerPath", "/web/*".into()),
            ("requestPath", path.into()),
        ]),
        ..Event::default()
    }
}

#[tokio::test]
async fn a_file_of_a_directory_is_the_payload() {
    let dir = tempfile::tempdir().unwrap();
    let web = dir.path().join("web");
    std::fs::create_dir_all(web.join("cups")).unwrap();
    for (name, text) in [
        ("web/index.html", "<p>tea</p>"),
        ("web/cups/index.html", "<p>cups</p>"),
        ("web/cup.js", "pour()"),
        ("secret.txt", "hidden"),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    std::os::unix::fs::symlink(dir.path().join("secret.txt"), web.join("link.txt")).unwrap();
    let app = format!(
        r#"{CONFIGS}<flow name="f"><http:listener config-ref="In" path="/web/*"/><http:load-static-resource resourceBasePath="{}"/></flow>"#,
        web.display()
    );
    let running = Running::new(&app);
    for (path, media_type, text) in [
        ("/web/", "text/html", "<p>tea</p>"),
        ("/web/cups", "text/html", "<p>cups</p>"),
        ("/web/cup.js", "application/javascript", "pour()"),
        ("/web/cups/../cup.js", "application/javascript", "pour()"),
    ] {
        let ended = running.run("f", request(path)).await.unwrap();
        assert_eq!(ended.payload.media_type.as_str(), media_type, "{path}");
        assert_eq!(ended.payload.value, text.into());
    }
    for path in [
        "/web/pot.js",
        "/web/../secret.txt",
        "/web/link.txt",
        "/web//etc/passwd",
    ] {
        let (kind, what) = running.error("f", request(path)).await;
        assert_eq!(kind, "HTTP:NOT_FOUND", "{path}");
        assert!(what.starts_with("Resource '/"), "{what}");
    }
}
