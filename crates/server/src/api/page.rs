//! A page about the API for people, made from the OpenAPI document: no script, nothing from elsewhere.

use std::fmt::Write as _;
use std::sync::OnceLock;

use axum::body::Body;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderValue, Response};
use parlour_protocol::{ErrorCode, Refusal};
use serde_json::Value;

use super::{DOCUMENT, call};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}\
code{background:#8882;padding:.1em .3em;border-radius:.2em}h2{margin-top:2.5rem;font-size:1.1rem}\
table{border-collapse:collapse;width:100%}td{border-top:1px solid #8884;padding:.2rem .6rem .2rem 0;\
vertical-align:top}td:first-child{white-space:nowrap}@media(prefers-color-scheme:dark){\
body{background:#151515;color:#ddd}a{color:#8ab4f8}}";

/// Answers with the page.
///
/// # Errors
/// `internal`, if the policy cannot be written, which is a bug.
pub(super) fn answer() -> Result<Response<Body>, Refusal> {
    static BODY: OnceLock<String> = OnceLock::new();
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let body =
        BODY.get_or_init(|| serde_json::from_str(DOCUMENT).map(|page| body(&page)).unwrap_or_default());
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Parlour HTTP API</title>\
         <style nonce=\"{nonce}\">{STYLE}</style></head><body>{body}</body></html>\n"
    );
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let mut response = call::typed("text/html; charset=utf-8", page);
    let policy = HeaderValue::from_str(&policy).map_err(|_| ErrorCode::Internal)?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

fn body(document: &Value) -> String {
    let mut page = format!(
        "<h1>Parlour HTTP API</h1><p>{}</p><p>Every request shows a key: <code>Authorization: Bearer \
         parlour_...</code>. The same as <a href=\"openapi.json\">OpenAPI</a>.</p>",
        escape(&document["info"]["description"])
    );
    let base = escape(&document["servers"][0]["url"]);
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            // Writing to a String does not fail.
            let _ = write!(
                page,
                "<h2><code>{} {base}{}</code></h2><p>{}. {}</p><table>",
                method.to_ascii_uppercase(),
                escape(&Value::from(path.as_str())),
                escape(&operation["summary"]),
                escape(&operation["description"]),
            );
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                row(&mut page, &parameter["name"], &parameter["in"], &parameter["description"]);
            }
            fields(&mut page, document, &operation["requestBody"]["content"], "body");
            fields(&mut page, document, &operation["responses"]["200"]["content"], "answer");
            page.push_str("</table>");
        }
    }
    page
}

/// Lists the fields of a body.
fn fields(page: &mut String, document: &Value, content: &Value, place: &str) {
    let schema = &content["application/json"]["schema"];
    let reference = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    let schema = reference.and_then(|reference| document.pointer(reference)).unwrap_or(schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        row(page, &Value::from(name.as_str()), &Value::from(place), &field["description"]);
    }
}

fn row(page: &mut String, name: &Value, place: &Value, about: &Value) {
    let (name, place, about) = (escape(name), escape(place), escape(about));
    let _ = write!(page, "<tr><td><code>{name}</code></td><td>{place}</td><td>{about}</td></tr>");
}

fn escape(text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
