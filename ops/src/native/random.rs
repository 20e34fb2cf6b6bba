//! GEGL's random numbers (`gegl-random.c`): a function of place and seed, so every part of a
//! picture can be computed apart and is the same each time.

use std::sync::LazyLock;

use rand_mt::Mt;

/// Length of the table of random words: the sum of its three largest periods.
const WORDS: usize = 15101 + 15101 + 15101;

/// GEGL's table: the first outputs of a Mersenne Twister.
static DATA: LazyLock<Box<[u32]>> = LazyLock::new(|| {
    let mut twister = Mt::new(42);
    (0..WORDS).map(|_| twister.next_u32()).collect()
});

/// GEGL's periods: the primes from 10007 to 15101, of which it misses two.
static PRIMES: LazyLock<Box<[u64]>> = LazyLock::new(|| {
    let is_prime = |n: u64| (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    (10007..=15101).filter(|n| is_prime(*n) && ![14669, 14683].contains(n)).collect()
});

/// Random numbers by place: GEGL's `GeglRandom` for one seed.
#[derive(Debug)]
pub(super) struct Random {
    periods: [Period; 3],
    data: &'static [u32],
}

impl Random {
    pub(super) fn new(seed: u32) -> Self {
        let primes = &*PRIMES;
        let (seed, count) = (seed as usize, primes.len());
        let mut a = (seed % count + 42) % count;
        let mut b = (seed / count % count + 212) % count;
        let c = (seed / count / count % count + 17) % count;
        while a == b || a == c {
            a = (a + 1) % count;
        }
        while b == a || b == c {
            b = (b + 1) % count;
        }
        Random { periods: [a, b, c].map(|index| Period::new(primes[index])), data: &DATA }
    }

    /// Number `n` at (x, y), 0..=1 in 65536 steps.
    pub(super) fn get(&self, x: i32, y: i32, n: i32) -> f64 {
        let index = index(x, y, n);
        self.at(self.rests(index))
    }

    /// All numbers at (x, y) in turn, from number 0 on: each costs less than by [`Random::get`].
    pub(super) fn draws(&self, x: i32, y: i32) -> Draws<'_> {
        let index = index(x, y, 0);
        Draws { random: self, index, rests: self.rests(index) }
    }

    /// The index modulo each of the periods.
    #[inline(always)]
    fn rests(&self, index: u64) -> [usize; 3] {
        let [p, q, r] = &self.periods;
        [p.rest(index), q.rest(index), r.rest(index)]
    }

    #[inline(always)]
    fn at(&self, [p, q, r]: [usize; 3]) -> f64 {
        let [first, second, _] = self.periods.each_ref().map(|period| period.prime as usize);
        let word = self.data[p] ^ self.data[first + q] ^ self.data[first + second + r];
        // In single precision, as GEGL returns it.
        f64::from((f64::from(word & 0xffff) * 0.000_015_259_021_896_696_422) as f32)
    }
}

/// How far apart the indices of neighbouring numbers are.
const X: u64 = 103_423;
const Y: u64 = 101_359 * X;
const N: u64 = Y.wrapping_mul(101_111);

/// Where number `n` at (x, y) lies. Negative numbers are extended to 64 bits, then all wraps.
#[inline(always)]
fn index(x: i32, y: i32, n: i32) -> u64 {
    let [x, y, n] = [x, y, n].map(|v| i64::from(v) as u64);
    x.wrapping_mul(X).wrapping_add(y.wrapping_mul(Y)).wrapping_add(n.wrapping_mul(N))
}

/// The random numbers at one place, in turn.
#[derive(Debug)]
pub(super) struct Draws<'a> {
    random: &'a Random,
    /// Of the next number.
    index: u64,
    rests: [usize; 3],
}

impl Draws<'_> {
    /// The next one, 0..=1 in 65536 steps.
    #[inline(always)]
    pub(super) fn next(&mut self) -> f64 {
        let number = self.random.at(self.rests);
        let (index, wraps) = self.index.overflowing_add(N);
        self.index = index;
        if wraps {
            self.rests = self.random.rests(index);
        } else {
            for (rest, period) in self.rests.iter_mut().zip(&self.random.periods) {
                let next = *rest + period.step;
                *rest = if next >= period.prime as usize { next - period.prime as usize } else { next };
            }
        }
        number
    }
}

/// A prime with what makes dividing by it quick.
#[derive(Debug)]
struct Period {
    prime: u64,
    /// floor(2^64 / prime), for a prime above 2.
    inverse: u64,
    /// How far number n + 1 is from number n, modulo the prime.
    step: usize,
}

impl Period {
    fn new(prime: u64) -> Self {
        Period { prime, inverse: u64::MAX / prime, step: (N % prime) as usize }
    }

    /// `value` modulo the prime.
    fn rest(&self, value: u64) -> usize {
        // The estimate of the quotient is right or 1 too small.
        let quotient = ((u128::from(value) * u128::from(self.inverse)) >> 64) as u64;
        let rest = value - quotient * self.prime;
        (if rest >= self.prime { rest - self.prime } else { rest }) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_gegls() {
        // The first outputs of MT19937 with seed 42, as any implementation gives them.
        assert_eq!(DATA[..3], [1_608_637_542, 3_421_126_067, 4_083_286_876]);
        assert_eq!(DATA.len(), 45303);
        assert_eq!((PRIMES.len(), PRIMES[0], PRIMES[532]), (533, 10007, 15101));
        let primes = |seed| Random::new(seed).periods.map(|period| period.prime);
        assert_eq!(primes(0), [10369, 12041, 10159]);
        // Seed 170 makes a = b at first: 170 + 42 = 212.
        let [a, b, c] = primes(170);
        assert_eq!((a, b, c), (PRIMES[213], PRIMES[212], PRIMES[17]));
        for seed in [1, 532, 533, 1_000_003, u32::MAX] {
            let [a, b, c] = primes(seed);
            assert!(a != b && b != c && a != c, "{seed}");
        }
    }

    #[test]
    fn the_quick_rest_is_the_rest() {
        for prime in [10007, 10369, 12041, 15101] {
            let period = Period::new(prime);
            let mut value = 1u64;
            for _ in 0..10_000 {
                value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                assert_eq!(period.rest(value) as u64, value % prime);
            }
            for value in [0, 1, prime - 1, prime, prime + 1, u64::MAX - 1, u64::MAX, u64::MAX / prime * prime] {
                assert_eq!(period.rest(value) as u64, value % prime);
            }
        }
    }

    #[test]
    fn random_numbers_by_hand() {
        let random = Random::new(0);
        let by_hand = |index: u64| {
            let word = DATA[(index % 10369) as usize]
                ^ DATA[10369 + (index % 12041) as usize]
                ^ DATA[10369 + 12041 + (index % 10159) as usize];
            f64::from((word & 0xffff) as f32 / 65535.0)
        };
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-7, "{a} {b}");
        near(random.get(0, 0, 0), by_hand(0));
        near(random.get(1, 0, 0), by_hand(103_423));
        near(random.get(0, 1, 0), by_hand(103_423 * 101_359));
        near(random.get(0, 0, 1), by_hand(103_423 * 101_359 * 101_111));
        // -1 is 2^64 - 1.
        near(random.get(-1, 0, 0), by_hand(0u64.wrapping_sub(103_423)));
        near(random.get(-3, 7, 1000), {
            let index = -3i128 * 103_423 + 7 * 103_423 * 101_359 + 1000 * 103_423 * 101_359 * 101_111;
            by_hand(index.rem_euclid(1 << 64) as u64)
        });
    }
    #[test]
    fn numbers_in_turn_are_those_by_place() {
        let random = Random::new(1234);
        for (x, y) in [(0, 0), (-1, 0), (5, -3), (i32::MAX, i32::MIN), (-1_000_000, 7)] {
            let mut draws = random.draws(x, y);
            assert!((0..300).all(|n| draws.next() == random.get(x, y, n)), "({x}, {y})");
        }
    }
}
