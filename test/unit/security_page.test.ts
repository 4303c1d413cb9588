/** The page of the security model names tests that there are. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const PAGE = readFileSync(join(ROOT, "docs/security.md"), "utf8");

/** Rows of the table: what holds, and the file and name of its test. */
const named = [...PAGE.matchAll(/^\| [^|]+ \| `([\w.]+\.test\.ts)`: ([^|]+) \|$/gm)].map(
  ([, file = "", name = ""]) => ({ file: `test/fault/security/${file}`, name: name.trim() }),
);

describe("docs/security.md", () => {
  test("names tests for what it says", () => {
    expect(named.length).toBeGreaterThan(15);
    for (const [, file = ""] of PAGE.matchAll(/`(test\/[\w/]+\.ts)`/g))
      expect({ file, there: existsSync(join(ROOT, file)) }).toEqual({ file, there: true });
  });

  test.each(named)("$file: $name", ({ file, name }) => {
    expect(readFileSync(join(ROOT, file), "utf8")).toContain(JSON.stringify(name));
  });
});
