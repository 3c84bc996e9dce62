//! The shapes of objects: a cursor over OpenAPI definitions, the built-in ones or those of a CustomResourceDefinition.
//!
//! `schemas.json` holds the definitions of kube-apiserver 1.35.4 (`/openapi/v3`) that the closed table reaches,
//! without their descriptions; three fields that Go writes even when they are zero are marked as required.

use std::sync::LazyLock;

use serde_json::Value;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

static DEFINITIONS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("schemas.json")).expect("the committed definitions are JSON"));

/// All built-in definitions by name.
pub fn definitions() -> &'static Value {
    &DEFINITIONS
}

/// One place in a schema.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a>(&'a Value);

/// What kind of value a place holds, as far as merging and ownership care.
pub enum Shape<'a> {
    Scalar,
    Map { atomic: bool },
    List(ListKind<'a>),
    Any,
}

/// How the entries of a list are told apart.
#[derive(Clone, Copy)]
pub enum ListKind<'a> {
    Atomic,
    Set,
    Keyed(&'a Value),
}

impl<'a> Schema<'a> {
    /// The schema of a definition by its full name.
    pub fn named(name: &str) -> Option<Schema<'static>> {
        DEFINITIONS.get(name).map(Schema)
    }

    /// The schema written in a CustomResourceDefinition.
    pub fn of_node(node: &'a Value) -> Schema<'a> {
        Schema(node)
    }

    /// The schema of `metadata`, which all kinds share.
    pub fn object_meta() -> Schema<'static> {
        Schema::named(OBJECT_META).expect("ObjectMeta is among the committed definitions")
    }

    /// An attribute of the schema, of the place itself or of the definition that it refers to.
    pub fn attribute(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).or_else(|| self.target().and_then(|target| target.attribute(name)))
    }

    fn target(self) -> Option<Schema<'a>> {
        if let Some(reference) = self.0.get("$ref").and_then(Value::as_str) {
            return Schema::named(reference.trim_start_matches("#/components/schemas/"));
        }
        self.0.get("allOf").and_then(|all| all.get(0)).filter(|first| first.get("$ref").is_some()).map(Schema)
    }

    pub fn text(self, name: &str) -> Option<&'a str> {
        self.attribute(name).and_then(Value::as_str)
    }

    /// The name of the definition that the place refers to, without its package.
    pub fn definition_name(self) -> Option<&'a str> {
        let reference = self.0.get("$ref").or_else(|| self.0.get("allOf")?.get(0)?.get("$ref"))?;
        reference.as_str()?.rsplit('.').next()
    }

    pub fn flag(self, name: &str) -> bool {
        self.attribute(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The declared field `name`.
    pub fn declared(self, name: &str) -> Option<Schema<'a>> {
        let found = self.attribute("properties").and_then(|properties| properties.get(name));
        if name == "metadata" && self.flag("x-sandbox-root") {
            return Some(Schema::object_meta());
        }
        found.map(Schema)
    }

    /// All declared fields.
    pub fn fields(self) -> impl Iterator<Item = (&'a str, Schema<'a>)> {
        let properties = self.attribute("properties").and_then(Value::as_object);
        properties.into_iter().flatten().map(|(name, node)| (name.as_str(), Schema(node)))
    }

    /// The schema of the values of a free map.
    pub fn values(self) -> Option<Schema<'a>> {
        self.attribute("additionalProperties").filter(|values| values.is_object()).map(Schema)
    }

    /// The schema of what stands under `name`: a declared field or a value of a free map.
    pub fn child(self, name: &str) -> Option<Schema<'a>> {
        self.declared(name).or_else(|| self.values())
    }

    pub fn items(self) -> Option<Schema<'a>> {
        self.attribute("items").map(Schema)
    }

    pub fn requires(self, name: &str) -> bool {
        let required = self.attribute("required").and_then(Value::as_array);
        required.is_some_and(|names| names.iter().any(|n| n == name))
    }

    /// True where fields that the schema does not know are kept.
    pub fn is_open(self) -> bool {
        let untyped = self.attribute("properties").is_none() && self.attribute("additionalProperties").is_none();
        self.flag("x-kubernetes-preserve-unknown-fields")
            || self.attribute("additionalProperties").is_some_and(|v| v == &Value::Bool(true))
            || (untyped && !self.flag("x-sandbox-custom"))
    }

    pub fn shape(self) -> Shape<'a> {
        if self.flag("x-kubernetes-int-or-string") {
            return Shape::Scalar;
        }
        match self.text("type") {
            Some("array") => Shape::List(self.list_kind()),
            Some("object") => Shape::Map { atomic: self.text("x-kubernetes-map-type") == Some("atomic") },
            Some(_) => Shape::Scalar,
            None if self.attribute("oneOf").is_some() || self.attribute("anyOf").is_some() => Shape::Scalar,
            None => Shape::Any,
        }
    }

    fn list_kind(self) -> ListKind<'a> {
        match (self.text("x-kubernetes-list-type"), self.attribute("x-kubernetes-list-map-keys")) {
            (Some("set"), _) => ListKind::Set,
            (Some("map"), Some(keys)) => ListKind::Keyed(keys),
            _ => ListKind::Atomic,
        }
    }
}

/// The shape that `value` has under `schema`; without a schema, the one that a value has by itself.
pub fn shape_of<'a>(schema: Option<Schema<'a>>, value: &Value) -> Shape<'a> {
    match schema.map_or(Shape::Any, Schema::shape) {
        Shape::Any if value.is_object() => Shape::Map { atomic: false },
        Shape::Any if value.is_array() => Shape::List(ListKind::Atomic),
        Shape::Any => Shape::Scalar,
        known => known,
    }
}
