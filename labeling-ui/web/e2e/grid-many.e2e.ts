// Grid with ten thousand faces: what is drawn, what counts as looked at, and how smoothly it moves.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { World } from "./world.ts";

const FACES = 10_000;
/** How fast it is scrolled, in pixels a frame: 3,600 a second. */
const SPEED = 60;

let world: World;
let real: string[] = [];
beforeAll(async () => {
  world = await World.make();
  real = (await world.sql<{ face_id: string }>("select face_id from unlabelled")).map(({ face_id }) => face_id);
});
afterAll(() => world.end());

const idOf = (n: number) => n.toString(16).padStart(64, "0");

/** Opens Grid on made-up faces, which bear the pictures of real ones; what is confirmed comes back here. */
async function open(): Promise<{ page: Page; bad: string[]; sent: { face_id: string }[] }> {
  const { page, bad } = await world.open("mia", "label");
  const rows = Array.from({ length: FACES }, (_, n) => ({
    face_id: idOf(n),
    expression: "happiness",
    confidence: 0.75 + n / (4 * FACES),
    margin: 0.75,
    round: 2,
  }));
  await page.route("**/api/sql", async (route) => {
    const { query } = route.request().postDataJSON() as { query: string };
    if (!/from unlabelled\nwhere expression/.test(query)) return route.continue();
    const columns = Object.keys(rows[0] ?? {}).map((name) => ({ name, type: "" }));
    return route.fulfill({ json: { columns, rows } });
  });
  const sent: { face_id: string }[] = [];
  await page.route("**/api/labels", (route) => {
    sent.push(...(route.request().postDataJSON() as { face_id: string }[]));
    return route.fulfill({ status: 201, json: { labels: [] } });
  });
  await page.evaluate((real) => {
    const set = Element.prototype.setAttribute;
    const other = (_: string, id: string) => `/faces/${real[parseInt(id.slice(-8), 16) % real.length]}/`;
    Element.prototype.setAttribute = function (name, value) {
      set.call(this, name, name === "src" ? value.replace(/\/faces\/(0{8}\w+)\//, other) : value);
    };
  }, real);
  await page.keyboard.press("g");
  await page.keyboard.press("g");
  await page.getByText("of 10,000 over the margin").waitFor({ timeout: 60_000 });
  await page.locator(".cell img").first().waitFor();
  return { page, bad, sent };
}

/** How many cells Enter would take. */
const taken = async (page: Page) =>
  Number((await page.locator("main .small.quiet .num").innerText()).replace(/ of .*/, "").replace(",", ""));

it("draws a few of ten thousand, and confirms those that were in view and no others", async () => {
  const { page, bad, sent } = await open();
  const first = await taken(page);
  expect(first).toBeGreaterThan(20);
  const few = await page.locator(".cell").count();
  expect(few).toBeLessThan(first + 100);

  // A jump passes over what lies between.
  await page.locator(".room").evaluate((room) => room.scrollTo(0, room.scrollHeight));
  await page.getByRole("option", { name: /^Face 10000 of 10000,/ }).waitFor();
  expect(await page.locator(".cell").count()).toBeLessThan(first + 100);
  const both = await taken(page);
  expect(both).toBeGreaterThan(first);
  expect(both).toBeLessThanOrEqual(2 * first + 10);

  // The keyboard alone: the cell in focus is scrolled to.
  await page.locator(".room").evaluate((room) => room.scrollTo(0, 0));
  await page.getByRole("option", { name: /^Face 1 of 10000,/ }).waitFor();
  for (let n = 0; n < 30; n += 1) await page.keyboard.press("ArrowDown");
  const focused = page.locator(".cell:focus");
  await expect.poll(() => focused.getAttribute("data-place")).toMatch(/^\d{3}$/);
  await page.keyboard.press("Space");
  expect(await focused.getAttribute("aria-selected")).toBe("false");
  const left = idOf(Number(await focused.getAttribute("data-place")));

  const all = await taken(page);
  expect(all).toBeGreaterThan(both);
  await page.keyboard.press("Enter");
  await expect.poll(() => sent.length).toBe(Math.min(all, 1000) - 1);
  const ids = new Set(sent.map(({ face_id }) => face_id));
  expect(ids.size).toBe(sent.length);
  expect(ids.has(idOf(0)) && ids.has(idOf(FACES - 1))).toBe(true);
  expect(ids.has(left) || ids.has(idOf(FACES / 2))).toBe(false);
  await expect.poll(() => page.locator(".room").evaluate((room) => room.scrollTop)).toBe(0);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("scrolls through ten thousand, and says how smoothly", async () => {
  const { page, bad } = await open();
  await page.waitForTimeout(1500);
  const { gaps, most } = await page.locator(".room").evaluate(
    (room, speed) =>
      new Promise<{ gaps: number[]; most: number }>((done) => {
        const frames: number[] = [];
        let most = 0;
        const tick = (at: number) => {
          frames.push(at);
          most = Math.max(most, room.querySelectorAll(".cell").length);
          room.scrollTop += speed;
          if (frames.length < 300) requestAnimationFrame(tick);
          else done({ gaps: frames.slice(1).map((at, n) => at - (frames[n] ?? 0)), most });
        };
        requestAnimationFrame(tick);
      }),
    SPEED,
  );
  gaps.sort((a, b) => a - b);
  const at = (share: number) => gaps[Math.floor(share * (gaps.length - 1))] ?? Infinity;
  console.log(
    `grid of ${FACES}: p50 ${at(0.5).toFixed(1)}, p95 ${at(0.95).toFixed(1)} ms a frame, ${most} cells at most`,
  );
  expect(most).toBeLessThan(250);
  // All that went by was in view.
  await expect.poll(() => taken(page)).toBe(1000);
  // How fast it is says something only where nothing else runs.
  if (process.env["MARGINALIA_E2E_SPEED"]) expect(at(0.95)).toBeLessThanOrEqual(20);
  expect(bad).toEqual([]);
  await page.context().close();
});
