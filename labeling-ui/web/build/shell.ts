import { createHash } from "node:crypto";
import type { Plugin } from "vite";

/** Tells the service worker which files make up the page's first load, and names its cache after them. */
export function shell(): Plugin {
  return {
    name: "marginalia-shell",
    apply: "build",
    enforce: "post",
    generateBundle(_options, bundle) {
      const worker = bundle["sw.js"];
      const files = new Set(["/", "/favicon.svg"]);
      for (const file of Object.values(bundle)) {
        if (file.type === "asset" && /latin-wght-normal.*woff2$/.test(file.fileName)) files.add(`/${file.fileName}`);
        if (file.type !== "chunk" || file.name !== "index" || !file.isEntry) continue;
        const reached = [file.fileName];
        // A for loop over a list that grows: imports of imports are needed as well.
        for (const name of reached) {
          files.add(`/${name}`);
          const part = bundle[name];
          if (part?.type !== "chunk") continue;
          for (const css of part.viteMetadata?.importedCss ?? []) files.add(`/${css}`);
          reached.push(...part.imports.filter((next) => !reached.includes(next)));
        }
      }
      if (worker?.type !== "chunk") throw new Error("the build has no sw.js");
      const list = [...files].sort();
      const version = createHash("sha256").update(list.join("\n")).digest("hex").slice(0, 12);
      // Whatever quotes the minifier chose.
      const place = /(["'`])__SHELL__\1/;
      if (!place.test(worker.code)) throw new Error("sw.js has no place for the list of files");
      worker.code = worker.code.replace(place, () => JSON.stringify(list)).replace("__VERSION__", version);
    },
  };
}
