// Several judgements a face: no page tells anybody what another said of it before they have judged it themselves.

import type { Page, Response } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { faceInView, idOf, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make({ config: { judgements_per_face: "3" } });
  // Some are begun, and so come first.
  const begun = await ids("select face_id from queue where lane = 'queue' order by rank limit 3");
  const judge = { annotator: "ada", expression: "fear", lane: "queue" };
  const judged = begun.map((face_id) => ({ face_id, ...judge }));
  await world.ask("POST", "/api/labels", judged);
});
afterAll(() => world.end());

/** Whose word the page keeps to itself. */
const OTHERS = /by (ada|simulated)/;
const ids = async (query: string) => (await world.sql<{ face_id: string }>(query)).map(({ face_id }) => face_id);

it("keeps what others said to itself on the face's own page, until the face is judged", async () => {
  const { page, bad } = await world.open("bob");
  const face = idOf(await faceInView(page));
  expect(await ids("select face_id from unfinished")).toContain(face);
  await page.keyboard.press("e");
  await page.getByText("Somebody judged it before you.").waitFor({ timeout: 30_000 });
  await page.getByRole("heading", { name: "File" }).waitFor();
  expect(await page.getByText(OTHERS).count()).toBe(0);
  expect(await page.getByText("Nobody has judged it yet.").count()).toBe(0);

  await page.keyboard.press("1");
  await page.getByText(OTHERS).first().waitFor({ timeout: 30_000 });
  await page.getByText("by you").waitFor();
  expect(await page.getByText("Somebody judged it before you.").count()).toBe(0);
  expect(bad).toEqual([]);
  await page.context().close();
});

/** Whether Review has a face among its disagreements. */
async function isListed(page: Page, face: string): Promise<boolean> {
  const asked = (answer: Response) => answer.request().postData()?.includes("from label_conflicts") ?? false;
  const [answer] = await Promise.all([page.waitForResponse(asked), page.reload()]);
  const { rows } = (await answer.json()) as { rows: { face_id: string }[] };
  return rows.some(({ face_id }) => face_id === face);
}

it("shows a disagreement in Review only when as many have judged the face as are wanted", async () => {
  const [face = ""] = await ids("select face_id from unlabelled where subset = 'II' order by face_id limit 1");
  const judge = (annotator: string, expression: string) =>
    world.ask("POST", "/api/labels", { face_id: face, annotator, expression });
  await judge("ada", "happiness");
  await judge("ben", "sadness");
  expect(await ids("select face_id from label_conflicts")).toContain(face);
  const { page, bad } = await world.open("cyd", "review");
  expect(await isListed(page, face)).toBe(false);

  await judge("cyd", "happiness");
  expect(await isListed(page, face)).toBe(true);
  expect(bad).toEqual([]);
  await page.context().close();
});
