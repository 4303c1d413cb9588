import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { formatPath, parsePath } from "../../../src/model/problem_path.ts";
import { schemaProblemList } from "../../../src/model/schema_problems.ts";
import { withoutSecrets } from "../../../src/model/secrets.ts";
import { nearestWord } from "../../../src/model/suggest.ts";

describe("nearestWord()", () => {
  test.each([
    ["tenats", "tenants"],
    ["Tenants", "tenants"],
    ["teantns", "tenants"],
    ["stie", "site"],
    ["sites", "site"],
    ["xyz", null],
    ["a", null],
  ])("finds for '%s' %p", (word, found) => {
    expect(nearestWord(word, ["site", "tenants", "peers"])).toBe(found);
  });
});

describe("formatPath() and parsePath()", () => {
  test.each([
    [[], ""],
    [["tenants", 0, "exports", 12, "to"], "tenants[0].exports[12].to"],
    [["set", "a b", "x.y", 'q"]'], 'set["a b"]["x.y"]["q\\"]"]'],
    [[0, "a"], "[0].a"],
    [["x-color"], "x-color"],
  ])("%j is %s and back", (path, text) => {
    expect(formatPath(path)).toBe(text);
    expect(parsePath(text)).toEqual(path);
  });
});

describe("withoutSecrets()", () => {
  test("hides seeds of users, accounts and curves, and passwords of URLs", () => {
    const seed = "UADM7XV4PWOY7FMUKKPGGT3QQMFCLOBJQR5OGBHHPYFYA2NBWWNQUHDWU";
    expect(withoutSecrets(`a S${seed} b sa${seed.slice(1).toLowerCase()} c`)).toBe("a <seed> b <seed> c");
    expect(withoutSecrets("to nats://me:pw@host:1 and tls://token@host")).toBe(
      "to nats://<hidden>@host:1 and tls://<hidden>@host",
    );
  });

  test("leaves public keys and plain URLs alone", () => {
    const plain = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 https://host/a@b SUBJECTS";
    expect(withoutSecrets(plain)).toBe(plain);
  });
});

describe("schemaProblemList()", () => {
  const problemsOf = (schema: z.ZodType, input: unknown) => {
    const parsed = schema.safeParse(input);
    return parsed.error === undefined ? [] : schemaProblemList(schema, input, parsed.error);
  };

  test("shows the first hundred of many", () => {
    const found = problemsOf(z.array(z.string()), Array(250).fill(null));
    expect(found).toHaveLength(101);
    expect(found[100]).toEqual({ path: "", message: "and 150 more problems" });
  });

  test("lists what would be taken when no alternative fits", () => {
    const schema = z.strictObject({
      keep: z.union([z.literal("domain"), z.strictObject({ first: z.int() })]),
    });
    expect(problemsOf(schema, { keep: 5 })).toEqual([
      { path: "keep", message: "5 is a number, expected 'domain' or a map with 'first'" },
    ]);
  });

  test("cuts long values", () => {
    const [found] = problemsOf(z.number(), "x".repeat(1000));
    expect(found?.message.length).toBeLessThan(120);
  });

  test("says that text wants quotes", () => {
    expect(problemsOf(z.strictObject({ v: z.string() }), { v: true })).toEqual([
      { path: "v", message: "true is a boolean, expected text: put it in quotes" },
    ]);
  });
});
