// Every page in both themes, wide and at 320 px, through axe.

import { afterAll, beforeAll, expect, it } from "vitest";
import { found } from "./axe.ts";
import { World } from "./world.ts";

const PAGES = [
  "label",
  "grid",
  "review",
  "rounds",
  "corpus",
  "sql",
  "map",
  "face",
  "keys",
  "commands",
  "tour",
] as const;

let world: World;
let face = "";
beforeAll(async () => {
  world = await World.make();
  face = (await world.sql<{ face_id: string }>("select face_id from current_labels limit 1"))[0]?.face_id ?? "";
});
afterAll(() => world.end());

for (const name of PAGES) {
  for (const colorScheme of ["light", "dark"] as const) {
    it(`finds nothing on ${name}, ${colorScheme}`, async () => {
      const route = name === "face" ? `face/${face}` : ["keys", "commands", "tour"].includes(name) ? "label" : name;
      for (const width of [1280, 320]) {
        // Under reduced motion nothing is half faded in while it is looked at.
        const options = { colorScheme, viewport: { width, height: 800 }, reducedMotion: "reduce" } as const;
        const { page, bad } = await world.open("axe", route, options);
        await page.locator("main").waitFor();
        await page.waitForLoadState("networkidle").catch(() => undefined);
        await page.waitForTimeout(width === 1280 ? 2500 : 1500);
        if (name === "keys") await page.keyboard.press("?");
        if (name === "commands") await page.keyboard.press("Control+k");
        if (name === "tour") {
          await page.keyboard.press("Control+k");
          await page.keyboard.type("tour");
          await page.keyboard.press("Enter");
        }
        await page.waitForTimeout(300);
        expect(await found(page)).toEqual([]);
        expect(bad).toEqual([]);
        await page.context().close();
      }
    });
  }
}
