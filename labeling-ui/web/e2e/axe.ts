// What axe finds on a page as it stands, and whether it scrolls sideways.

import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "playwright-core";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export async function found(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).withTags(TAGS).analyze();
  const width = page.viewportSize()?.width;
  const list = violations.map(
    ({ id, nodes }) => `${width} ${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`,
  );
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  return sideways > 0 ? [...list, `${width}: scrolls ${sideways} px sideways`] : list;
}

/** The same of a state that was hard to come to, with what is open over the page: narrow and light, wide and dark. */
export async function foundOfBoth(page: Page): Promise<string[]> {
  const all: string[] = [];
  for (const [width, colorScheme] of [
    [320, "light"],
    [1280, "dark"],
  ] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 800 });
    await page.waitForTimeout(300);
    all.push(...(await found(page)).map((what) => `${colorScheme} ${what}`));
  }
  return all;
}
