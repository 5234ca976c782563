// A script in every text that people and files bring along: a file's name, a stream, an annotator, a note, a flag, a
// query and its name. All pages show such a text as what it is, or not at all; none of them runs it.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { command, faceInView, png, World } from "./world.ts";

const SCRIPT = `<img src=x onerror="alert('run')"><script>alert('run')</script>`;
const QUERY = `select annotator, count(*) as "${SCRIPT.replaceAll('"', '""')}"
from labels
where note is not null
group by 1`;

let world: World;
let face = "";
beforeAll(async () => {
  world = await World.make();
  const { page } = await world.open("ida", "sql");
  face = await world.upload(await png(page), { name: SCRIPT, stream: SCRIPT });
  await page.context().close();
  const judged = { face_id: face, lane: "review" };
  await world.ask("POST", "/api/labels", [
    { ...judged, expression: "fear", annotator: SCRIPT, note: SCRIPT },
    { ...judged, expression: "anger", annotator: "ida" },
  ]);
  // Somebody whose answers can be compared with others'.
  const known = await world.sql<{ face_id: string; expression: string }>(
    "select face_id, min(expression) as expression from current_labels where expression is not null group by 1 limit 9",
  );
  for (const annotator of ["ida", SCRIPT])
    await world.ask(
      "POST",
      "/api/labels",
      known.map((label) => ({ ...label, annotator, lane: "grid" })),
    );
  await world.ask("POST", "/api/flags", { face_id: face, annotator: SCRIPT, note: SCRIPT });
  await world.ask("PUT", `/api/queries/${encodeURIComponent(SCRIPT)}`, { sql: QUERY });
});
afterAll(() => world.end());

/** Nothing of it has become a part of the page. */
async function isHarmless(page: Page): Promise<void> {
  expect(await page.locator("[onerror], main script, aside script, dialog script, [src=x]").count()).toBe(0);
}

it("shows it as a text on Face, Review and SQL", async () => {
  const { page, bad } = await world.open("ida", `face/${face}`);
  for (const name of ["Flags", "Labels", "File"]) {
    const section = page.locator("section", { has: page.getByRole("heading", { name, exact: true }) });
    await section.getByText(SCRIPT).first().waitFor({ timeout: 60_000 });
  }
  await page.getByText(`by ${SCRIPT}`).waitFor();
  await page.getByText(`upload:${SCRIPT}`).waitFor();
  await isHarmless(page);

  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await page.locator("q", { hasText: SCRIPT }).waitFor({ timeout: 60_000 });
  await page.getByRole("button", { name: `Looked at: ${SCRIPT.slice(0, 60)}` }).waitFor();
  await page.getByRole("combobox", { name: "Annotator" }).selectOption(SCRIPT);
  await page.getByRole("columnheader", { name: `${SCRIPT} says` }).waitFor();
  await isHarmless(page);

  await page.keyboard.press("g");
  await page.keyboard.press("q");
  await page.getByRole("button", { name: SCRIPT, exact: true }).click();
  await page.getByRole("columnheader", { name: SCRIPT }).waitFor({ timeout: 60_000 });
  await page.getByRole("cell", { name: SCRIPT }).waitFor();
  await page.getByRole("button", { name: "Chart", exact: true }).click();
  await page.locator("figure svg[role=img]").getByText(SCRIPT).waitFor({ timeout: 60_000 });
  await isHarmless(page);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText(/^Replaces the one by/).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: `Remove ${SCRIPT}` }).click();
  await page.getByText(`"${SCRIPT}" is removed`).waitFor();
  await isHarmless(page);
  await page.goto(`${world.url}#/sql?${new URLSearchParams({ q: `select "${SCRIPT}"` })}`);
  await page.getByRole("alert").waitFor({ timeout: 60_000 });
  await isHarmless(page);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("shows it as a text to whoever bears such a name, and on every page", async () => {
  const { page, bad } = await world.open(SCRIPT, "label");
  await faceInView(page);
  await page.keyboard.press("f");
  await page.keyboard.type(SCRIPT);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: `Note: ${SCRIPT}` }).waitFor();
  await page.keyboard.press("1");
  const mine = () => world.sql("select note from current_labels where lane in ('queue', 'audit') and note is not null");
  await expect.poll(mine, { timeout: 15_000 }).toEqual([{ note: SCRIPT }]);
  await command(page, "Change your name");
  expect(await page.getByLabel("Your name").inputValue()).toBe(SCRIPT);
  await page.keyboard.press("Escape");
  await isHarmless(page);
  for (const route of ["grid", "review", "rounds", "corpus", "sql", "map", `face/${face}`, "label"]) {
    await page.goto(`${world.url}#/${route}`);
    await page.locator("main h1").waitFor({ state: "attached", timeout: 60_000 });
    await page.waitForLoadState("networkidle").catch(() => undefined);
    await page.waitForTimeout(500);
    await isHarmless(page);
    expect(bad, route).toEqual([]);
  }
  await page.goto(`${world.url}#/grid?${new URLSearchParams({ class: SCRIPT, like: SCRIPT })}`);
  await page.getByRole("heading", { name: `Like ${SCRIPT.slice(0, 8)}` }).waitFor({ timeout: 60_000 });
  await page.goto(`${world.url}#/face/${encodeURIComponent(SCRIPT)}`);
  await page.getByRole("heading", { name: `Face ${SCRIPT.slice(0, 4)}` }).waitFor({ timeout: 60_000 });
  await isHarmless(page);
  expect(bad).toEqual([]);
  await page.context().close();
});
