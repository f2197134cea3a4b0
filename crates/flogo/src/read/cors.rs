//! The answers to preflight requests, from the variables of Flogo's REST trigger.

use fusebox_plan::dialect::Loader;

use crate::program::Cors;

const PREFIX: &str = "REST_TRIGGER";

pub(crate) fn cors(loader: &dyn Loader) -> Cors {
    let read = |name: &str, default: &str| {
        loader
            .env(&format!("{PREFIX}{name}"))
            .filter(|value| !value.is_empty())
            .unwrap_or_else(|| default.to_owned())
    };
    Cors {
        allow_origin: read("CORS_ALLOW_ORIGIN", "*"),
        allow_methods: read(
            "CORS_ALLOW_METHODS",
            "POST, GET, OPTIONS, PUT, DELETE, PATCH",
        ),
        allow_headers: read(
            "CORS_ALLOW_HEADERS",
            "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, X-Requested-With, Accept, Accept-Language",
        ),
        expose_headers: read("CORS_EXPOSE_HEADERS", ""),
        allow_credentials: read("CORS_ALLOW_CREDENTIALS", "false").eq_ignore_ascii_case("true"),
        max_age: read("CORS_MAX_AGE", ""),
    }
}
