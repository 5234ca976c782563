// Two people at grids of one class: what one of them looks at the other is not shown.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { idOf, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.end());

/** Faces in view; those drawn above and below are nobody's yet. */
async function faces(page: Page): Promise<string[]> {
  const sources = await page.locator(".room").evaluate((room) => {
    const { top, bottom } = room.getBoundingClientRect();
    const isInView = (image: Element) => {
      const box = image.getBoundingClientRect();
      return box.top >= top && box.bottom <= bottom;
    };
    const images = [...room.querySelectorAll(".cell img")].filter(isInView);
    return images.map((image) => image.getAttribute("src") ?? "");
  });
  return sources.map(idOf);
}

it("Grid: nobody is shown what others look at, until they leave", async () => {
  const largest =
    "select expression, count(*) as n from unlabelled where subset = 'I' group by expression order by n desc";
  const [largestClass] = await world.sql<{ expression: string }>(largest);
  const route = `grid?${new URLSearchParams({ class: largestClass?.expression ?? "" })}`;
  // Few cells, so that there are enough faces for both.
  const small = { viewport: { width: 480, height: 700 } };
  const her = await world.open("ida", route, small);
  await her.page.locator(".cell").first().waitFor({ timeout: 60_000 });
  const his = await world.open("jon", route, small);
  await his.page.locator(".cell").first().waitFor({ timeout: 60_000 });
  const shared = async () => {
    const hers = new Set(await faces(her.page));
    return (await faces(his.page)).filter((id) => hers.has(id));
  };
  await expect.poll(shared, { timeout: 15_000 }).toEqual([]);
  const [first] = await faces(her.page);
  expect((await faces(his.page)).length).toBeGreaterThan(0);

  // What he sees once the server has said what is somebody else's.
  const look = async () => {
    const leased = his.page.waitForResponse((answer) => answer.url().endsWith("/api/leases"));
    await his.page.reload();
    await leased;
    await his.page.evaluate(() => new Promise((go) => setTimeout(go, 50)));
    return faces(his.page);
  };
  expect(await look()).not.toContain(first);
  await her.page.keyboard.press("g");
  await her.page.keyboard.press("c");
  await her.page.locator(".cell").first().waitFor({ state: "detached" });
  await expect.poll(look, { timeout: 30_000 }).toContain(first);
  expect([...her.bad, ...his.bad]).toEqual([]);
  await her.page.context().close();
  await his.page.context().close();
});
