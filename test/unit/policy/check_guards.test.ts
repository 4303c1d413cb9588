import { describe, expect, test } from "bun:test";
import type { Forbid } from "../../../src/model/schema/guards.ts";
import type { Rule } from "../../../src/model/schema/policy.ts";
import type { TenantDocument } from "../../../src/model/schema/tenant.ts";
import { checkGuards } from "../../../src/policy/check_guards.ts";

const EMAIL = { path: "$.customer.email", with: "mask" } as const;
const exporting = (...rules: Rule[]): TenantDocument => ({
  tenant: "acme",
  exports: [{ name: "out", to: ["tokyo", "austin"], rules }],
});
const check = (forbid: readonly Forbid[], ...tenants: TenantDocument[]) =>
  checkGuards("berlin", tenants, { forbid }).map(({ path, message }) => `${path}: ${message}`);
const RULE = "tenants[0].exports[0].rules[0].subjects[0]";

describe("checkGuards() of forbidden flows", () => {
  test("refuses what a policy would let out to a site that must not get it", () => {
    expect(check([{ from: "berlin", to: "tokyo" }], exporting({ subjects: ["acme.>"] }))).toEqual([
      `${RULE}: 'acme.>' of berlin would reach tokyo, which forbid[0] forbids`,
    ]);
    expect(check([{ from: "*", to: "*" }], exporting({ subjects: ["acme.>"] }))).toEqual([
      `${RULE}: 'acme.>' of berlin would reach tokyo and austin, which forbid[0] forbids`,
    ]);
    expect(
      checkGuards("berlin", [exporting({ subjects: ["acme.>"] })], { forbid: [{ from: "*", to: "*" }] }),
    ).toMatchObject([{ code: "forbidden-flow" }]);
  });

  test("has nothing against other origins, other peers, other subjects and what is denied", () => {
    const orders = exporting({ subjects: ["acme.orders.>"] });
    expect(check([{ from: "oslo", to: "*" }], orders)).toEqual([]);
    expect(check([{ from: "*", to: "oslo" }], orders)).toEqual([]);
    expect(check([{ from: "*", to: "*", subjects: ["acme.stock.>"] }], orders)).toEqual([]);
    const denied = exporting({ subjects: ["acme.stock.>"], deny: true }, { subjects: ["acme.>"] });
    expect(check([{ from: "*", to: "*", subjects: ["acme.stock.*"] }], denied)).toEqual([]);
  });

  test("a rule with a condition may let an event out, and may leave it to the next", () => {
    const forbid = [{ from: "*", to: "*", subjects: ["acme.stock.>"] }];
    const unsure = exporting(
      { subjects: ["acme.stock.>"], deny: true, when: "size < 10" },
      { subjects: ["acme.>"] },
    );
    expect(check(forbid, unsure)).toEqual([
      "tenants[0].exports[0].rules[1].subjects[0]: 'acme.>' of berlin would reach tokyo and austin, which forbid[0] forbids",
    ]);
    expect(check(forbid, exporting({ subjects: ["acme.stock.a"], when: "size < 10" }))).toHaveLength(1);
  });

  test("with fields it is allowed where the rule redacts each of them", () => {
    const forbid = [{ from: "berlin", to: "tokyo", fields: ["$.customer.email", "$.customer.phone"] }];
    expect(
      check(forbid, exporting({ subjects: ["acme.>"], redact: [{ path: "$.customer", with: "remove" }] })),
    ).toEqual([]);
    expect(check(forbid, exporting({ subjects: ["acme.>"], redact: [EMAIL] }))).toEqual([
      `${RULE}: 'acme.>' of berlin would reach tokyo with $.customer.phone unredacted, which forbid[0] forbids`,
    ]);
  });

  test("counts what it passes on, and only its own rules", () => {
    const transit = (subjects: string[]): TenantDocument => ({
      tenant: "acme",
      imports: [{ from: "tokyo", subjects }],
      exports: [{ name: "on", to: ["austin"], origin: "tokyo", rules: [{ subjects: ["acme.>"] }] }],
    });
    const forbid = [{ from: "tokyo", to: "austin", subjects: ["acme.stock.>"] }];
    expect(check(forbid, transit(["acme.stock.*", "acme.orders.>"]))).toEqual([
      `${RULE}: 'acme.stock.*' of tokyo would reach austin, which forbid[0] forbids`,
    ]);
    expect(check(forbid, transit(["acme.orders.>"]))).toEqual([]);
    expect(check(forbid, { ...transit([]), imports: [] })).toHaveLength(1);
  });

  test("refuses declarations that mean nothing", () => {
    const found = checkGuards(
      "berlin",
      [{ tenant: "acme", sensitive: [{ fields: ["$.a", "b"], subjects: ["acme.>", "bolt.>"] }] }],
      {
        forbid: [
          { from: "berlin", to: "berlin" },
          { from: "*", to: "*", fields: ["$.a[-1]"] },
        ],
        sensitive: [{ fields: ["$[?@.a]"] }],
      },
    );
    expect(found.map(({ path, message }) => `${path}: ${message}`)).toEqual([
      "forbid[0].to: 'berlin' is where the events come from: there is no flow to forbid",
      "forbid[1].fields[0]: Path '$.a[-1]' counts from the end of an array ('-1'), which one pass cannot do",
      expect.stringMatching(/^sensitive\[0\]\.fields\[0\]: Path '\$\[\?@\.a\]' /),
      "tenants[0].sensitive[0].fields[1]: Path 'b' must begin with '$'",
      "tenants[0].sensitive[0].subjects[1]: 'bolt.>' is outside the tenant's subjects ('acme.>')",
    ]);
  });
});
