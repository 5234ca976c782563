// What people who work on one corpus share: flags, saved queries, and undoing many labels in one step.

import { afterAll, beforeAll, expect, it } from "vitest";
import { faceInView, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.end());

const flags = () => world.sql<{ face_id: string; annotator: string; note: string }>("select * from flagged");

it("Flags: set on Label, Grid and Face with a note, seen by others, looked at", async () => {
  const { page, bad } = await world.open("fay");
  const face = await faceInView(page);
  await page.keyboard.press("b");
  await page.getByRole("textbox", { name: "What should somebody look at?" }).waitFor();
  // Without a note there is no flag.
  await page.keyboard.press("Enter");
  await page.keyboard.type("two faces in one");
  await page.keyboard.press("Enter");
  await expect.poll(flags, { timeout: 15_000 }).toMatchObject([{ annotator: "fay", note: "two faces in one" }]);
  // It judges nothing: the same face is in view, and digits in a note are no classes.
  expect(await faceInView(page)).toBe(face);
  const id = (await flags())[0]?.face_id ?? "";
  expect(face).toContain(id);

  await page.keyboard.press("g");
  await page.keyboard.press("g");
  await page.locator(".cell").first().waitFor({ timeout: 60_000 });
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("b");
  await page.getByRole("textbox", { name: "What should somebody look at?" }).waitFor();
  await page.keyboard.type("3 mouths");
  await page.keyboard.press("Enter");
  await expect.poll(async () => (await flags()).length, { timeout: 15_000 }).toBe(2);
  expect(await world.sql("select 1 as one from current_labels where annotator = 'fay'")).toEqual([]);

  const other = await world.open("gil", `face/${id}`);
  await other.page.getByText("two faces in one").waitFor({ timeout: 30_000 });
  await other.page.keyboard.press("g");
  await other.page.keyboard.press("r");
  await other.page.getByRole("heading", { name: "Flags, 2" }).waitFor({ timeout: 30_000 });
  await other.page.getByRole("button", { name: "Looked at: two faces in one" }).click();
  await expect.poll(flags, { timeout: 15_000 }).toMatchObject([{ note: "3 mouths" }]);
  await other.page.getByRole("heading", { name: "Flags, 1" }).waitFor();
  expect([...bad, ...other.bad]).toEqual([]);
  await page.context().close();
  await other.page.context().close();
});

it("Saved queries: kept under a name, found by others, replaced, removed", async () => {
  const { page, bad } = await world.open("sam", `sql?${new URLSearchParams({ q: "select 1 as one" })}`);
  await page.getByText("1 row,").waitFor({ timeout: 30_000 });
  await page.keyboard.press("Control+s");
  await page.getByRole("textbox", { name: "Its name" }).fill("one of them / 100 %");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "one of them / 100 %", exact: true }).waitFor();

  const other = await world.open("tom", "sql");
  await other.page.getByRole("button", { name: "one of them / 100 %", exact: true }).click();
  await other.page.getByText("1 row,").waitFor({ timeout: 30_000 });
  await other.page.keyboard.press("Control+s");
  await other.page.getByText("Replaces the one by").waitFor();
  await other.page.keyboard.press("Enter");
  await other.page.getByText("Saved as").waitFor();
  expect((await world.ask<{ queries: unknown[] }>("GET", "/api/queries")).queries).toHaveLength(1);
  await other.page.getByRole("button", { name: "Remove one of them / 100 %" }).click();
  await expect.poll(async () => (await world.ask<{ queries: unknown[] }>("GET", "/api/queries")).queries).toEqual([]);
  expect([...bad, ...other.bad]).toEqual([]);
  await page.context().close();
  await other.page.context().close();
});

it("Undo of many labels is one request, all or none", async () => {
  const { page, bad } = await world.open("una", "grid?side=under");
  const sent: string[] = [];
  page.on("request", (request) => {
    if (request.method() !== "GET" && /labels|retractions/.test(request.url())) sent.push(request.method());
  });
  await page.locator(".cell").first().waitFor({ timeout: 60_000 });
  await page.keyboard.press("Enter");
  const mine = () => world.sql("select face_id from current_labels where annotator = 'una'");
  await expect.poll(async () => (await mine()).length, { timeout: 30_000 }).toBeGreaterThan(5);
  await page.getByText("All saved").waitFor();
  await page.keyboard.press("Control+z");
  await expect.poll(mine, { timeout: 30_000 }).toEqual([]);
  expect(sent).toEqual(["POST", "POST"]);

  // One of them is gone already: the others are taken back all the same.
  await page.keyboard.press("Control+Shift+z");
  await expect.poll(async () => (await mine()).length, { timeout: 30_000 }).toBeGreaterThan(5);
  const [label] = await world.sql<{ label_id: string }>("select label_id from current_labels where annotator = 'una'");
  await world.ask("DELETE", `/api/labels/${label?.label_id}`);
  await page.keyboard.press("Control+z");
  await expect.poll(mine, { timeout: 60_000 }).toEqual([]);
  expect(bad).toEqual([]);
  await page.context().close();
});
