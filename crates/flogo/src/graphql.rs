//! GraphQL requests against a schema, as the microgateway's `graphql` activity judges them in mode a: their depth, then
//! their validity. A request that only looks harmless is refused before its server sees it.

use std::fmt;

use graphql_tools::parser::{Pos, parse_schema, query::parse_query_with_token_limit};
use graphql_tools::static_graphql::{query, schema};
use graphql_tools::validation::rules::default_rules_validation_plan;
use graphql_tools::validation::validate::{ValidationPlan, validate};

use crate::language::json::Numbers;
use crate::language::value::Value;

mod depth;
mod extensions;

/// The most words, numbers and marks of a query: the time that a check takes grows with their square. The depth of
/// brackets is limited to 50 by the parser.
const TOKENS_MAX: usize = 4000;

/// The built-in scalars and directives, which no schema defines.
const BUILT_IN: &str = "scalar Int scalar Float scalar String scalar Boolean scalar ID \
    directive @skip(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT \
    directive @include(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT \
    directive @deprecated(reason: String) on FIELD_DEFINITION | ENUM_VALUE";

/// A schema that requests are compared with.
pub(crate) struct Schema {
    document: schema::Document,
    plan: ValidationPlan,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema(…)")
    }
}

impl Schema {
    /// Reads a schema in GraphQL's own language. A field that is defined twice counts as its first definition.
    ///
    /// # Errors
    /// The first fault of the text, with its line and column.
    pub fn parse(text: &str) -> Result<Schema, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let read = parse_schema::<String>(text);
        let mut document = read
            .map_err(|error| syntax(&error.to_string()))?
            .into_static();
        let built_in = parse_schema::<String>(BUILT_IN).expect("the built-in part is valid");
        document
            .definitions
            .extend(built_in.into_static().definitions);
        extensions::extend(&mut document);
        let query = document.query_type_name().cloned();
        let query = query.unwrap_or_else(|| "Query".to_owned());
        if !matches!(
            document.type_by_name(&query),
            Some(schema::TypeDefinition::Object(_))
        ) {
            return Err(format!("the schema has no type \"{query}\" for queries"));
        }
        match extensions::unknown_type(&document) {
            Some(name) => Err(format!("Unknown type \"{name}\".")),
            None => Ok(Schema {
                document,
                plan: default_rules_validation_plan(),
            }),
        }
    }

    /// Judges a request, the JSON text of an object with a member `query`; its depth may be `depth_max` at most.
    ///
    /// # Errors
    /// The reason for which the request is not valid, in the words of the original.
    pub fn judge(&self, request: &str, depth_max: i64) -> Result<String, String> {
        let invalid = |details: String| format!("Not a valid graphQL request. Details: {details}");
        let text = query_of(request).map_err(invalid)?;
        let read = parse_query_with_token_limit::<String>(&text, TOKENS_MAX);
        let read =
            read.map_err(|error| invalid(format!("[graphql: {}]", syntax(&error.to_string()))))?;
        let document = read.into_static();
        let depth = i64::try_from(depth::depth(&document)).unwrap_or(i64::MAX);
        if depth > depth_max {
            return Err(format!(
                "graphQL request query depth[{depth}] is exceeded allowed maxQueryDepth[{depth_max}]"
            ));
        }
        let faults = self.faults(&document);
        if !faults.is_empty() {
            return Err(invalid(format!("[{}]", faults.join(" "))));
        }
        Ok(format!(
            "Valid graphQL query. query = {request}\n type = Query \n queryDepth = {depth}"
        ))
    }

    fn faults(&self, document: &query::Document) -> Vec<String> {
        let absent = document.definitions.iter().filter_map(|definition| {
            let query::Definition::Operation(operation) = definition else {
                return None;
            };
            match operation {
                query::OperationDefinition::Mutation(at)
                    if self.document.mutation_type().is_none() =>
                {
                    Some(("mutations", at.position))
                }
                query::OperationDefinition::Subscription(at)
                    if self.document.subscription_type().is_none() =>
                {
                    Some(("subscriptions", at.position))
                }
                _ => None,
            }
        });
        let absent = absent
            .map(|(what, at)| located(&format!("no {what} are offered by the schema"), &[at]));
        let mut faults: Vec<String> = absent.collect();
        let errors = validate(&self.document, document, &self.plan);
        faults.extend(
            errors
                .iter()
                .map(|error| located(&error.message, &error.locations)),
        );
        faults
    }
}

/// A message with its places, as the original's library writes it.
fn located(message: &str, places: &[Pos]) -> String {
    let places = places
        .iter()
        .map(|at| format!(" (line {}, column {})", at.line, at.column));
    format!("graphql: {message}{}", places.collect::<String>())
}

/// A parser's message on one line, with its place at the end. Its first line is `Parse error at LINE:COLUMN`.
fn syntax(message: &str) -> String {
    let (first, rest) = message.split_once('\n').unwrap_or((message, ""));
    let lines = rest.lines().map(str::trim).filter(|line| !line.is_empty());
    let said = lines.collect::<Vec<_>>().join(", ");
    let said = said.replace("[Punctuator]", "").replace("[Name]", "");
    let place = first.rsplit(' ').next().and_then(|at| at.split_once(':'));
    let place = place.map(|(line, column)| format!(" (line {line}, column {column})"));
    format!("syntax error: {said}{}", place.unwrap_or_default())
}

/// The text of the query in a request, which is empty if it is absent. Names are compared as Go does, in any letter case.
fn query_of(request: &str) -> Result<String, String> {
    let wrong = |value: &Value, place: &str| {
        let kind = match value {
            Value::Float(_) => "number",
            value => value.kind(),
        };
        format!("json: cannot unmarshal {kind} into Go {place}")
    };
    match Value::from_json_text(request, Numbers::Float).map_err(|fault| fault.message)? {
        Value::Null => Ok(String::new()),
        Value::Object(members) => {
            let exact = members.get("query");
            let mut others = members.iter();
            let other = others.find(|(name, _)| name.eq_ignore_ascii_case("query"));
            match exact.or(other.map(|(_, value)| value)) {
                None | Some(Value::Null) => Ok(String::new()),
                Some(Value::Str(text)) => Ok(text.to_string()),
                Some(value) => Err(wrong(value, "struct field .query of type string")),
            }
        }
        value => Err(wrong(&value, "value of type struct")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATIONS: &str = "schema { query: Query } \
        type Query { station(id: Int!): Station search(term: String): [Found!]! } \
        union Found = Station | Track enum Kind { BIG SMALL } \
        type Station { name: String! near: [Station!]! tracks(kind: Kind): [Track!]! name: String } \
        type Track { number: Int } extend type Track { length: Int } input Size { most: Int! }";

    fn judge(query: &str, depth_max: i64) -> Result<String, String> {
        let schema = Schema::parse(STATIONS).unwrap();
        let request = serde_json::json!({ "query": query }).to_string();
        schema.judge(&request, depth_max)
    }

    #[track_caller]
    fn refused(query: &str, details: &str) {
        let expected = format!("Not a valid graphQL request. Details: [{details}]");
        assert_eq!(judge(query, 10), Err(expected));
    }

    #[test]
    fn a_valid_request_is_described_with_its_depth() {
        let query = "query { station(id: 8000105) { name } }";
        let expected = format!(
            "Valid graphQL query. query = {{\"query\":\"{query}\"}}\n type = Query \n queryDepth = 2"
        );
        assert_eq!(judge(query, 2), Ok(expected));
        let others = [
            "query Q($id: Int!) { station(id: $id) { ...Names } } fragment Names on Station { name }",
            "{ search(term: \"x\") { __typename ... on Track { number length } } }",
            "{ __schema { types { name } } }",
            "{ station(id: 1) { tracks(kind: BIG) { number @skip(if: true) } } }",
        ];
        for query in others {
            assert!(judge(query, 5).is_ok(), "{query}: {:?}", judge(query, 5));
        }
    }

    #[test]
    fn a_request_that_does_not_fit_the_schema_is_refused_with_its_place() {
        refused(
            "query {station(id: 8000105) { cityname } }",
            "graphql: Cannot query field \"cityname\" on type \"Station\". (line 1, column 31)",
        );
        refused(
            "{ station { name } }",
            "graphql: Field \"station\" argument \"id\" of type \"Int!\" is required, but it was not provided. (line 1, column 3)",
        );
        refused(
            "mutation { open }",
            "graphql: no mutations are offered by the schema (line 1, column 1)",
        );
        refused(
            "{ station(id: 1) }",
            "graphql: Field \"station\" of type \"Station\" must have a selection of subfields. Did you mean \"station { ... }\"? (line 1, column 3)",
        );
        refused(
            "query {\n  station(id: 1 {",
            "graphql: syntax error: Unexpected `{`, Expected Name, : or ) (line 2, column 17)",
        );
        refused(
            "",
            "graphql: syntax error: Unexpected end of input, Expected {, query, mutation, subscription or fragment (line 1, column 1)",
        );
    }

    #[test]
    fn a_request_that_is_no_json_object_is_refused() {
        let schema = Schema::parse(STATIONS).unwrap();
        let said = |request: &str| schema.judge(request, 9).unwrap_err();
        let begin = "Not a valid graphQL request. Details: ";
        assert_eq!(
            said("{ station }"),
            format!("{begin}invalid character 's' looking for beginning of object key string")
        );
        assert_eq!(
            said("{\"Query\": 5}"),
            format!(
                "{begin}json: cannot unmarshal number into Go struct field .query of type string"
            )
        );
        assert!(said("[]").contains("cannot unmarshal array"));
        assert!(
            schema
                .judge("{\"QUERY\": \"{ station(id: 1) { name } }\"}", 2)
                .is_ok()
        );
    }

    #[test]
    fn the_depth_is_that_of_the_deepest_operation_with_its_fragments() {
        let deep = |query: &str, depth: usize| {
            let expected = format!(
                "graphQL request query depth[{depth}] is exceeded allowed maxQueryDepth[1]"
            );
            assert_eq!(judge(query, 1), Err(expected), "{query}");
        };
        deep("{ station(id: 1) { name near { name } } }", 3);
        deep(
            "{ station(id: 1) { ... on Station { ...A } } } fragment A on Station { near { ...B } } fragment B on Station { name }",
            3,
        );
        deep(
            "query A { station(id: 1) { name } } query B { station(id: 1) { near { near { name } } } }",
            4,
        );
        // What the original takes for depth 0, past 127.
        let chain: String = (0..40)
            .map(|at| format!("fragment F{at} on Station {{ near {{ near {{ near {{ near {{ ...F{} }} }} }} }} }} ", at + 1))
            .collect();
        let query =
            format!("{{ station(id: 1) {{ ...F0 }} }} {chain} fragment F40 on Station {{ name }}");
        deep(&query, 162);
    }

    #[test]
    fn hostile_requests_end_soon() {
        let deep = format!("{}name{}", "{ near ".repeat(100_000), "}".repeat(100_000));
        assert!(
            judge(&deep, 10)
                .unwrap_err()
                .contains("Recursion limit exceeded")
        );
        let long = format!("{{ station(id: 1) {{ {} }} }}", "name ".repeat(5000));
        assert!(
            judge(&long, 10)
                .unwrap_err()
                .contains("Token limit exceeded")
        );
        let circle = "{ station(id: 1) { ...A } } fragment A on Station { ...B } fragment B on Station { ...A }";
        assert!(
            judge(circle, 10)
                .unwrap_err()
                .contains("Cannot spread fragment")
        );
        let chain: String = (0..480)
            .map(|at| format!("fragment F{at} on Station {{ ...F{} }} ", at + 1))
            .collect();
        let query =
            format!("{{ station(id: 1) {{ ...F0 }} }} {chain} fragment F480 on Station {{ name }}");
        assert!(judge(&query, 10).is_ok());
    }

    #[test]
    fn a_schema_with_a_fault_is_named() {
        let fault = |text: &str| Schema::parse(text).err().unwrap_or_default();
        assert_eq!(
            fault("type Query { a: Int b: Strin }"),
            "Unknown type \"Strin\"."
        );
        assert_eq!(
            fault("type Other { a: Int }"),
            "the schema has no type \"Query\" for queries"
        );
        assert_eq!(
            fault("type Query { a Int }"),
            "syntax error: Unexpected `Int`, Expected : (line 1, column 16)"
        );
    }
}
