import { describe, expect, test } from "bun:test";
import { createWorld } from "./cli_support.ts";

const RULES = [{ subjects: ["acme.orders.>"] }];
const EXPORT = "name: eu\nto: [tokyo]\nrules: [{ subjects: [acme.orders.>] }]\n";
const TENANTS =
  "tenant: acme\nexports:\n  - { name: eu, to: [tokyo], rules: [{ subjects: [acme.orders.>] }] }\n  - { name: us, to: [oslo], rules: [{ subjects: [acme.us.>] }] }\n";

function world(file = EXPORT) {
  const made = createWorld();
  made.files.set("c.yaml", file);
  made.api.control.seed({ type: "tenant", tenant: "acme" }, {});
  made.api.control.seed(
    { type: "export", tenant: "acme", name: "eu" },
    { name: "eu", to: ["tokyo"], rules: RULES },
  );
  return made;
}

describe("policy diff", () => {
  test("sends the candidate's rules and tells what would change", async () => {
    const { run, requests } = world();
    const { code, out } = await run("policy", "diff", "c.yaml", "--last", "500");
    expect(code).toBe(0);
    expect(requests).toEqual([
      `POST /v1/tenants/acme/exports/eu/diff ${JSON.stringify({ rules: RULES, last: 500 })}`,
    ]);
    expect(
      out,
    ).toBe(`acme/eu (view) and the candidate (view), held against 10 events of out_acme, 1 (2026-01-02T03:04:05.000Z) to 10 (2026-01-02T03:04:05.000Z)
note: the stream begins at 1
           FORWARD  DROP  QUARANTINE
active     8        2     0
candidate  8        2     0
3 of 10 events would change: forward → drop: 1, drop → forward: 1, forward both ways, not the same: 1 (payload 1)

NOW             THEN            EVENTS  CHANGED
forward by eu   forward by eu   7       1
forward by eu   drop (no rule)  1       1
drop (no rule)  forward by new  1       1

SUBJECT        CHANGED  HOW
acme.orders.*  3        forward → drop: 1, drop → forward: 1, output: 1

event 7 2026-01-02T03:04:05.000Z acme.orders.x (payload not the same)
  now   forward by eu
  then  forward by eu
event 8 2026-01-02T03:04:05.000Z acme.orders.x
  now   forward by eu
  then  drop (no rule): no_rule
event 9 2026-01-02T03:04:05.000Z acme.orders.x
  now   drop (no rule): no_rule
  then  forward by new
`);
  });

  test("shows what leaves on demand, harmless to a terminal", async () => {
    const { run, requests } = world();
    const { out } = await run("policy", "diff", "c.yaml", "--since", "24h", "--samples", "--deadline", "5s");
    expect(requests[0]).toEndWith(
      JSON.stringify({ rules: RULES, since: "24h", deadline: "5s", samples: true }),
    );
    expect(out).toContain(
      '        acme.orders.x, 7 bytes, 1 value redacted\n        region: EU\n        {"a":1}\n',
    );
    expect(out).toContain("\\x1b[2J");
    expect(out).not.toContain("\u001b");
    expect(out).toContain("base64 /w==");
  });

  test("finds the candidate in a file of tenants, and asks which one when there are several", async () => {
    const { run, requests } = world(TENANTS);
    expect(await run("policy", "diff", "c.yaml", "--export", "eu")).toMatchObject({ code: 0 });
    expect(requests[0]).toStartWith("POST /v1/tenants/acme/exports/eu/diff");
    expect((await run("policy", "diff", "c.yaml")).err).toContain(
      "c.yaml has the exports acme/eu, acme/us: say which one with --tenant and --export",
    );
    expect((await run("policy", "diff", "c.yaml", "--tenant", "bolt")).err).toContain(
      "c.yaml has no such export",
    );
    const unnamed = world("to: [tokyo]\nrules: [{ subjects: [acme.x] }]\n");
    expect((await unnamed.run("policy", "diff", "c.yaml")).err).toContain("c.yaml has no 'name'");
    expect((await unnamed.run("policy", "diff", "c.yaml", "--export", "eu")).code).toBe(0);
  });

  test("refuses a file that is not valid, with places, and numbers that are none", async () => {
    const { run, requests } = world("name: eu\nto: [tokyo]\nrules: [{ subjcts: [acme.x] }]\n");
    const bad = await run("policy", "diff", "c.yaml");
    expect([bad.code, bad.err]).toEqual([
      2,
      expect.stringContaining("c.yaml:3:11 rules[0].subjcts: unknown key"),
    ]);
    expect((await world().run("policy", "diff", "c.yaml", "--last", "many")).err).toContain(
      "--last is 'many', expected a number of events",
    );
    expect(requests).toEqual([]);
  });
});

describe("policy shadow", () => {
  test("is set, set again, shown and cleared", async () => {
    const { run, requests } = world();
    expect((await run("policy", "shadow", "show", "acme", "eu")).err).toContain(
      "Export acme/eu has no shadow",
    );
    expect((await run("policy", "shadow", "set", "c.yaml", "--json")).json()).toEqual({
      tenant: "acme",
      name: "eu",
      done: "created",
    });
    expect((await run("policy", "shadow", "set", "c.yaml", "--json")).json()).toMatchObject({
      done: "changed",
    });
    expect(requests.at(-1)).toBe(
      `PUT /v1/tenants/acme/exports/eu/shadow ${JSON.stringify({ rules: RULES })}`,
    );
    const shown = await run("policy", "shadow", "show", "acme", "eu");
    expect(shown.out).toStartWith(
      "acme/eu: the shadow is running, counting since 2026-01-02T03:04:05.000Z\nnote: 4 events were passed over: to look at them would have cost too much\n           FORWARD",
    );
    await run("policy", "shadow", "show", "acme", "eu", "--samples");
    expect(requests.at(-1)).toBe("GET /v1/tenants/acme/exports/eu/shadow?samples=true");
    expect((await run("policy", "shadow", "clear", "acme", "eu")).out).toBe(
      "Export acme/eu has no shadow any more.\n",
    );
    expect((await run("policy", "shadow", "clear", "acme", "eu")).code).toBe(4);
  });
});
