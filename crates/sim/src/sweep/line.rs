//! Writes settings as the lines of a configuration, to be pasted.

use fusebox_breaker::{CloseRule, Cooldown, Over, Probes, Rule, Settings};

use crate::words::{show_duration, show_over, show_share};

/// The lines of a breaker's section for settings: its rules, and the cooldown and probing where they differ from
/// today's.
pub fn paste(settings: &Settings, today: &Settings) -> String {
    let rules: Vec<String> = settings.trip.iter().map(rule).collect();
    let mut lines = vec![match &rules[..] {
        [one] => format!("trip: {one}"),
        many => format!("trip: [{}]", many.join(", ")),
    }];
    if settings.cooldown != today.cooldown {
        lines.push(format!("cooldown: {}", cooldown(&settings.cooldown)));
    }
    if settings.half_open != today.half_open {
        let probing = probing(settings).join(", ");
        lines.push(format!(
            "half_open: {{ {probing} }}   # beside its other keys"
        ));
    }
    lines.join("\n")
}

/// All lines of a breaker's section that a sweep can change.
pub fn whole(settings: &Settings) -> String {
    let rules: Vec<String> = settings.trip.iter().map(rule).collect();
    let rules = match &rules[..] {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    let probing = probing(settings).join(", ");
    let cooldown = cooldown(&settings.cooldown);
    format!("trip: {rules}\ncooldown: {cooldown}\nhalf_open: {{ {probing} }}")
}

fn probing(settings: &Settings) -> Vec<String> {
    let mut probing = vec![match settings.half_open.probes {
        Probes::Limited(count) => format!("probes: {count}"),
        Probes::Unlimited => "probes: unlimited".to_owned(),
    }];
    match settings.half_open.close {
        CloseRule::Successes(count) => probing.push(format!("successes: {count}")),
        CloseRule::FailureRate { rate, over } => probing.push(format!(
            "failure_rate: {}, over: {over} calls",
            show_share(rate.as_f64())
        )),
    }
    probing
}

fn cooldown(cooldown: &Cooldown) -> String {
    if *cooldown == Cooldown::fixed(cooldown.base) {
        return show_duration(cooldown.base);
    }
    format!(
        "{{ base: {}, factor: {}, max: {}, jitter: {} }}",
        show_duration(cooldown.base),
        cooldown.factor,
        show_duration(cooldown.max),
        show_share(cooldown.jitter)
    )
}

fn rule(rule: &Rule) -> String {
    match rule {
        Rule::ConsecutiveFailures { threshold, within } => {
            let within = within.map(|within| format!(", within: {}", show_duration(within)));
            format!(
                "{{ consecutive_failures: {threshold}{} }}",
                within.unwrap_or_default()
            )
        }
        Rule::Failures {
            threshold,
            over,
            full,
        } => {
            let window = match over {
                Over::Time(time) => format!("within: {}", show_duration(*time)),
                over => format!("over: {}", show_over(*over)),
            };
            let full = if *full { ", full: true" } else { "" };
            format!("{{ failures: {threshold}, {window}{full} }}")
        }
        Rule::FailureRate {
            rate,
            over,
            min_calls,
        } => format!(
            "{{ failure_rate: {}, over: {}, min_calls: {min_calls} }}",
            show_share(rate.as_f64()),
            show_over(*over)
        ),
        Rule::SlowRate {
            rate,
            slower_than,
            over,
            min_calls,
        } => format!(
            "{{ slow_rate: {}, slower_than: {}, over: {}, min_calls: {min_calls} }}",
            show_share(rate.as_f64()),
            show_duration(*slower_than),
            show_over(*over)
        ),
        Rule::Stalled { calls, longer_than } => format!(
            "{{ stalled: {calls}, longer_than: {} }}",
            show_duration(*longer_than)
        ),
        Rule::Adaptive { memory } => format!("{{ adaptive: {{ memory: {memory} }} }}"),
        other => format!("# {} stays as it is", other.kind().as_str()),
    }
}
