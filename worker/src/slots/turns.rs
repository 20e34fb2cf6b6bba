//! The order in which jobs that have their input get slots.
//!
//! Hosts take turns, so that many pictures of one site do not keep those of others waiting. The queue takes turns with
//! all hosts together: whichever side has computed for less time since both have jobs is next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Values that wait, by host. Each host is first in, first out.
#[derive(Debug)]
pub(super) struct Turns<T> {
    /// The host in front is next. None is empty.
    hosts: VecDeque<(Arc<str>, VecDeque<T>)>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Turns { hosts: VecDeque::new() }
    }
}

impl<T> Turns<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    pub(super) fn push(&mut self, host: &str, value: T) {
        match self.hosts.iter_mut().find(|(known, _)| **known == *host) {
            Some((_, values)) => values.push_back(value),
            None => self.hosts.push_back((host.into(), VecDeque::from([value]))),
        }
    }

    /// Takes the first value of the next host, which is the last one from then on.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (host, mut values) = self.hosts.pop_front()?;
        let value = values.pop_front();
        if !values.is_empty() {
            self.hosts.push_back((host, values));
        }
        value
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.hosts.retain_mut(|(_, values)| {
            values.retain(&keep);
            !values.is_empty()
        });
    }
}

/// The way by which an urgent job came to its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Straight from its queue.
    Queue,
    /// It has waited for an origin.
    Host,
}

/// The time for which each side has had slots while both wanted them.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// When jobs that came back began to wait; `None` = none waits.
    since: Option<Instant>,
    /// Jobs that have a slot: number, side, since when.
    running: Vec<(u64, Side, Instant)>,
    next: u64,
    queue: Duration,
    host: Duration,
}

impl Times {
    /// Notes whether jobs that came back wait.
    pub(super) fn contend(&mut self, contended: bool, now: Instant) {
        match (contended, self.since) {
            (true, None) => (self.since, self.queue, self.host) = (Some(now), Duration::ZERO, Duration::ZERO),
            (false, Some(_)) => self.since = None,
            _ => {}
        }
    }

    /// Notes that a job got a slot; returns the job's number.
    pub(super) fn start(&mut self, side: Side, now: Instant) -> u64 {
        self.next += 1;
        self.running.push((self.next, side, now));
        self.next
    }

    /// Notes that the job gave its slot back.
    pub(super) fn end(&mut self, number: u64, now: Instant) {
        let Some(at) = self.running.iter().position(|(running, ..)| *running == number) else { return };
        let (_, side, began) = self.running.swap_remove(at);
        if let Some(since) = self.since {
            *self.of(side) += now.saturating_duration_since(began.max(since));
        }
    }

    fn of(&mut self, side: Side) -> &mut Duration {
        match side {
            Side::Queue => &mut self.queue,
            Side::Host => &mut self.host,
        }
    }

    /// True if the queue had slots for less time than jobs that came back.
    pub(super) fn queue_is_next(&self, now: Instant) -> bool {
        let Some(since) = self.since else { return true };
        let total = |side, ended: Duration| {
            let running = self.running.iter().filter(|(_, running, _)| *running == side);
            ended + running.map(|(.., began)| now.saturating_duration_since((*began).max(since))).sum::<Duration>()
        };
        total(Side::Queue, self.queue) < total(Side::Host, self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_take_turns() {
        let mut turns = Turns::default();
        for (host, value) in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5), ("b", 6)] {
            turns.push(host, value);
        }
        turns.retain(|value| *value != 5);
        let order: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(order, [1, 4, 2, 6, 3]);
        assert!(turns.is_empty());
    }

    #[test]
    fn the_side_with_less_time_is_next() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut times = Times::default();
        let before = times.start(Side::Queue, at(0));
        times.contend(true, at(500));
        let host = times.start(Side::Host, at(500));
        times.end(before, at(510));
        assert!(!times.queue_is_next(at(510)), "time before both wanted slots does not count");
        assert!(times.queue_is_next(at(610)), "10 ms against 110 ms of a job that still runs");
        times.end(host, at(610));
        // Many short jobs of the queue go beside one long job.
        for begin in (610..710).step_by(10) {
            assert!(times.queue_is_next(at(begin)));
            let short = times.start(Side::Queue, at(begin));
            times.end(short, at(begin + 10));
        }
        let short = times.start(Side::Queue, at(710));
        assert!(!times.queue_is_next(at(711)));
        times.end(short, at(711));
        assert!(!times.queue_is_next(at(711)));
        times.contend(false, at(711));
        times.contend(true, at(712));
        let host = times.start(Side::Host, at(712));
        assert!(times.queue_is_next(at(713)), "what was before is forgotten");
        times.end(host, at(713));
    }
}
