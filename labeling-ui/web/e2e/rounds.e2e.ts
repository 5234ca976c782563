// A round from the page: begun, looked at while it runs, given up; and another one that comes to its end.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { foundOfBoth } from "./axe.ts";
import { command, configure, faceInView, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  // No round starts by itself. One goes on until it is given up; its epochs are short, so that there is much to see.
  const config = { trigger_new_faces: "0", trigger_new_labels: "0", steps_per_epoch: "6", epochs_per_round: "5000" };
  world = await World.make({ command: "run", config });
});
afterAll(() => world.end());

const LONG = { timeout: 120_000 };
const finished = () => world.sql<{ round: number }>("select round from rounds order by round");
const bar = (page: Page) => page.getByRole("progressbar", { name: "Training" });
const told = async (page: Page) =>
  Number((/epoch (\d+) of 5,?000/.exec(await page.locator("header .round").innerText()) ?? [])[1] ?? 0);

it("starts a round, shows on every page how far it is, and gives it up after a second word", async () => {
  const { page, bad } = await world.open("rob", "rounds");
  await page.getByRole("heading", { name: "Round 2" }).waitFor(LONG);
  const before = await finished();
  await command(page, "Start a round");
  await page.getByText("A round begins in a moment.").waitFor();
  await page.getByRole("heading", { name: "Round 3" }).waitFor(LONG);
  await page.getByText(/Epoch \d+ of 5,?000, step \d of 6\./).waitFor(LONG);
  expect(await page.getByRole("button", { name: "Start a round" }).isDisabled()).toBe(true);
  await page.getByRole("link", { name: /^3 running/ }).waitFor();
  await page.getByRole("figure", { name: "Loss, step by step" }).locator("svg[role=img]").waitFor(LONG);
  await page.getByRole("heading", { name: "Margin of each class" }).waitFor(LONG);
  const early = await told(page);
  await expect.poll(() => told(page), LONG).toBeGreaterThan(early);
  await bar(page).waitFor();

  // Somebody who comes while it runs hears of it, and sees as much, from then on.
  const late = await world.open("lou", "rounds");
  await late.page.getByRole("heading", { name: "Round 3" }).waitFor(LONG);
  await bar(late.page).waitFor();
  await late.page.getByRole("heading", { name: "Margin of each class" }).waitFor(LONG);
  expect(await foundOfBoth(late.page)).toEqual([]);
  await late.page.keyboard.press("g");
  await late.page.keyboard.press("l");
  await faceInView(late.page);
  expect(await told(late.page)).toBeGreaterThan(0);

  await page.getByRole("button", { name: "Stop the round" }).click();
  const sure = page.getByRole("button", { name: "Give round 3 up" });
  await sure.waitFor();
  expect(await told(page)).toBeGreaterThan(0);
  await sure.click();
  await page.getByText("The round was asked to stop.").waitFor();
  for (const each of [page, late.page]) {
    await each.getByText(/^Round 3 was stopped: .* Nothing of it shows\.$/).waitFor(LONG);
    await each.locator("header .round").waitFor({ state: "detached" });
  }
  await page.getByRole("heading", { name: "Round 2" }).waitFor();
  expect(await page.getByRole("button", { name: "Start a round" }).isEnabled()).toBe(true);
  expect(await finished()).toEqual(before);
  expect([...bad, ...late.bad]).toEqual([]);
  await page.context().close();
  await late.page.context().close();
});

it("uses a round that has come to its end, and says so", async () => {
  await world.kill();
  configure(world.corpus, { epochs_per_round: "1", gate_macro_f1_loss: "1.0" });
  await world.start();
  const before = await finished();
  const { page, bad } = await world.open("rob", "rounds");
  await page.getByRole("heading", { name: "Round 2" }).waitFor(LONG);
  await page.getByRole("button", { name: "Start a round" }).click();
  await page.getByText(/^Round \d+ is in use\.$/).waitFor(LONG);
  const [last, ...rest] = (await finished()).toReversed();
  expect(rest.toReversed()).toEqual(before);
  await page.getByRole("heading", { name: `Round ${last?.round}` }).waitFor(LONG);
  await page.getByRole("heading", { name: "What happens next" }).waitFor(LONG);
  await page.getByRole("link", { name: new RegExp(`^${last?.round} accepted`) }).waitFor();
  expect(bad).toEqual([]);
  await page.context().close();
});
