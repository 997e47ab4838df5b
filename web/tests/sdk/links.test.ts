import assert from "node:assert/strict";
import { test } from "node:test";
import { splitLinks } from "../../src/app/links.ts";

/** Shows the parts of a text, links in angle brackets. */
const show = (text: string) => splitLinks(text).map(({ text, href }) => (href ? `<${text}>` : text));

test("addresses become links and the punctuation around them does not", () => {
  assert.deepEqual(show("see https://a.example/x?y=1#z."), ["see ", "<https://a.example/x?y=1#z>", "."]);
  assert.deepEqual(show("(http://a.example/b_(c))!"), ["(", "<http://a.example/b_(c)>", ")!"]);
  assert.deepEqual(show('"https://a.example/","b"'), ['"', "<https://a.example/>", '","b"']);
  assert.deepEqual(show("HTTPS://A.example"), ["<HTTPS://A.example>"]);
});

test("nothing but http and https is a link", () => {
  for (const text of [
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://a.example",
    "http://",
    "https://[",
    "www.a.example",
  ]) {
    assert.deepEqual(show(text), [text]);
  }
  assert.deepEqual(show("javascript:https://a.example"), ["javascript:", "<https://a.example>"]);
});

test("a text is kept to the last character", () => {
  const text = "\u202ehttps://a.example/\u202etxt\u0000 https://b.example))) ~~";
  assert.equal(
    splitLinks(text)
      .map(({ text }) => text)
      .join(""),
    text,
  );
});

test("hostile texts cost little", () => {
  for (const unit of ["https://a(", "#a ", "http://", "https://a.example/)))", "((((", "a\u0301\u0302"]) {
    const text = unit.repeat(60_000 / unit.length);
    const began = performance.now();
    splitLinks(text);
    assert.ok(performance.now() - began < 500, `${unit} took too long`);
  }
});
