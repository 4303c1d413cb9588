import { describe, expect, test } from "bun:test";
import { createWorld, type World } from "./cli_support.ts";

function world(): World {
  const made = createWorld();
  made.api.control.seed({ type: "tenant", tenant: "acme" }, {});
  return made;
}

describe("dlq", () => {
  test("list passes its filter on", async () => {
    const made = world();
    await made.run("dlq", "list", "acme", "--reason", "header_invalid", "--subject", "acme.orders.>");
    expect(made.api.control.calls).toEqual([
      "dlq after 0 limit 100 reason header_invalid subject acme.orders.>",
    ]);
  });

  test("show keeps the payload to itself unless it is asked for", async () => {
    const made = world();
    const { out } = await made.run("dlq", "show", "acme", "17");
    expect(out).toContain("acme.orders.created");
    expect(out).toContain("eu-orders/#1, version v1");
    expect(out).toContain("region: EU");
    expect(out).not.toContain("raw");
    expect((await made.run("dlq", "show", "acme", "17", "--payload")).out).toContain('{"raw":1}');
    expect((await made.run("dlq", "show", "acme", "98", "--payload")).out).toContain("base64 /w==");
    expect((await made.run("dlq", "show", "acme", "100")).code).toBe(4);
  });

  test("drop takes one, or what a filter says", async () => {
    const made = world();
    expect((await made.run("dlq", "drop", "acme", "17")).out).toBe("Dropped dead letter 17.\n");
    expect((await made.run("dlq", "drop", "acme", "17", "--dry-run")).out).toBe(
      "Would drop dead letter 17.\n",
    );
    expect((await made.run("dlq", "drop", "acme", "--all")).out).toBe("Dropped 3 dead letters.\n");
    expect((await made.run("dlq", "drop", "acme", "--policy", "eu", "--dry-run")).out).toBe(
      "Would drop 3 dead letters.\n",
    );
    expect(made.api.control.calls).toEqual([
      "dlq remove 17",
      "dlq show 17 payload false",
      "dlq drop dry false",
      "dlq drop policy eu dry true",
    ]);
  });

  test("redrive waits for the end, and says what became of them", async () => {
    const made = world();
    const { out, code } = await made.run("dlq", "redrive", "acme", "--all", "--rate", "50", "--dry-run");
    expect(code).toBe(0);
    expect(out).toContain("Redrive r1 of acme is done: would forward 1, drop 1, keep 1.");
    expect(out).toMatch(/^8 +acme\.orders\.created +eu-orders +keep +payload_not_json +no JSON$/m);
    expect((await made.run("dlq", "redrive", "acme", "8", "--no-wait")).out).toContain("is running");
    expect((await made.run("dlq", "redrive", "acme", "8", "--json")).json()).toMatchObject({ state: "done" });
    expect(made.api.control.calls).toEqual([
      "dlq redrive - dry true rate 50",
      "dlq redrive 8 dry false rate 500",
      "dlq redrive 8 dry false rate 500",
    ]);
  });

  test.each([
    ["drop acme", "Which dead letters? Give a sequence, a filter such as --reason or --subject, or --all"],
    [
      "redrive acme --dry-run",
      "Which dead letters? Give a sequence, a filter such as --reason or --subject, or --all",
    ],
    ["drop acme 4 --all", "A sequence or --all stands alone: give no filter beside it"],
    ["redrive acme --all --policy eu", "A sequence or --all stands alone: give no filter beside it"],
    ["show acme x", "<sequence> 'x' is no number from 1 on"],
    ["redrive acme --all --rate 0", "--rate '0' is no number from 1 on"],
  ])("%s is refused", async (words, told) => {
    const made = world();
    const { code, err } = await made.run("dlq", ...words.split(" "));
    expect([code, err, made.api.control.calls]).toEqual([2, `leafmesh: ${told}\n`, []]);
  });
});
