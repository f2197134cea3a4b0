//! The cases: every answer × every request body × every end that can come together, and the one
//! verdict that is right.

/// How the upstream's answer is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Length,
    Chunked,
    Trailers,
    UndeclaredTrailers,
    UntilClose,
    Head,
    NoContent,
    NotModified,
    Interim,
}

/// How the request's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    None,
    Length,
    Chunked,
    Trailers,
    Offered,
}

/// Who ends the message, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    // The upstream's doing.
    Whole,
    CutBeforeHead,
    CutInHead,
    CutInBody,
    CutAtLast,
    SilentBeforeHead,
    SilentInBody,
    NonsenseForHead,
    NonsenseInBody,
    // The client's.
    ResetsBeforeHead,
    ResetsInAnswer,
    ClosesItsSide,
    StopsSendingAndIsCut,
    StopsSendingAndIsAnswered,
    SendsNonsense,
    ClosesWithinBody,
    ResetsWithinBody,
    UploadIsAnswered,
    UploadIsCut,
    StopsReadingAndIsCut,
    PausesReading,
    // Ours.
    HeadTooLarge,
    TooManyFields,
    // A call of gRPC, by the upstream's word at its end.
    GrpcSucceeds,
    GrpcFailsInTrailers,
    GrpcFailsInHead,
    GrpcIsCancelled,
    GrpcSaysNothing,
    GrpcIsCut,
    GrpcIsLateForItsClient,
    GrpcIsLateByItself,
    GrpcIsSilentForItsClient,
    GrpcIsAnsweredByOthers,
}

/// What a call's breaker hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
    Ignored,
}

impl Outcome {
    /// The counts of success, failure and ignored calls after one such call.
    pub fn counts(self) -> (u64, u64, u64) {
        match self {
            Outcome::Success => (1, 0, 0),
            Outcome::Failure => (0, 1, 0),
            Outcome::Ignored => (0, 0, 1),
        }
    }
}

/// What is right for a case; `None`: nobody is there to see it.
#[derive(Debug, Clone, Copy)]
pub struct Right {
    pub outcome: Outcome,
    pub status: Option<u16>,
    /// Whether the answer that the client sees is complete.
    pub whole: Option<bool>,
}

#[derive(Debug, Clone)]
pub struct Case {
    pub answer: Answer,
    pub status: u16,
    pub body: Body,
    pub end: End,
}

impl Case {
    pub fn name(&self) -> String {
        format!(
            "{:?}-{}-{:?}-{:?}",
            self.answer, self.status, self.body, self.end
        )
    }

    pub fn method(&self) -> &'static str {
        match (self.answer, self.body) {
            (Answer::Head, _) => "HEAD",
            (_, Body::None) => "GET",
            _ => "POST",
        }
    }

    /// Whether such a case can be.
    fn can_be(&self) -> bool {
        use Answer as A;
        use End as E;
        let has_body = !matches!(self.answer, A::Head | A::NoContent | A::NotModified);
        let chunked = matches!(
            self.answer,
            A::Chunked | A::Trailers | A::UndeclaredTrailers
        );
        let plain = self.answer == A::Length;
        if self.answer == A::Head && self.body != Body::None {
            return false;
        }
        if matches!(self.answer, A::NoContent | A::NotModified) && self.status != 200 {
            return false;
        }
        match self.end {
            E::Whole | E::ClosesItsSide => true,
            E::CutInBody => has_body && self.answer != A::UntilClose,
            E::CutAtLast | E::NonsenseInBody => chunked,
            E::SilentInBody => has_body,
            // Before its head an answer is the same, however it would be framed.
            E::CutBeforeHead | E::CutInHead | E::SilentBeforeHead | E::NonsenseForHead => {
                plain && self.status == 200
            }
            E::ResetsBeforeHead => plain && self.status == 200,
            E::ResetsInAnswer => has_body,
            E::StopsSendingAndIsCut
            | E::SendsNonsense
            | E::ClosesWithinBody
            | E::ResetsWithinBody
            | E::UploadIsCut => plain && self.status == 200 && self.sends() && self.can_break(),
            E::StopsSendingAndIsAnswered | E::UploadIsAnswered => {
                has_body && self.sends() && self.body != Body::Trailers
            }
            E::StopsReadingAndIsCut | E::PausesReading => {
                matches!(self.answer, A::Length | A::Chunked) && self.body == Body::None
            }
            E::HeadTooLarge | E::TooManyFields => plain,
            _ => plain && self.status == 200 && matches!(self.body, Body::Length | Body::Chunked),
        }
    }

    /// True for the ends of a call of gRPC.
    pub fn is_grpc(&self) -> bool {
        format!("{:?}", self.end).starts_with("Grpc")
    }

    fn sends(&self) -> bool {
        matches!(self.body, Body::Length | Body::Chunked | Body::Trailers)
    }

    fn can_break(&self) -> bool {
        self.end != End::SendsNonsense || self.body != Body::Length
    }

    /// The verdict that is right.
    pub fn right(&self) -> Right {
        use End as E;
        let status = match self.answer {
            Answer::NoContent => 204,
            Answer::NotModified => 304,
            _ => self.status,
        };
        let by_status = if status < 500 {
            Outcome::Success
        } else {
            Outcome::Failure
        };
        let right = |outcome, status, whole| Right {
            outcome,
            status,
            whole,
        };
        let passed_on = right(by_status, Some(status), Some(true));
        match self.end {
            E::Whole | E::ClosesItsSide | E::PausesReading | E::UploadIsAnswered => passed_on,
            E::StopsSendingAndIsAnswered => passed_on,
            E::CutBeforeHead | E::CutInHead | E::NonsenseForHead => {
                right(Outcome::Failure, Some(502), Some(true))
            }
            E::SilentBeforeHead => right(Outcome::Failure, Some(504), Some(true)),
            E::CutInBody | E::CutAtLast | E::SilentInBody | E::NonsenseInBody => {
                right(Outcome::Failure, Some(status), Some(false))
            }
            E::ResetsBeforeHead | E::ResetsInAnswer | E::ResetsWithinBody => {
                right(Outcome::Ignored, None, None)
            }
            E::SendsNonsense | E::ClosesWithinBody => {
                right(Outcome::Ignored, Some(400), Some(true))
            }
            E::StopsSendingAndIsCut | E::UploadIsCut => {
                right(Outcome::Ignored, Some(502), Some(true))
            }
            E::StopsReadingAndIsCut => right(Outcome::Ignored, Some(status), Some(false)),
            E::HeadTooLarge | E::TooManyFields => right(Outcome::Ignored, Some(502), Some(true)),
            E::GrpcSucceeds | E::GrpcIsAnsweredByOthers => passed_on,
            E::GrpcFailsInTrailers | E::GrpcFailsInHead | E::GrpcSaysNothing => {
                right(Outcome::Failure, Some(200), Some(true))
            }
            E::GrpcIsLateByItself => right(Outcome::Failure, Some(200), Some(true)),
            E::GrpcIsCut => right(Outcome::Failure, Some(200), Some(false)),
            E::GrpcIsCancelled | E::GrpcIsLateForItsClient | E::GrpcIsSilentForItsClient => {
                right(Outcome::Ignored, Some(200), Some(true))
            }
        }
    }
}

/// All cases that can be.
pub fn cases() -> Vec<Case> {
    use Answer as A;
    use End as E;
    let answers = [
        A::Length,
        A::Chunked,
        A::Trailers,
        A::UndeclaredTrailers,
        A::UntilClose,
        A::Head,
        A::NoContent,
        A::NotModified,
        A::Interim,
    ];
    let bodies = [
        Body::None,
        Body::Length,
        Body::Chunked,
        Body::Trailers,
        Body::Offered,
    ];
    let ends = [
        E::Whole,
        E::CutBeforeHead,
        E::CutInHead,
        E::CutInBody,
        E::CutAtLast,
        E::SilentBeforeHead,
        E::SilentInBody,
        E::NonsenseForHead,
        E::NonsenseInBody,
        E::ResetsBeforeHead,
        E::ResetsInAnswer,
        E::ClosesItsSide,
        E::StopsSendingAndIsCut,
        E::StopsSendingAndIsAnswered,
        E::SendsNonsense,
        E::ClosesWithinBody,
        E::ResetsWithinBody,
        E::UploadIsAnswered,
        E::UploadIsCut,
        E::StopsReadingAndIsCut,
        E::PausesReading,
        E::HeadTooLarge,
        E::TooManyFields,
        E::GrpcSucceeds,
        E::GrpcFailsInTrailers,
        E::GrpcFailsInHead,
        E::GrpcIsCancelled,
        E::GrpcSaysNothing,
        E::GrpcIsCut,
        E::GrpcIsLateForItsClient,
        E::GrpcIsLateByItself,
        E::GrpcIsSilentForItsClient,
        E::GrpcIsAnsweredByOthers,
    ];
    let mut cases = Vec::new();
    for end in ends {
        for answer in answers {
            for status in [200, 500] {
                for body in bodies {
                    let case = Case {
                        answer,
                        status,
                        body,
                        end,
                    };
                    if case.can_be() {
                        cases.push(case);
                    }
                }
            }
        }
    }
    cases
}
