import { describe, expect, test } from "bun:test";
import { problemOf, testApi } from "./api_support.ts";

const RULES = [{ subjects: ["acme.orders.>"] }];
const DIFF = "/v1/tenants/acme/exports/eu/diff";
const SHADOW = "/v1/tenants/acme/exports/eu/shadow";

function api() {
  const made = testApi();
  made.control.seed({ type: "tenant", tenant: "acme" }, {});
  made.control.seed(
    { type: "export", tenant: "acme", name: "eu" },
    { name: "eu", to: ["tokyo"], rules: RULES },
  );
  return made;
}

describe("diff", () => {
  test("takes rules and a range; nothing of a payload is shown unless it is asked for", async () => {
    const { call, control, logged } = api();
    const plain = await (await call("POST", DIFF, { rules: RULES })).json();
    expect(control.diffed).toMatchObject({
      rules: RULES,
      range: { last: 10_000 },
      samples: false,
      deadlineMs: 60_000,
    });
    expect(plain.comparison.rules[0].samples[0]).not.toContainKeys(["active", "candidate"]);
    await call("POST", DIFF, { rules: RULES, last: 5, deadline: "2s" });
    expect(control.diffed).toMatchObject({ range: { last: 5 }, deadlineMs: 2000 });
    const shown = await (await call("POST", DIFF, { rules: RULES, since: "24h", samples: true })).json();
    expect(control.diffed).toMatchObject({ range: { sinceMs: 86_400_000 }, samples: true });
    const outputs = shown.comparison.rules.map(
      (one: { samples: { active?: object; candidate?: object }[] }) => [
        one.samples[0]?.active,
        one.samples[0]?.candidate,
      ],
    );
    expect(outputs).toMatchObject([
      [{ dataText: '{"a":1}' }, { dataText: '{"a":"***"}' }],
      [{ dataText: "\u001b[2J" }, null],
      [null, { dataBase64: "/w==" }],
      [undefined, undefined],
    ]);
    // It changes nothing, so it is no line in the log of changes.
    expect(logged).toEqual([]);
  });

  test.each([
    [{}, "rules: is missing (expected a list)"],
    [{ rules: [] }, "rules: is empty, expected at least 1 entry"],
    [{ rules: RULES, last: 0 }, "last: 0 is out of range, expected at least 1"],
    [{ rules: RULES, last: 1e7 }, "last: 10000000 is out of range, expected at most 1000000"],
    [
      { rules: RULES, since: "1" },
      "since: '1' is no duration (expected for example 250ms, 30s, 2m, 1h30m, 7d)",
    ],
    [{ rules: RULES, last: 1, since: "1h" }, "since: give only one of last, since"],
    [{ rules: RULES, deadline: "1h" }, "deadline: '1h' is longer than 150000 ms"],
    [{ rules: RULES, sample: true }, "sample: unknown key 'sample' (did you mean 'samples'?)"],
    [
      { rules: [{ subjects: ["acme.>"], whne: "true" }] },
      "rules[0].whne: unknown key 'whne' (did you mean 'when'?)",
    ],
  ])("refuses %j", async (body, problem) => {
    const { call } = api();
    const response = await call("POST", DIFF, body);
    expect([response.status, (await problemOf(response)).problems]).toEqual([422, [problem]]);
  });

  test("wants an export that is there", async () => {
    const { call } = api();
    const of = async (path: string) => (await problemOf(await call("POST", path, { rules: RULES }))).detail;
    expect(await of("/v1/tenants/acme/exports/us/diff")).toBe("There is no export 'us' of tenant 'acme'");
    expect(await of("/v1/tenants/bolt/exports/eu/diff")).toBe("There is no tenant 'bolt'");
  });
});

describe("shadow", () => {
  test("is set, shown with its counts, changed under If-Match and cleared", async () => {
    const { call } = api();
    expect((await problemOf(await call("GET", SHADOW))).detail).toBe("Export acme/eu has no shadow");
    const created = await call("PUT", SHADOW, { rules: RULES });
    expect([created.status, await created.json()]).toEqual([201, { rules: RULES }]);
    const read = await call("GET", SHADOW);
    expect(read.headers.get("etag")).toBe(created.headers.get("etag"));
    const report = await read.json();
    expect(report).toMatchObject({
      state: "running",
      rules: RULES,
      skipped: 4,
      compared: { comparison: { events: 10 } },
    });
    expect(report.compared.comparison.rules[0].samples[0]).not.toContainKeys(["active", "candidate"]);
    const shown = await (await call("GET", `${SHADOW}?samples=true`)).json();
    expect(shown.compared.comparison.rules[0].samples[0].candidate.dataText).toBe('{"a":"***"}');
    expect((await call("PUT", SHADOW, { rules: RULES })).status).toBe(428);
    const ifMatch = { "if-match": read.headers.get("etag") ?? "" };
    expect((await call("PUT", SHADOW, { rules: [...RULES, ...RULES] }, ifMatch)).status).toBe(200);
    expect((await call("DELETE", SHADOW, undefined, ifMatch)).status).toBe(412);
    expect((await call("DELETE", SHADOW, undefined, { "if-match": "*" })).status).toBe(204);
  });

  test("refuses what is no list of rules, an unknown query and an export that is not there", async () => {
    const { call } = api();
    const bad = await problemOf(await call("PUT", SHADOW, { rules: RULES, every: 2 }));
    expect([bad.code, bad.problems]).toEqual([
      "policy_invalid",
      ["every: unknown key 'every' (known: rules)"],
    ]);
    expect((await problemOf(await call("GET", `${SHADOW}?sample=true`))).problems).toEqual([
      "sample: unknown key 'sample' (did you mean 'samples'?)",
    ]);
    const missing = await call("PUT", "/v1/tenants/acme/exports/us/shadow", { rules: RULES });
    expect((await problemOf(missing)).detail).toBe("There is no export 'us' of tenant 'acme'");
    expect((await call("GET", "/v1/tenants/acme/exports/us/shadow")).status).toBe(404);
  });
});
