//! A thread with a runtime of its own, and the way of requests to it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};

use super::super::{Pending, StoreError};
use super::OpenError;

/// Most requests that wait (P14).
const MOST: usize = 1_000;
/// Most bytes that wait (P14). Something larger passes alone.
const MOST_BYTES: usize = 16 << 20;

/// Begins a request on the thread; what it returns is carried on there.
type Request<S> = Box<dyn FnOnce(Rc<S>) -> std::pin::Pin<Box<dyn Future<Output = ()>>> + Send>;

/// A thread that carries out requests with something that never leaves it.
pub(super) struct Thread<S> {
    requests: Option<mpsc::UnboundedSender<Request<S>>>,
    waiting: Arc<Waiting>,
    thread: Option<JoinHandle<()>>,
}

/// What waits, requests and bytes.
#[derive(Default)]
struct Waiting {
    count: AtomicUsize,
    bytes: AtomicUsize,
}

/// Counts a request as long as it waits or is carried out.
struct Place {
    waiting: Arc<Waiting>,
    bytes: usize,
}

impl Place {
    fn take(waiting: &Arc<Waiting>, bytes: usize) -> Option<Self> {
        let place = Self { waiting: Arc::clone(waiting), bytes };
        let count = waiting.count.fetch_add(1, Ordering::Relaxed);
        let before = waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = count < MOST && (before == 0 || before.saturating_add(bytes) <= MOST_BYTES);
        fits.then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.count.fetch_sub(1, Ordering::Relaxed);
        self.waiting.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl<S: 'static> Thread<S> {
    /// Starts a thread and waits until it has opened what it works with.
    pub(super) fn start<F>(open: impl FnOnce() -> F + Send + 'static) -> Result<Self, OpenError>
    where
        F: Future<Output = Result<S, OpenError>>,
    {
        let (requests, incoming) = mpsc::unbounded_channel();
        let (report, opened) = std::sync::mpsc::channel();
        let run = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(report.send(Err(OpenError::Thread(error)))),
            };
            LocalSet::new().block_on(&runtime, async {
                let opened = open().await;
                let (answer, service) = match opened {
                    Ok(service) => (Ok(()), Some(service)),
                    Err(error) => (Err(error), None),
                };
                drop(report.send(answer));
                if let Some(service) = service {
                    serve(Rc::new(service), incoming).await;
                }
            });
        };
        let thread = std::thread::Builder::new().name("parlour-postgres".to_owned()).spawn(run);
        let thread = Self {
            requests: Some(requests),
            waiting: Arc::default(),
            thread: Some(thread.map_err(OpenError::Thread)?),
        };
        // It says something, or it panicked.
        opened.recv().unwrap_or(Err(OpenError::Silent))?;
        Ok(thread)
    }

    /// Asks for something, which is begun in the order of asking and done whoever drops the future.
    ///
    /// `lost` is the answer where the thread ends before it has one.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        bytes: usize,
        lost: StoreError,
        work: impl AsyncFnOnce(Rc<S>) -> Result<T, StoreError> + Send + 'static,
    ) -> Pending<'_, T> {
        let (reply, answer) = oneshot::channel();
        let place = Place::take(&self.waiting, bytes);
        let queued = place.is_some_and(|place| {
            let request: Request<S> = Box::new(move |service| {
                Box::pin(async move {
                    let outcome = work(service).await;
                    drop(place);
                    // Whoever asked may be gone.
                    drop(reply.send(outcome));
                })
            });
            self.requests.as_ref().is_some_and(|requests| requests.send(request).is_ok())
        });
        Box::pin(async move {
            if !queued {
                return Err(StoreError::Unavailable);
            }
            answer.await.unwrap_or(Err(lost))
        })
    }
}

/// Carries out requests side by side until nobody can ask any more and all are answered.
async fn serve<S: 'static>(service: Rc<S>, mut incoming: mpsc::UnboundedReceiver<Request<S>>) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            request = incoming.recv() => match request {
                Some(request) => drop(running.spawn_local(request(Rc::clone(&service)))),
                None => break,
            },
            Some(ended) = running.join_next(), if !running.is_empty() => note(&ended),
        }
    }
    while let Some(ended) = running.join_next().await {
        note(&ended);
    }
}

fn note(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a request to the database ended by a panic");
    }
}

impl<S> Drop for Thread<S> {
    fn drop(&mut self) {
        self.requests = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the database ended by a panic");
        }
    }
}
