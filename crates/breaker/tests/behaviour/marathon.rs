//! The adversary at length: every event there is, at random, for as many events as it takes to believe it.
//!
//! Alone, it plays each event on both forms side by side, which must answer alike, and on each for itself with a clock that
//! also steps back; then with several threads on one breaker. 200,000 events; with `FUSEBOX_PROVE` set, ten million.
//! A failure tells the seed; `FUSEBOX_SEED` plays that one again.

use fusebox_breaker::Settings;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::adversary::Adversary;
use crate::forms::{Pure, Shared};
use crate::ops::{Op, op, settings};
use crate::same_as_machine::Pair;

/// How many events.
pub fn events() -> u64 {
    if std::env::var_os("FUSEBOX_PROVE").is_some() {
        10_000_000
    } else {
        200_000
    }
}

/// The seeds of all lives, or the one that is asked for.
pub fn seeds(lives: u64) -> Vec<u64> {
    match std::env::var("FUSEBOX_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..lives).collect(),
    }
}

/// Random values of a strategy, made once and drawn again and again: making them costs more than playing them.
#[derive(Clone)]
pub struct Deck<T> {
    cards: Vec<T>,
    random: fastrand::Rng,
}

impl<T: Clone> Deck<T> {
    pub fn new(seed: u64, size: usize, strategy: impl Strategy<Value = T>) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), random);
        let mut draw = || strategy.new_tree(&mut runner).unwrap().current();
        Deck {
            cards: (0..size).map(|_| draw()).collect(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Draws from now on as that seed has it.
    pub fn begin(&mut self, seed: u64) {
        self.random.seed(seed);
    }

    pub fn draw(&mut self) -> T {
        self.cards[self.random.usize(..self.cards.len())].clone()
    }
}

/// Events enough for a thousand lives, in many more orders.
const CARDS: usize = 5_000;

/// How many events one breaker lives through.
const LIFE: u64 = 1_000;

/// A machine is looked at in full after so many events: looking costs more than playing.
const LOOKS: u64 = 20;

fn live(seed: u64, settings: Settings, ops: &mut Deck<Op>) -> Result<(), TestCaseError> {
    let mut pair = Pair::new(settings.clone());
    let mut pure = Adversary::<Pure>::new(settings.clone(), seed);
    let mut shared = Adversary::<Shared>::new(settings, seed);
    ops.begin(seed);
    for event in 0..LIFE {
        let op = ops.draw();
        pair.play(op.clone())?;
        if event % LOOKS == 0 {
            pair.look()?;
        }
        pure.play(op.clone())?;
        shared.play(op)?;
    }
    pair.look()?;
    pure.comes_back()?;
    shared.comes_back()
}

#[test]
fn a_long_run_of_random_events_finds_both_forms_alike_sound_and_able_to_come_back() {
    let mut ops = Deck::new(1, CARDS, op());
    let mut all = Deck::new(2, CARDS, settings());
    for seed in seeds(events() / LIFE) {
        all.begin(seed);
        if let Err(broken) = live(seed, all.draw(), &mut ops) {
            panic!("{broken}\nplay it again with FUSEBOX_SEED={seed}");
        }
    }
}

#[test]
fn a_deck_of_one_seed_is_always_the_same() {
    let draws = |seed| {
        let mut deck = Deck::new(seed, 50, 0..1_000u32);
        (0..20).map(|_| deck.draw()).collect::<Vec<_>>()
    };
    assert_eq!(draws(7), draws(7));
    assert_ne!(draws(7), draws(8));
}
