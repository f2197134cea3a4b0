//! The operations of the Object Store connector.

use std::sync::Arc;

use super::engine::{At, Run};
use super::error::{Done, Fault, Message, MuleError};
use super::stores::EntryFault;
use crate::app::{Given, Idempotent, ObjectCall, ObjectOperation};
use crate::{Event, Typed, Value};

impl From<EntryFault> for Fault {
    fn from(fault: EntryFault) -> Fault {
        let kind = match &fault {
            EntryFault::Key(_) => "OS:INVALID_KEY",
            EntryFault::Value(_) | EntryFault::NotAvailable(_) => "OS:STORE_NOT_AVAILABLE",
        };
        MuleError::new(kind, fault.to_string()).into()
    }
}

impl Run {
    /// Runs an operation. All arguments are evaluated before the store is accessed.
    pub async fn object(&self, at: At<'_>, it: &ObjectCall, event: &mut Event) -> Done {
        // No state spans two operations. A store in memory never waits, so we yield before a write to let concurrent
        // runs interleave as they do with a slower store. Reads need not: what they found has no effect before a write.
        if it.operation.is_write() {
            tokio::task::yield_now().await;
        }
        let partition = self.engine.stores.partition(it.store.as_deref());
        let now = self.world.now();
        let result = match &it.operation {
            ObjectOperation::Store {
                key,
                value,
                fail_if_present,
                fail_on_null,
            } => {
                let key = self.text(at, key, event)?;
                let value = match value {
                    Some(given) => self.given(at, given, event)?,
                    None => event.payload.clone(),
                };
                let only_absent = self.given(at, fail_if_present, event)?.truth()?;
                let fail_on_null = self.given(at, fail_on_null, event)?.truth()?;
                if value.value.is_null() {
                    if !fail_on_null {
                        return Ok(());
                    }
                    let what = "A null value was provided. Please provide a non-null value";
                    return Err(MuleError::new("OS:NULL_VALUE", what).into());
                }
                let key = filled(key)?;
                if !partition.put(&key, &value, only_absent, now).await? {
                    let what = format!("ObjectStore already contains an object for key '{key}'");
                    return Err(MuleError::new("OS:KEY_ALREADY_EXISTS", what).into());
                }
                return Ok(());
            }
            ObjectOperation::Retrieve { key, default } => {
                let key = self.text(at, key, event)?;
                let default = default.as_ref().map(|given| self.given(at, given, event));
                let default = default.transpose()?;
                let key = filled(key)?;
                let default = default.filter(|default| !default.value.is_null());
                match partition.get(&key, now).await?.or(default) {
                    Some(value) => value,
                    None => {
                        let name = it.store.as_ref().map(|store| &*store.name);
                        let name = name.unwrap_or("_defaultPersistentObjectStore");
                        let what = format!(
                            "ObjectStore '{name}' doesn't contain any value for key '{key}' and \
                             default value was not provided or resolved to a null value."
                        );
                        return Err(MuleError::new("OS:KEY_NOT_FOUND", what).into());
                    }
                }
            }
            ObjectOperation::Contains(key) => {
                let key = self.key(at, key, event)?;
                Typed::java(partition.get(&key, now).await?.is_some())
            }
            ObjectOperation::Remove(key) => {
                let key = self.key(at, key, event)?;
                if !partition.remove(&key, now).await? {
                    let what = format!("ObjectStore doesn't contain any value for key '{key}'");
                    return Err(MuleError::new("OS:KEY_NOT_FOUND", what).into());
                }
                return Ok(());
            }
            ObjectOperation::Clear => {
                partition.clear(now).await?;
                return Ok(());
            }
            ObjectOperation::RetrieveAllKeys => {
                let keys = partition.keys(now).await?;
                Typed::java(Value::array(keys.into_iter().map(Value::from).collect()))
            }
            ObjectOperation::RetrieveAll => {
                let entries = partition.entries(now).await?.into_iter();
                let entries = entries.map(|(key, typed)| {
                    let value = typed.read().unwrap_or(typed.value);
                    (key.into(), value)
                });
                Typed::java(Value::object(entries.collect()))
            }
        };
        let result = Message {
            payload: result,
            attributes: Value::Null,
        };
        self.deliver(at, it.target.as_ref(), event, result)
    }

    /// Lets the first message of an id pass. As in Mule, a message whose id cannot be stored is a duplicate.
    pub async fn idempotent(&self, at: At<'_>, it: &Idempotent, event: &Event) -> Done {
        let context = self.context(at, event);
        let id = it.id.eval(&context)?.text()?;
        let value = it.value.eval(&context)?;
        let id = id.filter(|id| !id.trim().is_empty());
        let duplicate = |what: String| Err(MuleError::new("MULE:DUPLICATE_MESSAGE", what).into());
        let Some(id) = id.filter(|_| !value.value.is_null()) else {
            return duplicate("the message has no id, so it counts as a duplicate".to_owned());
        };
        // A store in memory never waits, so we let concurrent runs have their turn here.
        tokio::task::yield_now().await;
        let partition = self.engine.stores.partition(Some(&it.store));
        match partition.put(&id, &value, true, self.world.now()).await {
            Ok(true) => Ok(()),
            Ok(false) => duplicate(format!("a message with the id '{id}' has come before")),
            Err(error) => {
                let what = format!("the id '{id}' cannot be stored: {error}");
                self.warn(at, event, &what);
                duplicate(what)
            }
        }
    }

    fn key(&self, at: At<'_>, given: &Given, event: &Event) -> Done<Arc<str>> {
        filled(self.text(at, given, event)?)
    }
}

/// A key that is neither null nor blank.
fn filled(key: Option<Arc<str>>) -> Done<Arc<str>> {
    key.filter(|key| !key.trim().is_empty()).ok_or_else(|| {
        let what = "the key is null or blank; give one";
        MuleError::new("OS:INVALID_KEY", what).into()
    })
}
