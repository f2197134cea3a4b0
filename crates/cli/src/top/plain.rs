//! The table as plain text, for scripts and for a standard output that is no terminal.

use std::fmt::Write as _;

use super::columns::{ALL, Column, cells, fitted};
use super::model::Model;
use super::row::Sort;
use super::theme::Theme;
use super::verdict::verdict;
use super::words::look_word;
use crate::printable::printable;

/// Bars of a picture and padding are for terminals only.
const THEME: Theme = Theme {
    colours: false,
    unicode: false,
};

/// The verdict, and all rows with all columns.
pub fn table(model: &Model) -> String {
    let now = model.now(std::time::Duration::ZERO);
    let mut rows: Vec<_> = model.rows.iter().collect();
    rows.sort_by(|one, other| Sort::default().compare(one, other));
    let columns = ALL.into_iter().filter(|it| *it != Column::Minute);
    let columns: Vec<Vec<String>> = columns
        .map(|column| {
            let texts = rows.iter().map(|row| match column {
                // Signs are for eyes.
                Column::State => look_word(row),
                column => column.text(row, now, THEME),
            });
            let texts: Vec<_> = std::iter::once(column.head().to_owned())
                .chain(texts)
                .collect();
            let width = texts.iter().map(|text| cells(text)).max().unwrap_or(0);
            let fitted = |text: &String| fitted(text, width, column.is_number(), THEME);
            texts.iter().map(fitted).collect()
        })
        .collect();
    let mut out = format!("{}\n", printable(&verdict(model, now).text));
    if rows.is_empty() {
        return out;
    }
    out.push('\n');
    for line in 0..=rows.len() {
        let texts: Vec<_> = columns.iter().map(|texts| texts[line].as_str()).collect();
        out.push_str(texts.join("  ").trim_end());
        out.push('\n');
    }
    if model.more > 0 {
        let more = model.more;
        writeln!(
            out,
            "\n{more} more breakers; `fusebox breakers ls` lists all"
        )
        .expect("a String takes any text");
    }
    out
}
