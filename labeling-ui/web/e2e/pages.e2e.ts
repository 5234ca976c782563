// The main task of every page beside Label, by the keyboard alone.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.end());

it("Grid: leaves one out, relabels one, confirms the rest, takes all of it back", async () => {
  const { page, bad } = await world.open("gus", "grid?side=under");
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

it("SQL: draws the answer, gives it as files, and answers as of an earlier round", async () => {
  const query = "select expression, pseudo from class_balance order by expression";
  const { page, bad } = await world.open("sol", `sql?${new URLSearchParams({ q: query })}`);
  await page.getByText("7 rows,").waitFor({ timeout: 60_000 });
  const rows = await world.sql<{ expression: string; pseudo: number }>(query);
  const file = async (name: string) => {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name, exact: true }).press("Enter"),
    ]);
    return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
  };
  const csv = await file("csv");
  expect(csv.name).toBe("answer.csv");
  const lines = rows.map((row) => `${row.expression},${row.pseudo}`);
  expect(csv.bytes.toString()).toBe(["expression,pseudo", ...lines, ""].join("\r\n"));
  const parquet = await file("parquet");
  expect(parquet.name).toBe("answer.parquet");
  expect([parquet.bytes.subarray(0, 4), parquet.bytes.subarray(-4)].map(String)).toEqual(["PAR1", "PAR1"]);
  const arrow = await file("arrow");
  expect(arrow.name).toBe("answer.arrows");
  // A stream of messages, each behind a mark, and the mark of its end.
  expect(arrow.bytes.readUInt32LE(0)).toBe(0xffffffff);
  expect(arrow.bytes.subarray(-8).toString("hex")).toBe("ffffffff00000000");
  expect(arrow.bytes.includes("happiness")).toBe(true);

  await page.getByRole("button", { name: "Chart", exact: true }).press("Enter");
  const chart = page.getByRole("img", { name: "pseudo by expression, 7 rows." });
  await chart.waitFor({ timeout: 60_000 });
  expect(await chart.locator("rect").count()).toBe(7);

  await page.getByRole("combobox", { name: "As of" }).selectOption("round 1");
  await page.getByText("as of round 1").waitFor({ timeout: 60_000 });
  expect(page.url()).toContain("at=1");
  const { rows: then } = await world.ask<{ rows: typeof rows }>("POST", "/api/sql", { query, at_round: 1 });
  expect(then).not.toEqual(rows);
  await page.getByRole("button", { name: "Table", exact: true }).press("Enter");
  for (const { expression, pseudo } of then)
    await page.getByRole("row", { name: `${expression} ${pseudo}`, exact: true }).waitFor();
  expect(bad).toEqual([]);
  await page.context().close();
});

it("Corpus: draws every chart, shows each as a table, and leads to the SQL of each", async () => {
  const { page, bad } = await world.open("cor", "corpus");
  await expect.poll(() => page.locator("main svg[role=img]").count(), { timeout: 60_000 }).toBeGreaterThanOrEqual(8);
  const balance = page.getByRole("figure", { name: "Balance by origin" });
  await balance.getByRole("button", { name: "Show SQL" }).focus();
  await page.keyboard.press("t");
  await balance.getByRole("row", { name: /^happiness/ }).waitFor();
  await page.keyboard.press("t");
  await balance.locator("svg[role=img]").waitFor();
  await page.keyboard.press("q");
  await page.getByText("7 rows,").waitFor({ timeout: 60_000 });
  expect(new URL(page.url().replace("#/", "")).searchParams.get("q")).toContain("from class_balance");

  // Every "Show SQL" asks what its chart was drawn from, and the answer comes.
  await page.goBack();
  const links = page.getByRole("button", { name: "Show SQL" });
  await expect.poll(() => links.count(), { timeout: 60_000 }).toBe(6);
  const asked = new Set<string>();
  for (let n = 0; n < 6; n += 1) {
    await links.nth(n).press("Enter");
    await page
      .getByText(/^[\d,]+ rows?,$/)
      .or(page.locator("main [role=status]"))
      .first()
      .waitFor({ timeout: 60_000 });
    asked.add(page.url());
    await page.goBack();
    await expect.poll(() => links.count(), { timeout: 60_000 }).toBe(6);
  }
  expect(asked.size).toBe(6);
  await page.getByRole("link", { name: "sadness" }).press("Enter");
  await page.getByRole("heading", { name: "Sadness", exact: true }).waitFor({ timeout: 60_000 });
  expect(bad).toEqual([]);
  await page.context().close();
});
