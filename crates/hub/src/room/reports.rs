//! Messages that members have reported. They are documents rather than entries of the log, which
//! everybody reads.

use compact_str::CompactString;
use parlour_protocol::event::{Ack, Event, ReportList, Reported};
use parlour_protocol::{ErrorCode, Refusal, Seq, limits};

use super::{Room, Scene, answer, refuse, store_refusal};
use crate::effect::{Document, Effect, Inquiry, REPORTS, StoreRequest, report_key};
use crate::input::Caller;
use crate::rights::Action;

/// Most open reports of a room by one user: nobody shuts up the others.
const MOST_OF_A_USER: usize = 20;

impl Room {
    pub(super) fn report(
        &mut self,
        scene: Scene<'_>,
        caller: Caller,
        target: Seq,
        reason: Option<CompactString>,
        out: &mut Vec<Effect>,
    ) {
        let known = self.floor.next()..=self.position;
        let checked = self.may_read(&caller).and_then(|()| self.keeps_reports()).and_then(|()| {
            match known.contains(&target) {
                true => Ok(()),
                false => Err(ErrorCode::NotFound.into()),
            }
        });
        let report = Reported { target, user: caller.user.clone(), ts: scene.now.wall_ms, reason };
        self.inquire(caller, Inquiry::Report(report), checked, out);
    }

    pub(super) fn list_reports(&mut self, caller: Caller, out: &mut Vec<Effect>) {
        let checked = self.require(&caller, Action::Moderate).and_then(|()| self.keeps_reports());
        self.inquire(caller, Inquiry::List, checked, out);
    }

    pub(super) fn resolve(&mut self, caller: Caller, target: Seq, out: &mut Vec<Effect>) {
        let checked = self.require(&caller, Action::Moderate).and_then(|()| self.keeps_reports());
        self.inquire(caller, Inquiry::Resolve(target), checked, out);
    }

    fn keeps_reports(&self) -> Result<(), Refusal> {
        let rule = match (self.name.is_private(), self.setup.durable) {
            (true, _) => "a private conversation has no moderators",
            (false, false) => "this room keeps nothing that could be reported",
            (false, true) => return Ok(()),
        };
        Err(Refusal::because(ErrorCode::Forbidden, rule))
    }

    /// Reads the reports, unless that was refused.
    fn inquire(
        &mut self,
        caller: Caller,
        inquiry: Inquiry,
        checked: Result<(), Refusal>,
        out: &mut Vec<Effect>,
    ) {
        if let Err(refusal) = checked {
            return refuse(&caller, refusal, out);
        }
        self.errands.awaited += 1;
        let request = StoreRequest::Reports { caller, inquiry };
        out.push(Effect::Store { room: self.name.clone(), request });
    }

    pub(super) fn inquired(
        &mut self,
        caller: Caller,
        inquiry: Inquiry,
        found: Result<Vec<Document>, ErrorCode>,
        out: &mut Vec<Effect>,
    ) {
        self.errands.awaited -= 1;
        let found = match found {
            Ok(found) => found,
            Err(code) => return refuse(&caller, store_refusal(code), out),
        };
        let reports = found.iter().filter_map(|document| serde_json::from_slice(&document.value).ok());
        // What is no longer kept cannot be looked at.
        let (open, stale): (Vec<Reported>, Vec<Reported>) =
            reports.partition(|report: &Reported| report.target > self.floor);
        self.forget_reports(stale, out);
        match inquiry {
            Inquiry::List => {
                let reports = open.into_iter().take(limits::MEMBERS_LISTED).collect();
                let list = ReportList { room: self.name.clone(), reports };
                answer(caller, Event::Reports(Box::new(list)), out);
            }
            Inquiry::Resolve(target) => {
                let about: Vec<_> = open.into_iter().filter(|report| report.target == target).collect();
                match about.is_empty() {
                    true => refuse(&caller, ErrorCode::NotFound.into(), out),
                    false => {
                        self.forget_reports(about, out);
                        answer(caller, Event::Ack(Ack::default()), out);
                    }
                }
            }
            Inquiry::Report(report) => self.keep_report(caller, &open, &report, out),
        }
    }

    fn keep_report(&self, caller: Caller, open: &[Reported], report: &Reported, out: &mut Vec<Effect>) {
        // The same once more takes the place of the one before.
        let others =
            || open.iter().filter(|other| (other.target, &other.user) != (report.target, &report.user));
        let own = others().filter(|other| other.user == report.user).count();
        if others().count() >= REPORTS as usize || own >= MOST_OF_A_USER {
            let rule = "the moderators have not yet dealt with what was reported";
            return refuse(&caller, Refusal::because(ErrorCode::LimitExceeded, rule), out);
        }
        let key = report_key(&self.name, report.target, report.user.as_str());
        let value = serde_json::to_vec(report).unwrap_or_default();
        self.put(vec![Document { key, value }], out);
        answer(caller, Event::Ack(Ack::default()), out);
    }

    fn forget_reports(&self, reports: Vec<Reported>, out: &mut Vec<Effect>) {
        let gone = reports.into_iter().map(|report| {
            let key = report_key(&self.name, report.target, report.user.as_str());
            Document { key, value: Vec::new() }
        });
        self.put(gone.collect(), out);
    }

    fn put(&self, documents: Vec<Document>, out: &mut Vec<Effect>) {
        if !documents.is_empty() {
            out.push(Effect::Store { room: self.name.clone(), request: StoreRequest::Put { documents } });
        }
    }
}
