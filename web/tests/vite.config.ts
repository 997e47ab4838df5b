/** Compiles the SDK's tests for Node, which does not read TypeScript everywhere yet. */
import { readdirSync } from "node:fs";
import { defineConfig } from "vite";

const folder = new URL("sdk/", import.meta.url).pathname;
const tests = readdirSync(folder).filter((name) => name.endsWith(".test.ts"));

export default defineConfig({
  logLevel: "warn",
  publicDir: false,
  build: {
    ssr: true,
    target: "node20",
    minify: false,
    outDir: new URL(".build", import.meta.url).pathname,
    emptyOutDir: true,
    rolldownOptions: {
      input: Object.fromEntries(tests.map((name) => [name.replace(/\.ts$/, ""), folder + name])),
      output: { entryFileNames: "[name].mjs", chunkFileNames: "[name].mjs" },
    },
  },
});
