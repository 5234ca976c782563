import svelte from "eslint-plugin-svelte";
import ts from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

export default ts.config(
  { ignores: ["dist", "shots"] },
  ...ts.configs.recommended,
  ...svelte.configs.recommended,
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: [".svelte"], svelteConfig } },
  },
  {
    rules: {
      // The page has one router of its own, over the fragment.
      "svelte/no-navigation-without-resolve": "off",
      // Sets and dates here are made, read and thrown away in one function.
      "svelte/prefer-svelte-reactivity": "off",
    },
  },
  {
    files: ["src/**"],
    ignores: ["src/api/**", "src/worker/**"],
    rules: {
      "no-restricted-globals": [
        "error",
        { name: "fetch", message: "Ask through src/api." },
        { name: "EventSource", message: "Listen through src/api." },
      ],
    },
  },
);
