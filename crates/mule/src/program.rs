//! The program of a Mule application, as a plan carries it.

use fusebox_plan::Program;
use serde_json::{Map, Value, json};

use super::app::{App, FlowId};
use super::show::show_flows;

impl Program for App {
    fn dialect(&self) -> &'static str {
        "mule"
    }

    fn equals(&self, other: &dyn Program) -> bool {
        other.of::<App>() == Some(self)
    }

    fn same_step(&self, step: usize, other: &dyn Program, other_step: usize) -> bool {
        other.of::<App>().is_some() && step == other_step
    }

    fn changed_parts(&self, before: Option<&dyn Program>) -> Vec<&'static str> {
        match before {
            Some(before) if self.equals(before) => Vec::new(),
            _ => vec!["application"],
        }
    }

    fn show_step(&self, step: usize) -> Map<String, Value> {
        let flow = self.flow(FlowId(step));
        Map::from_iter([("flow".to_owned(), json!(&*flow.name))])
    }

    fn show(&self) -> Map<String, Value> {
        Map::from_iter([("flows".to_owned(), show_flows(self))])
    }
}
