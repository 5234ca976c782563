import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type ProxyOptions } from "vite";
import { shell } from "./build/shell.ts";

/** The server that answers /api while the page is served from here. */
const server = process.env["MARGINALIA_API"] ?? "http://127.0.0.1:7878";

/** The server refuses pages of other origins, so behind this proxy a request must name the server's own. */
export function apiOf(server: string): ProxyOptions {
  return {
    target: server,
    changeOrigin: true,
    configure(proxy) {
      proxy.on("proxyReq", (request) => {
        if (request.getHeader("origin")) request.setHeader("origin", server);
      });
      // An end of the server in the middle of an event stream is not an end of the proxy.
      proxy.on("error", () => undefined);
    },
  };
}

/** What the server sends with the page; here too, so that a violation shows during development of the built page. */
export const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; font-src 'self'; " +
  "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; " +
  "trusted-types svelte-trusted-html marginalia";

export default defineConfig({
  plugins: [svelte(), shell()],
  server: { proxy: { "/api": apiOf(server) } },
  preview: { proxy: { "/api": apiOf(server) }, headers: { "Content-Security-Policy": CONTENT_SECURITY_POLICY } },
  build: {
    target: "es2022",
    manifest: true,
    // Inlined files would be `data:` addresses, which the policy forbids.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: "index.html", sw: "src/worker/sw.ts" },
      output: {
        // Parts that most pages use come in one file: left to itself, the build makes one for each few of them.
        codeSplitting: { groups: [{ name: "parts", test: /\/src\/ui\//, minShareCount: 5 }] },
        // The worker's address must stay the same from version to version.
        entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
});
