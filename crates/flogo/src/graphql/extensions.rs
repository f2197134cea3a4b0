//! A schema as a whole: extensions of its types, and types that it names and does not define.

use graphql_tools::static_graphql::schema;

/// Adds `extend type …` to the types themselves.
pub(super) fn extend(document: &mut schema::Document) {
    use schema::{Definition, TypeDefinition, TypeExtension};
    let (extensions, mut rest): (Vec<_>, Vec<_>) = std::mem::take(&mut document.definitions)
        .into_iter()
        .partition(|definition| matches!(definition, Definition::TypeExtension(_)));
    for extension in extensions {
        let Definition::TypeExtension(extension) = extension else {
            continue;
        };
        let types = rest.iter_mut().filter_map(|definition| match definition {
            Definition::TypeDefinition(definition) => Some(definition),
            _ => None,
        });
        for definition in types {
            match (&extension, definition) {
                (TypeExtension::Object(more), TypeDefinition::Object(of))
                    if of.name == more.name =>
                {
                    of.fields.extend(more.fields.iter().cloned());
                    of.implements_interfaces
                        .extend(more.implements_interfaces.iter().cloned());
                }
                (TypeExtension::Interface(more), TypeDefinition::Interface(of))
                    if of.name == more.name =>
                {
                    of.fields.extend(more.fields.iter().cloned());
                }
                (TypeExtension::InputObject(more), TypeDefinition::InputObject(of))
                    if of.name == more.name =>
                {
                    of.fields.extend(more.fields.iter().cloned());
                }
                (TypeExtension::Enum(more), TypeDefinition::Enum(of)) if of.name == more.name => {
                    of.values.extend(more.values.iter().cloned());
                }
                (TypeExtension::Union(more), TypeDefinition::Union(of)) if of.name == more.name => {
                    of.types.extend(more.types.iter().cloned());
                }
                _ => {}
            }
        }
    }
    document.definitions = rest;
}

/// The first type that a field, an argument or a union names and the schema does not define.
pub(super) fn unknown_type(document: &schema::Document) -> Option<String> {
    use schema::{Definition, TypeDefinition};
    let mut named: Vec<&str> = Vec::new();
    for definition in &document.definitions {
        let inputs = match definition {
            Definition::TypeDefinition(TypeDefinition::InputObject(of)) => &of.fields[..],
            Definition::DirectiveDefinition(of) => &of.arguments,
            _ => &[],
        };
        named.extend(inputs.iter().map(|input| input.value_type.inner_type()));
        let fields = match definition {
            Definition::TypeDefinition(TypeDefinition::Object(of)) => &of.fields[..],
            Definition::TypeDefinition(TypeDefinition::Interface(of)) => &of.fields,
            _ => &[],
        };
        for field in fields {
            named.push(field.field_type.inner_type());
            named.extend(field.arguments.iter().map(|it| it.value_type.inner_type()));
        }
        if let Definition::TypeDefinition(TypeDefinition::Union(of)) = definition {
            named.extend(of.types.iter().map(String::as_str));
        }
    }
    let known = document.type_map();
    let mut named = named.into_iter();
    named
        .find(|name| !known.contains_key(name))
        .map(str::to_owned)
}
