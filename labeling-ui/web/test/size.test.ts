// What the first load of Label weighs, and what the parts do that are fetched later: from the manifest of the build.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";

interface Chunk {
  file: string;
  imports?: string[];
  css?: string[];
}
if (!existsSync("dist/.vite/manifest.json")) throw new Error("run `npm run build` first: its result is weighed here");
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

it("keeps the first load within 120 kB and eight files", () => {
  const font = readdirSync("dist/assets").find((name) => /latin-wght/.test(name));
  const first = ["index.html", "favicon.svg", `assets/${font}`, ...reached("index.html")];
  const total = first.reduce((sum, file) => sum + weight(file), 0);
  console.log(`first load of Label: ${(total / 1000).toFixed(1)} kB in ${first.length} files`);
  expect(total).toBeLessThanOrEqual(120_000);
  expect(first.length).toBeLessThanOrEqual(8);
});

it.each([
  ["src/charts/plot.ts", 95_000],
  ["src/pages/sql/editor.ts", 125_000],
  ["src/pages/map/Map.svelte", 10_000],
])("keeps %s within its %i bytes", (name, most) => {
  const file = manifest[name]?.file;
  expect(file, "part of the build").toBeDefined();
  const size = weight(file ?? "");
  console.log(`${name}: ${(size / 1000).toFixed(1)} kB`);
  expect(size).toBeLessThanOrEqual(most);
});
