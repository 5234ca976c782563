// What the first load of Label weighs, from the build's manifest, and what it costs in requests and shifts.

import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, it } from "vitest";
import { faceInView, World } from "./world.ts";

interface Chunk {
  file: string;
  name?: string;
  imports?: string[];
  css?: string[];
}
const manifest = JSON.parse(readFileSync("dist/.vite/manifest.json", "utf8")) as Record<string, Chunk>;

function weight(file: string): number {
  const bytes = readFileSync(`dist/${file}`);
  return file.endsWith(".woff2") ? bytes.length : gzipSync(bytes, { level: 9 }).length;
}

function reached(key: string, files = new Set<string>()): Set<string> {
  const chunk = manifest[key];
  if (!chunk || files.has(chunk.file)) return files;
  files.add(chunk.file);
  for (const css of chunk.css ?? []) files.add(css);
  for (const next of chunk.imports ?? []) reached(next, files);
  return files;
}

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.end());

it("keeps the first load within 120 kB, and lazy parts within theirs", () => {
  const font = readdirSync("dist/assets").find((name) => /latin-wght/.test(name));
  const first = ["index.html", "favicon.svg", `assets/${font}`, ...reached("index.html")];
  const total = first.reduce((sum, file) => sum + weight(file), 0);
  console.log(`first load of Label: ${(total / 1000).toFixed(1)} kB in ${first.length} files`);
  expect(total).toBeLessThanOrEqual(120_000);
  expect(first.length).toBeLessThanOrEqual(8);
  for (const [name, most] of [
    ["src/charts/plot.ts", 95_000],
    ["src/pages/sql/editor.ts", 125_000],
    ["src/pages/map/Map.svelte", 10_000],
  ] as const) {
    const size = weight(manifest[name]?.file ?? "");
    console.log(`${name}: ${(size / 1000).toFixed(1)} kB`);
    expect(size).toBeLessThanOrEqual(most);
  }
});

it("moves nothing and blocks nothing while Label is used", async () => {
  const { page, bad } = await world.open("cls");
  const files: string[] = [];
  page.on("request", (request) => files.push(new URL(request.url()).pathname));
  await page.reload();
  await page.evaluate(() => {
    const seen = { shift: 0, long: 0 };
    Object.assign(window, { seen });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const { value, hadRecentInput } = entry as PerformanceEntry & { value: number; hadRecentInput: boolean };
        // What a key press changes is meant to change; what moves by itself is counted.
        if (!hadRecentInput) seen.shift += value;
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  await faceInView(page);
  await page.waitForTimeout(1200);
  for (let n = 0; n < 5; n += 1) {
    await faceInView(page);
    await page.keyboard.press("2");
    await page.waitForTimeout(900);
  }
  const shift = await page.evaluate(() => (window as unknown as { seen: { shift: number } }).seen.shift);
  const assets = files.filter((path) => !path.startsWith("/api/") && path !== "/sw.js");
  console.log(`layout shift ${shift.toFixed(4)}; assets asked for: ${new Set(assets).size}`);
  expect(shift).toBeLessThan(0.001);
  expect(bad).toEqual([]);
  await page.context().close();
});
