// Grid, by the keyboard alone: ranges, all, none, what is like one, and near-duplicates, which are confirmed with the
// one that stands for them.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { png, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  // Faces are read by the model as they come, and no round starts by itself.
  world = await World.make({ command: "run", config: { trigger_new_faces: "0", trigger_new_labels: "0" } });
});
afterAll(() => world.end());

interface Read {
  face_id: string;
  expression: string;
  subset: string;
}

const cells = (page: Page) => page.getByRole("listbox").getByRole("option");
const left = (page: Page) => page.getByRole("listbox").getByRole("option", { selected: false });
const saidBy = (annotator: string) =>
  world.sql<{ face_id: string; expression: string }>(
    `select face_id, expression from current_labels where annotator = '${annotator}' order by face_id`,
  );
const inView = async (page: Page) => Number(/^\d+/.exec(await page.locator("main .small.quiet .num").innerText())?.[0]);
const confirms = async (page: Page) =>
  Number(/[\d,]+/.exec(await page.getByRole("button", { name: /^Confirm/ }).innerText())?.[0].replace(",", ""));

it("leaves out and relabels ranges, keeps all again, inverts", async () => {
  const { page, bad } = await world.open("rae", "grid?class=happiness&side=under");
  await cells(page).first().waitFor({ timeout: 60_000 });
  const whole = await confirms(page);
  await page.keyboard.press("Space");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("Space");
  await expect.poll(() => left(page).count()).toBe(4);
  await page.getByText("4 left out").waitFor();
  await page.keyboard.press("Control+a");
  await expect.poll(() => left(page).count()).toBe(0);

  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Shift+ArrowLeft");
  await page.keyboard.press("Shift+ArrowLeft");
  await page.keyboard.press("6");
  await expect.poll(() => page.locator(".cell .caption", { hasText: "Disgust" }).count()).toBe(3);
  expect(await confirms(page)).toBeLessThanOrEqual(whole - 3);
  await page.keyboard.press("Control+a");
  await expect.poll(() => confirms(page)).toBe(whole);

  // Cells that were never in view are neither confirmed nor left out.
  const shown = await inView(page);
  await page.keyboard.press("i");
  await expect.poll(() => left(page).count()).toBe(shown);
  expect(await confirms(page)).toBe(0);
  await page.keyboard.press("i");
  await expect.poll(() => left(page).count()).toBe(0);

  await page.keyboard.press(".");
  await page.getByRole("heading", { name: "Sadness", exact: true }).waitFor();
  await page.keyboard.press(",");
  await page.getByRole("heading", { name: "Happiness", exact: true }).waitFor();
  expect(await saidBy("rae")).toEqual([]);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("confirms faces like one, and leads back to all of the class", async () => {
  const { page, bad } = await world.open("sim", "grid?class=happiness&side=under");
  await cells(page).first().waitFor({ timeout: 60_000 });
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("v");
  await page.getByRole("heading", { name: /^Like \w{8}$/ }).waitFor({ timeout: 60_000 });
  await page.getByText("unlabelled, most alike first").waitFor({ timeout: 60_000 });
  await cells(page).first().waitFor();
  const id = /like=(\w+)/.exec(page.url())?.[1];
  const near = await world.sql<{ face_id: string }>(`select face_id from nearest('${id}', 200)`);
  // None but the first is kept.
  await page.keyboard.press("i");
  await page.keyboard.press("Space");
  const kept = await confirms(page);
  await page.keyboard.press("Enter");
  await expect.poll(async () => (await saidBy("sim")).length, { timeout: 30_000 }).toBe(kept);
  const said = await saidBy("sim");
  expect(near.map(({ face_id }) => face_id)).toContain(said[0]?.face_id);
  expect(said.every(({ expression }) => expression === "happiness")).toBe(true);
  await page.getByRole("button", { name: "All of happiness" }).click();
  await page.getByRole("heading", { name: "Happiness", exact: true }).waitFor();
  expect(bad).toEqual([]);
  await page.context().close();
});

it("confirms nothing while the faces of another class are on their way", async () => {
  const { page, bad } = await world.open("fay", "grid?class=happiness&side=under");
  await cells(page).first().waitFor({ timeout: 60_000 });
  let answer = () => undefined as void;
  const held = new Promise<void>((go) => (answer = go));
  await page.route("**/api/sql", async (route) => {
    if (route.request().postData()?.includes("from unlabelled\\nwhere expression = 'sadness'")) await held;
    await route.continue();
  });
  await page.keyboard.press(".");
  await page.getByRole("heading", { name: "Sadness", exact: true }).waitFor();
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
  answer();
  await cells(page).first().waitFor({ timeout: 60_000 });
  expect(await saidBy("fay")).toEqual([]);
  await page.keyboard.press("Enter");
  await expect.poll(async () => (await saidBy("fay")).length, { timeout: 30_000 }).toBeGreaterThan(0);
  const read = await world.sql<{ expression: string }>(
    `select distinct p.expression from current_labels l join current_predictions p on l.face_id = p.face_id
     where annotator = 'fay'`,
  );
  expect(read).toEqual([{ expression: "sadness" }]);
  expect(bad).toEqual([]);
  await page.context().close();
});

/** A face that waits unlabelled beside a copy of its own, both read as one class and on the same side of its margin. */
async function twins(): Promise<{ one: Read; copy: string }> {
  const sure = await world.sql<Read>(
    `select face_id, expression, subset from unlabelled
     where subset = 'I' and face_id not in (select face_id from queue where lane <> 'queue')
     order by confidence desc limit 6`,
  );
  const { page } = await world.open("two", "sql");
  const copies: string[] = [];
  for (const { face_id } of sure)
    copies.push(await world.upload(await png(page, face_id), { name: face_id, stream: "copies" }));
  await page.context().close();
  const these = copies.map((id) => `'${id}'`).join();
  const read = () =>
    world.sql<Read>(
      `select face_id, expression, subset from unlabelled where expression is not null and face_id in (${these})`,
    );
  await expect.poll(async () => (await read()).length, { timeout: 120_000 }).toBe(copies.length);
  const scored = new Map((await read()).map((row) => [row.face_id, row]));
  for (const [n, one] of sure.entries()) {
    const copy = scored.get(copies[n] ?? "");
    if (copy?.expression === one.expression && copy.subset === one.subset) return { one, copy: copy.face_id };
  }
  throw new Error("no face is read as its copy is");
}

it("folds near-duplicates, and confirms all that one stands for; Face shows the others", async () => {
  const { one, copy } = await twins();
  const { page, bad } = await world.open("dup", `grid?class=${one.expression}&order=most`);
  const folded = cells(page).and(page.getByRole("option", { name: /stands for 1 more/ }));
  await folded.first().waitFor({ timeout: 60_000 });
  const here = page.locator(".cell", { has: page.locator(`img[src*="${one.face_id}"], img[src*="${copy}"]`) });
  expect(await here.count()).toBe(1);
  expect(await here.locator("em").innerText()).toBe("+1");
  await page.keyboard.press("i");
  const place = Number(await here.getAttribute("data-place"));
  for (let n = 0; n < place; n += 1) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Space");
  expect(await confirms(page)).toBe(2);
  await page.keyboard.press("Enter");
  const both = [one.face_id, copy].sort().map((face_id) => ({ face_id, expression: one.expression }));
  await expect.poll(() => saidBy("dup"), { timeout: 30_000 }).toEqual(both);

  await page.goto(`${world.url}#/face/${one.face_id}`);
  const section = page.locator("section", { has: page.getByRole("heading", { name: "Near-duplicates" }) });
  const other = section.getByRole("link", { name: `Face ${copy.slice(0, 8)}` });
  await other.waitFor({ timeout: 60_000 });
  await other.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: `Face ${copy.slice(0, 8)}` }).waitFor();
  await section.getByRole("link", { name: `Face ${one.face_id.slice(0, 8)}` }).waitFor({ timeout: 60_000 });
  expect(bad).toEqual([]);
  await page.context().close();
});
