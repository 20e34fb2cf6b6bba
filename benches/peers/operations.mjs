// One operation of sharp on one picture, in a process of its own.
// node operations.mjs NAME PICTURE RUNS: prints {"cpu_ms": [..], "peak_bytes": n}.
import { readFileSync } from "node:fs";
import sharp from "sharp";

const [name, picture, runs] = process.argv.slice(2);
sharp.concurrency(1);
sharp.cache(false);

const { data, info } = await sharp(picture).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
const raw = () => sharp(data, { raw: { width: info.width, height: info.height, channels: 4 } });
const operations = {
  "gegl/scale-size-keepaspect": () => raw().resize(400),
  "imgflo/resize": () => raw().resize(400),
  "gegl/rotate-on-center": () => raw().rotate(-30, { background: { r: 0, g: 0, b: 0, alpha: 0 } }),
  "gegl/gaussian-blur": () => raw().blur(25),
  "gegl/gray": () => raw().grayscale(),
  "gegl/brightness-contrast": () => raw().linear(1.2, 10),
  "gegl/crop": () => raw().extract({ left: 100, top: 100, width: 1000, height: 600 }),
  "gegl/edge-sobel": () => raw().convolve({ width: 3, height: 3, kernel: [-1, 0, 1, -2, 0, 2, -1, 0, 1] }),
};
const cpu_ms = [];
for (let i = 0; i <= Number(runs); i++) {
  const before = process.cpuUsage();
  await operations[name]().raw().toBuffer();
  const { user, system } = process.cpuUsage(before);
  if (i > 0) cpu_ms.push((user + system) / 1000);
}
const status = readFileSync("/proc/self/status", "utf8");
console.log(JSON.stringify({ cpu_ms, peak_bytes: Number(/VmHWM:\s+(\d+)/.exec(status)[1]) * 1024 }));
