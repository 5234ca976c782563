// The server is killed in the middle of the work, and comes back.

import { afterAll, beforeAll, expect, it } from "vitest";
import { faceInView, kept, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.end());

it("goes on without the server, through a reload, and stores every answer once", async () => {
  const { page, bad } = await world.open("off");
  await faceInView(page);
  await kept(page);
  await page.waitForTimeout(1500);
  await world.kill();
  for (let n = 0; n < 4; n += 1) {
    await faceInView(page);
    await page.keyboard.press("2");
    await page.waitForTimeout(250);
  }
  await page.getByText("Offline, 4 waiting").waitFor({ timeout: 30_000 });
  // One is taken back: it never went out, or goes out and is taken back; either way it does not stand.
  await page.keyboard.press("Control+z");
  await page.waitForTimeout(300);

  await page.reload();
  await faceInView(page);
  await page.keyboard.press("4");
  await page.waitForTimeout(500);

  await world.start();
  const stands = () =>
    world.sql<{ expression: string; n: number }>(
      `select expression, count(*) as n from current_labels where annotator = 'off'
       group by expression order by expression`,
    );
  await expect.poll(stands, { timeout: 60_000 }).toEqual([
    { expression: "happiness", n: 3 },
    { expression: "surprise", n: 1 },
  ]);
  await page.getByText("All saved").waitFor();
  const all = await world.sql<{ n: number }>(
    `select count(*) as n from labels where annotator = 'off' and retracts is null
     group by request_key having count(*) > 1`,
  );
  expect(all).toEqual([]);
  expect(bad).toEqual([]);
  await page.context().close();
});
