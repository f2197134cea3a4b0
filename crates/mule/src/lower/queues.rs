//! Queues between flows: the VM connector.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fusebox_plan::dialect::{Place, quote};

use super::Lowering;
use super::open::Open;
use crate::app::{Compat, Consume, Does, Publish, Queue, QueueWait, Source};

const CONFIG: &str = "vm:config";

/// The queues of the application, by configuration and name.
#[derive(Default)]
pub(super) struct Queues {
    declared: BTreeMap<(String, String), Queue>,
    names: BTreeSet<Arc<str>>,
    /// The queues that listeners take from.
    listened: BTreeSet<Arc<str>>,
    /// The queues that flows take from, with the positions where they do.
    consumed: Vec<(Arc<str>, Place)>,
}

impl Queues {
    pub fn all(&self) -> Vec<Queue> {
        self.declared.values().cloned().collect()
    }

    /// Adds a queue. Equal names in different configurations are different queues.
    fn add(&mut self, config: &str, name: &str, persistent: bool, max: Option<usize>) -> Arc<str> {
        let mut unique: Arc<str> = name.into();
        while !self.names.insert(unique.clone()) {
            unique = format!("{config}/{unique}").into();
        }
        let queue = Queue {
            name: unique.clone(),
            persistent,
            max,
        };
        self.declared
            .insert((config.to_owned(), name.to_owned()), queue);
        unique
    }
}

impl<'a> Lowering<'a> {
    /// Reads the declared queues.
    pub fn declare_queues(&mut self) {
        for open in self.open_globals(&[CONFIG]) {
            let name = self.text(&open, "name");
            let queues = self.open_part(&open, "vm:queues");
            let (Some(config), Some(queues)) = (name, queues) else {
                continue;
            };
            for queue in self.open_parts(&queues, "vm:queue") {
                self.declare_queue(config.text, &queue);
            }
        }
    }

    fn declare_queue(&mut self, config: &str, open: &Open<'a>) {
        let persistent = self.word(open, "queueType") == Some("PERSISTENT");
        let max = self
            .count(open, "maxOutstandingMessages")
            .filter(|max| *max > 0);
        let Some(name) = self.text(open, "queueName") else {
            return;
        };
        let key = (config.to_owned(), name.text.to_owned());
        if self.queues.declared.contains_key(&key) {
            let what = format!("there are two queues {}", quote(name.text));
            self.wrong(name, what, "keep one");
            return;
        }
        self.queues.add(config, name.text, persistent, max);
    }

    /// The queue that a listener or publisher names; an undeclared one is added.
    fn queue_named(&mut self, open: &Open<'a>) -> Option<Arc<str>> {
        let config = self.text(open, "config-ref");
        let name = self.text(open, "queueName");
        let (config, name) = (config?, name?);
        let key = (config.text.to_owned(), name.text.to_owned());
        if let Some(queue) = self.queues.declared.get(&key) {
            return Some(queue.name.clone());
        }
        let known = self.globals.find(config.text, &[CONFIG]).is_some();
        let (quoted, of) = (quote(name.text), quote(config.text));
        let (at, what) = match known {
            true => (name, format!("{of} declares no queue {quoted}")),
            false => {
                let what = format!("nothing defines the queues' configuration {of}");
                (config, what)
            }
        };
        let declare = format!(
            "declare it: `<vm:config name=\"{}\"><vm:queues><vm:queue queueName=\"{}\"/></vm:queues></vm:config>`",
            config.text, name.text
        );
        let mend = match known {
            true => self.nearest_queue(config.text, name.text, declare),
            false => self.mend(config.text, &[CONFIG], &declare),
        };
        let what = match self.compat {
            Compat::Intent => format!("{what}, so {quoted} is added, in memory"),
            Compat::Strict => what,
        };
        self.deviation(at.at(), what, mend);
        Some(self.queues.add(config.text, name.text, false, None))
    }

    fn nearest_queue(&mut self, config: &str, name: &str, declare: String) -> String {
        if !self.may_guess() {
            return declare;
        }
        let queues = self.queues.declared.keys();
        let same = queues
            .filter(|(of, _)| of == config)
            .map(|(_, name)| name.as_str());
        match fusebox_plan::dialect::nearest(name, same) {
            Some(near) => format!("did you mean {}? Or {declare}", quote(near)),
            None => declare,
        }
    }

    /// Reads a `vm:listener`.
    pub fn queue_source(&mut self, open: &Open<'a>) -> Option<Source> {
        let consumers = self.count(open, "numberOfConsumers");
        let response = self.open_part(open, "vm:response");
        let response = response.and_then(|open| self.given_part(&open, "vm:content"));
        let queue = self.queue_named(open)?;
        self.queues.listened.insert(queue.clone());
        Some(Source::Queue {
            queue,
            consumers: consumers?,
            response,
        })
    }

    /// Reads a `vm:publish`.
    pub fn publish(&mut self, open: &Open<'a>) -> Option<Publish> {
        let content = self.given_part(open, "vm:content");
        let wait = self.queue_wait(open);
        Some(Publish {
            queue: self.queue_named(open)?,
            content,
            wait: wait?,
        })
    }

    /// Reads a `vm:publish-consume`.
    pub fn publish_consume(&mut self, open: &Open<'a>) -> Option<Does> {
        let target = self.target(open);
        let publish = self.publish(open)?;
        Some(Does::PublishConsume { publish, target })
    }

    /// Reads a `vm:consume`.
    pub fn consume(&mut self, open: &Open<'a>) -> Option<Does> {
        let target = self.target(open);
        let wait = self.queue_wait(open);
        let queue = self.queue_named(open)?;
        self.queues.consumed.push((queue.clone(), open.at()));
        Some(Does::Consume(Consume {
            queue,
            wait: wait?,
            target,
        }))
    }

    fn queue_wait(&mut self, open: &Open<'a>) -> Option<QueueWait> {
        let limit = self.span(open, "timeout", "timeoutUnit");
        let (count, unit) = (
            self.whole(open, "timeout")?,
            self.word(open, "timeoutUnit")?,
        );
        Some(QueueWait {
            limit: limit?,
            shown: format!("{count} {unit}").into(),
        })
    }

    /// Refuses to take messages from a queue that has a listener, as Mule does when it should be done.
    pub fn refuse_shared_queues(&mut self) {
        for (queue, at) in std::mem::take(&mut self.queues.consumed) {
            if self.queues.listened.contains(&queue) {
                let what = format!(
                    "`vm:consume` takes from {}, which has a `vm:listener`",
                    quote(&queue)
                );
                self.error(at, what, "give each a queue of its own");
            }
        }
    }
}
