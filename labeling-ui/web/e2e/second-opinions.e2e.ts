// A label in doubt comes back to somebody else, who judges the face without anybody's word, on Label and on Face;
// Review has it only afterwards.

import { afterAll, beforeAll, expect, it } from "vitest";
import { faceInView, idOf, skipTo, World } from "./world.ts";

let world: World;
let classes: string[] = [];
/** What the first of them said of each face. */
let first = new Map<string, string>();
beforeAll(async () => {
  // Before every face of the queue comes a second opinion, and no check of a pseudo-label; the round is short, and
  // accepted however good it is.
  world = await World.make({ config: { relabel_share: "1.0", audit_share: "0.0", gate_macro_f1_loss: "1.0" } });
  classes = (await world.sql<{ expression: string }>("select expression from classes order by position")).map(
    ({ expression }) => expression,
  );
  await contradict();
  await world.command("train", "--epochs", "1", "--steps", "2");
});
afterAll(() => world.end());

/** Somebody judges faces that have a label, mostly as it says: how far each of the two is to be believed is known from
 * that, and where they differ the new label, which counts, is as likely wrong as right at best. */
async function contradict(): Promise<void> {
  const faces = await world.sql<{ face_id: string; expression: string }>(
    `select face_id, expression from corpus where origin in ('import', 'simulated') and split = 'train'
     order by face_id limit 60`,
  );
  expect(faces).toHaveLength(60);
  const other = (name: string) => classes[(classes.indexOf(name) + 1) % classes.length] ?? "";
  const judged = faces.map(({ face_id, expression }, n) => ({
    face_id,
    annotator: "ada",
    lane: "grid",
    expression: n % 10 === 0 ? other(expression) : expression,
  }));
  await world.ask("POST", "/api/labels", judged);
  first = new Map(judged.map(({ face_id, expression }) => [face_id, expression]));
}

/** The key by which somebody else says the same: then the label is decided, and the face waits for nobody. */
function sameKey(faceId: string): string {
  return String(classes.indexOf(first.get(faceId) ?? "") + 1);
}

const inDoubt = async () =>
  (await world.sql<{ face_id: string }>("select face_id from queue where lane = 'review' order by rank")).map(
    ({ face_id }) => face_id,
  );
const saidBy = (annotator: string) =>
  world.sql(
    `select face_id, expression, lane, suggestion is null as is_blind from current_labels
     where annotator = '${annotator}' and expression is not null`,
  );

it("leaves a label in doubt out of Review as long as the queue asks about it", async () => {
  const doubts = await inDoubt();
  const candidates = await world.sql<{ face_id: string }>("select face_id from relabel_candidates");
  const asked = candidates.filter(({ face_id }) => doubts.includes(face_id));
  expect(asked.length).toBeGreaterThan(0);
  const { page, bad } = await world.open("max", "rounds");
  const listed = async (kind: string, view: string) => {
    const answer = page.waitForResponse((response) => (response.request().postData() ?? "").includes(`from ${view}`));
    await page.goto(`${world.url}#/review?of=${kind}`);
    const { rows } = (await (await answer).json()) as { rows: { face_id: string }[] };
    return rows.map(({ face_id }) => face_id).filter((id) => doubts.includes(id));
  };
  expect(await listed("doubts", "relabel_candidates")).toEqual([]);
  expect(await listed("disputes", "label_conflicts")).toEqual([]);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("asks somebody else about a label in doubt, says nothing of it, and stores the answer as a second opinion", async () => {
  const doubts = await inDoubt();
  expect(doubts.length).toBeGreaterThanOrEqual(2);
  expect(await world.sql("select face_id from second_opinions")).toHaveLength(doubts.length);
  const { page, bad } = await world.open("rev");
  const face = await skipTo(page, "Second opinion");
  expect(doubts).toContain(idOf(face));

  // Neither the page nor what the page was sent has the label or the model's word.
  await page.getByText("Second opinion: somebody judged it before you.").waitFor();
  expect(await page.locator(".keys .chosen, .keys [data-class], .bars, .near").count()).toBe(0);
  const why = await page.getByRole("complementary", { name: "Why this face" }).innerText();
  expect(why).not.toMatch(/\d/);
  expect(classes.filter((name) => why.includes(name))).toEqual([]);
  const { tasks } = await world.ask<{ tasks: Record<string, unknown>[] }>("GET", "/api/queue?annotator=rev&limit=40");
  const task = tasks.find(({ face_id }) => face_id === idOf(face));
  expect(task).toMatchObject({ lane: "review", expression: null, confidence: null, margin: null });

  // There is nothing to accept, and no way to what is known of the face.
  await page.keyboard.press("Enter");
  await page.getByText("No suggestion here").waitFor();
  await page.keyboard.press("e");
  await page.keyboard.press("v");
  expect(await faceInView(page)).toBe(face);

  await page.keyboard.press(sameKey(idOf(face)));
  const stored = { face_id: idOf(face), expression: first.get(idOf(face)), lane: "review", is_blind: true };
  await expect.poll(() => saidBy("rev"), { timeout: 15_000 }).toEqual([stored]);
  await expect.poll(inDoubt, { timeout: 15_000 }).not.toContain(idOf(face));
  expect(bad).toEqual([]);
  await page.context().close();
});

it("keeps a label in doubt to itself on the face's own page, until it is judged there", async () => {
  const [id = ""] = await inDoubt();
  const { page, bad } = await world.open("zoe", `face/${id}`);
  await page.getByText("It waits to be judged blindly").waitFor({ timeout: 30_000 });
  await page.getByRole("heading", { name: "File" }).waitFor();
  for (const name of ["Labels", "Model", "Nearest faces"])
    expect(await page.getByRole("heading", { name, exact: true }).count(), name).toBe(0);
  expect(await page.locator(".keys .chosen, .keys [data-class]").count()).toBe(0);
  expect(await page.getByText("by ada").count()).toBe(0);

  await page.keyboard.press(sameKey(id));
  const stored = { face_id: id, expression: first.get(id), lane: "review", is_blind: true };
  await expect.poll(() => saidBy("zoe"), { timeout: 15_000 }).toEqual([stored]);
  await page.getByText("by ada").waitFor({ timeout: 30_000 });
  expect(bad).toEqual([]);
  await page.context().close();
});
