// Map, by pointer and by the keyboard alone, against the real server.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.end());

const chosen = (page: Page) => page.locator("#chosen").innerText();

async function drawn(page: Page): Promise<{ x: number; y: number; width: number; height: number }> {
  await page.locator("canvas").waitFor({ timeout: 30_000 });
  await page.waitForTimeout(500);
  return (await page.locator("canvas").boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
}

/** Pixels of the canvas that are not its background. */
const inked = (page: Page) =>
  page.evaluate(() => {
    const canvas = document.querySelector("canvas");
    const pixels = canvas?.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Uint32Array(pixels?.buffer ?? new ArrayBuffer(0));
    return seen.filter((pixel) => pixel !== seen[0]).length;
  });

it("draws every face, hides a group, pans, zooms, and comes back", async () => {
  const { page, bad } = await world.open("mia", "map");
  await drawn(page);
  const faces =
    (
      await world.sql<{ n: number }>(
        "select count(*) as n from projections where round = (select max(round) from rounds where accepted)",
      )
    )[0]?.n ?? 0;
  expect(faces).toBeGreaterThan(100);
  await page.getByText(`${new Intl.NumberFormat("en-GB").format(faces)} faces`, { exact: true }).waitFor();
  const whole = await inked(page);
  expect(whole).toBeGreaterThan(faces);

  const group = page.locator(".legend [aria-pressed]").first();
  await group.click();
  expect(await group.getAttribute("aria-pressed")).toBe("false");
  await expect.poll(() => inked(page)).toBeLessThan(whole);
  await page.getByRole("button", { name: "Show all" }).click();
  await expect.poll(() => inked(page)).toBe(whole);

  await page.locator("main").focus();
  for (let n = 0; n < 30; n += 1) await page.keyboard.press("ArrowRight");
  await expect.poll(() => inked(page)).toBe(0);
  await page.keyboard.press("0");
  await expect.poll(() => inked(page)).toBe(whole);
  await page.keyboard.press("+");
  await expect.poll(() => inked(page)).not.toBe(whole);
  await page.keyboard.press("0");
  await page.keyboard.press("c");
  await expect.poll(() => page.url()).toContain("by=subset");
  expect(bad).toEqual([]);
  await page.context().close();
});

it("lassoes faces, and leads exactly them to Grid and to SQL", async () => {
  const { page, bad } = await world.open("mia", "map");
  const box = await drawn(page);
  const [left, right] = [box.x + 6, box.x + box.width / 2];
  const [top, bottom] = [box.y + 6, box.y + box.height - 6];
  await page.keyboard.press("l");
  await page.mouse.move(left, top);
  await page.mouse.down();
  const corners: [number, number][] = [[right, top], [right, bottom], [left, bottom]]; // prettier-ignore
  for (const [x, y] of corners) await page.mouse.move(x, y, { steps: 5 });
  await page.mouse.up();
  await expect.poll(() => chosen(page)).toMatch(/\d+ faces? chosen/);
  const n = Number((await chosen(page)).replace(/\D/g, ""));
  expect(n).toBeGreaterThan(20);

  await page.keyboard.press("q");
  await page.getByText(`${new Intl.NumberFormat("en-GB").format(n)} rows,`).waitFor({ timeout: 30_000 });
  await page.goBack();
  await drawn(page);

  // From the table, by the keyboard alone.
  const cell = page.locator("table .cell").first();
  await cell.focus();
  const few = Number((await cell.innerText()).replace(/\D/g, ""));
  await page.keyboard.press("Enter");
  await expect
    .poll(() => chosen(page))
    .toMatch(new RegExp(`^${new Intl.NumberFormat("en-GB").format(few)} faces? chosen`));
  await page.keyboard.press("Enter");
  await page.locator(".cell").first().waitFor({ timeout: 60_000 });
  await page.getByRole("heading", { name: "Chosen faces" }).waitFor();
  expect(page.url()).toMatch(/grid\?faces=\w{1,12}&class=\w+$/);
  const before = await page.locator("main .small.quiet .num").innerText();
  await page.reload();
  await page.locator(".cell").first().waitFor({ timeout: 60_000 });
  expect(await page.locator("main .small.quiet .num").innerText()).toBe(before);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("says what stands under the pointer, and opens it", async () => {
  const { page, bad } = await world.open("mia", "map");
  const box = await drawn(page);
  // Somewhere between the middle and the rim there is a face.
  for (let n = 0; n < 400 && (await page.locator(".plane .card").count()) === 0; n += 1) {
    const far = (n % 40) / 80;
    await page.mouse.move(
      box.x + box.width * (0.5 + far * Math.cos(n)),
      box.y + box.height * (0.5 + far * Math.sin(n)),
    );
    await page.waitForTimeout(20);
  }
  const id = (await page.locator(".plane .card b").innerText()).replace("Face ", "");
  await page.mouse.down();
  await page.mouse.up();
  await page.getByRole("heading", { name: `Face ${id}` }).waitFor();
  expect(bad).toEqual([]);
  await page.context().close();
});

it.each([
  [1280, 800],
  [2560, 1440],
])("pans 100,000 made-up faces at 30 frames a second or more in %i × %i, and says how many", async (width, height) => {
  const { page, bad } = await world.open("mia", "label", { viewport: { width, height } });
  const n = 100_000;
  const classes = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger"];
  const columns = {
    round: 2,
    face_id: Array.from({ length: n }, (_, i) => i.toString(16).padStart(12, "0").repeat(4)),
    x: [] as number[],
    y: [] as number[],
    predicted: Array.from({ length: n }, (_, i) => classes[i % 7]),
    subset: Array.from({ length: n }, (_, i) => (i % 3 === 0 ? "I" : "II")),
    confidence: Array.from({ length: n }, () => 0.7),
    label: Array.from({ length: n }, () => null),
    origin: Array.from({ length: n }, () => null),
  };
  for (let i = 0; i < n; i += 1) {
    const [turn, far] = [(i % 7) + Math.random(), Math.sqrt(Math.random())];
    columns.x.push(12 * Math.cos(turn * 0.9) + 7 * far * Math.cos(i));
    columns.y.push(12 * Math.sin(turn * 0.9) + 7 * far * Math.sin(i));
  }
  await page.route("**/api/map", (route) => route.fulfill({ json: columns }));
  await page.keyboard.press("g");
  await page.keyboard.press("m");
  const box = await drawn(page);
  await page.evaluate(() => {
    const frames: number[] = [];
    Object.assign(window, { frames });
    const tick = (at: number) => {
      frames.push(at);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.down();
  const began = Date.now();
  for (let step = 0; Date.now() - began < 4000; step += 1) {
    await page.mouse.move(x + 200 * Math.sin(step / 9), y + 120 * Math.cos(step / 7));
  }
  const frames = await page.evaluate(() => (window as unknown as { frames: number[] }).frames);
  await page.mouse.up();
  const gaps = frames
    .slice(1)
    .map((at, i) => at - (frames[i] ?? 0))
    .sort((a, b) => a - b);
  const all = gaps.reduce((sum, gap) => sum + gap, 0);
  const rate = (1000 * gaps.length) / all;
  const p95 = gaps[Math.floor(0.95 * gaps.length)] ?? 0;
  const size = `${Math.round(box.width)} × ${Math.round(box.height)}`;
  console.log(`map of ${n} faces, ${size}: ${rate.toFixed(1)} frames a second, p95 ${p95.toFixed(1)} ms`);
  // How fast it is says something only where nothing else runs.
  if (process.env["MARGINALIA_E2E_SPEED"]) expect(rate).toBeGreaterThanOrEqual(30);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("says why there is no map", async () => {
  const { page } = await world.open("mia", "label");
  const nothing = { face_id: [], x: [], y: [], predicted: [], subset: [], confidence: [], label: [], origin: [] };
  let round: number | null = null;
  await page.route("**/api/map", (route) => route.fulfill({ json: { ...nothing, round } }));
  await page.keyboard.press("g");
  await page.keyboard.press("m");
  await page.getByRole("heading", { name: "No round has run" }).waitFor();
  round = 2;
  await page.reload();
  await page.getByRole("heading", { name: "Round 2 has no map" }).waitFor();
  await page.context().close();
});
