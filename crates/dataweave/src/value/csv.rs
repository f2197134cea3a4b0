//! CSV: a list of objects, one for each row, whose values are texts.
//! ([CSV Format](https://docs.mulesoft.com/dataweave/latest/dataweave-formats-csv))

use std::sync::Arc;

use super::text::{check_text, text, unfit};
use super::{Key, Object, Value};
use crate::fault::EvalFault;
use crate::limits::VALUE_MEMORY_MAX;

/// The way to read or write CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// The character between fields. Default `,`.
    pub separator: u8,
    /// The character around fields. Default `"`.
    pub quote: u8,
    /// The character before a quote that belongs to a field. Default `\`.
    pub escape: u8,
    /// True if the first row has the names of the columns. Default true.
    pub header: bool,
    /// True if all values are written in quotes. Default false.
    pub quotes_values: bool,
    /// True if all names are written in quotes. Default false.
    pub quotes_header: bool,
    /// True if lines end with `\r\n`. Default false.
    pub crlf: bool,
}

impl Style {
    /// The way without options.
    pub const PLAIN: Style = Style {
        separator: b',',
        quote: b'"',
        escape: b'\\',
        header: true,
        quotes_values: false,
        quotes_header: false,
        crlf: false,
    };

    /// Sets an option that reading and writing share; `None`: there is no such option, or it cannot be that.
    pub fn set(&mut self, name: &str, value: &str) -> Option<()> {
        let char = || match value.as_bytes() {
            [char] if char.is_ascii() => Some(*char),
            _ => None,
        };
        match name {
            "separator" => self.separator = char()?,
            "quote" => self.quote = char()?,
            "escape" => self.escape = char()?,
            "header" => self.header = value.parse().ok()?,
            _ => return None,
        }
        Some(())
    }

    /// The way that the parameters of a media type give: `application/csv; header=false; separator="|"`.
    pub fn of_parameters(media_type: &str) -> Style {
        let mut style = Style::PLAIN;
        let mut quoted = false;
        let parameters = media_type.split(|char| {
            quoted ^= char == '"';
            char == ';' && !quoted
        });
        for parameter in parameters.skip(1) {
            if let Some((name, value)) = parameter.split_once('=') {
                let value = value.trim();
                let inner = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
                // Other parameters, such as the charset, are no options.
                let _ = style.set(name.trim(), inner.unwrap_or(value));
            }
        }
        style
    }
}

/// Reads the rows of a text. Fields beyond the header's, and all without a header, are named `column_0`, `column_1`.
///
/// # Errors
/// If the rows need too much memory.
pub(crate) fn read(text: &str, style: Style) -> Result<Value, EvalFault> {
    let mut rows = csv::ReaderBuilder::new()
        .delimiter(style.separator)
        .quote(style.quote)
        .escape(Some(style.escape))
        .has_headers(false)
        .flexible(true)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let mut header: Vec<Arc<str>> = Vec::new();
    let mut read = Vec::new();
    let mut memory = 0;
    let mut record = csv::StringRecord::new();
    let mut wants_header = style.header;
    loop {
        let more = rows.read_record(&mut record);
        if !more.map_err(|error| EvalFault::new(format!("invalid CSV: {error}")))? {
            return Ok(Value::array(read));
        }
        // A text, an entry and a share of the row.
        memory += record.len() * (size_of::<(Key, Value)>() + 48) + record.as_slice().len() + 96;
        if memory > VALUE_MEMORY_MAX {
            let most = VALUE_MEMORY_MAX >> 20;
            return Err(EvalFault::new(format!(
                "as a value the CSV needs more than {most} MiB of memory, which is the limit; send it in parts, or pass it on unread"
            )));
        }
        if wants_header {
            wants_header = false;
            header.extend(record.iter().map(Arc::from));
            continue;
        }
        let mut row = Vec::with_capacity(record.len());
        for (at, field) in record.iter().enumerate() {
            while header.len() <= at {
                header.push(format!("column_{}", header.len()).into());
            }
            row.push((Key::from(header[at].clone()), Value::from(field)));
        }
        read.push(Value::keyed(row));
    }
}

/// Writes a list of objects, or one object, as rows. The first object has the names of the columns.
///
/// # Errors
/// If the value is another, if a field has no text, or if the text is too long.
pub(crate) fn write(value: &Value, style: Style) -> Result<String, EvalFault> {
    let fault = |value: &Value| unfit("CSV needs an array of objects", value);
    let rows = match value.plain() {
        Value::Array(array) => array.items(),
        Value::Object(_) => std::slice::from_ref(value),
        _ => return Err(fault(value)),
    };
    let object = |value: &Value| -> Result<Arc<Object>, EvalFault> {
        match value.plain() {
            Value::Object(object) => Ok(object.clone()),
            _ => Err(fault(value)),
        }
    };
    let Some(first) = rows.first() else {
        return Ok(String::new());
    };
    let columns = object(first)?;
    let mut text = String::new();
    if style.header {
        let names = columns.entries().iter().map(|(key, _)| key.name().clone());
        line(&mut text, names.map(Ok), style, style.quotes_header)?;
    }
    for row in rows {
        let row = object(row)?;
        // Most rows have the same keys in the same order.
        let fields = columns.entries().iter().enumerate().map(|(at, (key, _))| {
            let here = row.entries().get(at).filter(|(other, _)| other == key);
            field(here.map(|(_, value)| value).or_else(|| row.get(key)))
        });
        line(&mut text, fields, style, style.quotes_values)?;
    }
    Ok(text)
}

fn field(value: Option<&Value>) -> Result<Arc<str>, EvalFault> {
    match value {
        Some(value) if !value.is_null() => text(value),
        _ => Ok("".into()),
    }
}

fn line(
    into: &mut String,
    fields: impl Iterator<Item = Result<Arc<str>, EvalFault>>,
    style: Style,
    quotes: bool,
) -> Result<(), EvalFault> {
    let (separator, quote, escape) = (
        char::from(style.separator),
        char::from(style.quote),
        char::from(style.escape),
    );
    for (at, field) in fields.enumerate() {
        let field = field?;
        check_text(into.len() + field.len())?;
        if at > 0 {
            into.push(separator);
        }
        if !quotes && !field.contains([separator, quote, '\n', '\r']) {
            into.push_str(&field);
            continue;
        }
        into.push(quote);
        for char in field.chars() {
            if char == quote || char == escape {
                into.push(escape);
            }
            into.push(char);
        }
        into.push(quote);
    }
    into.push_str(if style.crlf { "\r\n" } else { "\n" });
    Ok(())
}
