//! The first lines of item docs: a thing or what it does, and no question word.
//!
//! A doc that begins with `What`, `Whether` or `Who` says nothing that its item's name does not say. Those that there are
//! are counted for each crate, and the counts may only fall.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

/// How many item docs of each crate begin with a question word. These numbers may only fall.
const QUESTIONS: [(&str, usize); 8] = [
    ("breaker", 279),
    ("store", 0),
    ("fleet", 0),
    ("plan", 616),
    ("gateway", 460),
    ("admin", 29),
    ("sim", 0),
    ("cli", 0),
];

const QUESTION_WORDS: [&str; 10] = [
    "What", "Whether", "Who", "Whom", "Whose", "Where", "How", "When", "Which", "Why",
];

#[test]
fn item_docs_that_begin_with_a_question_word_become_fewer() {
    let mut wrong = Vec::new();
    for (name, most) in QUESTIONS {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(name)
            .join("src");
        let docs: Vec<String> = files(&source)
            .iter()
            .flat_map(|file| questions(file))
            .collect();
        let found = docs.len();
        if found > most {
            let last = docs.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
            wrong.push(format!(
                "{name}: {found} item docs begin with a question word, {most} did; such as\n{last}"
            ));
        }
        if found < most {
            wrong.push(format!(
                "{name}: {found} are left: write that into QUESTIONS, which has {most}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The item docs of a file whose first line begins with a question word, each with its place.
fn questions(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut before = "";
    let mut found = Vec::new();
    for (at, line) in text.lines().map(str::trim).enumerate() {
        let is_first = !before.starts_with("///");
        if is_first && is_question(line) {
            found.push(format!("{}:{}: {line}", file.display(), at + 1));
        }
        before = line;
    }
    found
}

fn is_question(line: &str) -> bool {
    let doc = line.strip_prefix("/// ").unwrap_or_default();
    let word = doc.split(|it: char| !it.is_alphabetic()).next();
    word.is_some_and(|word| QUESTION_WORDS.contains(&word))
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

#[test]
fn a_question_word_is_seen_at_the_beginning_alone() {
    assert!(is_question("/// Whether it is open."));
    assert!(is_question("/// What."));
    for line in [
        "/// The state, whether open or not.",
        "/// Whenever it opens, ",
        "// What it is.",
        "//! What it is.",
        "/// ",
    ] {
        assert!(!is_question(line), "{line}");
    }
}
