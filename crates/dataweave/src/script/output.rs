//! The result of a script with its media type.

use super::EvalFault;
use super::coerce::{self, Coerced};
use super::parse;
use super::run::{Frame, Run};
use super::tree::{Key, Node, Program, Step};
use crate::event::{Context, Event};
use crate::random::Random;
use crate::value::Value;
use crate::value::csv;
use crate::value::dw;
use crate::value::form;
use crate::value::json::{self, Layout};
use crate::value::media::{Format, MediaType, Typed};
use crate::value::xml;

/// Evaluates a script to a value, before any output is written.
pub(super) fn value(program: &Program, context: &Context<'_>) -> Coerced<Value> {
    Ok(raw(program, context)?.unselected())
}

/// Evaluates a script to a value whose parts may have the keys that they were selected by.
fn raw(program: &Program, context: &Context<'_>) -> Coerced<Value> {
    let mut run = Run::new(context);
    let env = Frame::declared(&program.declarations, &None);
    let value = run.eval(&program.body, &env)?;
    if value.nesting().functions {
        return Err(EvalFault::new(
            "a function cannot be the result of an expression: call it",
        ));
    }
    Ok(value)
}

/// Evaluates a script to its result.
pub(super) fn eval(program: &Program, context: &Context<'_>) -> Coerced<Typed> {
    if let Some(output) = &program.output {
        let value = raw(program, context)?;
        return write(value, output.media_type.clone(), output.layout);
    }
    if program.declarations.is_empty() {
        if let Some(part) = whole_part(&program.body, context.event) {
            return Ok(part);
        }
        if let Some(payload) = payload_of_message(&program.body, context)? {
            return Ok(payload);
        }
    }
    let value = value(program, context)?;
    let media_type = shared(program, context.event);
    let fits = match media_type.format() {
        Format::Json | Format::Java => true,
        Format::Form => matches!(value, Value::Object(_)),
        Format::Text => coerce::text(&value).is_ok(),
        Format::Dw => true,
        Format::Csv => matches!(&value, Value::Array(array)
            if array.items().iter().all(|item| matches!(item, Value::Object(_)))),
        // A part of a document is none.
        Format::Xml => matches!(&value, Value::Object(object) if object.entries().len() == 1),
        Format::Opaque | Format::Bytes => matches!(value, Value::String(_) | Value::Binary(_)),
    };
    let media_type = if fits { media_type } else { MediaType::java() };
    write(value, media_type, Layout::default())
}

/// The value of a text in DataWeave's own form.
///
/// # Errors
/// If the text is no script, or if it reads, calls or declares something.
pub(crate) fn data(text: &str) -> Coerced<Value> {
    let program = parse::program(text, 0, text.len(), &crate::library::Empty).map_err(|fault| {
        EvalFault::new(format!("the text is not a value of DataWeave: {fault}"))
    })?;
    if !program.is_data {
        let what = "the text is not a value of DataWeave: it has names in it, or functions";
        return Err(EvalFault::new(what));
    }
    let (event, random) = (Event::default(), Random::seeded(0));
    value(
        &program,
        &Context::new(&event, jiff::Timestamp::UNIX_EPOCH, &random),
    )
}

/// The part of the event that a script consists of, unread: `payload`, `vars.x`.
fn whole_part(body: &Node, event: &Event) -> Option<Typed> {
    let is = |node: &Node, part: &str| matches!(node, Node::Name(name) if &*name.text == part);
    match body {
        Node::Group(inner) => whole_part(inner, event),
        Node::Path { base, steps } => match steps.as_slice() {
            [Step::Key(Key::Fixed(key))] if is(base, "vars") => event.vars.get(key).cloned(),
            [Step::Key(Key::Fixed(key))] if is(base, "message") && &**key == "payload" => {
                Some(event.payload.clone())
            }
            _ => None,
        },
        _ if is(body, "payload") => Some(event.payload.clone()),
        _ => None,
    }
}

/// The payload of a message inside a value, unread: `error.errorMessage.payload`, or that of a route.
fn payload_of_message(body: &Node, context: &Context<'_>) -> Coerced<Option<Typed>> {
    let (base, steps) = match body {
        Node::Group(inner) => return payload_of_message(inner, context),
        Node::Path { base, steps } => (base, steps.as_slice()),
        _ => return Ok(None),
    };
    let [within @ .., Step::Key(Key::Fixed(last))] = steps else {
        return Ok(None);
    };
    if within.is_empty() || &**last != "payload" {
        return Ok(None);
    }
    match Run::new(context).path(base, within, &None)?.plain() {
        Value::Object(message) => Ok(message.unread().cloned()),
        _ => Ok(None),
    }
}

/// The media type that all parts of the event read by a script have in common.
fn shared(program: &Program, event: &Event) -> MediaType {
    let reads = &program.reads;
    let payload = reads.payload.then(|| event.payload.media_type.clone());
    let java = reads.java.then(MediaType::java);
    let vars = event.vars.iter().filter_map(|(name, typed)| {
        let read = reads.all_vars || reads.vars.contains(name);
        read.then(|| typed.media_type.clone())
    });
    let mut all = payload.into_iter().chain(java).chain(vars);
    match all.next() {
        Some(first) if all.all(|other| other.essence() == first.essence()) => first,
        _ => MediaType::java(),
    }
}

fn write(value: Value, media_type: MediaType, layout: Layout) -> Coerced<Typed> {
    // In XML there are CDATA sections among the values.
    let value = match media_type.format() {
        Format::Xml => value,
        _ => value.unselected(),
    };
    let value = match media_type.format() {
        Format::Json => Value::from(json::write(&value, layout)?),
        Format::Form => {
            let Value::Object(object) = &value else {
                let what = format!("{} needs an object", media_type.as_str());
                return Err(coerce::unfit(what, &value));
            };
            Value::from(form::write(object)?)
        }
        Format::Text => Value::String(coerce::text(&value)?),
        Format::Xml => Value::from(xml::write(&value, layout.indent, layout.xml)?),
        Format::Csv => Value::from(csv::write(&value, layout.csv)?),
        Format::Dw => Value::from(dw::write(&value, layout)?),
        Format::Java => value.collapsed(),
        Format::Bytes if !matches!(value, Value::String(_) | Value::Binary(_)) => {
            Value::String(coerce::text(&value)?)
        }
        Format::Bytes | Format::Opaque => value,
    };
    Ok(Typed { value, media_type })
}

/// The text of a value in a media type, for `write`.
pub(super) fn text(value: &Value, media_type: &MediaType, layout: Layout) -> Coerced<Value> {
    match media_type.format() {
        Format::Java => Ok(value.unselected()),
        _ => Ok(write(value.clone(), media_type.clone(), layout)?.value),
    }
}
