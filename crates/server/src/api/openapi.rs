//! The OpenAPI document, made from the table of routes and from the shapes of bodies.
//!
//! It is made by a test and committed, so that the server only has to hand it out.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::call;
use super::key::Scope;
use super::routes::{BASE, Operation, Parameter, ROUTES, Route};
use super::shapes as ours;

pub(super) mod shapes;

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12();
    let mut generator =
        settings.with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator();
    let problem = generator.subschema_for::<shapes::Problem>();
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route, &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Parlour",
            "version": "1",
            "description": "What a backend may ask of a Parlour server. Errors are problem documents \
                            (RFC 9457) whose `code` is a word of the table in docs/protocol.md.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": BASE }],
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": {
                "type": "http",
                "scheme": "bearer",
                "description": "A key that `parlour key new` has made: `parlour_<id>_<secret>`.",
            } },
            "responses": { "Problem": {
                "description": "The request was refused.",
                "content": { "application/problem+json": { "schema": problem } },
            } },
            "schemas": generator.take_definitions(true),
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let (request, answer) = contract(route.operation, generator);
    let name = format!("{:?}", route.operation);
    let mut parameters: Vec<Value> =
        ["room", "user"].into_iter().filter(|name| names(route, name)).map(in_path).collect();
    parameters.extend(route.query.iter().map(in_query));
    let mut operation = json!({
        "operationId": name[..1].to_ascii_lowercase() + &name[1..],
        "summary": route.summary,
        "responses": {
            "200": { "description": "Done.", "content": answer },
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    match route.scope {
        Some(scope) => operation["description"] = json!(format!("Needs the scope `{}`.", scope.word())),
        None => operation["security"] = json!([]),
    }
    if let Some(request) = request {
        parameters.push(once());
        let is_needed = route.operation != Operation::Disconnect && route.operation != Operation::Role;
        let content = json!({ "application/json": { "schema": request } });
        operation["requestBody"] = json!({ "required": is_needed, "content": content });
    }
    operation["parameters"] = json!(parameters);
    operation
}

/// Returns the schema of the request, and the content of the answer.
fn contract(operation: Operation, generator: &mut SchemaGenerator) -> (Option<Value>, Value) {
    macro_rules! shape {
        ($shape:ty) => {
            generator.subschema_for::<$shape>().to_value()
        };
    }
    let (request, answer) = match operation {
        Operation::Publish | Operation::Tell => (Some(shape!(ours::Say)), shape!(shapes::Stored)),
        Operation::Batch => (Some(shape!(ours::SayAll)), shape!(shapes::Stored)),
        Operation::Broadcast => (Some(shape!(ours::SayEverywhere)), shape!(ours::Everywhere)),
        Operation::History => (None, shape!(shapes::HistoryPage)),
        Operation::Members => (None, shape!(shapes::Members)),
        Operation::Presence => (Some(shape!(ours::LookFor)), shape!(ours::Presences)),
        Operation::Rooms => (None, shape!(ours::Rooms)),
        Operation::Room => (None, shape!(shapes::Info)),
        Operation::Subscribe | Operation::Unsubscribe => (Some(shape!(ours::InRoom)), shape!(ours::Reached)),
        Operation::Disconnect => (Some(shape!(ours::Nothing)), shape!(ours::Reached)),
        Operation::Role => (Some(shape!(ours::Give)), shape!(shapes::Stored)),
        Operation::Sanction => (Some(shape!(ours::Sanction)), shape!(shapes::Stored)),
        Operation::Ticket => (Some(shape!(ours::Mint)), shape!(ours::Minted)),
        Operation::Revoke => (Some(shape!(shapes::Wish)), shape!(ours::Done)),
        Operation::Stats => (None, shape!(ours::Stats)),
        Operation::Document => (None, json!({ "type": "object" })),
        Operation::Events => {
            return (None, json!({ "text/event-stream": { "schema": { "type": "string" } } }));
        }
        Operation::Page => return (None, json!({ "text/html": { "schema": { "type": "string" } } })),
    };
    (request, json!({ "application/json": { "schema": answer } }))
}

fn names(route: &Route, name: &str) -> bool {
    route.path.split('/').any(|part| part == format!("{{{name}}}"))
}

fn in_path(name: &str) -> Value {
    let (about, most) = match name {
        "room" => ("The room, or a private conversation such as `@Alice,Bob`; percent-encoded", 128),
        _ => ("The user; percent-encoded", 64),
    };
    let schema = json!({ "type": "string", "minLength": 1, "maxLength": most });
    json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema })
}

fn in_query(parameter: &Parameter) -> Value {
    let schema = match parameter.range {
        None => json!({ "type": "string", "maxLength": 512 }),
        Some((least, u64::MAX)) => json!({ "type": "integer", "minimum": least }),
        Some((least, most)) => json!({ "type": "integer", "minimum": least, "maximum": most }),
    };
    json!({ "name": parameter.name, "in": "query", "description": parameter.about, "schema": schema })
}

fn once() -> Value {
    let schema =
        json!({ "type": "string", "minLength": 1, "maxLength": call::KEY_BYTES, "pattern": "^[!-~]+$" });
    let about = "Names the request: what it stores is stored once, however often it is sent";
    json!({ "name": "Idempotency-Key", "in": "header", "description": about, "schema": schema })
}

#[test]
fn the_document_is_current() {
    let mut document = serde_json::to_string_pretty(&document()).expect("JSON");
    document.push('\n');
    crate::generated::check("docs/openapi.json", &document);
}

/// The table of `docs/http-api.md` has the routes of the document, in its order.
#[test]
fn the_guide_lists_every_route() {
    let guide = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http-api.md"));
    let rows: Vec<&str> = guide.lines().filter(|line| line.starts_with("| `/")).collect();
    let expected: Vec<String> = ROUTES
        .iter()
        .map(|route| {
            let scope = route.scope.map_or("none", Scope::word);
            format!("| `{}` | {} | {scope} | {} |", route.path, route.method, route.summary)
        })
        .collect();
    assert_eq!(rows, expected.iter().map(String::as_str).collect::<Vec<_>>(), "docs/http-api.md");
    let document = document();
    for route in ROUTES {
        assert!(document["paths"][route.path][route.method.to_ascii_lowercase()].is_object(), "{route:?}");
        assert!(guide.contains(&example(route)), "docs/http-api.md has no example of {}", example(route));
    }
    for scope in Scope::ALL {
        assert!(guide.contains(&format!("| `{}` |", scope.word())), "docs/http-api.md: {scope:?}");
    }
}

/// How the example of a route begins.
fn example(route: &Route) -> String {
    let path = route.path.replace("{room}", "general").replace("{user}", "Alice");
    format!("{} {BASE}{path}", route.method)
}
