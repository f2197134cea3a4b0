//! Processors with nested ones.

use super::Lowering;
use super::open::Open;
use crate::app::{
    Async, Chain, Choice, Does, Foreach, Gather, ParallelForeach, ScatterGather, Try,
    UntilSuccessful,
};

impl<'a> Lowering<'a> {
    pub fn choice(&mut self, open: &Open<'a>) -> Option<Does> {
        let mut whens = Vec::new();
        for when in self.open_parts(open, "when") {
            let script = self.script(&when, "expression");
            let chain = self.chain(&when);
            whens.extend(script.map(|script| (script, chain)));
        }
        if open.parts("when").next().is_none() {
            let what = "this `choice` has no `when`";
            self.error(open.at(), what, "add `<when expression=\"#[…]\">…</when>`");
        }
        let otherwise = self.open_part(open, "otherwise");
        let otherwise = otherwise.map(|otherwise| self.chain(&otherwise));
        Some(Does::Choice(Choice { whens, otherwise }))
    }

    pub fn try_scope(&mut self, open: &Open<'a>) -> Option<Does> {
        let action = self.word(open, "transactionalAction");
        self.word(open, "transactionType");
        if action.is_some_and(|action| action != "INDIFFERENT") {
            let what = "`transactionalAction` has no effect: transactions are not supported";
            self.warn(open.at(), what, "undo changes in an error handler");
        }
        Some(Does::Try(Try {
            chain: self.chain(open),
            handlers: self.own_handlers(open),
        }))
    }

    pub fn until_successful(&mut self, open: &Open<'a>) -> Option<Does> {
        let retries = self.number(open, "maxRetries");
        let between = self.number(open, "millisBetweenRetries");
        let chain = self.chain(open);
        Some(Does::UntilSuccessful(UntilSuccessful {
            retries: retries?,
            between: between?,
            chain,
        }))
    }

    pub fn foreach(&mut self, open: &Open<'a>) -> Option<Does> {
        let collection = self.script_if_written(open, "collection");
        let counter = self.text(open, "counterVariableName");
        let root = self.text(open, "rootMessageVariableName");
        let batch = self.number(open, "batchSize");
        let chain = self.chain(open);
        Some(Does::Foreach(Foreach {
            collection,
            counter: counter?.text.into(),
            root: root?.text.into(),
            batch: batch?,
            chain,
        }))
    }

    pub fn parallel_foreach(&mut self, open: &Open<'a>) -> Option<Does> {
        let collection = self.script_if_written(open, "collection");
        Some(Does::ParallelForeach(ParallelForeach {
            collection,
            chain: self.chain(open),
            gather: self.gather(open),
        }))
    }

    pub fn scatter_gather(&mut self, open: &Open<'a>) -> Option<Does> {
        Some(Does::ScatterGather(ScatterGather {
            routes: self.routes(open, 2)?,
            gather: self.gather(open),
        }))
    }

    fn gather(&mut self, open: &Open<'a>) -> Gather {
        let timeout = self.millis(open, "timeout");
        Gather {
            max_concurrency: self.count(open, "maxConcurrency"),
            timeout: timeout.filter(|timeout| !timeout.is_zero()),
            target: self.target(open),
        }
    }

    /// Reads the routes of a router, which are at least `least`.
    pub fn routes(&mut self, open: &Open<'a>, least: usize) -> Option<Vec<Chain>> {
        let routes = self.open_parts(open, "route").into_iter();
        let routes: Vec<Chain> = routes.map(|route| self.chain(&route)).collect();
        if routes.len() < least {
            let what = format!("there are {} routes here", routes.len());
            let mend = format!("write at least {least}, each as `<route>…</route>`");
            self.error(open.at(), what, mend);
            return None;
        }
        Some(routes)
    }

    pub fn async_scope(&mut self, open: &Open<'a>) -> Option<Does> {
        Some(Does::Async(Async {
            chain: self.chain(open),
            max_concurrency: self.count(open, "maxConcurrency"),
        }))
    }
}
