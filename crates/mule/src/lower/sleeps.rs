//! The supported scripts: Groovy that only sleeps.

use std::time::Duration;

use fusebox_plan::dialect::quote;

use super::Lowering;
use super::open::Open;
use super::values::text_of;
use crate::app::{Compat, Does, Sleep};

const FORMS: &str = "write `Thread.sleep(1000)`, `Thread.sleep(vars.x.toLong())` or `Thread.sleep((vars.x as Long) * 1000)`, or use `ee:transform`";
const MILLIS_MAX: u64 = 31_622_400_000;

impl<'a> Lowering<'a> {
    /// Reads a `scripting:execute`.
    pub fn sleep(&mut self, open: &Open<'a>) -> Option<Does> {
        let engine = self.text(open, "engine");
        if let Some(engine) = engine
            && !engine.text.trim().eq_ignore_ascii_case("groovy")
        {
            let what = format!("scripts in {} are not supported", quote(engine.text.trim()));
            self.wrong(engine, what, "rewrite it with `ee:transform`");
            return None;
        }
        let Some(code) = self.part(open, "scripting:code") else {
            self.error(open.at(), "the script is missing", "add `<scripting:code>`");
            return None;
        };
        self.open(code)?;
        let written = text_of(code);
        let Some(sleep) = sleep_of(written.text) else {
            let what = "the only supported scripts are those that sleep";
            self.wrong(written, what, FORMS);
            return None;
        };
        if self.compat == Compat::Intent {
            let what = "this script is read as a sleep; Groovy is not run";
            self.warn(written.at(), what, "leave it as it is");
        }
        Some(Does::Sleep(sleep))
    }
}

/// Reads a script in one of the three supported forms.
fn sleep_of(code: &str) -> Option<Sleep> {
    let code = code.trim().trim_end_matches(';').split_whitespace();
    let code = code.collect::<Vec<_>>().join(" ");
    let argument = in_parentheses(code.strip_prefix("Thread.sleep")?)?;
    if let Some(millis) = number(argument) {
        return Some(Sleep::Fixed(Duration::from_millis(millis)));
    }
    let (name, times) = match argument.strip_suffix(".toLong()") {
        Some(name) => (name, 1),
        None => {
            let (left, right) = argument.split_once('*')?;
            let name = in_parentheses(left)?.strip_suffix(" as Long")?;
            (name.trim(), number(right.trim())?)
        }
    };
    let name = variable(name)?.into();
    Some(Sleep::Variable { name, times })
}

fn in_parentheses(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some(inside.trim())
}

fn number(text: &str) -> Option<u64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| *number <= MILLIS_MAX)
}

fn variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix("vars.")?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts && name.chars().all(good)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_sleep_are_known() {
        let variable = |name: &str, times| {
            let name = name.into();
            Some(Sleep::Variable { name, times })
        };
        let quarter = Some(Sleep::Fixed(Duration::from_millis(250)));
        for (code, sleep) in [
            ("Thread.sleep(250)", quarter.clone()),
            ("\n  Thread.sleep( 250 );\n", quarter),
            ("Thread.sleep(vars.a.toLong())", variable("a", 1)),
            ("Thread.sleep((vars.a as Long) * 1000)", variable("a", 1000)),
        ] {
            assert_eq!(sleep_of(code), sleep, "{code}");
        }
    }

    #[test]
    fn no_other_script_is_a_sleep() {
        for code in [
            "",
            "Thread.sleep()",
            "Thread.sleep(-1)",
            "Thread.sleep(1); payload",
            "Thread.sleep(vars.x)",
            "Thread.sleep(vars.x.y.toLong())",
            "Thread.sleep(payload.toLong())",
            "Thread.sleep((vars.x as Long) * vars.y)",
            "Thread.sleep((vars.x as Long) + 1)",
            "Thread.sleep(99999999999999999999)",
            "System.exit(0)",
        ] {
            assert_eq!(sleep_of(code), None, "{code}");
        }
    }
}
