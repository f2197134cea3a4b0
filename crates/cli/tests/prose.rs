//! The English of docs, comments and messages: forms that say nothing, counted for each crate.
//!
//! A doc that begins with `What`, `Whether` or `It` says nothing that its item's name does not say; give the thing a noun
//! and begin with that. The counts of each crate are exact and may only fall; CONTRIBUTING.md shows how to write instead.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

/// Occurrences of each form in a crate's sources.
type Counts = [usize; FORMS.len()];

/// The counts of each crate, in the order of [`FORMS`]. These numbers may only fall.
const CRATES: [(&str, Counts); 12] = [
    ("admin", [0, 0, 0, 0, 0]),
    ("breaker", [0, 0, 0, 0, 0]),
    ("call", [0, 0, 0, 0, 0]),
    ("cli", [0, 0, 6, 0, 0]),
    ("dataweave", [0, 0, 0, 0, 0]),
    ("fleet", [0, 0, 0, 0, 0]),
    ("flogo", [0, 0, 0, 0, 0]),
    ("gateway", [0, 0, 0, 0, 0]),
    ("mule", [0, 0, 0, 2, 3]),
    ("plan", [0, 0, 0, 3, 2]),
    ("sim", [0, 0, 0, 0, 0]),
    ("store", [0, 0, 0, 0, 0]),
];

/// A form to avoid: its description, and the test for a line.
type Form = (&'static str, fn(&Line<'_>) -> bool);

const FORMS: [Form; 5] = [
    ("item docs that begin with a question word", is_question),
    ("item docs that begin with a pronoun", is_pronoun),
    ("item docs of fewer than three words", is_short),
    (
        "comments with persons for things, or participles for terms",
        is_personal,
    ),
    (
        "messages that deny or wish instead of saying what is expected",
        is_wish,
    ),
];

const QUESTION_WORDS: [&str; 10] = [
    "What", "Whether", "Who", "Whom", "Whose", "Where", "How", "When", "Which", "Why",
];

const PRONOUNS: [&str; 9] = [
    "It",
    "Its",
    "They",
    "Their",
    "That",
    "Somebody",
    "Nobody",
    "Everybody",
    "Whoever",
];

/// Words of comments: `whoever` is a caller, `is told` gets an input, `so many` is a number, `goes on` continues.
const PERSONAL: [&str; 20] = [
    "whoever",
    "whom",
    "somebody",
    "nobody",
    "is told",
    "are told",
    "was told",
    "be told",
    "tells",
    "hear",
    "hears",
    "heard",
    "so many",
    "so much",
    "goes on",
    "go on",
    "went on",
    "gone on",
    "none where",
    "what is",
];

/// Words of messages: `expected a list` for `a list is wanted`, `unknown state` for `is no state`, `remove it` for
/// `leave it out`.
const WISHES: [&str; 14] = [
    "leave it out",
    "leave them out",
    "let it go",
    "see to it",
    "is no",
    "are no",
    "is wanted",
    "are wanted",
    "wants",
    "there is none",
    "names no",
    "holds no",
    "takes no",
    "nobody",
];

/// One line of a source file with its neighbours, all without indentation.
struct Line<'a> {
    before: &'a str,
    text: &'a str,
    after: &'a str,
}

impl<'a> Line<'a> {
    /// The first line of an item's doc.
    fn doc(&self) -> Option<&'a str> {
        let doc = self.text.strip_prefix("/// ")?;
        (!self.before.starts_with("///")).then_some(doc)
    }

    fn comment(&self) -> Option<&'a str> {
        let text = self.text.strip_prefix("//")?;
        Some(text.trim_start_matches(['/', '!']))
    }

    /// The line, if it is code with a part of a text in it.
    fn message(&self) -> Option<&'a str> {
        let is_code = !self.text.starts_with("//");
        (is_code && (self.text.contains('"') || self.text.ends_with('\\'))).then_some(self.text)
    }
}

fn is_question(line: &Line<'_>) -> bool {
    line.doc()
        .is_some_and(|doc| begins_with(doc, &QUESTION_WORDS))
}

fn is_pronoun(line: &Line<'_>) -> bool {
    line.doc().is_some_and(|doc| begins_with(doc, &PRONOUNS))
}

fn is_short(line: &Line<'_>) -> bool {
    let words = |doc: &str| doc.split_whitespace().count();
    line.doc().is_some_and(|doc| words(doc) < 3) && !line.after.starts_with("///")
}

fn is_personal(line: &Line<'_>) -> bool {
    line.comment().is_some_and(|text| has_any(text, &PERSONAL))
}

fn is_wish(line: &Line<'_>) -> bool {
    line.message().is_some_and(|text| has_any(text, &WISHES))
}

fn begins_with(doc: &str, words: &[&str]) -> bool {
    let word = doc.split(|it: char| !it.is_alphabetic()).next();
    word.is_some_and(|word| words.contains(&word))
}

/// True if a text has one of these phrases, in any case, as whole words.
fn has_any(text: &str, phrases: &[&str]) -> bool {
    let words = text.to_lowercase();
    let words = words.split(|it: char| !it.is_alphabetic() && it != '\'');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let has = |phrase: &&str| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        words.windows(phrase.len()).any(|some| some == phrase)
    };
    phrases.iter().any(has)
}

#[test]
fn forms_that_say_nothing_become_fewer() {
    let mut wrong = Vec::new();
    let mut table = String::new();
    for krate in crates() {
        let found = occurrences(&krate);
        let counts: Vec<usize> = found.iter().map(Vec::len).collect();
        table.push_str(&format!("    (\"{krate}\", {counts:?}),\n"));
        let Some((_, allowed)) = CRATES.iter().find(|(name, _)| *name == krate) else {
            wrong.push(format!("{krate}: unknown crate; add its row"));
            continue;
        };
        for (((form, _), lines), most) in FORMS.iter().zip(&found).zip(allowed) {
            if lines.len() > *most {
                let some = lines
                    .iter()
                    .take(10)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("\n");
                wrong.push(format!(
                    "{krate}: {} {form}, {most} before; among them\n{some}",
                    lines.len()
                ));
            }
            if lines.len() < *most {
                wrong.push(format!(
                    "{krate}: {} {form}, {most} before; lower the number",
                    lines.len()
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nThe counts now:\n{table}",
        wrong.join("\n")
    );
}

/// The names of the folders in `crates`.
fn crates() -> Vec<String> {
    let folders = std::fs::read_dir(root()).unwrap();
    let mut names: Vec<String> = folders
        .map(|folder| folder.unwrap())
        .filter(|folder| folder.path().join("src").is_dir())
        .map(|folder| folder.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The lines of a crate with each form, each with its place.
fn occurrences(krate: &str) -> [Vec<String>; FORMS.len()] {
    let mut found = [const { Vec::new() }; FORMS.len()];
    for file in files(&root().join(krate).join("src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, text) in lines.iter().enumerate() {
            let line = Line {
                before: at.checked_sub(1).map_or("", |at| lines[at]),
                text,
                after: lines.get(at + 1).copied().unwrap_or_default(),
            };
            for ((_, is_of_form), found) in FORMS.iter().zip(&mut found) {
                if is_of_form(&line) {
                    found.push(format!("{}:{}: {text}", file.display(), at + 1));
                }
            }
        }
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod seen {
    use super::*;

    fn line(text: &str) -> Line<'_> {
        Line {
            before: "",
            text,
            after: "",
        }
    }

    #[test]
    fn a_doc_is_judged_by_its_beginning_alone() {
        assert!(is_question(&line("/// Whether it is open.")));
        assert!(is_pronoun(&line("/// Its name.")));
        for text in [
            "/// The state, whether open or not.",
            "/// Whenever it opens, ",
            "// What it is.",
            "//! It opens.",
            "/// ",
        ] {
            assert!(
                !is_question(&line(text)) && !is_pronoun(&line(text)),
                "{text}"
            );
        }
        let second = Line {
            before: "/// The name",
            ..line("/// It is short.")
        };
        assert!(!is_pronoun(&second) && !is_short(&second));
    }

    #[test]
    fn a_short_doc_is_one_line_of_one_or_two_words() {
        assert!(is_short(&line("/// The reason.")));
        assert!(!is_short(&line("/// The operator's reason.")));
        let first = Line {
            after: "///",
            ..line("/// The guide.")
        };
        assert!(!is_short(&first));
    }

    #[test]
    fn phrases_are_whole_words_in_comments_or_in_messages() {
        assert!(is_personal(&line("// The node is told of it.")));
        assert!(!is_personal(&line("// A teller is toldest of it.")));
        assert!(!is_personal(&line("let told = \"it is told\";")));
        assert!(is_wish(&line(r#"Err("`evil` is no state".into())"#)));
        assert!(!is_wish(&line(r#"Err("the key is not valid".into())"#)));
        assert!(!is_wish(&line("// This is no state.")));
    }
}
