// Label, by the keyboard alone, against the real server.

import { afterAll, beforeAll, expect, it } from "vitest";
import { faceInView, isPast, skipTo, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.end());

it("labels by one key, undoes across a reload, and says again", async () => {
  const { page, bad } = await world.open("eve");
  const first = await faceInView(page);
  await page.keyboard.press("3");
  await isPast(page, first);
  const second = await faceInView(page);
  await page.keyboard.press("s");
  await isPast(page, second);
  await page.getByText("All saved").waitFor();
  const mine = "from current_labels where annotator = 'eve'";
  await expect.poll(() => world.sql(`select expression, verdict ${mine} order by created_at`)).toHaveLength(2);

  await page.reload();
  await faceInView(page);
  await page.keyboard.press("Control+z");
  await page.waitForFunction((src) => document.querySelector(".stage img")?.getAttribute("src") === src, second);
  await page.keyboard.press("Control+z");
  await page.waitForFunction((src) => document.querySelector(".stage img")?.getAttribute("src") === src, first);
  await expect.poll(() => world.sql(`select * ${mine}`), { timeout: 10_000 }).toHaveLength(0);

  await page.keyboard.press("Control+Shift+z");
  await expect.poll(() => world.sql(`select expression ${mine}`), { timeout: 10_000 }).toHaveLength(1);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("hides the model's word of an audited face, and Enter says so", async () => {
  const { page } = await world.open("ann");
  const before = await skipTo(page, "Checked blind");
  expect(await page.getByText("Checked blind: judge it without the model.").count()).toBe(1);
  expect(await page.locator(".keys .chosen, .keys [data-class], .bars, .near").count()).toBe(0);
  await page.keyboard.press("Enter");
  await page.getByText("No suggestion here").waitFor();
  expect(await faceInView(page)).toBe(before);
  await page.keyboard.press("2");
  await expect
    .poll(() =>
      world.sql<{ lane: string }>(
        `select suggestion from current_labels
         where annotator = 'ann' and lane = 'audit' and suggestion is null and expression is not null`,
      ),
    )
    .toHaveLength(1);
  await page.context().close();
});

it("ignores a key pressed before the face was on the screen", async () => {
  const { page } = await world.open("kim");
  await faceInView(page);
  // Both presses are in the queue before the next face can be painted.
  await page.evaluate(() => {
    for (let i = 0; i < 2; i += 1)
      dispatchEvent(new KeyboardEvent("keydown", { key: "1", code: "Digit1", bubbles: true }));
  });
  await page.waitForTimeout(500);
  expect(await world.sql("select 1 as one from current_labels where annotator = 'kim'")).toHaveLength(1);
  await page.context().close();
});

it("paints the next face after each of 300 keys, and says how soon", async () => {
  const { page, bad } = await world.open("max");
  await faceInView(page);
  await page.evaluate(() => {
    const seen = { keys: [] as number[], faces: [] as number[] };
    Object.assign(window, { seen });
    addEventListener("keydown", (event) => seen.keys.push(event.timeStamp), { capture: true });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) seen.faces.push(entry.startTime);
    }).observe({ type: "element", buffered: false });
  });
  for (let n = 0; n < 300; n += 1) {
    const before = await page.evaluate(() => (window as unknown as { seen: { faces: number[] } }).seen.faces.length);
    await page.keyboard.press(String(1 + (n % 7)));
    await page.waitForFunction(
      (before) => (window as unknown as { seen: { faces: number[] } }).seen.faces.length > before,
      before,
      { timeout: 10_000 },
    );
    // Nobody answers faster.
    await page.waitForTimeout(250);
  }
  await page.waitForTimeout(500);
  const seen = await page.evaluate(() => (window as unknown as { seen: { keys: number[]; faces: number[] } }).seen);
  const latencies = seen.keys
    .map((key) => (seen.faces.find((face) => face > key) ?? Infinity) - key)
    .sort((a, b) => a - b);
  const { length } = latencies;
  const at = (share: number) => latencies[Math.floor(share * (length - 1))] ?? Infinity;
  console.log(
    `${length} presses: p50 ${at(0.5).toFixed(1)}, p95 ${at(0.95).toFixed(1)}, p99 ${at(0.99).toFixed(1)} ms`,
  );
  expect(length).toBe(300);
  // How fast it is says something only where nothing else runs.
  if (process.env["MARGINALIA_E2E_SPEED"]) expect(at(0.95)).toBeLessThanOrEqual(50);
  await page.getByText("All saved").waitFor({ timeout: 60_000 });
  expect(bad).toEqual([]);
  await page.context().close();
});
