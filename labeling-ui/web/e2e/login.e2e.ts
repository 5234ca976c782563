// Beyond loopback: tokens, a login that ends in the middle of the work, and two people at one queue.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { faceInView, isPast, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make({ isOpenToOthers: true });
});
afterAll(() => world.end());

async function signIn(page: Page, token: string): Promise<void> {
  await page.getByLabel("Your token").fill(token);
  await page.keyboard.press("Enter");
}

async function answer(page: Page, key: string): Promise<void> {
  const before = await faceInView(page);
  await page.keyboard.press(key);
  await isPast(page, before);
}

const labelsOf = (name: string) =>
  world.sql<{ face_id: string }>(`select face_id from labels where annotator = '${name}' and retracts is null`);

it("asks for a token, takes a good one, and knows whose it is", async () => {
  const token = world.token("ada", "annotator");
  const { page, bad } = await world.open("somebody else");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(page, "mrg_000000000000000000000000000000000000000000000000");
  await page.getByText("Nobody has this token").waitFor();
  await signIn(page, token);
  await answer(page, "2");
  await expect.poll(() => labelsOf("ada"), { timeout: 15_000 }).toHaveLength(1);
  expect(await page.evaluate(() => document.cookie)).toBe("");
  expect(bad).toEqual([]);
  await page.context().close();
});

it("loses nothing where a token is revoked in the middle of the work", async () => {
  const { page, bad } = await world.open("eve");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(page, world.token("eve", "annotator"));
  await answer(page, "1");
  await page.getByText("All saved").waitFor();
  await expect.poll(() => labelsOf("eve"), { timeout: 15_000 }).toHaveLength(1);
  world.revoke("eve");
  await faceInView(page);
  await page.keyboard.press("3");
  await page.getByRole("heading", { name: "Sign in" }).waitFor({ timeout: 30_000 });
  await page.getByText("Logged out, 1 waiting").waitFor();
  expect(await labelsOf("eve")).toHaveLength(1);

  // Also through a reload, and somebody else's login sends nothing in eve's name.
  await page.reload();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(page, world.token("ned", "annotator"));
  await faceInView(page);
  await page.getByText("1 by others waits").waitFor();
  await page.waitForTimeout(1500);
  expect(await labelsOf("eve")).toHaveLength(1);
  await page.context().clearCookies();
  await page.reload();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(page, world.token("eve", "annotator"));
  await expect.poll(() => labelsOf("eve"), { timeout: 30_000 }).toHaveLength(2);
  await page.getByText("All saved").waitFor();
  expect(bad).toEqual([]);
  await page.context().close();
});

it("lets a reader look and nothing else", async () => {
  const { page } = await world.open("ray", "map");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(page, world.token("ray", "reader"));
  await page.locator("canvas").waitFor({ timeout: 30_000 });
  await page.context().close();
});

it("never gives two people the same face", async () => {
  const people = await Promise.all(
    ["kai", "liv"].map(async (name) => {
      const served = new Set<string>();
      const { page, bad } = await world.open(name);
      page.on("response", (response) => {
        if (!/\/api\/queue\b/.test(response.url()) || !response.ok()) return;
        void response.json().then(({ tasks }: { tasks: { face_id: string }[] }) => {
          for (const task of tasks) served.add(task.face_id);
        });
      });
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      await signIn(page, world.token(name, "annotator"));
      return { name, page, bad, served };
    }),
  );
  await Promise.all(
    people.map(async ({ page }) => {
      for (let n = 0; n < 25; n += 1) await answer(page, String(1 + (n % 7)));
      await page.getByText("All saved").waitFor();
    }),
  );
  const [one, two] = people;
  expect(one?.served.size).toBeGreaterThan(40);
  expect(two?.served.size).toBeGreaterThan(40);
  expect([...(one?.served ?? [])].filter((id) => two?.served.has(id))).toEqual([]);
  await expect.poll(() => labelsOf("kai"), { timeout: 15_000 }).toHaveLength(25);
  await expect.poll(() => labelsOf("liv"), { timeout: 15_000 }).toHaveLength(25);
  for (const { page, bad } of people) {
    expect(bad).toEqual([]);
    await page.context().close();
  }
});
