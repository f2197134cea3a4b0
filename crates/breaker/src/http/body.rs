//! A response's body that holds its call: the call ends where the body does.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::classify::{ClassifyHttp, HttpEnd};
use crate::call::Call;
use crate::clock::{Clock, MonotonicClock};
use crate::guard::guarded::{Guarded, OwnedGuarded};
use crate::outcome::Outcome;

use super::ByStatus;

/// The state of a call whose response has begun.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    /// The outcome if the body ends well.
    pub head: Call,
    pub owes_grpc_status: bool,
    /// The time after which a flowing body is good enough.
    pub settle_after: Option<Duration>,
}

/// The end of a body, as far as its call is concerned.
#[derive(Clone, Copy)]
pub(super) enum Ended<'a> {
    /// The end of the whole body, with those trailers.
    Well(Option<&'a HeaderMap>),
    /// The body continues, and has flowed for long enough.
    Flows,
    Cut,
}

impl Begun {
    pub fn end(self, classifier: &impl ClassifyHttp, ended: Ended<'_>) -> Call {
        let call = match ended {
            Ended::Well(trailers) => {
                classifier.end(self.head, HttpEnd::new(trailers, self.owes_grpc_status))
            }
            Ended::Flows => self.head,
            Ended::Cut => classifier.cut(self.head),
        };
        let duration = call.duration.or(self.head.duration);
        Call { duration, ..call }
    }
}

pin_project! {
    /// The body of a response that came through a breaker. The call ends with the body: at its last frame, its trailers
    /// or its error. If it is dropped earlier, its caller left, and the call counts as
    /// [`OnAbandoned`](crate::OnAbandoned) says. But if the head has already failed, or none of the body has been asked
    /// for, the head decides: many callers need only the status, and few read an error's text.
    ///
    /// Frames, size and trailers are those of the body inside, which is neither boxed nor buffered.
    pub struct GuardedBody<B, K = ByStatus, C = MonotonicClock>
    where
        C: Clock,
    {
        #[pin]
        inner: B,
        // `None` if the call ended with the head; the next one is `None` once it has ended.
        begun: Option<Begun>,
        guarded: Option<OwnedGuarded<K, C>>,
        is_asked_for: bool,
    }

    impl<B, K, C> PinnedDrop for GuardedBody<B, K, C>
    where
        C: Clock,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // An owner that panics has decided nothing.
            let is_unread = !*this.is_asked_for && !std::thread::panicking();
            let head = this.begun.map(|begun| begun.head);
            if let Some(head) = head.filter(|head| is_unread || head.outcome == Outcome::Failure) {
                Guarded::end_kept(this.guarded, |_| head);
            }
        }
    }
}

impl<B, K, C: Clock> GuardedBody<B, K, C> {
    pub(super) fn new(inner: B, begun: Option<Begun>, guarded: Option<OwnedGuarded<K, C>>) -> Self {
        GuardedBody {
            inner,
            begun,
            guarded,
            is_asked_for: false,
        }
    }
}

impl<B, K, C> Body for GuardedBody<B, K, C>
where
    B: Body,
    K: ClassifyHttp,
    C: Clock,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        *this.is_asked_for = true;
        let inner = this.inner.as_mut();
        let polled = Guarded::within_kept(this.guarded, || inner.poll_frame(context));
        let (Some(guarded), Some(begun)) = (this.guarded.as_mut(), *this.begun) else {
            return polled;
        };
        let ended = match &polled {
            Poll::Pending => {
                guarded.waits();
                return polled;
            }
            Poll::Ready(Some(Err(_))) => Ended::Cut,
            Poll::Ready(None) => Ended::Well(None),
            Poll::Ready(Some(Ok(frame))) => match frame.trailers_ref() {
                Some(trailers) => Ended::Well(Some(trailers)),
                None if this.inner.is_end_stream() => Ended::Well(None),
                None if guarded.flows(begun.settle_after) => Ended::Flows,
                None => return polled,
            },
        };
        Guarded::end_kept(this.guarded, |classifier| begun.end(classifier, ended));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: fmt::Debug, K, C: Clock> fmt::Debug for GuardedBody<B, K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody")
            .field("inner", &self.inner)
            .field("has_ended", &self.guarded.is_none())
            .finish()
    }
}
