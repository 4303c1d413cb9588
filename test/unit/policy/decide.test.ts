import { describe, expect, spyOn, test } from "bun:test";
import fc from "fast-check";
import { LeafmeshError } from "../../../src/model/errors.ts";
import type { Decision, MeshEvent } from "../../../src/model/event.ts";
import type { ExportPolicy, Rule } from "../../../src/model/schema/policy.ts";
import { compilePolicy, policyVersion } from "../../../src/policy/compile.ts";
import { decide } from "../../../src/policy/decide.ts";
import { seeded } from "./subjects.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const keys = { pseudonym: { id: "k1", secret: encoder.encode("secret") } };
const policyOf = (...rules: Rule[]): ExportPolicy => ({ name: "shared", to: ["tokyo"], rules });
const compile = (...rules: Rule[]) => compilePolicy({ tenant: "acme", policy: policyOf(...rules), keys });
const headers = (...lines: string[]) => encoder.encode(["NATS/1.0", ...lines, "", ""].join("\r\n"));
const event = (change: Partial<MeshEvent> & { json?: string } = {}): MeshEvent => ({
  subject: "acme.orders.created",
  headers: new Uint8Array(0),
  data: encoder.encode(change.json ?? '{"email":"ada@example.com","total":12}'),
  origin: "berlin",
  timeMs: 0,
  sequence: 1,
  ...change,
});
const masking: Rule = { subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "mask" }] };

describe("decide()", () => {
  test("forwards what a plain rule allows, untouched and without looking at the payload", () => {
    const given = event({ json: "not json", headers: headers("a: 1") });
    const decision = decide(compile({ subjects: ["acme.orders.*"] }), given);
    expect(decision).toEqual({
      type: "forward",
      rule: { policy: "shared", index: 0, name: "#1" },
      subject: given.subject,
      headers: given.headers,
      data: given.data,
      redactions: 0,
    });
    expect(decision.type === "forward" && decision.data).toBe(given.data);
    expect(decision.type === "forward" && decision.headers).toBe(given.headers);
  });

  test("drops what no rule matches and what a rule denies; the first match wins", () => {
    const policy = compile(
      { subjects: ["acme.orders.created"] },
      { name: "no orders", subjects: ["acme.orders.>"], deny: true },
      { subjects: ["acme.>"] },
    );
    const subject = (name: string) => decide(policy, event({ subject: name }));
    expect(subject("acme.orders.created").type).toBe("forward");
    expect(subject("acme.orders.deleted")).toEqual({
      type: "drop",
      reason: "denied",
      rule: { policy: "shared", index: 1, name: "no orders" },
    });
    expect(subject("acme.catalog.x").type).toBe("forward");
    expect(subject("other.x")).toEqual({ type: "drop", reason: "no_rule", rule: null });
  });

  test("goes on to the next rule when the condition is false, and never when it fails", () => {
    const policy = compile(
      { subjects: ["acme.>"], when: "data.total > 100", deny: true },
      { subjects: ["acme.>"] },
    );
    expect(decide(policy, event()).type).toBe("forward");
    expect(decide(policy, event({ json: '{"total":101}' }))).toMatchObject({
      type: "drop",
      reason: "denied",
    });
    expect(decide(policy, event({ json: "{}" }))).toMatchObject({
      type: "quarantine",
      reason: "predicate_failed",
    });
    expect(decide(policy, event({ json: '{"total":101,"total":1}' }))).toMatchObject({ type: "quarantine" });
    expect(decide(policy, event({ json: "101" }))).toMatchObject({ type: "quarantine" });
    expect(decide(policy, event({ json: "no" }))).toMatchObject({
      type: "quarantine",
      reason: "payload_not_json",
    });
  });

  test("redacts, counts, and changes headers", () => {
    const decision = decide(
      compile({
        ...masking,
        when: 'headers["region"] == "EU"',
        headers: { drop: ["x-*"], set: { classification: "shared" } },
      }),
      event({ headers: headers("region: EU", "X-Trace: 1", "Nats-Rollup: all", "Nats-Msg-Id: 7") }),
    );
    expect(decision).toMatchObject({ type: "forward", redactions: 1 });
    if (decision.type !== "forward") throw new Error(decision.type);
    expect(decoder.decode(decision.headers)).toBe(
      decoder.decode(headers("region: EU", "Nats-Msg-Id: 7", "classification: shared")),
    );
    expect(decoder.decode(decision.data)).toBe('{"email":"***","total":12}');
  });

  test.each<[string, Partial<MeshEvent> & { json?: string }, string]>([
    ["a payload that is no JSON", { json: "ada@example.com" }, "payload_not_json"],
    ["an empty payload", { json: "" }, "payload_not_json"],
    ["gzip", { data: Uint8Array.of(0x1f, 0x8b, 8, 0) }, "payload_compressed"],
    ["zstd", { data: Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0) }, "payload_compressed"],
    ["an encoding", { headers: headers("content-encoding: br") }, "payload_compressed"],
    ["an empty encoding", { headers: headers("Content-Encoding:") }, "payload_compressed"],
    [
      "a second encoding",
      { headers: headers("Content-Encoding: identity", "content-encoding: gzip") },
      "payload_compressed",
    ],
    [
      "another type",
      { headers: headers("Content-Type: application/x-protobuf") },
      "content_type_unsupported",
    ],
    [
      "a type that begins as JSON",
      { headers: headers("Content-Type: application/jsonl") },
      "content_type_unsupported",
    ],
    [
      "a second type",
      { headers: headers("Content-Type: application/json", "content-type: text/plain") },
      "content_type_unsupported",
    ],
    [
      "another character encoding",
      { headers: headers("Content-Type: application/json; charset=utf-7") },
      "content_type_unsupported",
    ],
    [
      "a second character encoding",
      { headers: headers("Content-Type: application/json; charset=utf-8; Charset='utf-7'") },
      "content_type_unsupported",
    ],
    [
      "a type that is no UTF-8",
      { headers: Uint8Array.from([...headers("Content-Type: ").subarray(0, 24), 0xff, 13, 10, 13, 10]) },
      "header_invalid",
    ],
    ["a malformed block", { headers: encoder.encode("NATS/1.0\r\na\r\n\r\n") }, "header_invalid"],
    ["deep nesting", { json: "[".repeat(500) + "]".repeat(500) }, "payload_too_deep"],
    ["half a surrogate pair in a name", { json: '{"\\ud800":1}' }, "redaction_failed"],
  ])("quarantines %s when a rule redacts", (_, change, reason) => {
    expect(decide(compile(masking), event(change))).toEqual({
      type: "quarantine",
      rule: { policy: "shared", index: 0, name: "#1" },
      reason,
      error: expect.any(String),
    } as Decision);
  });

  test.each([
    "application/json",
    "Application/JSON; charset=utf-8",
    "application/cloudevents+json",
    "text/json ;x=y",
    'application/json;x=y; charset = "UTF8" ; z=1',
    "application/vnd.acme.order-v1+json",
  ])("reads payloads of type %s", (type) => {
    const decision = decide(
      compile(masking),
      event({ headers: headers(`Content-Type: ${type}`, "Content-Encoding: identity") }),
    );
    expect(decision.type).toBe("forward");
  });

  test("quarantines a malformed header block even where the rule needs no headers", () => {
    const decision = decide(
      compile({ subjects: ["acme.>"] }),
      event({ headers: encoder.encode("NATS/1.0\r\na: 1\n\r\n\r\n") }),
    );
    expect(decision).toMatchObject({ type: "quarantine", reason: "header_invalid" });
  });

  test("never throws, whatever the bytes, and a forward of a redacting rule never holds the secret", () => {
    const policy = compile(
      { subjects: ["acme.a.>"], when: "has(data.x) && data.x > 1", ...{ redact: masking.redact } },
      {
        subjects: ["acme.>"],
        redact: [{ path: "$..email", with: "mask", keep: "domain" }],
        headers: { drop: ["x-*"] },
      },
    );
    const json = fc.constantFrom(
      '{"email":"hunter2"}',
      '{"x":2,"email":"hunter2"}',
      '[{"email":["hunter2"]}]',
      "hunter2",
      '{"email":"hunter2"',
    );
    const data = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      json.map((one) => encoder.encode(one)),
    );
    const lines = fc.array(
      fc.constantFrom("a: 1", "x-y: 2", "Content-Type: application/json", "bad", "Nats-TTL: 1"),
      { maxLength: 4 },
    );
    const block = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      lines.map((one) => headers(...one)),
    );
    fc.assert(
      fc.property(
        fc.constantFrom("acme.a.b", "acme.b", "other"),
        block,
        data,
        (subject, blockBytes, payload) => {
          const decision = decide(policy, event({ subject, headers: blockBytes, data: payload }));
          if (decision.type === "quarantine") expect(decision.error).not.toContain("hunter2");
          if (decision.type !== "forward") return;
          expect(decoder.decode(decision.data)).not.toContain("hunter2");
          expect(decoder.decode(decision.headers)).not.toMatch(/nats-ttl/i);
        },
      ),
      { ...seeded, numRuns: 5000 },
    );
  }, 60_000);
});

describe("what looks into payloads", () => {
  const schema = { type: "object", properties: { total: { minimum: 10 } } };
  const compiled = compilePolicy({
    tenant: "acme",
    policy: policyOf(
      { subjects: ["acme.orders.>"], when: "data.total > 100" },
      { subjects: ["acme.orders.>"], when: "data.total < 100", schema: "order" },
    ),
    schemas: [{ name: "order", versions: [{ version: 1, schema }] }],
  });

  test("parses an event once for all conditions and contracts", () => {
    const parse = spyOn(JSON, "parse");
    try {
      expect(decide(compiled, event()).type).toBe("forward");
      expect(parse).toHaveBeenCalledTimes(1);
    } finally {
      parse.mockRestore();
    }
  });

  test("does not keep what it has parsed when the event is decided: its bytes may be another event's then", () => {
    const data = encoder.encode('{"total":12}');
    const reason = (text: string) => {
      data.set(encoder.encode(text));
      const decision = decide(compiled, event({ data }));
      return decision.type === "quarantine" ? decision.reason : decision.type;
    };
    expect(["12}", "2} ", "12}", "x} ", "99}"].map((tail) => reason(`{"total":${tail}`))).toEqual([
      "forward",
      "schema_invalid",
      "forward",
      "payload_not_json",
      "forward",
    ]);
  });

  test("sees numbers as they were written, in conditions and in contracts", () => {
    const exact = compilePolicy({
      tenant: "acme",
      policy: policyOf({ subjects: ["acme.>"], when: "data.n > 9007199254740992", schema: "n" }),
      schemas: [
        {
          name: "n",
          versions: [{ version: 1, schema: { properties: { n: { not: { multipleOf: 3 } } } } }],
        },
      ],
    });
    expect(decide(exact, event({ json: '{"n":9007199254740993}' }))).toMatchObject({
      type: "quarantine",
      reason: "schema_invalid",
    });
    expect(decide(exact, event({ json: '{"n":9007199254740992}' })).type).toBe("drop");
  });
});

describe("compilePolicy()", () => {
  test("reports every problem with its path", () => {
    const rules: Rule[] = [
      { subjects: ["acme.a"], when: "nope" },
      {
        subjects: ["acme.b"],
        redact: [
          { path: "a", with: "mask" },
          { path: "$[?1]", with: "remove" },
        ],
      },
      { subjects: ["acme.c"], headers: { set: { "Nats-Rollup": "all" } } },
    ];
    try {
      compile(...rules);
      throw new Error("compiled");
    } catch (thrown) {
      if (!(thrown instanceof LeafmeshError)) throw thrown;
      expect(thrown.code).toBe("policy_invalid");
      expect(thrown.problems.map((one) => one.path)).toEqual([
        "rules[0].when",
        "rules[1].redact[0].path",
        "rules[1].redact[1].path",
        "rules[2].headers.set.Nats-Rollup",
      ]);
    }
  });

  test("refuses a pseudonym without a key", () => {
    const policy = policyOf({ subjects: ["acme.a"], redact: [{ path: "$.id", with: "pseudonym" }] });
    expect(() => compilePolicy({ tenant: "acme", policy })).toThrow(LeafmeshError);
  });
});

describe("a size limit", () => {
  const limited: Rule = { ...masking, when: "data.total > 100.0", limit: { maxSize: "20B" } };

  test("puts aside what is larger, before anything else looks at it", () => {
    const large = decide(
      compile(limited, { subjects: ["acme.>"] }),
      event({ json: "not json, and too large" }),
    );
    expect(large).toMatchObject({
      type: "quarantine",
      reason: "payload_too_large",
      error: "Payload of 23 bytes is larger than the rule takes (20)",
    });
    expect(
      decide(compile({ subjects: ["acme.>"], limit: { maxSize: "20B" } }), event({ json: "x".repeat(20) }))
        .type,
    ).toBe("forward");
  });

  test("and a rate are part of the version, what each peer is held to is not", () => {
    const plain: Rule = { subjects: ["acme.>"] };
    const versions = [
      policyOf(plain),
      policyOf({ ...plain, limit: { maxSize: "1KiB" } }),
      policyOf({ ...plain, limit: { messages: "5/s" } }),
      { ...policyOf(plain), limit: { messages: "5/s" } },
      { ...policyOf(plain), limit: { messages: "5/s", onLimit: "drop" as const } },
    ].map((policy) => policyVersion(policy));
    expect(new Set(versions).size).toBe(5);
    expect(policyVersion({ ...policyOf(plain), limit: { perPeer: "1MiB/s" } })).toBe(versions[0] ?? "");
  });
});

describe("policyVersion() and keys", () => {
  const key = (id: string) => ({ id, secret: new Uint8Array(32) });
  const written = (...redact: NonNullable<Rule["redact"]>) => policyOf({ subjects: ["acme.a"], redact });

  test("a new key is a new version of the policies that write with it, and of no others", () => {
    const one = { pseudonym: key("p1"), encrypt: key("e1") };
    const pseudonyms = { ...one, pseudonym: key("p2") };
    const encryption = { ...one, encrypt: key("e2") };
    const changes = (policy: ExportPolicy) =>
      [pseudonyms, encryption].map((keys) => policyVersion(policy, keys) !== policyVersion(policy, one));
    expect(changes(written({ path: "$.a", with: "pseudonym" }))).toEqual([true, false]);
    expect(changes(written({ detect: ["email"], with: "pseudonym" }))).toEqual([true, false]);
    expect(changes(written({ path: "$.a", with: "encrypt" }))).toEqual([false, true]);
    expect(changes(written({ path: "$.a", with: "mask" }))).toEqual([false, false]);
    const compiled = compilePolicy({
      tenant: "acme",
      policy: written({ path: "$.a", with: "encrypt" }),
      keys: one,
    });
    expect(compiled.version).toBe(policyVersion(written({ path: "$.a", with: "encrypt" }), one));
  });
});

describe("policyVersion()", () => {
  test("changes with the rules and the origin, not with the order of keys, names or peers", () => {
    const base = policyOf(masking);
    const version = policyVersion(base);
    expect(version).toMatch(/^[0-9a-f]{12}$/);
    expect(policyVersion({ ...base, name: "other", to: ["austin"], start: "all" })).toBe(version);
    expect(
      policyVersion(
        policyOf({ name: "x", redact: [{ with: "mask", path: "$.email" }], subjects: ["acme.orders.>"] }),
      ),
    ).toBe(version);
    expect(policyVersion({ ...base, origin: "tokyo" })).not.toBe(version);
    expect(policyVersion(policyOf({ ...masking, redact: [{ path: "$.mail", with: "mask" }] }))).not.toBe(
      version,
    );
    expect(policyVersion(policyOf(masking, { subjects: ["acme.x"] }))).not.toBe(version);
  });
});
