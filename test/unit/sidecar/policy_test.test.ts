import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatProblem, LeafmeshError } from "../../../src/model/errors.ts";
import { testPolicies } from "../../../src/sidecar/policy_test.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const EXAMPLES = join(import.meta.dir, "../../../examples/policy");
const POLICY = `
name: orders
to: [tokyo]
rules:
  - { name: debug, subjects: ["acme.debug.>"], deny: true }
  - name: eu
    subjects: ["acme.orders.>"]
    redact: [{ path: $.email, with: remove }]
    headers: { drop: [x-secret], set: { classification: shared } }
`;
const world = (files: Record<string, string | Uint8Array>) => async (path: string) => {
  const found = files[path];
  if (found === undefined) throw new LeafmeshError("not_found", `There is no file ${path}`);
  return typeof found === "string" ? new TextEncoder().encode(found) : found;
};
async function run(tests: string, files: Record<string, string | Uint8Array> = {}) {
  const all = { "p/policy.yaml": POLICY, "p/policy.test.yaml": tests, ...files };
  const [report] = await testPolicies(["p/policy.test.yaml"], world(all));
  if (report === undefined) throw new Error("no report");
  const told = report.tests.flatMap((one) => one.problems.map((problem) => formatProblem(problem)));
  return { ...report, told, invalid: report.problems.map((one) => formatProblem(one, one.file)) };
}

test("the example policies pass their tests, and every rule has one", async () => {
  const files = readdirSync(EXAMPLES).filter((name) => name.endsWith(".test.yaml"));
  expect(files).not.toEqual([]);
  const reports = await testPolicies(
    files.map((name) => join(EXAMPLES, name)),
    async (path) => readFileSync(path),
  );
  for (const report of reports) {
    expect(report.problems).toEqual([]);
    expect(report.tests.flatMap((one) => one.problems)).toEqual([]);
    expect(report.unreached).toEqual([]);
  }
});

describe("testPolicies()", () => {
  test("takes payloads inline, as text, base64 or file, and compares what leaves in the same forms", async () => {
    const { told, tests } = await run(
      `
tests:
  - { name: json, subject: acme.orders.x, payload: { json: { a: 1, email: e } }, expect: { outcome: forward, payload: { json: { a: 1 } } } }
  - { name: text, subject: acme.orders.x, payload: { text: '{"a": 1.0,"email":"e"}' }, expect: { outcome: forward, payload: { text: '{"a": 1.0}' } } }
  - { name: base64, subject: acme.orders.x, payload: { base64: e30= }, expect: { outcome: forward, payload: { base64: e30= } } }
  - { name: file, subject: acme.orders.x, payload: { file: in.json }, expect: { outcome: forward, payload: { file: out.json } } }
  - { name: none, subject: acme.debug.x, expect: drop }
`,
      { "p/in.json": '{"email":1,"b":2}', "p/out.json": '{"b":2}' },
    );
    expect(told).toEqual([]);
    expect(tests.map((one) => one.rule)).toEqual(["eu", "eu", "eu", "eu", "debug"]);
  });

  test("tells every failure at once, with line and column, expected and got", async () => {
    const { told } = await run(`tests:
  - name: all wrong
    subject: acme.orders.x
    headers: { x-secret: s, region: EU }
    payload: { text: '{"a":1,"email":"e","note":"\\u0065vil"}' }
    expect:
      outcome: forward
      rule: debug
      subject: acme.shared.x
      payload: { json: { a: 2, b: 3 } }
      headers: { present: { region: US, trace: t }, absent: [Classification] }
      not: [evil, fine]
  - name: bytes
    subject: acme.orders.x
    payload: { text: '{"a":1}' }
    expect: { outcome: forward, payload: { text: '{"a":2}' } }
  - { name: outcome, subject: acme.orders.x, payload: { text: x }, expect: forward }
  - { name: reason, subject: acme.other, expect: { outcome: drop, reason: denied } }
`);
    expect(told).toEqual([
      "8:13 tests[0].expect.rule: expected rule debug, got eu",
      "9:16 tests[0].expect.subject: expected acme.shared.x, got acme.orders.x",
      '10:16 tests[0].expect.payload: differs (- expected, + got)\n- $.a 2\n+ $.a 1\n- $.b 3\n+ $.note "evil"',
      "11:37 tests[0].expect.headers.present.region: expected 'US', got 'EU'",
      "11:48 tests[0].expect.headers.present.trace: is missing; there are region, classification",
      "11:62 tests[0].expect.headers.absent[0]: classification is there: 'shared'",
      "12:13 tests[0].expect.not[0]: 'evil' stands in the payload",
      '16:42 tests[1].expect.payload: differs from byte 5 on\n- expected {"a":2}\n+ got      {"a":1}',
      "17:76 tests[2].expect: expected forward, got quarantine by rule eu: payload_not_json: Payload is not JSON at byte 0",
      "18:75 tests[3].expect.reason: expected denied, got drop: no_rule",
    ]);
  });

  test("names the rules that decide no case", async () => {
    const { unreached } = await run("tests: [{ name: a, subject: acme.debug.x, expect: drop }]");
    expect(unreached).toEqual(["acme/orders eu"]);
  });

  test("refuses a test file that says what cannot be meant, all at once", async () => {
    const { invalid, tests } = await run(`
policy: policy.yaml
suite: x
tests:
  - { name: a, subject: acme.>, expect: pass }
  - { name: b, subject: acme.x, payload: { json: 1, text: "1" }, expect: { outcome: drop, payload: { text: a } } }
  - { name: c, subject: acme.x, payload: { json: { n: 9007199254740993 } }, expect: { outcome: forward, reason: denied } }
  - { name: d, subject: acme.x, payload: {}, origin: Berlin, time: now, expect: { outcome: drop, header: {} } }
  - { name: e, subject: acme.x, payload: { base64: "*" }, headers: { "a b": c }, expect: { outcome: drop, not: [] } }
`);
    expect(tests).toEqual([]);
    expect(invalid).toEqual([
      "p/policy.test.yaml:3:1 suite: unknown key 'suite' (known: policy, export, tests)",
      "p/policy.test.yaml:5:25 tests[0].subject: 'acme.>' is no subject: it has a wildcard",
      "p/policy.test.yaml:5:41 tests[0].expect: 'pass' is text, expected 'forward', 'drop' or 'quarantine' or a map with 'outcome'",
      "p/policy.test.yaml:6:42 tests[1].payload: has json and text, expected only one of json, text, base64, file",
      "p/policy.test.yaml:6:100 tests[1].expect.payload: goes with outcome: forward: otherwise nothing leaves",
      "p/policy.test.yaml:7:50 tests[2].payload.json: holds the number 9007199254740992, which may not be what is written: give the payload as 'text'",
      "p/policy.test.yaml:7:113 tests[2].expect.reason: goes with drop or quarantine: a forward has none",
      "p/policy.test.yaml:8:42 tests[3].payload: has none of json, text, base64, file",
      "p/policy.test.yaml:8:54 tests[3].origin: 'Berlin' must be a lower-case letter, then up to 31 of a-z, 0-9 and '-'",
      "p/policy.test.yaml:8:68 tests[3].time: 'now' is no time (expected for example 2026-01-31T12:00:00Z)",
      "p/policy.test.yaml:8:98 tests[3].expect.header: unknown key 'header' (did you mean 'headers'?)",
      "p/policy.test.yaml:9:52 tests[4].payload.base64: is no base64",
      "p/policy.test.yaml:9:70 tests[4].headers[\"a b\"]: 'a b' is no header name",
      "p/policy.test.yaml:9:112 tests[4].expect.not: is empty, expected at least 1 entry",
    ]);
  });

  test("refuses names that the policy does not have, and files that are not there", async () => {
    const { told } = await run(`
tests:
  - { name: a, subject: bolt.x, expect: drop }
  - { name: b, export: other, subject: acme.x, expect: drop }
  - { name: c, subject: acme.x, payload: { file: no.json }, expect: { outcome: drop, rule: ue } }
`);
    expect(told).toEqual([
      "3:25 tests[0].subject: 'bolt' has no export in the policy file (it has those of acme)",
      "4:24 tests[1].export: 'other' is no export of tenant 'acme' (it has orders)",
      "5:92 tests[2].expect.rule: 'ue' is no rule of acme/orders (there are debug, eu)",
      "5:50 tests[2].payload.file: There is no file p/no.json",
    ]);
  });

  test("takes the exports of a site file: each by its name, read where it says", async () => {
    const site = `
site: berlin
peers: [{ name: tokyo, key: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 }, { name: oslo, key: UAEMROZGDH3DIEC7V7VZYHEMRN7FVVZLOLG33U4JYFXTLOTFOM4JJOM6 }]
tenants:
  - tenant: acme
    exports:
      - { name: one, to: [tokyo], rules: [{ subjects: [acme.a.>], when: 'origin == "berlin"' }] }
      - { name: two, to: [oslo], rules: [{ subjects: [acme.b.>] }] }
`;
    const tests = `
policy: site.yaml
tests:
  - { name: a, export: one, subject: acme.a.x, expect: forward }
  - { name: b, subject: acme.b.x, expect: forward }
  - { name: c, export: two, subject: acme.b.x, headers: { Nats-TTL: "1" }, expect: { outcome: forward, headers: { present: { Nats-TTL: "1" } } } }
  - { name: d, export: two, subject: acme.b.x, origin: oslo, expect: forward }
`;
    const { told } = await run(tests, { "p/site.yaml": site });
    expect(told).toEqual([
      "5:5 tests[1].export: is missing: tenant 'acme' has the exports one, two",
      "7:56 tests[3].origin: 'oslo' is not where acme/two reads events of, which is 'berlin'",
    ]);
  });

  test("takes the schemas, rewrites and encryption of a tenant's document", async () => {
    const tenant = `
tenant: acme
schemas:
  - { name: order, versions: [{ version: 1, file: order.json }] }
exports:
  - name: eu
    to: [tokyo]
    rules:
      - name: orders
        subjects: ["acme.orders.*.v1"]
        schema: order
        rewrite: "acme.shared.orders.*"
        redact: [{ path: $.card, with: encrypt }]
`;
    const schema = '{ "type": "object", "required": ["total"] }';
    const tests = `
policy: tenant.yaml
tests:
  - name: valid
    subject: acme.orders.new.v1
    payload: { json: { total: 1, card: "4111" } }
    expect:
      outcome: forward
      subject: acme.shared.orders.new
      not: ["4111"]
  - { name: not valid, subject: acme.orders.new.v1, payload: { json: {} }, expect: { outcome: quarantine, reason: schema_invalid } }
`;
    await using folder = await tempFolder();
    const path = (name: string) => join(folder.path, name);
    await writeFile(path("order.json"), schema);
    const files = { [path("tenant.yaml")]: tenant, [path("tenant.test.yaml")]: tests };
    const [report] = await testPolicies([path("tenant.yaml")], world(files));
    expect(report?.problems).toEqual([]);
    expect(report?.tests.flatMap((one) => one.problems)).toEqual([]);
    expect(report?.tests.map((one) => one.outcome)).toEqual(["forward", "quarantine"]);
  });

  test("tells what is wrong with the policy itself, in its own file", async () => {
    const { invalid } = await run("tests: [{ name: a, subject: acme.x, expect: drop }]", {
      "p/policy.yaml": "name: p\nto: [tokyo]\nrules:\n  - { subjects: [acme.>], when: 'data.' }\n",
    });
    expect(invalid).toHaveLength(1);
    expect(invalid[0]).toStartWith("p/policy.yaml:4:33 rules[0].when: Condition 'data.' does not compile");
  });

  test("holds tenants' documents and policies alone to what can be checked without their site", async () => {
    const cases = "tests: [{ name: a, export: one, subject: acme.x, expect: drop }]";
    const tenant =
      "tenant: acme\nexports:\n  - { name: one, to: [tokyo], rules: [{ subjects: [bolt.x] }] }\n  - { name: one, to: [tokyo], rules: [{ subjects: [acme.x] }] }\n";
    expect((await run(cases, { "p/policy.yaml": tenant })).invalid).toEqual([
      "p/policy.yaml:3:52 exports[0].rules[0].subjects[0]: 'bolt.x' is outside the tenant's subjects ('acme.>')",
      "p/policy.yaml:4:13 exports[1].name: Export 'one' has the name of exports[0]",
      "p/policy.yaml:4:23 exports[1].to[0]: Peer 'tokyo' already gets events of 'this site' by export 'one': one policy decides for a peer",
    ]);
    const alone =
      "name: one\nto: [tokyo]\norigin: oslo\nrules:\n  - { subjects: [acme.x, bolt.x], schema: order }\n";
    expect((await run(cases, { "p/policy.yaml": alone })).invalid).toEqual([
      "p/policy.yaml:5:26 rules[0].subjects[1]: 'bolt.x' is outside the tenant's subjects ('acme.>')",
      "p/policy.yaml:5:43 rules[0].schema: 'order' is a schema of the tenant: name the tenant's document, not the policy alone",
    ]);
  });
});
