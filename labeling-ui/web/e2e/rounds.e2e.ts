// A round that is started, watched and stopped on the page, where the server trains; and who may do so.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { World } from "./world.ts";

let world: World;
beforeAll(async () => {
  // Long enough to be stopped, and none by itself.
  const config = { steps_per_epoch: "2000", trigger_new_faces: "0", trigger_new_labels: "0" };
  world = await World.make({ command: "run", isOpenToOthers: true, config });
});
afterAll(() => world.end());

async function signedIn(name: string, role: "annotator" | "admin"): Promise<{ page: Page; bad: string[] }> {
  const opened = await world.open(name, "rounds");
  await opened.page.getByLabel("Your token").fill(world.token(name, role));
  await opened.page.keyboard.press("Enter");
  await opened.page.getByRole("heading", { name: "Round 2" }).waitFor({ timeout: 30_000 });
  return opened;
}

it("starts a round, shows how far it is, and gives it up", async () => {
  const { page, bad } = await signedIn("ada", "admin");
  await page.getByRole("button", { name: "Start a round" }).click();
  await page.getByRole("heading", { name: "Round 3" }).waitFor({ timeout: 60_000 });
  await page.getByText(/Epoch 1 of 4, step \d+ of 2000/).waitFor({ timeout: 60_000 });
  // A line for each term of the loss.
  const losses = page.getByRole("figure", { name: "Loss, step by step" });
  await losses.getByRole("img", { name: /labelled \d\.\d\d, unlabelled \d\.\d\d/ }).waitFor({ timeout: 30_000 });
  await page.getByRole("button", { name: "Start a round" }).waitFor({ state: "hidden" });

  await page.getByRole("button", { name: "Stop the round" }).click();
  await page.getByRole("button", { name: "Give round 3 up" }).click();
  await page.getByText("Round 3 was stopped", { exact: false }).waitFor({ timeout: 60_000 });
  await page.getByRole("button", { name: "Start a round" }).waitFor();
  expect(await world.sql("select round from rounds order by round")).toEqual([{ round: 1 }, { round: 2 }]);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("offers neither to an annotator", async () => {
  const { page, bad } = await signedIn("eve", "annotator");
  await page.getByRole("button", { name: "Compare" }).waitFor();
  expect(await page.getByRole("button", { name: "Start a round" }).count()).toBe(0);
  expect(bad).toEqual([]);
  await page.context().close();
});
