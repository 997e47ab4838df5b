//! Asking the operator's servers before something happens.
//!
//! A hook that fails must not take chat with it: each answer is awaited no longer than its rule says, so
//! many questions at once are asked and no more, and after some failures in a row a hook counts as down
//! and is tried again only now and then. What holds without an answer is for the rule to say.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use compact_str::CompactString;
use parlour_hub::log::NewEntry;
use parlour_hub::rights::Grants;
use parlour_protocol::content::{Content, NewText, Text};
use parlour_protocol::{ErrorCode, Refusal, RoomName, Seq, UserId};
use serde::Serialize;

use super::answer::{Answer, Decision};
use crate::config::{HookRule, Occasion, OnFailure};
use crate::node::Node;

/// Most questions to one hook at once.
const AT_ONCE: u32 = 256;
/// Failures in a row after which a hook counts as down.
const FAILURES: u32 = 5;
/// How long a hook that is down is left alone at first, and at most, in milliseconds.
const REST_MS: (u64, u64) = (1_000, 30_000);
/// When a client may try again what nobody could decide, in milliseconds.
const RETRY_MS: u32 = 1_000;

/// All hooks.
#[derive(Debug, Default)]
pub struct Gates(Vec<Arc<Gate>>);

/// One hook.
#[derive(Debug)]
struct Gate {
    rule: HookRule,
    asking: AtomicU32,
    breaker: Mutex<Breaker>,
}

/// Whether a hook is worth asking.
#[derive(Debug, Default)]
struct Breaker {
    /// Failures since the last answer.
    failures: u32,
    /// Until then it is left alone, on the clock of the node.
    rest_until_ms: u64,
}

/// What hooks are asked.
#[derive(Debug)]
pub struct Question {
    gates: Vec<Arc<Gate>>,
    asked: Asked,
}

/// A question as a hook gets it.
#[derive(Debug, Serialize)]
struct Asked {
    on: &'static str,
    user: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<CompactString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<RoomName>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entries: Vec<Said>,
}

/// A text that somebody wants to say.
#[derive(Debug, Serialize)]
struct Said {
    text: Arc<str>,
    /// The message whose text it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    edits: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Seq>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<UserId>,
}

/// What comes of a question.
#[derive(Debug)]
pub enum Verdict {
    /// It happens.
    Allow {
        /// Other texts for what is said, if a hook has changed some.
        texts: Option<Vec<Arc<str>>>,
        /// What the user may do beyond what credentials say.
        grants: Vec<Grants>,
    },
    /// It does not happen.
    Deny(Refusal),
}

impl Gates {
    pub(super) fn new(rules: &[HookRule]) -> Self {
        let gate = |rule: &HookRule| {
            Arc::new(Gate { rule: rule.clone(), asking: AtomicU32::new(0), breaker: Mutex::default() })
        };
        Self(rules.iter().map(gate).collect())
    }

    /// Returns the question whether a user may come, if anybody is to be asked.
    #[must_use]
    pub fn connect(&self, user: &UserId, token: Option<&CompactString>) -> Option<Question> {
        self.question(Occasion::Connect, user, None, Vec::new).map(|mut question| {
            question.asked.token = token.cloned();
            question
        })
    }

    /// Returns the question whether a user may enter a room, if anybody is to be asked.
    #[must_use]
    pub fn join(&self, user: &UserId, room: &RoomName) -> Option<Question> {
        self.question(Occasion::Join, user, Some(room), Vec::new)
    }

    /// Returns the question whether something may be said, if it has a text and anybody is to be asked.
    #[must_use]
    pub fn publish(&self, user: &UserId, room: &RoomName, entries: &[NewEntry]) -> Option<Question> {
        let question = self.question(Occasion::Publish, user, Some(room), || said(entries));
        question.filter(|question| !question.asked.entries.is_empty())
    }

    fn question(
        &self,
        on: Occasion,
        user: &UserId,
        room: Option<&RoomName>,
        entries: impl FnOnce() -> Vec<Said>,
    ) -> Option<Question> {
        let concerns =
            |gate: &&Arc<Gate>| gate.rule.on == on && room.is_none_or(|room| gate.rule.rooms.matches(room));
        let gates: Vec<_> = self.0.iter().filter(concerns).cloned().collect();
        let asked = || Asked {
            on: on.word(),
            user: user.clone(),
            token: None,
            room: room.cloned(),
            entries: entries(),
        };
        (!gates.is_empty()).then(|| Question { gates, asked: asked() })
    }
}

/// Returns the texts among entries.
fn said(entries: &[NewEntry]) -> Vec<Said> {
    let said = entries.iter().filter_map(|entry| match &entry.content {
        Content::Message(Text { text, details }) => {
            let details = details.as_deref();
            Some(Said {
                text: Arc::clone(text),
                edits: None,
                reply_to: details.and_then(|details| details.reply_to),
                mentions: details.map(|details| details.mentions.clone()).unwrap_or_default(),
            })
        }
        Content::Edit(NewText { target, text: Some(text), mentions }) => Some(Said {
            text: Arc::clone(text),
            edits: Some(*target),
            reply_to: None,
            mentions: mentions.clone(),
        }),
        _ => None,
    });
    said.collect()
}

/// Puts other texts in the place of those that [`said`] finds.
pub fn rewrite(entries: &mut [NewEntry], texts: Vec<Arc<str>>) {
    let mut texts = texts.into_iter();
    for entry in entries {
        match &mut entry.content {
            Content::Message(Text { text, .. }) | Content::Edit(NewText { text: Some(text), .. }) => {
                *text = texts.next().unwrap_or_else(|| Arc::clone(text));
            }
            _ => {}
        }
    }
}

impl Question {
    /// Asks one hook after another, each about what the one before has made of it.
    pub async fn ask(mut self, node: &Node) -> Verdict {
        let (mut rewritten, mut grants) = (None, Vec::new());
        for gate in std::mem::take(&mut self.gates) {
            match gate.ask(node, &self.asked).await {
                Decision::Deny(refusal) => return Verdict::Deny(refusal),
                Decision::Allow { texts, grants: granted } => {
                    grants.extend(granted);
                    if let Some(texts) = texts {
                        for (said, text) in self.asked.entries.iter_mut().zip(&texts) {
                            said.text = Arc::clone(text);
                        }
                        rewritten = Some(texts);
                    }
                }
            }
        }
        Verdict::Allow { texts: rewritten, grants }
    }
}

impl Gate {
    async fn ask(&self, node: &Node, asked: &Asked) -> Decision {
        let (decision, word) = match self.try_ask(node, asked).await {
            Ok(decision) => {
                let word = match &decision {
                    Decision::Deny(_) => "denied",
                    Decision::Allow { texts: Some(_), .. } => "rewritten",
                    Decision::Allow { .. } => "allowed",
                };
                (decision, word)
            }
            Err(word) => (self.without_answer(), word),
        };
        node.metrics.node().hook_calls.inc(word);
        decision
    }

    /// Asks, unless the hook is down or busy. The error is the word for it.
    async fn try_ask(&self, node: &Node, asked: &Asked) -> Result<Decision, &'static str> {
        if !self.lock().may_try(node.clock.now().mono_ms) {
            return Err("down");
        }
        let _turn = Turn::take(&self.asking).ok_or("busy")?;
        let answer = self.call(node, asked).await;
        let is_news = self.lock().note(answer.is_ok(), node.clock.now().mono_ms);
        if let (Err(word), true) = (&answer, is_news) {
            let origin = self.rule.endpoint.origin();
            tracing::warn!(origin, reason = word, on = asked.on, "a hook does not answer");
        }
        answer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call(&self, node: &Node, asked: &Asked) -> Result<Decision, &'static str> {
        let body = serde_json::to_vec(asked).map_err(|_| "malformed")?;
        let id = uuid::Uuid::new_v4().to_string();
        let headers = self.rule.signer.headers(&id, node.clock.now().wall_ms / 1_000, &body);
        let answer = node.outbound.post(&self.rule.endpoint, headers, body.into(), self.rule.within).await;
        let answer = answer.map_err(crate::outbound::OutboundError::word)?;
        if !answer.status.is_success() {
            return Err("status");
        }
        let answer: Answer = serde_json::from_slice(&answer.body).map_err(|_| "malformed")?;
        answer.decide(asked.entries.len(), node.config.limits.message_bytes).ok_or("malformed")
    }

    fn without_answer(&self) -> Decision {
        match self.rule.on_failure {
            OnFailure::Allow => Decision::Allow { texts: None, grants: None },
            OnFailure::Deny => {
                let mut refusal = Refusal::retry_after(ErrorCode::Unavailable, RETRY_MS);
                refusal.message = "the service that decides about this does not answer".into();
                Decision::Deny(refusal)
            }
        }
    }
}

impl Breaker {
    /// Whether to ask now. Of a hook that is down one question is a trial.
    fn may_try(&mut self, now_ms: u64) -> bool {
        if self.failures < FAILURES {
            return true;
        }
        let is_rested = now_ms >= self.rest_until_ms;
        if is_rested {
            self.rest_until_ms = now_ms + self.rest_ms();
        }
        is_rested
    }

    /// Notes how a question ended; returns whether the hook is down from now on.
    fn note(&mut self, is_answered: bool, now_ms: u64) -> bool {
        if is_answered {
            *self = Self::default();
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        self.rest_until_ms = now_ms + self.rest_ms();
        self.failures == FAILURES
    }

    fn rest_ms(&self) -> u64 {
        let (first, most) = REST_MS;
        most.min(first << self.failures.saturating_sub(FAILURES).min(16))
    }
}

/// One of the questions that a hook is asked at once.
struct Turn<'a>(&'a AtomicU32);

impl<'a> Turn<'a> {
    fn take(count: &'a AtomicU32) -> Option<Self> {
        let turn = Self(count);
        (count.fetch_add(1, Relaxed) < AT_ONCE).then_some(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_that_is_down_is_tried_now_and_then() {
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES {
            assert!(breaker.may_try(0) && !breaker.note(false, 0));
        }
        assert!(breaker.may_try(0) && breaker.note(false, 0), "it is down from now on");
        assert!(!breaker.may_try(999));
        assert!(breaker.may_try(1_000) && !breaker.may_try(1_001), "one trial");
        assert!(
            !breaker.note(false, 1_010) && !breaker.may_try(3_009) && breaker.may_try(3_010),
            "twice as long"
        );
        assert!(!breaker.note(true, 3_020) && breaker.may_try(3_020) && breaker.may_try(3_020));
    }
}
