/** Builds the web client into `dist/`: hashed names, precompressed, and tied to its sources. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const root = import.meta.dirname;
const dist = join(root, "dist");
/** What the built files depend on. README.md describes the digest; keep them together. */
const SOURCES = ["index.html", "package.json", "package-lock.json", "public", "src", "tsconfig.json", "vite.config.ts"];
const TEXT = /\.(html|js|css|svg|json|txt|webmanifest)$/;

export default defineConfig({
  // Relative, so that a proxy may serve the client below a path of its own.
  base: "./",
  plugins: [finish()],
  build: {
    target: "es2022",
    sourcemap: false,
    // The content security policy takes no `data:` addresses and no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { "/ws": { target: "ws://127.0.0.1:8080", ws: true, changeOrigin: true } } },
});

/** Runs when all files are written. */
function finish(): Plugin {
  return {
    name: "finish",
    apply: "build",
    closeBundle() {
      for (const path of files(dist).filter((path) => TEXT.test(path))) compress(path);
      const sources = SOURCES.flatMap((name) => files(join(root, name)));
      writeFileSync(join(dist, "sources.sha256"), `${digest(sources)}\n`);
    },
  };
}

function files(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => files(join(path, name)));
}

function compress(path: string): void {
  const bytes = readFileSync(path);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  // Node writes no time and no file name into the gzip header.
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
  writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params }));
}

function digest(paths: string[]): string {
  const hash = createHash("sha256");
  const named = paths.map((path) => [path.slice(root.length + 1).replaceAll("\\", "/"), path] as const);
  for (const [name, path] of named.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
    const contents = readFileSync(path);
    hash.update(`${name}\0${contents.length}\0`).update(contents);
  }
  return hash.digest("hex");
}
