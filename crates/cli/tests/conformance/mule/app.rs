//! An application of a case, as it runs.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use fusebox_mule::app::{App, Compat, FlowId, HttpSource, Schedule, Source, When};
use fusebox_mule::run::{
    ConnectionInfo, Engine, FlowRouter, Responder, RouteMatch, Stores, World, attributes,
};
use fusebox_mule::{Event, Typed};
use fusebox_plan::{Loader, Source as File};
use fusebox_store::{Limits, MemoryStore, ObjectStore};
use http::{HeaderMap, Method, Request};
use serde_json::Value as Json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::world::CaseWorld;

/// What an application asks of its surroundings when it is read.
struct Surroundings {
    compat: Compat,
    bindings: Vec<(String, String)>,
    properties: Json,
}

impl Loader for Surroundings {
    fn env(&self, _name: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> std::io::Result<String> {
        Err(std::io::Error::other(format!("a case has no file {path}")))
    }

    fn property(&self, name: &str) -> Option<String> {
        Some(match self.properties.get(name)? {
            Json::String(text) => text.clone(),
            json => json.to_string(),
        })
    }

    fn environment(&self) -> Vec<(String, String)> {
        let all = self.properties.as_object().into_iter().flatten();
        all.filter_map(|(name, _)| Some((name.clone(), self.property(name)?)))
            .collect()
    }

    fn bindings(&self) -> Vec<(String, String)> {
        self.bindings.clone()
    }

    fn is_strict(&self) -> bool {
        self.compat == Compat::Strict
    }
}

/// Reads an application's files. Listeners and requesters that they do not define are bound: to the
/// addresses of `bindings`, and else to some address; flows that they do not have do nothing.
///
/// # Errors
/// Why it does not load.
pub fn read(files: &[String], case: &Json, compat: Compat) -> Result<Arc<App>, String> {
    let mut bindings = Vec::new();
    for name in undefined(files, "http:listener", "config-ref", "http:listener-config") {
        bindings.push((name, "http://127.0.0.1:0".to_owned()));
    }
    for name in undefined(files, "http:request", "config-ref", "http:request-config") {
        let of = &case["bindings"][&name];
        let host = of["host"].as_str().unwrap_or("127.0.0.1");
        let port = of["port"].as_u64().unwrap_or(9);
        bindings.push((name, format!("http://{host}:{port}")));
    }
    let flows: BTreeSet<String> = undefined(files, "flow-ref", "name", "flow")
        .intersection(&undefined(files, "flow-ref", "name", "sub-flow"))
        .filter(|name| !name.contains("#["))
        .cloned()
        .collect();
    bindings.extend(flows.into_iter().map(|name| (name, "none".to_owned())));
    let names: Vec<String> = (0..files.len()).map(|at| format!("app{at}.xml")).collect();
    let sources: Vec<File<'_>> = (files.iter().zip(&names))
        .map(|(text, name)| File {
            name,
            text: text.as_bytes(),
        })
        .collect();
    let loader = Surroundings {
        compat,
        bindings,
        properties: case["properties"].clone(),
    };
    let reading = fusebox_mule::read(&sources, &loader);
    let app = reading.plan.and_then(|plan| plan.program::<App>());
    app.ok_or_else(|| {
        let all = reading.diagnostics.iter().map(ToString::to_string);
        format!("it does not load: {}", all.collect::<Vec<_>>().join("; "))
    })
}

/// The names that an attribute of an element gives and no other element defines.
fn undefined(files: &[String], user: &str, attribute: &str, definer: &str) -> BTreeSet<String> {
    let named = |element: &str, attribute: &str| -> BTreeSet<String> {
        let opening = format!("<{element} ");
        let attribute = format!(" {attribute}=\"");
        let tags = files.iter().flat_map(|text| text.split(&opening).skip(1));
        tags.filter_map(|rest| {
            let tag = rest.split('>').next()?;
            let tag = format!(" {}", tag.replace('\n', " "));
            let value = tag.split(&attribute).nth(1)?;
            Some(value.split('"').next()?.to_owned())
        })
        .collect()
    };
    let defined = named(definer, "name");
    let used = named(user, attribute);
    used.difference(&defined).cloned().collect()
}

/// The stores that outlive an application, and those that do not.
pub struct Kept {
    durable: Arc<MemoryStore>,
}

impl Kept {
    /// An empty store that follows the world's time.
    pub fn new(world: &Arc<CaseWorld>) -> Kept {
        Kept {
            durable: Arc::new(MemoryStore::new(Limits::default(), world.clone())),
        }
    }

    /// What is left when the process ends: the objects, without what was laid down for them.
    pub fn restarted(self) -> Kept {
        Kept {
            durable: Arc::new(self.durable.reopened()),
        }
    }
}

/// What a request was answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub mime: Option<String>,
    pub headers: HeaderMap,
    pub body: String,
    /// When, on the case's clock.
    pub at_ms: u64,
}

/// An application that runs. Its schedulers and queues stop when it is dropped; requests go on.
pub struct Running {
    pub engine: Arc<Engine>,
    world: Arc<CaseWorld>,
    router: FlowRouter,
    places: HashMap<FlowId, Arc<Semaphore>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in tasks {
            task.abort();
        }
    }
}

impl Running {
    /// Starts an application.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn start(app: Arc<App>, world: &Arc<CaseWorld>, kept: &Kept) -> Result<Running, String> {
        let volatile = Arc::new(MemoryStore::new(Limits::default(), world.clone()));
        let durable: Arc<dyn ObjectStore> = kept.durable.clone();
        let stores = Stores::open(&app, durable, volatile, world.now(), None);
        let stores = stores.map_err(|error| error.to_string())?;
        let paths = http_flows(&app).map(|(id, source)| {
            let methods = source.methods.as_deref();
            (source.path.as_str(), methods, id.0)
        });
        let router = FlowRouter::new(paths)?;
        let places = app.flows.iter().enumerate().filter_map(|(at, flow)| {
            let places = Semaphore::new(flow.max_concurrency?);
            Some((FlowId(at), Arc::new(places)))
        });
        let running = Running {
            places: places.collect(),
            router,
            world: world.clone(),
            engine: Engine::new(app.clone(), stores),
            tasks: Mutex::default(),
        };
        for (at, flow) in app.flows.iter().enumerate() {
            let task = match flow.source.as_ref().filter(|_| !flow.is_stopped) {
                Some(Source::Scheduler(Schedule {
                    when: When::Cron { cron, zone },
                    overlaps,
                })) => {
                    let (cron, overlaps) = (cron.clone(), *overlaps);
                    let zone = zone.clone().unwrap_or_else(|| world.zone().clone());
                    let world = world.clone();
                    running.background(move |run| async move {
                        let run = Arc::new(run);
                        let mut after = world.now();
                        while let Some(next) = cron.next(after, &zone) {
                            let left = next.duration_since(world.now());
                            tokio::time::sleep(left.try_into().unwrap_or_default()).await;
                            after = world.now().max(next);
                            let run = run.clone();
                            let running =
                                async move { run.flow(FlowId(at), Event::default()).await };
                            match overlaps {
                                true => drop(tokio::spawn(running)),
                                false => running.await,
                            }
                            after = after.max(world.now());
                        }
                    })
                }
                Some(Source::Scheduler(Schedule {
                    when: When::Every { every, delay },
                    ..
                })) => {
                    let (every, delay) = (*every, *delay);
                    running.background(move |run| async move {
                        tokio::time::sleep(delay).await;
                        loop {
                            let begun = tokio::time::Instant::now();
                            run.flow(FlowId(at), Event::default()).await;
                            tokio::time::sleep_until(begun + every).await;
                        }
                    })
                }
                Some(Source::Queue {
                    queue, consumers, ..
                }) => {
                    let (taker, mut messages) = tokio::sync::mpsc::unbounded_channel();
                    world.take(queue, taker);
                    let consumers = Arc::new(Semaphore::new(*consumers));
                    running.background(move |run| async move {
                        let run = Arc::new(run);
                        while let Some(parcel) = messages.recv().await {
                            let (run, consumers) = (run.clone(), consumers.clone());
                            tokio::spawn(async move {
                                let _turn = consumers.acquire().await;
                                let world: Arc<dyn World> = run.world.clone();
                                let id = "a-case".into();
                                run.engine.receive(&world, FlowId(at), parcel, id).await;
                            });
                        }
                    })
                }
                _ => continue,
            };
            let mut tasks = running.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.push(task);
        }
        Ok(running)
    }

    fn background<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(Runner) -> F,
    ) -> JoinHandle<()> {
        tokio::spawn(work(Runner {
            engine: self.engine.clone(),
            world: self.world.clone(),
        }))
    }

    /// Sends it a request.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub async fn request(&self, request: &Json) -> Result<Reply, String> {
        known(request)?;
        let (parts, body) = parts(request)?;
        let path = parts.uri.path().to_owned();
        let (id, params) = match self.router.find(&parts.method, &path) {
            RouteMatch::Flow { route, params } => (FlowId(route), params),
            RouteMatch::WrongMethod(_) => {
                return Ok(self.told(405, &format!("Method not allowed for endpoint: {path}")));
            }
            RouteMatch::Nothing => {
                return Ok(self.told(404, &format!("No listener for endpoint: {path}")));
            }
        };
        let _place = match self.places.get(&id) {
            None => None,
            Some(places) => match places.clone().try_acquire_owned() {
                Ok(place) => Some(place),
                Err(_) => return Ok(self.reply(503, None, HeaderMap::new(), String::new())),
            },
        };
        let app = self.engine.app();
        let flow = app.flow(id);
        let Some(Source::Http(source)) = &flow.source else {
            return Err("the router found a flow without a listener".to_owned());
        };
        let here = std::net::SocketAddr::from(([127, 0, 0, 1], 8081));
        let ends = ConnectionInfo {
            local: here,
            remote: here,
            scheme: "http",
            certificate: None,
        };
        let field = |name: &str| parts.headers.get(name).and_then(|it| it.to_str().ok());
        let media_type = source.media_type.as_ref().map(|given| given.as_str());
        let event = Event {
            payload: Typed::received(body.into(), media_type.or(field("content-type"))),
            attributes: attributes(source, &parts, &params, ends),
            correlation_id: field("x-correlation-id").unwrap_or("a-case").into(),
            ..Event::default()
        };
        let world: Arc<dyn World> = self.world.clone();
        let ended = self.engine.run(&world, id, event).await;
        let responder = Responder {
            app,
            flow: &flow.name,
            source,
            world: &*world,
        };
        let reply = responder.reply(ended);
        let mime = reply.headers.get("content-type");
        let mime = mime.and_then(|it| it.to_str().ok()).map(str::to_owned);
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        Ok(self.reply(reply.status.as_u16(), mime, reply.headers, body))
    }

    fn reply(&self, status: u16, mime: Option<String>, headers: HeaderMap, body: String) -> Reply {
        Reply {
            status,
            mime,
            headers,
            body,
            at_ms: self.world.now_ms(),
        }
    }

    fn told(&self, status: u16, text: &str) -> Reply {
        let mime = Some("text/plain".to_owned());
        self.reply(status, mime, HeaderMap::new(), text.to_owned())
    }
}

/// Runs flows in the background.
struct Runner {
    engine: Arc<Engine>,
    world: Arc<CaseWorld>,
}

impl Runner {
    async fn flow(&self, id: FlowId, event: Event) {
        let world: Arc<dyn World> = self.world.clone();
        // What is wrong is in the log.
        self.engine.run(&world, id, event).await.ok();
    }
}

fn http_flows(app: &App) -> impl Iterator<Item = (FlowId, &HttpSource)> {
    let flows = app.flows.iter().enumerate();
    let flows = flows.filter(|(_, flow)| !flow.is_stopped);
    flows.filter_map(|(at, flow)| match &flow.source {
        Some(Source::Http(source)) => Some((FlowId(at), &**source)),
        _ => None,
    })
}

fn known(request: &Json) -> Result<(), String> {
    let known = ["method", "path", "query", "headers", "body", "mime"];
    let members = request.as_object().ok_or("a request is no object")?;
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("a request's {key} is not known")),
        None => Ok(()),
    }
}

fn parts(request: &Json) -> Result<(http::request::Parts, String), String> {
    let method = request["method"].as_str().unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
    let mut target = request["path"].as_str().unwrap_or("/").to_owned();
    match &request["query"] {
        Json::Null => {}
        Json::String(query) => {
            target.push('?');
            target.push_str(query);
        }
        other => return Err(format!("a request's query is no text: {other}")),
    }
    let mut made = Request::builder().method(method).uri(target);
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        let text = value.as_str().map_or(value.to_string(), str::to_owned);
        made = made.header(name, text);
    }
    if let Some(mime) = request["mime"].as_str() {
        made = made.header("content-type", mime);
    }
    let body = match &request["body"] {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        json => json.to_string(),
    };
    let made = made.body(()).map_err(|error| error.to_string())?;
    Ok((made.into_parts().0, body))
}
