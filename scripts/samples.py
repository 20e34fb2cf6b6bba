#!/usr/bin/env python3
"""Draws the sample pictures in files/, so that they are ours and anyone can make them again.

Needs numpy and Pillow. The output is committed; nothing in the build runs this.
"""
import pathlib
import sys

import numpy as np
from PIL import Image

OUT = pathlib.Path(__file__).resolve().parent.parent / "files"
rng = np.random.default_rng(7)


def encode(linear):
    """Linear light to 8-bit sRGB."""
    v = np.clip(linear, 0, 1)
    v = np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055)
    return (v * 255 + 0.5).astype(np.uint8)


def noise(width, height, cell, seed, stretch=1.0):
    """Smooth value noise in 0..1 with features of `cell` pixels, stretched sideways."""
    r = np.random.default_rng(seed)
    gw, gh = int(width / (cell * stretch)) + 3, int(height / cell) + 3
    grid = r.random((gh, gw))
    x = np.arange(width) / (cell * stretch)
    y = np.arange(height) / cell
    xi, yi = x.astype(int), y.astype(int)
    fx, fy = x - xi, y - yi
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    top = grid[yi][:, xi] * (1 - fx) + grid[yi][:, xi + 1] * fx
    bottom = grid[yi + 1][:, xi] * (1 - fx) + grid[yi + 1][:, xi + 1] * fx
    return top * (1 - fy[:, None]) + bottom * fy[:, None]


def fbm(width, height, cell, seed, octaves=6, gain=0.5, stretch=1.0, ridged=False):
    """Fractal sum of noise, normalised to 0..1."""
    total, amplitude, norm = np.zeros((height, width)), 1.0, 0.0
    for octave in range(octaves):
        n = noise(width, height, max(cell / 2**octave, 1.0), seed + octave, stretch)
        if ridged:
            n = 1 - np.abs(2 * n - 1)
        total += amplitude * n
        norm += amplitude
        amplitude *= gain
    return total / norm


def lake(width=1500, height=1000):
    """Evening over a mountain lake: layered ridges, haze, clouds, reflection, grain."""
    horizon = int(height * 0.60)
    y = np.linspace(0, 1, horizon)[:, None]
    zenith, low = np.array([0.05, 0.13, 0.33]), np.array([1.0, 0.48, 0.20])
    sky = zenith * (1 - y[..., None]) ** 1.3 + low * y[..., None] ** 2.2 + np.array([0.30, 0.22, 0.26]) * (
        4 * y * (1 - y))[..., None]
    sky = np.broadcast_to(sky, (horizon, width, 3)).copy()
    yy, xx = np.mgrid[0:horizon, 0:width]
    sun = np.hypot((xx - width * 0.66) / 1.0, (yy - horizon * 0.80) / 1.0) / height
    sky += np.exp(-(sun / 0.018) ** 4)[..., None] * np.array([4.0, 3.0, 1.8])
    sky += np.exp(-sun / 0.13)[..., None] * np.array([0.75, 0.38, 0.12])
    clouds = fbm(width, horizon, 150, 20, 7, 0.55, 3.2)
    cover = np.clip((clouds - 0.50) * 4.5, 0, 1) * np.clip(1.25 - y, 0, 1)
    lit = np.array([0.95, 0.55, 0.38]) * (0.35 + 0.9 * np.exp(-sun / 0.30))[..., None] + np.array([0.07, 0.07, 0.11])
    sky = sky * (1 - 0.8 * cover[..., None]) + lit * 0.8 * cover[..., None]
    land = sky
    ridges = [(0.66, 0.26, 330, 0.66), (0.76, 0.20, 240, 0.40), (0.87, 0.15, 160, 0.16), (0.97, 0.09, 90, 0.03)]
    for i, (base, swing, cell, haze) in enumerate(ridges):
        line = fbm(width, 1, cell, 60 + 9 * i, 8, 0.52)[0]
        top = (base - swing * (line - 0.35) * 1.8) * horizon
        depth = yy - top[None, :]
        inside = np.clip(depth + 0.5, 0, 1)
        rock = fbm(width, horizon, 70 - 12 * i, 100 + 9 * i, 7, 0.62, 1.0, ridged=True)
        slope = np.gradient(rock, axis=1) * 9
        light = np.clip(0.45 + slope * 1.3 + (rock - 0.55) * 2.2, 0.03, 1.9)
        stone = np.array([0.20, 0.16, 0.15]) * light[..., None]
        trees = np.array([0.020, 0.045, 0.022]) * (0.5 + fbm(width, horizon, 9, 300 + i, 3)[..., None])
        wood = np.clip((depth / horizon - 0.03 + (rock - 0.5) * 0.22) * 12, 0, 1)[..., None] * (0.30 + 0.23 * i)
        snow = (np.clip((0.10 - depth / horizon + (rock - 0.6) * 0.25) * 14, 0, 1) * (i < 2))[..., None]
        ground = stone * (1 - wood) + trees * wood
        ground = ground * (1 - snow) + np.array([0.75, 0.62, 0.62]) * light[..., None] * snow
        air = np.array([0.46, 0.34, 0.40]) + np.array([0.55, 0.26, 0.02]) * np.exp(-sun / 0.28)[..., None]
        ground = ground * (1 - haze) + air * haze
        land = land * (1 - inside[..., None]) + ground * inside[..., None]
    rows = height - horizon
    d = np.arange(rows)
    wave = fbm(width, rows, 8, 500, 4, 0.6, 6.0) - 0.5
    mirror = np.clip(horizon - 1 - d[:, None] * 1.25 - wave * (4 + d[:, None] * 0.14), 0, horizon - 1).astype(int)
    shift = np.clip(np.arange(width)[None, :] + wave * (3 + d[:, None] * 0.03), 0, width - 1).astype(int)
    water = land[mirror, shift] * np.array([0.62, 0.68, 0.74])
    water *= (1 - 0.55 * (d / rows)[:, None, None])
    water += np.clip(wave - 0.13, 0, 1)[..., None] * np.array([0.9, 0.6, 0.45]) * 0.8
    picture = np.concatenate([land, water])
    vy, vx = np.mgrid[0:height, 0:width]
    vignette = 1 - 0.35 * ((vx / width - 0.5) ** 2 + (vy / height - 0.5) ** 2) * 2
    picture = picture * vignette[..., None] + rng.normal(0, 0.006, picture.shape)
    picture = np.clip(picture, 0, None)
    return encode(1.18 * picture**1.18)


SPHERES = [  # centre x, y (up), z (away), radius, colour, mirror
    (-1.55, 0.80, 0.3, 0.80, (0.62, 0.05, 0.04), 0.10),
    (0.25, 1.05, 1.3, 1.05, (0.80, 0.80, 0.82), 0.75),
    (1.75, 0.62, 0.1, 0.62, (0.03, 0.18, 0.55), 0.12),
    (0.35, 0.40, -0.9, 0.40, (0.90, 0.55, 0.04), 0.10),
    (-0.45, 0.30, -1.2, 0.30, (0.04, 0.40, 0.14), 0.12),
    (1.05, 0.25, -1.5, 0.25, (0.75, 0.16, 0.42), 0.10),
    (-1.35, 0.24, -1.5, 0.24, (0.86, 0.86, 0.80), 0.05),
    (2.75, 0.95, 2.0, 0.95, (0.10, 0.45, 0.48), 0.15),
    (-3.05, 1.10, 2.2, 1.10, (0.85, 0.62, 0.30), 0.10),
]


def marbles(width=1280, height=854, samples=20):
    """Marbles on a wooden table, ray traced with soft shadows, reflections and depth of field."""
    grain = fbm(1024, 1024, 24, 900, 6, 0.6, 26.0)
    centres = np.array([s[:3] for s in SPHERES])
    radii = np.array([s[3] for s in SPHERES])
    colours = np.array([s[4] for s in SPHERES])
    mirrors = np.array([s[5] for s in SPHERES])

    def sky(d):
        up = np.clip(d[:, 1], 0, 1)[:, None]
        c = np.array([0.55, 0.50, 0.46]) * (1 - up) + np.array([0.30, 0.38, 0.52]) * up
        window = (np.abs(d[:, 0] + 0.45) < 0.30) & (np.abs(d[:, 1] - 0.62) < 0.22) & (d[:, 2] < 0.3)
        return c + window[:, None] * np.array([6.5, 6.0, 5.2])

    def hit(o, d):
        t = np.full(len(o), np.inf)
        which = np.full(len(o), -1)
        for i in range(len(radii)):
            oc = o - centres[i]
            b = (oc * d).sum(1)
            disc = b * b - (oc * oc).sum(1) + radii[i] ** 2
            root = np.sqrt(np.maximum(disc, 0))
            near = -b - root
            ok = (disc > 0) & (near > 1e-3) & (near < t)
            t = np.where(ok, near, t)
            which = np.where(ok, i, which)
        with np.errstate(divide="ignore", invalid="ignore"):
            floor = -o[:, 1] / d[:, 1]
        ok = (floor > 1e-3) & (floor < t) & (d[:, 1] < 0)
        t = np.where(ok, floor, t)
        return t, np.where(ok, len(radii), which)

    def shade(o, d, depth):
        t, which = hit(o, d)
        out = sky(d)
        seen = which >= 0
        if not seen.any():
            return out
        o, d, t, which = o[seen], d[seen], t[seen], which[seen]
        p = o + d * t[:, None]
        table = which == len(radii)
        ball = np.minimum(which, len(radii) - 1)
        n = np.where(table[:, None], [0.0, 1.0, 0.0], (p - centres[ball]) / radii[ball][:, None])
        u = (np.floor(p[:, 0] * 140).astype(int)) % 1024
        v = (np.floor(p[:, 2] * 140).astype(int)) % 1024
        plank = 0.80 + 0.30 * np.sin(np.floor(p[:, 2] / 0.9) * 12.9898)
        seam = 1 - 0.6 * (np.abs((p[:, 2] / 0.9) % 1 - 0.5) > 0.488)
        g = grain[v, u]
        wood = (np.array([0.34, 0.17, 0.075]) * (0.35 + 1.25 * g)[:, None]) * (plank * seam)[:, None]
        albedo = np.where(table[:, None], wood, colours[ball])
        light = np.array([-3.2, 5.5, -2.5]) + rng.normal(0, 0.75, p.shape)
        to = light - p
        distance = np.linalg.norm(to, axis=1)
        to /= distance[:, None]
        facing = np.clip((n * to).sum(1), 0, 1)
        blocked, _ = hit(p + n * 2e-3, to)
        shadow = np.where(blocked < distance, 0.0, 1.0)
        # ambient occlusion by one cosine-weighted ray
        r = rng.normal(size=p.shape)
        r = n + r / np.linalg.norm(r, axis=1)[:, None]
        r /= np.linalg.norm(r, axis=1)[:, None] + 1e-9
        far, _ = hit(p + n * 2e-3, r)
        ambient = np.where(far < 3.0, 0.25, 1.0)[:, None] * np.array([0.42, 0.44, 0.50])
        c = albedo * (ambient + (facing * shadow * 38 / (distance**2))[:, None] * np.array([1.0, 0.92, 0.80]))
        half = to - d
        half /= np.linalg.norm(half, axis=1)[:, None]
        gloss = np.clip((n * half).sum(1), 0, 1) ** 160 * shadow
        c += (gloss * np.where(table, 0.08, 1.6))[:, None]
        if depth > 0:
            cosine = np.clip(-(n * d).sum(1), 0, 1)
            fresnel = 0.03 + 0.97 * (1 - cosine) ** 5
            m = np.where(table, 0.10 * fresnel + 0.02, np.maximum(mirrors[ball], fresnel * 0.8))[:, None]
            bounce = d - 2 * (n * d).sum(1)[:, None] * n + np.where(table[:, None], rng.normal(0, 0.05, d.shape), 0)
            bounce /= np.linalg.norm(bounce, axis=1)[:, None]
            c = c * (1 - m) + shade(p + n * 2e-3, bounce, depth - 1) * m
        fog = np.clip((t - 7) / 14, 0, 1)[:, None]
        out[seen] = c * (1 - fog) + np.array([0.36, 0.32, 0.30]) * fog
        return out

    eye, focus = np.array([0.25, 2.15, -6.6]), 6.0
    total = np.zeros((height * width, 3))
    for _ in range(samples):
        y, x = np.mgrid[0:height, 0:width].astype(float)
        x = (x + rng.random(x.shape) - width / 2) / width
        y = (height / 2 - y - rng.random(y.shape)) / width
        target = np.stack([x * 0.86, y * 0.86 - 0.20, np.ones_like(x)], -1).reshape(-1, 3) * focus
        lens = rng.normal(0, 0.045, (len(target), 2))
        o = eye + np.concatenate([lens, np.zeros((len(target), 1))], 1)
        d = eye + target - o
        d /= np.linalg.norm(d, axis=1)[:, None]
        total += shade(o, d, 2)
    picture = (total / samples).reshape(height, width, 3)
    picture = picture / (picture + 0.75) * 1.45
    return encode(picture + rng.normal(0, 0.005, picture.shape))


def leaf(width=560, height=560):
    """A leaf cut out: soft alpha around, veins, gradients. RGBA."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    u, v = (x - width / 2) / (width * 0.46), (y - height * 0.5) / (height * 0.46)
    a = np.deg2rad(35)
    u, v = u * np.cos(a) + v * np.sin(a), -u * np.sin(a) + v * np.cos(a)
    half = 0.52 * np.clip(1 - v**2, 0, 1) ** 0.75 * (1 - 0.28 * v)
    edge = half * (1 + 0.03 * np.sin(v * 60)) - np.abs(u)
    alpha = np.clip(edge * width * 0.23 + 0.5, 0, 1) * (np.abs(v) < 1)
    stalk = np.clip((0.018 - np.abs(u - 0.02)) * 200, 0, 1) * (v > 0.8) * (v < 1.18)
    alpha = np.maximum(alpha, stalk)
    vein = np.exp(-(np.abs(u) / 0.010) ** 1.4)
    ribs = np.abs(((v + np.abs(u) * 0.75) * 7.5) % 1 - 0.5)
    vein = np.maximum(vein, np.exp(-(ribs / 0.035) ** 1.6) * 0.65)
    blotch = fbm(width, height, 120, 40, 6)
    green, red = np.array([0.10, 0.30, 0.03]), np.array([0.62, 0.10, 0.02])
    mix = np.clip((blotch - 0.42) * 3.4 + v * 0.45, 0, 1)[..., None]
    colour = green * (1 - mix) + red * mix
    colour = colour * (0.72 + 0.5 * fbm(width, height, 14, 70, 4)[..., None])
    colour = colour * (1 - 0.55 * vein[..., None]) + np.array([0.72, 0.62, 0.20]) * 0.55 * vein[..., None]
    colour *= (1 - 0.35 * np.clip(u * 1.2, -0.6, 0.8))[..., None]
    return np.dstack([encode(colour), (alpha * 255 + 0.5).astype(np.uint8)])


def card(width=640, height=480):
    """A test card: gradients, colour bars, fine lines, a circle."""
    y, x = np.mgrid[0:height, 0:width]
    out = np.full((height, width, 3), 118, np.uint8)
    out[((x // 40) + (y // 40)) % 2 == 0] = 138
    bars = [(235, 235, 235), (235, 235, 16), (16, 235, 235), (16, 235, 16), (235, 16, 235), (235, 16, 16), (16, 16, 235)]
    for i, bar in enumerate(bars):
        out[40:200, 40 + i * 80:120 + i * 80] = bar
    out[200:260, 40:600] = np.linspace(0, 255, 560).astype(np.uint8)[None, :, None]
    for i in range(7):
        part = out[260:340, 40 + i * 80:120 + i * 80]
        part[:] = np.where((np.arange(80) // (i + 1)) % 2, 0, 255).astype(np.uint8)[None, :, None]
    hue = (np.arange(560) / 560 * 6)[None, :, None] + np.array([0, 4, 2])
    out[340:440, 40:600] = (np.clip(np.abs(hue % 6 - 3) - 1, 0, 1) * 255).astype(np.uint8)
    ring = np.abs(np.hypot(x - width / 2, y - height / 2) - 200) < 2
    out[ring] = 255
    return out


def main():
    OUT.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or ["lake", "marbles", "leaf", "card"]
    if "lake" in wanted:
        Image.fromarray(lake()).save(OUT / "lake.jpg", quality=88, subsampling=2)
    if "marbles" in wanted:
        Image.fromarray(marbles()).save(OUT / "marbles.jpg", quality=90, subsampling=2, progressive=True)
    if "leaf" in wanted:
        Image.fromarray(leaf(), "RGBA").save(OUT / "leaf.png", optimize=True)
    if "card" in wanted:
        Image.fromarray(card()).save(OUT / "card.png", optimize=True)


if __name__ == "__main__":
    main()
