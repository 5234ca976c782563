// Every key of Label, and keys themselves: chosen anew, switched off.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { command, faceInView, idOf, isPast, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.end());

interface Stored {
  expression: string | null;
  verdict: string | null;
  suggestion: string | null;
  note: string | null;
}
/** What counts of what somebody said about a face. */
const saidOf = (annotator: string, face: string) =>
  world.sql<Stored>(
    `select expression, verdict, suggestion, note from current_labels
     where annotator = '${annotator}' and face_id = '${idOf(face)}'`,
  );
/** Faces that somebody gave a class. */
const judged = async (annotator: string) =>
  (await world.sql(`select 1 as one from current_labels where annotator = '${annotator}' and expression is not null`))
    .length;

const place = (page: Page) => page.locator(".above .num").last();

async function says(page: Page, annotator: string, key: string, expected: Partial<Stored>): Promise<string> {
  const face = await faceInView(page);
  await page.keyboard.press(key);
  await isPast(page, face);
  await expect.poll(() => saidOf(annotator, face), { timeout: 15_000 }).toMatchObject([expected]);
  return face;
}

/** Skips faces that come without the model's word; gives that word. */
async function suggestion(page: Page): Promise<string> {
  const chosen = page.locator(".keys .chosen .name");
  for (let tries = 0; tries < 60; tries += 1) {
    const face = await faceInView(page);
    if (await chosen.count()) return (await chosen.innerText()).toLowerCase();
    await page.keyboard.press("s");
    await isPast(page, face);
  }
  throw new Error("no face of sixty has a suggestion");
}

it("Enter accepts, U and N say what no class says, ; finds a class by its name", async () => {
  const { page, bad } = await world.open("wil");
  const read = await suggestion(page);
  await says(page, "wil", "Enter", { expression: read, verdict: null, suggestion: read });
  await says(page, "wil", "u", { expression: null, verdict: "unsure" });
  await says(page, "wil", "n", { expression: null, verdict: "not_a_face" });

  const face = await faceInView(page);
  await page.keyboard.press(";");
  await page.getByRole("dialog", { name: "Which class?" }).waitFor();
  await page.keyboard.type("surp");
  await page.keyboard.press("Enter");
  await isPast(page, face);
  await expect.poll(() => saidOf("wil", face), { timeout: 15_000 }).toMatchObject([{ expression: "surprise" }]);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("F sends a note along with the answer, and digits in it are no classes", async () => {
  const { page, bad } = await world.open("nor");
  const face = await faceInView(page);
  await page.keyboard.press("f");
  await page.getByRole("textbox", { name: "Note to this face" }).waitFor();
  await page.keyboard.type("never sent");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Note", exact: true }).waitFor();
  await page.keyboard.press("f");
  await page.keyboard.type("2 of 3 would say fear");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Note: 2 of 3 would say fear" }).waitFor();
  expect(await faceInView(page)).toBe(face);
  await says(page, "nor", "5", { expression: "fear", note: "2 of 3 would say fear" });
  // The next face has none.
  await says(page, "nor", "1", { expression: "neutral", note: null });
  expect(bad).toEqual([]);
  await page.context().close();
});

it("the arrow keys go back to what was said, where a class changes it", async () => {
  const { page, bad } = await world.open("ari");
  const first = await says(page, "ari", "5", { expression: "fear" });
  const second = await says(page, "ari", "2", { expression: "happiness" });
  const next = await faceInView(page);
  await page.keyboard.press("ArrowLeft");
  await expect.poll(() => place(page).innerText()).toBe("You said happiness, 1 back");
  expect(await faceInView(page)).toBe(second);
  await page.keyboard.press("ArrowLeft");
  await expect.poll(() => place(page).innerText()).toBe("You said fear, 2 back");
  await page.keyboard.press("ArrowRight");
  await expect.poll(() => place(page).innerText()).toBe("You said happiness, 1 back");
  await page.keyboard.press("ArrowRight");
  expect(await faceInView(page)).toBe(next);

  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  await expect.poll(() => place(page).innerText()).toBe("You said fear, 2 back");
  expect(await faceInView(page)).toBe(first);
  await page.keyboard.press("7");
  await page.getByText("Changed from fear to anger.").waitFor();
  await expect.poll(() => saidOf("ari", first), { timeout: 15_000 }).toMatchObject([{ expression: "anger" }]);
  expect(await faceInView(page)).toBe(next);
  expect(await judged("ari")).toBe(2);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("Z shows pixels instead of smooth faces, R loads a face again, which takes no class meanwhile", async () => {
  const { page, bad } = await world.open("zed");
  await faceInView(page);
  const pixels = page.locator(".stage img.pixels");
  expect(await pixels.count()).toBe(0);
  await page.keyboard.press("z");
  await expect.poll(() => pixels.count()).toBe(1);
  await page.reload();
  await faceInView(page);
  await expect.poll(() => pixels.count()).toBe(1);
  await page.keyboard.press("z");
  await expect.poll(() => pixels.count()).toBe(0);

  let isGone = true;
  const json = { code: "no_such_face", detail: "It is gone." };
  const gone = { status: 404, contentType: "application/problem+json", body: JSON.stringify(json) };
  await page.route(/\/image$/, (route) => (isGone ? route.fulfill(gone) : route.continue()));
  await page.reload();
  await page.getByText("This image cannot be shown.").waitFor({ timeout: 30_000 });
  const name = page.locator(".stage .tile .quiet");
  const broken = await name.innerText();
  await page.keyboard.press("1");
  await page.getByText("The image cannot be shown, so it has no class.").waitFor();
  expect(await name.innerText()).toBe(broken);
  await page.keyboard.press("s");
  await expect.poll(() => name.innerText()).not.toBe(broken);
  isGone = false;
  await page.keyboard.press("r");
  await faceInView(page);
  await says(page, "zed", "1", { expression: "neutral" });
  expect(bad).toEqual([]);
  await page.context().close();
});

it("a key is chosen anew unless it is taken, and lasts", async () => {
  const { page, bad } = await world.open("kay");
  const face = await faceInView(page);
  await command(page, "Change the keys");
  const dialog = page.getByRole("dialog", { name: "Change the keys" });
  await dialog.getByRole("button", { name: "Change the key of Skip", exact: true }).focus();
  await page.keyboard.press("Enter");
  await dialog.getByText("Press the key for Skip.").waitFor();
  await page.keyboard.press("x");
  await dialog.getByText("Kept in this browser.").waitFor();
  await dialog.getByRole("button", { name: "Change the key of Unsure", exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("x");
  await dialog.getByText('X belongs to "Skip".').waitFor();
  // Esc leaves the key as it is, and the dialog open.
  await page.keyboard.press("Escape");
  await expect.poll(() => dialog.getByRole("status").innerText()).toBe("");
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });

  await page.keyboard.press("s");
  await page.waitForTimeout(300);
  expect(await faceInView(page)).toBe(face);
  await page.reload();
  await faceInView(page);
  await page.getByRole("button", { name: "Skip" }).and(page.locator("[aria-keyshortcuts=x]")).waitFor();
  await says(page, "kay", "x", { verdict: "skip" });

  await command(page, "Change the keys");
  await dialog.getByRole("button", { name: "As they were" }).click();
  await page.keyboard.press("Escape");
  await says(page, "kay", "s", { verdict: "skip" });
  expect(bad).toEqual([]);
  await page.context().close();
});

it("plain keys do nothing once they are switched off, and words with Ctrl and Enter still do", async () => {
  const { page, bad } = await world.open("sid");
  const read = await suggestion(page);
  const face = await faceInView(page);
  await page.keyboard.press("?");
  const single = page.getByRole("checkbox", { name: "Single-key shortcuts" });
  await single.uncheck();
  await page.keyboard.press("Escape");
  for (const key of ["1", "s", "u", "n", "f", "b", "?"]) await page.keyboard.press(key);
  await page.waitForTimeout(300);
  expect(await page.getByRole("dialog").count()).toBe(0);
  expect(await faceInView(page)).toBe(face);
  expect(await judged("sid")).toBe(0);
  await says(page, "sid", "Enter", { expression: read });
  await page.keyboard.press("Control+z");
  await expect.poll(() => judged("sid"), { timeout: 15_000 }).toBe(0);
  await page.reload();
  const first = await faceInView(page);
  await page.keyboard.press("1");
  await page.waitForTimeout(300);
  expect(await faceInView(page)).toBe(first);
  await command(page, "Single-key");
  await says(page, "sid", "1", { expression: "neutral" });
  expect(bad).toEqual([]);
  await page.context().close();
});
