// People who come for the first time, who have no keyboard, or who see colours of their own.

import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { faceInView, idOf, isPast, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.end());

const labelsOf = (annotator: string) =>
  world.sql<{ face_id: string; expression: string; lane: string }>(
    `select face_id, expression, lane from current_labels where annotator = '${annotator}' and expression is not null`,
  );

it("takes a newcomer through three steps, and stores answers under the name that was given there", async () => {
  const { page, bad } = await world.open(null);
  await page.getByRole("dialog", { name: "Who judges here?" }).waitFor({ timeout: 30_000 });
  // Without a name there is nothing behind the dialog to go on to.
  await page.keyboard.press("Escape");
  await page.getByRole("dialog", { name: "Who judges here?" }).waitFor();
  await page.getByLabel("Your name").fill("  nia ");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "One key, one face" }).getByText("Step 2 of 3").waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Nothing is final" }).waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  const face = await faceInView(page);
  await page.keyboard.press("1");
  await isPast(page, face);
  await expect
    .poll(() => labelsOf("nia"), { timeout: 15_000 })
    .toMatchObject([{ face_id: idOf(face), expression: "neutral" }]);

  await page.reload();
  await faceInView(page);
  expect(await page.getByRole("dialog").count()).toBe(0);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("is left by Esc once there is a name", async () => {
  const { page, bad } = await world.open(null);
  await page.getByLabel("Your name").fill("esc");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "One key, one face" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  const face = await faceInView(page);
  await page.keyboard.press("s");
  await isPast(page, face);
  expect(bad).toEqual([]);
  await page.context().close();
});

/** Those of them that a finger may miss. */
async function small(targets: Locator): Promise<string[]> {
  const found: string[] = [];
  for (const target of await targets.filter({ visible: true }).all()) {
    const box = await target.boundingBox();
    if (box && Math.min(box.width, box.height) < 44)
      found.push(`${await target.innerText()}: ${box.width} × ${box.height}`);
  }
  return found;
}

it("is used by touch alone", async () => {
  const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
  const { page, bad } = await world.open("tia", "", phone);
  const face = await faceInView(page);
  expect(await small(page.locator("main button, header button"))).toEqual([]);
  await page.getByRole("button", { name: "Sadness" }).tap();
  await isPast(page, face);
  await expect
    .poll(() => labelsOf("tia"), { timeout: 15_000 })
    .toMatchObject([{ face_id: idOf(face), expression: "sadness" }]);
  await page.getByRole("button", { name: "undo" }).tap();
  await expect.poll(() => labelsOf("tia"), { timeout: 15_000 }).toEqual([]);
  expect(await faceInView(page)).toBe(face);

  await page.locator("header .where").tap();
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Grid" }).tap();
  const cells = page.locator(".cell");
  await cells.first().waitFor({ timeout: 60_000 });
  const shown = await cells.count();
  expect(await small(page.locator("footer button"))).toEqual([]);
  await cells.nth(1).tap();
  expect(await cells.nth(1).getAttribute("aria-selected")).toBe("false");
  expect(await cells.first().getAttribute("aria-selected")).toBe("true");
  await page.getByText("1 left out").waitFor();
  await page.getByRole("button", { name: /^Confirm/ }).tap();
  await expect.poll(async () => (await labelsOf("tia")).length, { timeout: 30_000 }).toBeGreaterThanOrEqual(shown - 1);
  expect((await labelsOf("tia")).every(({ lane }) => lane === "grid")).toBe(true);
  expect(bad).toEqual([]);
  await page.context().close();
});

/** How an element is drawn, as far as a state may show in it: grounds are all the same there. */
const drawn = (element: Locator) =>
  element.evaluate((element) => {
    const { borderTop, color, fontWeight, outline, textDecorationLine } = getComputedStyle(element);
    return { borderTop, color, fontWeight, outline, textDecorationLine };
  });

async function differ(page: Page, one: string, other: string): Promise<void> {
  const [a, b] = [page.locator(one).first(), page.locator(other).first()];
  expect(await drawn(a), `${one} beside ${other}`).not.toEqual(await drawn(b));
}

it("tells by more than its own colours what is chosen, where a system forces others", async () => {
  const { page, bad } = await world.open("foc", "grid", { forcedColors: "active" });
  await page.locator(".cell").first().waitFor({ timeout: 60_000 });
  // Colours of classes are the one thing that stays, each with a frame.
  const swatches = page.locator("aside .swatch");
  const colours = new Set<string>();
  for (const swatch of await swatches.all()) {
    colours.add(await swatch.evaluate((swatch) => getComputedStyle(swatch).backgroundColor));
    expect((await drawn(swatch)).borderTop).toContain("1px solid");
  }
  expect(colours.size).toBe(7);
  await differ(page, "aside li [aria-pressed=true]", "aside li [aria-pressed=false]");
  await page.keyboard.press("Space");
  await page.locator(".cell.left svg").waitFor();

  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await page.locator(".kinds").waitFor({ timeout: 30_000 });
  await differ(page, ".kinds [aria-pressed=true]", ".kinds [aria-pressed=false]");
  await page.keyboard.press("g");
  await page.keyboard.press("q");
  await page.getByRole("button", { name: "Run" }).click();
  await page.locator(".ways").waitFor({ timeout: 60_000 });
  await differ(page, ".ways [aria-pressed=true]", ".ways [aria-pressed=false]");

  await page.keyboard.press("g");
  await page.keyboard.press("l");
  await faceInView(page);
  await differ(page, "nav a[aria-current]", "nav a:not([aria-current])");
  for (let tries = 0; tries < 60 && (await page.locator(".keys .chosen").count()) === 0; tries += 1) {
    const face = await faceInView(page);
    await page.keyboard.press("s");
    await isPast(page, face);
  }
  await differ(page, ".keys .chosen", ".keys button:not(.chosen)");
  expect(bad).toEqual([]);
  await page.context().close();
});
