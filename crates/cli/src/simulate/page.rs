//! A replay as one page of HTML, without a script and without anything from elsewhere.

use std::fmt::Write as _;

use fusebox_breaker::Phase;

use crate::args::simulate::SimulateArgs;
use crate::files;
use crate::simulate::collect::Collected;
use crate::simulate::plot;
use crate::simulate::result::{OfBreaker, Replayed, Swept, TIMELINES, count, time};
use crate::simulate::subjects::Subject;
use crate::simulate::text::{judging, refused, summary, times};

const STYLE: &str = include_str!("page.css");

/// The most trips and sweep results in a table.
const ROWS: usize = 200;

const MARK: &str = "<svg viewBox=\"0 0 20 20\" aria-hidden=\"true\"><path d=\"M2 10h5l6-6M13 10h5\"/><circle cx=\"7\" cy=\"10\" r=\"1.6\"/><circle cx=\"13\" cy=\"10\" r=\"1.6\"/></svg>";

/// The colours of a timeline and their meaning.
const KEY: [(&str, &str); 8] = [
    ("ok", "admitted, good"),
    ("fail", "admitted, failed"),
    ("refused", "refused, had failed anyway"),
    ("lost", "refused, would have succeeded"),
    ("unknown", "no outcome in the log"),
    ("state closed", "closed"),
    ("state open", "open"),
    ("state half", "half-open"),
];

/// The whole page.
pub fn page(
    args: &SimulateArgs,
    subjects: &[Subject],
    collected: &Collected,
    replayed: &Replayed,
    swept: Option<&Swept>,
    notes: &[String],
) -> String {
    let mut page = String::with_capacity(1 << 17);
    let logs = escaped(&files::names(&args.trace));
    let config = escaped(&files::names(&args.config));
    put(
        &mut page,
        format_args!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{logs}: replay - Fusebox</title><link rel=\"icon\" href=\"data:,\">\
         <style>{STYLE}</style></head><body><header class=\"bar\"><span class=\"brand\">{MARK}Fusebox</span><span>Replay of {logs} with {config}</span></header><main>"
        ),
    );
    let trips: usize = replayed
        .breakers
        .iter()
        .map(|it| it.report.trips.len())
        .sum();
    let (mut good, mut failed, mut calls) = (0, 0, 0);
    for it in &replayed.breakers {
        good += it.report.refused_good;
        failed += it.report.refused_failed;
        calls += it.report.total();
    }
    let headline = match trips {
        0 => "No breaker would have tripped".to_owned(),
        1 => "1 trip".to_owned(),
        trips => format!("{} trips", count(trips as u64)),
    };
    put(
        &mut page,
        format_args!(
            "<h1>{headline}</h1><p class=\"lead\">{} calls of {} over {}: {} failures avoided, {} good calls lost.</p>",
            count(calls),
            match replayed.breakers.len() {
                1 => "one breaker".to_owned(),
                many => format!("{} breakers", count(many as u64)),
            },
            time(collected.span()),
            count(failed),
            count(good)
        ),
    );
    if let Some(swept) = swept {
        sweep(&mut page, swept);
    }
    let mut breakers: Vec<&OfBreaker> = replayed.breakers.iter().collect();
    breakers.sort_by_key(|it| std::cmp::Reverse(it.report.trips.len()));
    if breakers.len() > 1 {
        overview(&mut page, &breakers);
    }
    let mut shown = 0;
    for it in breakers {
        if it.report.timeline.is_some() && shown < TIMELINES {
            breaker(&mut page, it);
            shown += 1;
        }
    }
    let settings = subjects.iter().filter(|subject| {
        collected
            .breakers
            .iter()
            .any(|it| subjects[it.subject].name == subject.name)
    });
    page.push_str("<section aria-labelledby=\"settings\"><h2 id=\"settings\">Settings</h2>");
    for subject in settings {
        let lines = fusebox_sim::sweep::whole(&subject.settings);
        put(
            &mut page,
            format_args!(
                "<h3>{}</h3><pre tabindex=\"0\">{}</pre>",
                escaped(&subject.name),
                escaped(&lines)
            ),
        );
    }
    page.push_str("</section>");
    if !notes.is_empty() {
        page.push_str("<section aria-labelledby=\"notes\"><h2 id=\"notes\">What this leaves out</h2><ul class=\"notes\">");
        for note in notes {
            put(&mut page, format_args!("<li>{}</li>", escaped(note)));
        }
        page.push_str("</ul></section>");
    }
    page.push_str("</main></body></html>\n");
    page
}

fn overview(page: &mut String, breakers: &[&OfBreaker]) {
    page.push_str(
        "<section aria-labelledby=\"all\"><h2 id=\"all\">All breakers</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All breakers\"><table><thead><tr><th scope=\"col\">Breaker</th>\
         <th scope=\"col\" class=\"num\">Trips</th><th scope=\"col\" class=\"num\">Calls</th><th scope=\"col\" class=\"num\">Admitted, failed</th>\
         <th scope=\"col\" class=\"num\">Refused</th><th scope=\"col\" class=\"num\">Had failed</th><th scope=\"col\" class=\"num\">Good</th></tr></thead><tbody>",
    );
    for it in breakers.iter().take(ROWS) {
        let report = &it.report;
        put(
            page,
            format_args!(
                "<tr><th scope=\"row\">{}</th><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td></tr>",
                escaped(&it.name),
                count(report.trips.len() as u64),
                count(report.total()),
                count(report.failed),
                count(report.refused),
                count(report.refused_failed),
                count(report.refused_good)
            ),
        );
    }
    page.push_str("</tbody></table></div>");
    more(page, breakers.len(), "breakers");
    page.push_str("</section>");
}

fn breaker(page: &mut String, it: &OfBreaker) {
    let OfBreaker { name, report } = it;
    let name = escaped(name);
    let chip = match report.states.last() {
        Some((_, Phase::Open)) => ("open", "open at the end"),
        Some((_, Phase::HalfOpen)) => ("half", "half-open at the end"),
        Some((_, Phase::Closed)) | None => ("closed", "closed at the end"),
    };
    put(
        page,
        format_args!(
            "<section data-breaker=\"{name}\"><header><h2>{name}</h2><span class=\"chip {}\">{}</span></header><p>{}.",
            chip.0,
            chip.1,
            summary(report)
        ),
    );
    if report.refused > 0 {
        put(page, format_args!(" Of the refused {}.", refused(report)));
    }
    if let Some(times) = times(report) {
        put(page, format_args!(" A trouble was {times}."));
    }
    for judged in judging(report) {
        put(page, format_args!(" {judged}."));
    }
    page.push_str("</p>");
    if let Some(timeline) = &report.timeline {
        put(
            page,
            format_args!(
                "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Timeline of {name}\">{}</div>",
                plot::timeline(&name, report, timeline)
            ),
        );
        page.push_str("<ul class=\"key\">");
        for (class, meaning) in KEY {
            put(
                page,
                format_args!(
                    "<li><svg viewBox=\"0 0 11 11\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"11\" height=\"11\"/></svg>{meaning}</li>"
                ),
            );
        }
        page.push_str("</ul>");
    }
    if !report.trips.is_empty() {
        put(
            page,
            format_args!(
                "<h3>Trips</h3><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Trips of {name}\"><table><thead><tr><th scope=\"col\" class=\"num\">At</th><th scope=\"col\">From</th><th scope=\"col\" class=\"num\">Open for</th><th scope=\"col\">Why</th></tr></thead><tbody>"
            ),
        );
        for trip in report.trips.iter().take(ROWS) {
            put(
                page,
                format_args!(
                    "<tr><td class=\"num\">+{}</td><td>{}</td><td class=\"num\">{}</td><td>{}</td></tr>",
                    time(trip.at),
                    trip.from,
                    time(trip.until.saturating_sub(trip.at)),
                    escaped(&trip.reason.to_string())
                ),
            );
        }
        page.push_str("</tbody></table></div>");
        more(page, report.trips.len(), "trips");
    }
    page.push_str("</section>");
}

fn sweep(page: &mut String, swept: &Swept) {
    let ranked = &swept.ranked;
    let class = if ranked.improves() {
        ""
    } else {
        " class=\"warn\""
    };
    put(
        page,
        format_args!(
            "<section aria-labelledby=\"sweep\"><h2 id=\"sweep\">Sweep of {}</h2><p{class}>{}.</p>",
            escaped(&swept.breaker),
            escaped(&capital(&swept.verdict()))
        ),
    );
    if let Some(best) = ranked.best().filter(|_| ranked.improves()) {
        put(
            page,
            format_args!(
                "<p>To paste into the breaker of {}:</p><pre tabindex=\"0\">{}</pre>",
                escaped(&swept.breaker),
                escaped(&best.line)
            ),
        );
    }
    put(
        page,
        format_args!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Pareto plot\">{}</div>",
            plot::pareto(swept)
        ),
    );
    page.push_str("<ul class=\"key\">");
    for (shape, meaning) in [
        (
            "<circle class=\"point best\" cx=\"5.5\" cy=\"5.5\" r=\"5\"/>",
            "the best",
        ),
        (
            "<circle class=\"point on\" cx=\"5.5\" cy=\"5.5\" r=\"4\"/>",
            "on the front: no other is better in both",
        ),
        (
            "<circle class=\"point\" cx=\"5.5\" cy=\"5.5\" r=\"4\"/>",
            "beaten in both",
        ),
        (
            "<rect class=\"today\" x=\"1\" y=\"1\" width=\"9\" height=\"9\"/>",
            "today's settings",
        ),
    ] {
        put(
            page,
            format_args!(
                "<li><svg viewBox=\"0 0 11 11\" aria-hidden=\"true\">{shape}</svg>{meaning}</li>"
            ),
        );
    }
    put(
        page,
        format_args!(
            "</ul><h3>Results</h3><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Results of the sweep\"><table><caption>Cost = failed calls let through + {} x good calls refused.</caption><thead><tr><th scope=\"col\" class=\"num\">Rank</th><th scope=\"col\">Value</th><th scope=\"col\" class=\"num\">Cost</th><th scope=\"col\" class=\"num\">Trips</th><th scope=\"col\" class=\"num\">Let through</th><th scope=\"col\" class=\"num\">Good refused</th><th scope=\"col\" class=\"num\">Failed refused</th><th scope=\"col\">Front</th></tr></thead><tbody>",
            swept.cost
        ),
    );
    let today = (
        "today".to_owned(),
        "today's settings".to_owned(),
        &ranked.today,
    );
    let rows = ranked.tried.iter().enumerate().take(ROWS);
    let rows = rows.map(|(at, it)| ((at + 1).to_string(), swept.named(&it.values), it));
    for (rank, name, it) in rows.chain([today]) {
        put(
            page,
            format_args!(
                "<tr{}><td class=\"num\">{rank}</td><th scope=\"row\">{}</th><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td>{}</td></tr>",
                if rank == "1" { " class=\"best\"" } else { "" },
                escaped(&name),
                it.cost,
                count(it.trips),
                count(it.failed),
                count(it.refused_good),
                count(it.refused_failed),
                if it.on_front { "yes" } else { "" }
            ),
        );
    }
    page.push_str("</tbody></table></div>");
    more(page, ranked.tried.len(), "results");
    page.push_str("</section>");
}

/// A sentence with a capital at its begin.
fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|char| char.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// A line on the rows that a table leaves out.
fn more(page: &mut String, all: usize, what: &str) {
    if all > ROWS {
        put(
            page,
            format_args!("<p>{} more {what}; --json lists them all.</p>", all - ROWS),
        );
    }
}

/// A text as HTML; names of keys come from clients.
fn escaped(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escaped_line).collect();
    lines.join("\n")
}

fn escaped_line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in crate::printable::printable(text).chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            char => safe.push(char),
        }
    }
    safe
}

fn put(page: &mut String, what: std::fmt::Arguments<'_>) {
    page.write_fmt(what).expect("a String takes any text");
}
