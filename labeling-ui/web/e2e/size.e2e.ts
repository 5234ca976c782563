// What the first load of Label costs in requests, and whether anything moves or blocks while it is used.

import { afterAll, beforeAll, expect, it } from "vitest";
import { faceInView, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.end());

it("loads in eight requests, and moves nothing and blocks nothing while Label is used", async () => {
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
  const assets = new Set(files.filter((path) => !path.startsWith("/api/") && path !== "/sw.js"));
  await page.evaluate(() => {
    const { seen } = window as unknown as { seen: { long: number } };
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) seen.long = Math.max(seen.long, entry.duration);
    }).observe({ type: "longtask" });
  });
  for (let n = 0; n < 5; n += 1) {
    await faceInView(page);
    await page.keyboard.press("2");
    await page.waitForTimeout(900);
  }
  const seen = await page.evaluate(() => (window as unknown as { seen: { shift: number; long: number } }).seen);
  console.log(
    `layout shift ${seen.shift.toFixed(4)}; assets asked for: ${assets.size}; longest task ${seen.long.toFixed(0)} ms`,
  );
  expect(assets.size).toBeLessThanOrEqual(8);
  expect(seen.shift).toBeLessThan(0.001);
  // Tasks of more than 50 ms are told, and there is to be none; how long one takes says something only where nothing
  // else runs.
  if (process.env["MARGINALIA_E2E_SPEED"]) expect(seen.long).toBe(0);
  expect(bad).toEqual([]);
  await page.context().close();
});
