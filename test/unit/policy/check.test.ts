import { describe, expect, test } from "bun:test";
import type { ExportPolicy, ImportPolicy, Rule } from "../../../src/model/schema/policy.ts";
import type { TenantDocument } from "../../../src/model/schema/tenant.ts";
import { checkTenant } from "../../../src/policy/check.ts";

const PEERS = ["tokyo", "austin"];
const check = (document: Partial<TenantDocument>, site = "berlin", peers = PEERS) =>
  checkTenant(site, { tenant: "acme", ...document }, peers).map((one) => `${one.path}: ${one.message}`);
const exporting = (change: Partial<ExportPolicy>): ExportPolicy => ({
  name: "eu",
  to: ["tokyo"],
  rules: [{ subjects: ["acme.orders.>"] }],
  ...change,
});
const importing = (change: Partial<ImportPolicy>): ImportPolicy => ({
  from: "tokyo",
  subjects: ["acme.orders.>"],
  ...change,
});
const ruled = (...rules: Rule[]) => check({ exports: [exporting({ rules })] });

describe("checkTenant()", () => {
  test("has nothing against a document that is right", () => {
    const exports = [
      exporting({ to: ["tokyo", "austin"] }),
      exporting({ name: "own", to: ["oslo"], origin: "berlin" }),
      exporting({ name: "transit", origin: "tokyo", to: ["austin"] }),
      exporting({ name: "far", origin: "lima", to: ["austin"] }),
    ];
    const imports = [
      importing({}),
      importing({ from: "austin" }),
      importing({ from: "austin", origin: "lima" }),
    ];
    expect(check({ exports, imports }, "berlin", [...PEERS, "oslo"])).toEqual([]);
  });

  test("names of tenants differ from those of the site and its peers", () => {
    expect(check({}, "acme")).toEqual([
      expect.stringMatching(/^tenant: Tenant 'acme' has the name of the site/),
    ]);
    expect(check({}, "berlin", ["acme"])).toEqual([expect.stringMatching(/^tenant: .* the name of a peer/)]);
  });

  test("peers are known, others than this site, and named once", () => {
    expect(check({ exports: [exporting({ to: ["lima", "berlin", "tokyo", "tokyo"] })] })).toEqual([
      "exports[0].to[0]: 'lima' is no peer of this site (known are tokyo, austin)",
      "exports[0].to[1]: 'berlin' is this site: there is nothing to export to itself",
      "exports[0].to[3]: Peer 'tokyo' is named twice",
    ]);
    expect(
      check({ imports: [importing({ from: "lima" }), importing({ from: "berlin" })] }, "berlin", []),
    ).toEqual([
      "imports[0].from: 'lima' is no peer of this site (this site has none)",
      "imports[1].from: 'berlin' is this site: there is nothing to import from itself",
    ]);
  });

  test("one policy decides for a peer and an origin, and names are unique", () => {
    expect(check({ exports: [exporting({}), exporting({ origin: "berlin" })] })).toEqual([
      "exports[1].name: Export 'eu' has the name of exports[0]",
      "exports[1].to[0]: Peer 'tokyo' already gets events of 'berlin' by export 'eu': one policy decides for a peer",
    ]);
  });

  test("transit goes on from where events are known, and never back", () => {
    expect(check({ exports: [exporting({ origin: "lima" })] })).toEqual([
      "exports[0].origin: Export 'eu' passes on events of 'lima', which no import of 'acme' brings here",
    ]);
    expect(check({ exports: [exporting({ origin: "tokyo" })], imports: [importing({})] })).toEqual([
      "exports[0].to[0]: Export 'eu' sends events of 'tokyo' back to where they come from",
    ]);
  });

  test("each origin is imported over one path, and never our own", () => {
    expect(
      check({
        imports: [
          importing({}),
          importing({}),
          importing({ from: "austin", origin: "tokyo" }),
          importing({ from: "austin", origin: "berlin" }),
        ],
      }),
    ).toEqual([
      "imports[1].from: Events of 'tokyo' are imported from 'tokyo' twice",
      "imports[2].from: Events of 'tokyo' are already imported from 'tokyo': over two paths each would arrive twice",
      "imports[3].origin: Import from 'austin' would bring back our own events ('berlin')",
    ]);
  });

  test("subjects are the tenant's", () => {
    expect(
      check({
        exports: [exporting({ rules: [{ subjects: ["acme.a", "other.>", "*.a", ">", "acme"] }] })],
        imports: [importing({ subjects: ["acmes.>"] })],
      }),
    ).toEqual([
      "exports[0].rules[0].subjects[1]: 'other.>' is outside the tenant's subjects ('acme.>')",
      "exports[0].rules[0].subjects[2]: '*.a' is outside the tenant's subjects ('acme.>')",
      "exports[0].rules[0].subjects[3]: '>' is outside the tenant's subjects ('acme.>')",
      "exports[0].rules[0].subjects[4]: 'acme' is outside the tenant's subjects ('acme.>')",
      "imports[0].subjects[0]: 'acmes.>' is outside the tenant's subjects ('acme.>')",
    ]);
  });

  test("subjects of an import may hold one another, but not overlap partially", () => {
    expect(check({ imports: [importing({ subjects: ["acme.>", "acme.a"] })] })).toEqual([]);
    expect(check({ imports: [importing({ subjects: ["acme.a.*", "acme.x", "acme.*.b"] })] })).toEqual([
      "imports[0].subjects[2]: 'acme.a.*' and 'acme.*.b' overlap partially (both hold 'acme.a.b'), and the server cannot filter by both",
    ]);
  });

  test("a rule that can never match is reported with those that take its subjects", () => {
    expect(
      ruled(
        { subjects: ["acme.orders.*"] },
        { subjects: ["acme.orders.*.>"], deny: true },
        { subjects: ["acme.orders.>"], redact: [{ path: "$.a", with: "mask" }] },
      ),
    ).toEqual([
      "exports[0].rules[2]: Rule #3 ('acme.orders.>') can never match: rule #1 ('acme.orders.*') and rule #2 ('acme.orders.*.>') takes all its subjects",
    ]);
    expect(ruled({ subjects: ["acme.>"], when: "size > 1" }, { subjects: ["acme.a"], deny: true })).toEqual(
      [],
    );
  });

  test("a subject that a rule would hide but never sees is reported", () => {
    expect(
      ruled(
        { subjects: ["acme.a.>"] },
        { name: "secrets", subjects: ["acme.b", "acme.a.secret"], deny: true },
      ),
    ).toEqual([
      "exports[0].rules[1].subjects[1]: Rule #2 \"secrets\" never sees 'acme.a.secret': rule #1 ('acme.a.>') takes it",
    ]);
    expect(ruled({ subjects: ["acme.a.>"] }, { subjects: ["acme.b", "acme.a.x"] })).toEqual([]);
  });

  test("a policy that lets nothing out is reported", () => {
    expect(ruled({ subjects: ["acme.>"], deny: true })).toEqual([
      "exports[0].rules: Export 'eu' lets nothing out",
    ]);
    expect(ruled({ subjects: ["acme.a"], when: "size > 1", deny: true })).toEqual([
      "exports[0].rules: Export 'eu' lets nothing out",
    ]);
  });

  test("what does not compile is reported, all at once", () => {
    const problems = ruled(
      { subjects: ["acme.a"], when: "data.total >" },
      {
        subjects: ["acme.b"],
        redact: [{ path: "$.a[-1]", with: "mask" }],
        headers: { set: { "Nats-TTL": "1" } },
      },
    );
    expect(problems.map((one) => one.slice(0, one.indexOf(": ")))).toEqual([
      "exports[0].rules[0].when",
      "exports[0].rules[1].redact[0].path",
      "exports[0].rules[1].headers.set.Nats-TTL",
    ]);
  });
});
