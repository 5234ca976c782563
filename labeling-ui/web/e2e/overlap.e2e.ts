// Several judgements a face: no page tells anybody what another said of it before they have judged it themselves.

import { afterAll, beforeAll, expect, it } from "vitest";
import { faceInView, idOf, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make({ config: { judgements_per_face: "3" } });
});
afterAll(() => world.end());

const ids = async (query: string) => (await world.sql<{ face_id: string }>(query)).map(({ face_id }) => face_id);

it("keeps what others said to itself on the face's own page, until the face is judged", async () => {
  const { page, bad } = await world.open("bob");
  const face = idOf(await faceInView(page));
  expect(await ids("select face_id from unfinished")).toContain(face);
  await page.keyboard.press("e");
  await page.getByText("Somebody judged it before you.").waitFor({ timeout: 30_000 });
  await page.getByRole("heading", { name: "File" }).waitFor();
  expect(await page.getByText("by simulated").count()).toBe(0);
  expect(await page.getByText("Nobody has judged it yet.").count()).toBe(0);

  await page.keyboard.press("1");
  await page.getByText("by simulated").waitFor({ timeout: 30_000 });
  await page.getByText("by you").waitFor();
  expect(await page.getByText("Somebody judged it before you.").count()).toBe(0);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("shows a disagreement in Review only when as many have judged the face as are wanted", async () => {
  const [face = ""] = await ids("select face_id from unlabelled where subset = 'II' order by face_id limit 1");
  const judge = (annotator: string, expression: string) =>
    world.ask("POST", "/api/labels", { face_id: face, annotator, expression });
  await judge("ada", "happiness");
  await judge("ben", "sadness");
  expect(await ids("select face_id from label_conflicts")).toEqual([face]);
  const { page, bad } = await world.open("cyd", "review");
  await page.getByText("Nobody disagrees").waitFor({ timeout: 30_000 });

  await judge("cyd", "happiness");
  await page.reload();
  await page.getByText("1 of 1").waitFor({ timeout: 30_000 });
  expect(bad).toEqual([]);
  await page.context().close();
});
