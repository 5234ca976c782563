// Review: from case to case, and labels in doubt.

import { afterAll, beforeAll, expect, it } from "vitest";
import { World } from "./world.ts";

let world: World;
let classes: string[] = [];
beforeAll(async () => {
  world = await World.make();
  classes = (await world.sql<{ expression: string }>("select expression from classes order by position")).map(
    ({ expression }) => expression,
  );
  await contradict();
});
afterAll(() => world.end());

/** Two people judge faces that have a label, mostly as it says: how far each is to be believed is known from that. */
async function contradict(): Promise<void> {
  const faces = await world.sql<{ face_id: string; expression: string }>(
    `select face_id, min(expression) as expression from current_labels where expression is not null
     group by face_id having count(*) = 1 order by face_id limit 60`,
  );
  expect(faces).toHaveLength(60);
  const other = (name: string, by: number) => classes[(classes.indexOf(name) + by) % classes.length];
  for (const [annotator, every, by] of [
    ["ada", 10, 1],
    ["bea", 15, 2],
  ] as const) {
    const judged = faces.map(({ face_id, expression }, n) => ({
      face_id,
      annotator,
      lane: "grid",
      expression: n % every === 0 ? other(expression, by) : expression,
    }));
    await world.ask("POST", "/api/labels", annotator === "bea" ? judged.slice(0, 30) : judged);
  }
}

const doubts = () =>
  world.sql<{ face_id: string; expression: string }>(
    "select face_id, expression from relabel_candidates order by rank",
  );

it("J and K go from one disagreement to the next and back, S passes one over, a class settles one", async () => {
  const { page, bad } = await world.open("jay", "review");
  const conflicts = await world.sql("select face_id from label_conflicts");
  const n = conflicts.length;
  expect(n).toBeGreaterThanOrEqual(3);
  const at = (place: number) => page.getByText(`${place} of ${n}, undecided first`, { exact: true });
  const face = page.locator(".case .stage img");
  await at(1).waitFor({ timeout: 60_000 });
  const first = await face.getAttribute("src");
  await page.keyboard.press("k");
  await at(1).waitFor();
  await page.keyboard.press("j");
  await at(2).waitFor();
  const second = await face.getAttribute("src");
  expect(second).not.toBe(first);
  await page.keyboard.press("s");
  await at(3).waitFor();
  await page.keyboard.press("k");
  await page.keyboard.press("k");
  await at(1).waitFor();
  expect(await face.getAttribute("src")).toBe(first);
  for (let press = 0; press < n + 3; press += 1) await page.keyboard.press("j");
  await at(n).waitFor();
  for (let press = 0; press < n + 3; press += 1) await page.keyboard.press("k");

  await page.keyboard.press("1");
  await page.getByText(`1 of ${n - 1}, undecided first; 1 settled`, { exact: true }).waitFor();
  expect(await face.getAttribute("src")).toBe(second);
  await expect
    .poll(() => world.sql("select face_id, expression, lane from current_labels where annotator = 'jay'"), {
      timeout: 15_000,
    })
    .toEqual([{ face_id: /faces\/(\w+)/.exec(first ?? "")?.[1], expression: classes[0], lane: "review" }]);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("shows labels in doubt with what speaks against them, and one more answer settles one", async () => {
  const listed = await doubts();
  expect(listed.length).toBeGreaterThanOrEqual(2);
  const [first, second] = listed;
  const { page, bad } = await world.open("joy", "review");
  await page.getByRole("button", { name: "Labels in doubt" }).focus();
  await page.keyboard.press("Enter");
  await page.getByText(`1 of ${listed.length}, least likely right first`, { exact: true }).waitFor({ timeout: 60_000 });
  expect(page.url()).toContain("of=doubts");
  await page.locator(`.case img[src*="${first?.face_id}"]`).waitFor();
  await page.getByText(new RegExp(`Its label is ${first?.expression}, which is right with a probability of`)).waitFor();
  // Without names: those of others are letters.
  expect(
    await page
      .locator(".case")
      .getByText(/\b(ada|bea)\b/)
      .count(),
  ).toBe(0);
  await page.keyboard.press("j");
  await page.locator(`.case img[src*="${second?.face_id}"]`).waitFor();
  await page.keyboard.press("k");
  await page.locator(`.case img[src*="${first?.face_id}"]`).waitFor();

  await page.keyboard.press(String(1 + classes.indexOf(first?.expression ?? "")));
  await page.getByText(/least likely right first; 1 settled$/).waitFor();
  await page.locator(`.case img[src*="${second?.face_id}"]`).waitFor();
  await expect
    .poll(() => world.sql("select face_id, expression, lane from current_labels where annotator = 'joy'"), {
      timeout: 15_000,
    })
    .toEqual([{ ...first, lane: "review" }]);
  expect(bad).toEqual([]);
  await page.context().close();
});
