// Light or dark: the system's word, unless somebody chose.

import { keep, kept } from "../ui/kept.ts";

export type Theme = "system" | "light" | "dark";

const dark = matchMedia("(prefers-color-scheme: dark)");

class Themes {
  chosen = $state<Theme>(kept("theme", "system"));

  choose(theme: Theme): void {
    this.chosen = theme;
    keep("theme", theme);
    this.show();
  }

  show(): void {
    const isDark = this.chosen === "dark" || (this.chosen === "system" && dark.matches);
    document.documentElement.dataset["theme"] = isDark ? "dark" : "light";
  }
}

export const themes = new Themes();

export function followTheme(): void {
  themes.show();
  dark.addEventListener("change", () => themes.show());
}
