/** What must hold for the text of the sources. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

// `npm test` runs in web/; the compiled test lies elsewhere.
const sources = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(ts|tsx|css)$/.test(name))
  .map((name) => ({ name, text: readFileSync(join("src", name), "utf8") }));

test("nothing turns text into markup or code", () => {
  const forbidden =
    /innerHTML|outerHTML|insertAdjacentHTML|dangerouslySet|document\.write|\beval\(|new Function|srcdoc/;
  assert.deepEqual(
    sources.filter(({ text }) => forbidden.test(text)).map(({ name }) => name),
    [],
  );
  assert.ok(sources.length > 20, "the sources were found");
});

test("the SDK imports nothing but itself", () => {
  const imports = sources
    .filter(({ name }) => name.startsWith("sdk"))
    .flatMap(({ text }) => [...text.matchAll(/from "([^"]+)"/g)]);
  assert.ok(imports.length > 10);
  assert.deepEqual(
    imports.map(([, path]) => path!).filter((path) => !/^\.\/\w+\.ts$/.test(path)),
    [],
  );
});

test("files stay short", () => {
  assert.deepEqual(
    sources.filter(({ text }) => text.split("\n").length > 400).map(({ name }) => name),
    [],
  );
});
