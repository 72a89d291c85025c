//! docs/ipjob.schema.json, made from the record's type and from what holds of its fields in each state.

use super::Record;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/ipjob.schema.json")
}

/// What holds of the fields in each state.
fn rules() -> Value {
    let in_state = |states: &[&str]| json!({"properties": {"state": {"enum": states}}});
    json!([
        {
            "if": {"properties": {"state": {"const": "ready"}, "mode": {"const": "notebook"}}},
            "then": {"properties": {
                "ip": {"type": "string"},
                "port": {"type": "integer"},
                "token": {"type": "string"},
                "url": {"type": "string"},
            }},
        },
        {
            "if": in_state(&["ready"]),
            "then": {"properties": {
                "controller": {"properties": {"pid": {"type": "integer"}}},
                "engines": {"properties": {"registered": {"minimum": 1}, "list": {"minItems": 1}, "missing": {"maxItems": 0}}},
                "hindered": {"properties": {"controller": {"type": "null"}, "jupyter": {"type": "null"}}},
            }},
        },
        {
            "if": in_state(&["stopping", "ended"]),
            "then": {"properties": {"reason": {"type": "string"}, "token": {"type": "null"}, "url": {"type": "null"}}},
            "else": {"properties": {"reason": {"type": "null"}}},
        },
        {
            "if": in_state(&["ended"]),
            "then": {"properties": {"exit": {"type": "integer"}}},
            "else": {"properties": {"exit": {"type": "null"}}},
        },
        {
            "if": {"properties": {"mode": {"const": "cluster-only"}}},
            "then": {"properties": {
                "ip": {"type": "null"},
                "port": {"type": "null"},
                "token": {"type": "null"},
                "url": {"type": "null"},
            }},
        },
    ])
}

/// The schema as it should be.
fn made() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<Record>();
    let mut schema = plain(schema.to_value());
    schema["$id"] = json!("https://ipjob.invalid/ipjob.schema.json");
    schema["title"] = json!("The record of an ipjob, version 1");
    schema["description"] = json!(
        "docs/connection-file.md says it in prose. Readers ignore fields that they do not know."
    );
    schema["allOf"] = rules();
    schema
}

/// Without what is for Rust, and with every object open: readers ignore fields that they do not know.
fn plain(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let of_rust = |name: &str, value: &Value| {
                matches!(name, "title" | "description" | "default" | "format")
                    && (value.is_string() || name == "default")
            };
            let is_object = fields.contains_key("properties");
            let mut kept: serde_json::Map<String, Value> = fields
                .into_iter()
                .filter(|(name, value)| !of_rust(name, value))
                .map(|(name, value)| (name, plain(value)))
                .collect();
            if is_object {
                kept.insert("additionalProperties".to_owned(), json!(true));
            }
            one_of_words(Value::Object(kept))
        }
        Value::Array(values) => values.into_iter().map(plain).collect(),
        other => other,
    }
}

/// Words with a comment each are `oneOf` constants; here they are one list.
fn one_of_words(schema: Value) -> Value {
    let words: Option<Vec<&Value>> = schema["oneOf"]
        .as_array()
        .and_then(|all| all.iter().map(|one| one.get("const")).collect());
    match words {
        Some(words) => json!({"type": "string", "enum": words}),
        None => schema,
    }
}

#[test]
fn the_documented_schema_is_the_type_s() {
    let text = fs::read_to_string(path()).expect("the schema");
    let documented: Value = serde_json::from_str(&text).expect("JSON");
    assert!(
        documented == made(),
        "docs/ipjob.schema.json is not made from this type: `cargo test record::schema -- --ignored` makes it again"
    );
}

#[test]
#[ignore = "writes docs/ipjob.schema.json"]
fn make() {
    let mut text = serde_json::to_string_pretty(&made()).expect("text");
    text.push('\n');
    fs::write(path(), text).expect("the schema");
}
