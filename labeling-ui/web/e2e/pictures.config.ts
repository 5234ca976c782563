import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

// A corpus with a few rounds behind it, so that there is something to see.
process.env["MARGINALIA_E2E_CORPUS"] =
  process.env["MARGINALIA_PICTURES_CORPUS"] ?? join(tmpdir(), "marginalia-pictures-corpus");
process.env["MARGINALIA_E2E_DEMO"] = "--faces 3000 --rounds 4 --labels 150";

export default defineConfig({
  test: {
    include: ["e2e/pictures.ts"],
    globalSetup: "e2e/setup.ts",
    testTimeout: 900_000,
    hookTimeout: 900_000,
  },
});
