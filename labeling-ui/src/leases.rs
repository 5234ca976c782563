//! Who has which face just now.
//!
//! In: places of the queue in order, or faces that somebody chose, and who asks. Out: the first of the places, or those
//! of the faces, that nobody else has: the queue and the grid keep out of each other's way. A lease ends when its time
//! is over, which is looked at when somebody asks; nothing runs in the background. Leases live in the one process that
//! serves a corpus's queue and are free after its death.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use marginalia_store::is_face_id;
use marginalia_store::tables::labels::Label;

use crate::queue::{Place, Task};

/// How long a judgement is remembered here: longer than anybody reads at one state of the queue.
const REMEMBERED: Duration = Duration::from_secs(120);
/// Remembered judgements from which the old ones are looked for.
const FORGET_FROM: usize = 1024;

/// Leases from which on no more faces can be chosen; the queue still gives its own out.
const MOST_CHOSEN: usize = 100_000;

/// A face in somebody's hands.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// The face, with its place at the time; none where it was chosen and not handed out.
    pub task: Option<Task>,
    /// Who has it.
    pub annotator: String,
    /// Until when.
    pub until: Instant,
}

/// A face that was judged here, in a version of `labels` that a reader of the queue may not have seen yet.
#[derive(Debug)]
struct Judged {
    version: u64,
    at: Instant,
}

/// All leases of a corpus.
#[derive(Debug, Default)]
pub struct Leases {
    held: HashMap<String, Lease>,
    judged: HashMap<String, Judged>,
    forget_from: usize,
}

/// What somebody who asked was given.
#[derive(Debug, Default)]
pub struct Taken {
    /// Faces, in the order of the queue.
    pub tasks: Vec<Task>,
    /// Faces that others have.
    pub with_others: usize,
    /// Faces that the one who asks has judged before.
    pub judged_before: usize,
    /// Faces that were judged since these places were read.
    pub judged_since: usize,
    /// When the first face that others have comes free.
    pub next_free: Option<Instant>,
}

impl Leases {
    /// Gives `annotator` the first `limit` places that nobody else has and that they did not judge before, until
    /// `now + term`; faces that they have are among them again.
    ///
    /// `places` are the top of the queue as of version `labels` of the table of labels.
    pub fn take(
        &mut self,
        annotator: &str,
        places: &[Place],
        labels: u64,
        limit: usize,
        now: Instant,
        term: Duration,
    ) -> Taken {
        self.forget_ended(now, term);
        let mut taken = Taken::default();
        for place in places {
            let face_id = &place.task.face_id;
            if self.judged.get(face_id).is_some_and(|judged| judged.version > labels) {
                taken.judged_since += 1;
                continue;
            }
            if place.judged_by.iter().any(|name| name == annotator) {
                taken.judged_before += 1;
                continue;
            }
            let others = self.held.get(face_id).filter(|lease| lease.annotator != annotator && lease.until > now);
            if let Some(lease) = others {
                taken.with_others += 1;
                taken.next_free = Some(taken.next_free.map_or(lease.until, |soonest| soonest.min(lease.until)));
                continue;
            }
            if taken.tasks.len() == limit {
                continue;
            }
            let lease = Lease { task: Some(place.task.clone()), annotator: annotator.to_owned(), until: now + term };
            self.held.insert(face_id.clone(), lease);
            taken.tasks.push(place.task.clone());
        }
        taken
    }

    /// Extends what `annotator` has to `now + term`; says for each face whether they (still) have it.
    pub fn extend(&mut self, annotator: &str, face_ids: &[String], now: Instant, term: Duration) -> Vec<bool> {
        let extend = |face_id: &String| match self.held.get_mut(face_id) {
            Some(lease) if lease.annotator == annotator => {
                lease.until = now + term;
                true
            }
            _ => false,
        };
        face_ids.iter().map(extend).collect()
    }

    /// As [`Leases::extend`], and what nobody has is `annotator`'s from now on.
    pub fn hold(&mut self, annotator: &str, face_ids: &[String], now: Instant, term: Duration) -> Vec<bool> {
        self.forget_ended(now, term);
        let hold = |face_id: &String| {
            let task = match self.held.get(face_id) {
                Some(lease) if lease.annotator == annotator => lease.task.clone(),
                Some(lease) if lease.until > now => return false,
                None if self.held.len() >= MOST_CHOSEN || !is_face_id(face_id) => return false,
                _ => None,
            };
            let lease = Lease { task, annotator: annotator.to_owned(), until: now + term };
            self.held.insert(face_id.clone(), lease);
            true
        };
        face_ids.iter().map(hold).collect()
    }

    /// Lets go of these faces, or of all, as far as `annotator` has them; says how many.
    pub fn release(&mut self, annotator: &str, face_ids: Option<&[String]>) -> usize {
        let before = self.held.len();
        self.held.retain(|face_id, lease| {
            lease.annotator != annotator || face_ids.is_some_and(|face_ids| !face_ids.contains(face_id))
        });
        before - self.held.len()
    }

    /// Notes what was judged, in this version of `labels`: whoever reads an older queue is not given these faces.
    pub fn judged(&mut self, labels: &[Label], version: u64, now: Instant) {
        for label in labels {
            let decides = label.expression.is_some() || label.verdict.as_deref() == Some("not_a_face");
            let lease = self.held.get(&label.face_id);
            if lease.is_some_and(|lease| decides || lease.annotator == label.annotator) {
                self.held.remove(&label.face_id);
            }
            self.judged.insert(label.face_id.clone(), Judged { version, at: now });
        }
        if self.judged.len() > self.forget_from.max(FORGET_FROM) {
            self.judged.retain(|_, judged| judged.at + REMEMBERED > now);
            self.forget_from = 2 * self.judged.len();
        }
    }

    /// What `annotator` has of this face, be it over or not.
    pub fn of(&self, annotator: &str, face_id: &str) -> Option<&Lease> {
        self.held.get(face_id).filter(|lease| lease.annotator == annotator)
    }

    /// Faces that somebody has now.
    pub fn count(&self, now: Instant) -> usize {
        self.held.values().filter(|lease| lease.until > now).count()
    }

    /// Somebody who comes back a little late, with nobody in between, still has what they had.
    fn forget_ended(&mut self, now: Instant, term: Duration) {
        self.held.retain(|_, lease| lease.until + term > now);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use marginalia_store::Timestamp;
    use proptest::prelude::*;

    use super::*;

    const TERM: Duration = Duration::from_secs(60);

    fn place(n: usize, judged_by: &[&str]) -> Place {
        let value = serde_json::json!({
            "rank": n + 1, "face_id": format!("{n:064x}"), "lane": "queue", "reason": "test",
            "judged_by": judged_by,
        });
        serde_json::from_value(value).expect("a place")
    }

    fn label(face: usize, annotator: &str, verdict: Option<&str>) -> Label {
        Label {
            label_id: String::new(),
            face_id: format!("{face:064x}"),
            expression: verdict.is_none().then(|| "fear".into()),
            verdict: verdict.map(str::to_owned),
            votes: None,
            annotator: annotator.into(),
            origin: "human".into(),
            lane: "queue".into(),
            round: None,
            suggestion: None,
            source: None,
            note: None,
            request_key: None,
            request_hash: None,
            seconds: None,
            created_at: Timestamp(0),
            retracts: None,
        }
    }

    fn ranks(taken: &Taken) -> Vec<u64> {
        taken.tasks.iter().map(|task| task.rank).collect()
    }

    #[test]
    fn a_lease_ends_with_its_time_and_lives_by_heartbeats() {
        let places: Vec<Place> = (0..4).map(|n| place(n, &[])).collect();
        let (mut leases, start) = (Leases::default(), Instant::now());
        assert_eq!(ranks(&leases.take("ada", &places, 1, 2, start, TERM)), [1, 2]);
        let bob = leases.take("bob", &places, 1, 4, start, TERM);
        assert_eq!((ranks(&bob), bob.with_others, bob.next_free), (vec![3, 4], 2, Some(start + TERM)));
        // Again the same, in the same order.
        assert_eq!(ranks(&leases.take("ada", &places, 1, 2, start, TERM)), [1, 2]);
        let first = [places[0].task.face_id.clone(), places[2].task.face_id.clone()];
        assert_eq!(leases.extend("ada", &first, start + TERM / 2, TERM), [true, false]);
        let later = start + TERM + Duration::from_secs(1);
        assert_eq!(leases.count(later), 1);
        // What nobody took in between is still hers.
        let second = [places[1].task.face_id.clone()];
        assert_eq!(ranks(&leases.take("eve", &places, 1, 1, later, TERM)), [2]);
        assert_eq!(leases.extend("ada", &second, later, TERM), [false]);
        assert_eq!(leases.release("ada", None), 1);
        assert_eq!(ranks(&leases.take("eve", &places, 1, 4, later, TERM)), [1, 2, 3, 4]);
    }

    #[test]
    fn what_somebody_chose_is_theirs_as_if_the_queue_had_given_it_out() {
        let places: Vec<Place> = (0..4).map(|n| place(n, &[])).collect();
        let ids: Vec<String> = places.iter().map(|place| place.task.face_id.clone()).collect();
        let (mut leases, start) = (Leases::default(), Instant::now());
        leases.take("ada", &places, 1, 1, start, TERM);
        assert_eq!(leases.hold("bob", &ids[..3], start, TERM), [false, true, true]);
        assert_eq!(leases.hold("eve", &ids, start, TERM), [false, false, false, true]);
        let ada = leases.take("ada", &places, 1, 4, start, TERM);
        assert_eq!((ranks(&ada), ada.with_others), (vec![1], 3));
        // What she was handed out stays that, though she keeps it by choice.
        assert_eq!(leases.hold("ada", &ids[..1], start, TERM), [true]);
        let of = |leases: &Leases, who: &str, n: usize| leases.of(who, &ids[n]).map(|lease| lease.task.is_some());
        assert_eq!((of(&leases, "ada", 0), of(&leases, "bob", 1)), (Some(true), Some(false)));
        // Whoever says nothing for a term loses it to whoever asks next; a judgement ends it, too.
        leases.judged(&[label(1, "bob", None)], 2, start);
        assert_eq!(leases.hold("ada", &ids[1..2], start, TERM), [true]);
        let later = start + TERM + Duration::from_secs(1);
        assert_eq!(leases.hold("eve", &ids[2..3], later, TERM), [true]);
        assert_eq!(leases.extend("bob", &ids[2..3], later, TERM), [false]);
        assert_eq!(leases.hold("eve", &["no id".to_owned()], later, TERM), [false]);
    }

    #[test]
    fn what_was_judged_is_not_given_out_by_an_older_queue() {
        let places: Vec<Place> = (0..3).map(|n| place(n, &[])).collect();
        let (mut leases, now) = (Leases::default(), Instant::now());
        leases.take("ada", &places, 5, 2, now, TERM);
        leases.judged(&[label(0, "ada", None), label(1, "ada", Some("skip"))], 6, now);
        let bob = leases.take("bob", &places, 5, 3, now, TERM);
        assert_eq!((ranks(&bob), bob.judged_since), (vec![3], 2));
        leases.release("bob", None);
        // A newer queue knows: of what ada skipped it says so, and others are given it.
        let newer = [place(1, &["ada"]), place(2, &[])];
        assert_eq!(ranks(&leases.take("bob", &newer, 6, 3, now, TERM)), [2, 3]);
        leases.release("bob", None);
        let ada = leases.take("ada", &newer, 6, 3, now, TERM);
        assert_eq!((ranks(&ada), ada.judged_before), (vec![3], 1));
        // An older reader that comes last is still refused.
        leases.release("ada", None);
        assert_eq!(ranks(&leases.take("bob", &places, 5, 3, now, TERM)), [3]);
    }

    proptest! {
        #[test]
        fn whoever_asks_in_whatever_order_the_top_is_given_out_once(
            asks in prop::collection::vec((0..5_usize, 1..4_usize), 1..30),
        ) {
            let places: Vec<Place> = (0..40).map(|n| place(n, &[])).collect();
            let (mut leases, now) = (Leases::default(), Instant::now());
            let mut hands: Vec<Vec<u64>> = vec![Vec::new(); 5];
            for (who, limit) in asks {
                let taken = ranks(&leases.take(&who.to_string(), &places, 1, limit, now, TERM));
                prop_assert!(taken.is_sorted());
                // Whoever asks for more than before keeps what they had.
                let kept: Vec<u64> = hands[who].iter().copied().take(limit).collect();
                prop_assert_eq!(&taken[..kept.len()], &kept[..]);
                if taken.len() > hands[who].len() {
                    hands[who] = taken;
                }
            }
            let all: BTreeSet<u64> = hands.iter().flatten().copied().collect();
            prop_assert_eq!(all.len(), hands.iter().map(Vec::len).sum::<usize>());
            prop_assert_eq!(all.into_iter().collect::<Vec<_>>(), (1..=leases.count(now) as u64).collect::<Vec<_>>());
        }
    }
}
