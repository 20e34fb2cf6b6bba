//! Pixels between those that are stored at half the size, as libjpeg makes them by default: three
//! quarters of the nearer one and a quarter of the other, along each axis.

use multiversion::multiversion;

/// Twice as many pixels as `row` has but for its first and last, which are neighbours.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn across(row: &[u8], out: &mut [[u8; 2]]) {
    let row = &row[..out.len() + 2];
    between(out, |x| row[x].into(), [1, 2], 2);
}

/// As [`across`], of a row of which three quarters are `near` and a quarter is `far`.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn both(near: &[u8], far: &[u8], out: &mut [[u8; 2]]) {
    let (near, far) = (&near[..out.len() + 2], &far[..out.len() + 2]);
    between(out, |x| u16::from(near[x]) * 3 + u16::from(far[x]), [8, 7], 4);
}

/// What is added before `bits` are cut off takes turns: halves are rounded up here and down there.
#[inline(always)]
fn between(out: &mut [[u8; 2]], value: impl Fn(usize) -> u16, [left, right]: [u16; 2], bits: u32) {
    for (x, out) in out.iter_mut().enumerate() {
        let this = value(x + 1) * 3;
        *out = [((this + value(x) + left) >> bits) as u8, ((this + value(x + 2) + right) >> bits) as u8];
    }
}
