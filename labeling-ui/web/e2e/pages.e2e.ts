// The main task of every page beside Label, by the keyboard alone.

import { afterAll, beforeAll, expect, it } from "vitest";
import { World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.end());

it("Grid: leaves one out, relabels one, confirms the rest, takes all of it back", async () => {
  const { page, bad } = await world.open("gus", "grid");
  await page.locator(".cell").first().waitFor({ timeout: 60_000 });
  // More are drawn than are in view, and only these are confirmed.
  const shown = Number(/^\d+/.exec(await page.locator("main .small.quiet .num").innerText())?.[0]);
  expect(shown).toBeGreaterThan(10);
  await page.keyboard.press("Space");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("5");
  await page.keyboard.press("Enter");
  const mine = "from current_labels where annotator = 'gus'";
  const stored = () =>
    world.sql<{ lane: string; n: number }>(`select lane, count(distinct face_id) as n ${mine} group by lane`);
  await expect.poll(async () => (await stored())[0]?.n ?? 0, { timeout: 30_000 }).toBeGreaterThanOrEqual(shown - 1);
  expect((await stored()).map((row) => row.lane)).toEqual(["grid"]);
  expect(await world.sql(`select 1 as one ${mine} and expression = 'fear'`)).not.toHaveLength(0);
  await page.keyboard.press("Control+z");
  await expect.poll(stored, { timeout: 60_000 }).toEqual([]);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("Review: settles a disagreement", async () => {
  const face = (
    await world.sql<{ face_id: string }>("select face_id from current_labels where expression = 'fear' limit 1")
  )[0];
  const first = await world.open("ira", `face/${face?.face_id}`);
  await first.page.getByRole("button", { name: "Neutral" }).waitFor();
  await first.page.getByText("by", { exact: false }).first().waitFor();
  await first.page.keyboard.press("1");
  await expect.poll(() => world.sql("select 1 as one from current_labels where annotator = 'ira'")).toHaveLength(1);
  // A second person says something else: people disagree.
  const second = await world.open("joe", `face/${face?.face_id}`);
  await second.page.getByText("by ira").waitFor({ timeout: 30_000 });
  await second.page.keyboard.press("6");
  await expect.poll(() => world.sql("select 1 as one from current_labels where annotator = 'joe'")).toHaveLength(1);
  await second.page.keyboard.press("g");
  await second.page.keyboard.press("r");
  await second.page.getByText("undecided first").waitFor({ timeout: 30_000 });
  await second.page.keyboard.press("1");
  await expect
    .poll(() => world.sql("select expression from current_labels where annotator = 'joe'"))
    .toEqual([{ expression: "neutral" }]);
  expect([...first.bad, ...second.bad]).toEqual([]);
  await first.page.context().close();
  await second.page.context().close();
});

it("Rounds: shows the newest, compares two, opens the SQL of a chart", async () => {
  const { page, bad } = await world.open("ron", "rounds");
  await page.getByRole("heading", { name: "Round 2" }).waitFor({ timeout: 30_000 });
  await page.locator("figure svg[role=img]").first().waitFor({ timeout: 30_000 });
  await page.keyboard.press("c");
  await page.getByRole("button", { name: "Beside round 1" }).waitFor();
  await page.locator("figure").first().getByRole("button", { name: "Table" }).focus();
  await page.keyboard.press("t");
  await page.locator("figure table").first().waitFor();
  await page.keyboard.press("q");
  await page.getByText(/\d+ rows?, /).waitFor({ timeout: 30_000 });
  expect(page.url()).toContain("#/sql");
  expect(bad).toEqual([]);
  await page.context().close();
});

it("SQL: completes, runs, marks an error, leaves the editor", async () => {
  const { page, bad } = await world.open("sue", "sql");
  const content = page.getByRole("textbox", { name: "SQL" });
  await content.waitFor({ timeout: 30_000 });
  await page.waitForTimeout(1500);
  await content.focus();
  await page.keyboard.press("Control+a");
  await page.keyboard.type("select expression, total from class_bal");
  await page.locator(".cm-tooltip-autocomplete").waitFor();
  // For a moment after it opens, the list leaves Enter to the text.
  await page.waitForTimeout(250);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Control+Enter");
  await page.getByText("7 rows").waitFor({ timeout: 30_000 });
  await page.keyboard.type(" where nothing = 1");
  await page.keyboard.press("Escape");
  await content.focus();
  await page.keyboard.press("Control+Enter");
  await page.getByRole("alert").waitFor({ timeout: 30_000 });
  await page.keyboard.press("Escape");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toContain("Run");
  expect(bad).toEqual([]);
  await page.context().close();
});

it("Corpus: draws every chart", async () => {
  const { page, bad } = await world.open("cor", "corpus");
  await expect.poll(() => page.locator("main svg[role=img]").count(), { timeout: 60_000 }).toBeGreaterThanOrEqual(8);
  expect(bad).toEqual([]);
  await page.context().close();
});
