/** The page of the security model names tests that there are. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
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

  /** The table of actors: each row names the files of its tests. */
  const actors = PAGE.split("\n").filter(
    (line) => /^\| [a-z ]+(:| \|)/.test(line) && line.split(" | ").length === 4,
  );

  test("names files of attempts for each actor", () => {
    expect(actors.map((row) => /^\| ([a-z ]+?)(?::| \|)/.exec(row)?.[1])).toEqual([
      "actor",
      "anonymous",
      "tenant app",
      "other tenant",
      "tenant insider",
      "peer gone bad",
      "network attacker",
      "operator",
    ]);
    for (const row of actors.slice(1)) expect(row).toMatch(/`test\/fault\/security\/\w+\.test\.ts`/);
  });

  test("names every file of attempts", () => {
    const folder = join(ROOT, "test/fault/security");
    // The suite's own tests.
    const own = ["suite.test.ts"];
    const files = readdirSync(folder).filter((file) => file.endsWith(".test.ts") && !own.includes(file));
    expect(files.filter((file) => !PAGE.includes(file))).toEqual([]);
  });

  test.each(named)("$file: $name", ({ file, name }) => {
    expect(readFileSync(join(ROOT, file), "utf8")).toContain(JSON.stringify(name));
  });
});
