import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import type { Decision, MeshEvent } from "../../../src/model/event.ts";
import type { Rule } from "../../../src/model/schema/policy.ts";
import { compilePolicy, ruleProblems } from "../../../src/policy/compile.ts";
import { decide } from "../../../src/policy/decide.ts";
import { decodeValue, encodeValue } from "../../../src/policy/envelope/attributes.ts";
import { HeaderCursor } from "../../../src/policy/header_block.ts";
import { Workspace } from "../../../src/policy/redact/workspace.ts";
import { seeded } from "./subjects.ts";

/** One for all: starting a scanner takes longer than most of what is tried here. */
const workspace = new Workspace();
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const bytes = (text: string) => encoder.encode(text);
const block = (...lines: string[]) => bytes(["NATS/1.0", ...lines, "", ""].join("\r\n"));
const NONE = new Uint8Array(0);
const TIME = Date.UTC(2026, 0, 2, 3, 4, 5, 6);

function decided(rule: Partial<Rule>, data: string | Uint8Array, headers: Uint8Array = NONE): Decision {
  const rules: Rule[] = [{ subjects: ["acme.orders.*.v1"], ...rule }];
  const policy = compilePolicy({ tenant: "acme", policy: { name: "p", to: ["tokyo"], rules }, workspace });
  const event: MeshEvent = {
    subject: "acme.orders.new.v1",
    headers,
    data: typeof data === "string" ? bytes(data) : data,
    origin: "berlin",
    timeMs: TIME,
    sequence: 7,
    stream: "berlin.out_acme.x",
  };
  return decide(policy, event);
}

/** Header lines and payload of what is forwarded, or the reason why nothing is. */
function sent(
  rule: Partial<Rule>,
  data: string | Uint8Array,
  headers: Uint8Array = NONE,
): [string[], string] | string {
  const decision = decided(rule, data, headers);
  if (decision.type === "quarantine") return `${decision.reason}: ${decision.error}`;
  if (decision.type === "drop") return decision.reason;
  const lines =
    decision.headers.length === 0 ? [] : decoder.decode(decision.headers).split("\r\n").slice(1, -2);
  return [lines, decoder.decode(decision.data)];
}

const STRUCTURED = block("Content-Type: application/cloudevents+json", "Nats-Msg-Id: m1");
const BINARY = ["ce-specversion: 1.0", "ce-id: i", "ce-source: /s", "ce-type: t"];
const ATTRIBUTES = '"specversion":"1.0","id":"i","source":"/s","type":"t"';
const masked = { redact: [{ path: "$.email", with: "mask" as const }] };

describe("envelope: cloudevents", () => {
  test("gives a plain event attributes as headers", () => {
    expect(
      sent(
        { envelope: "cloudevents", rewrite: "acme.shared.*" },
        '{"a":1}',
        block(
          "Nats-Msg-Id: m 1",
          "Content-Type: application/json; charset=utf-8",
          "traceparent: 00-1",
          "tracestate: x=y",
        ),
      ),
    ).toEqual([
      [
        "Nats-Msg-Id: m 1",
        "Content-Type: application/json; charset=utf-8",
        "traceparent: 00-1",
        "tracestate: x=y",
        "ce-specversion: 1.0",
        "ce-id: m%201",
        "ce-source: /berlin/acme",
        "ce-type: acme.shared.new",
        "ce-subject: acme.shared.new",
        "ce-time: 2026-01-02T03:04:05.006Z",
        "ce-datacontenttype: application/json;%20charset=utf-8",
        "ce-tenant: acme",
        "ce-origin: berlin",
        "ce-traceparent: 00-1",
        "ce-tracestate: x=y",
      ],
      '{"a":1}',
    ]);
  });

  test("says what a payload is where its headers do not, and has an id that is the same each time", () => {
    const has = (data: string | Uint8Array) => {
      const found = sent({ envelope: "cloudevents" }, data);
      if (typeof found === "string") throw new Error(found);
      return found[0].filter((line) => /type:|ce-id/i.test(line));
    };
    const id = "ce-id: berlin.out_acme.x.7";
    const type = "ce-type: acme.orders.new.v1";
    expect(has("[1]")).toEqual([
      "Content-Type: application/json",
      id,
      type,
      "ce-datacontenttype: application/json",
    ]);
    expect(has("no json")).toEqual([
      "Content-Type: application/octet-stream",
      id,
      type,
      "ce-datacontenttype: application/octet-stream",
    ]);
    expect(has("")).toEqual([id, type]);
  });

  test("takes type and source from the rule, and no id that the rule keeps back", () => {
    const rule: Partial<Rule> = {
      envelope: { out: "binary", type: "com.example.order", source: "urn:acme" },
      headers: { drop: ["nats-msg-id"] },
    };
    const found = sent(rule, "{}", block("Nats-Msg-Id: secret"));
    expect(found[0]).toEqual(
      expect.arrayContaining([
        "ce-id: berlin.out_acme.x.7",
        "ce-source: urn:acme",
        "ce-type: com.example.order",
      ]),
    );
    expect(JSON.stringify(found)).not.toContain("secret");
  });

  test("keeps what a CloudEvent says of itself but tenant and origin", () => {
    expect(
      sent(
        { envelope: "cloudevents" },
        "x",
        block(
          "CE-SpecVersion: 1.0",
          "ce-id: i",
          "ce-source:/s",
          "ce-type: t",
          "CE-Origin: tokyo",
          "ce-tenant: other",
          "a: 1",
          "ce-subject: s%20",
        ),
      ),
    ).toEqual([
      [
        "ce-specversion: 1.0",
        "ce-id: i",
        "ce-source:/s",
        "ce-type: t",
        "a: 1",
        "ce-subject: s%20",
        "ce-tenant: acme",
        "ce-origin: berlin",
      ],
      "x",
    ]);
  });

  test("takes a structured event apart, data byte for byte", () => {
    const payload = ` { ${ATTRIBUTES}, "origin":"tokyo","n":-5,"ok":true,"gone":null,"x":"a\\r\\nNats-Rollup: all é%\\"", "data" : { "a": 1.0,\n"a":1e400 } } `;
    expect(sent({ envelope: "cloudevents" }, payload, STRUCTURED)).toEqual([
      [
        "Nats-Msg-Id: m1",
        "Content-Type: application/json",
        "ce-specversion: 1.0",
        "ce-id: i",
        "ce-source: /s",
        "ce-type: t",
        "ce-n: -5",
        "ce-ok: true",
        "ce-x: a%0D%0ANats-Rollup:%20all%20%C3%A9%25%22",
        "ce-datacontenttype: application/json",
        "ce-tenant: acme",
        "ce-origin: berlin",
      ],
      '{ "a": 1.0,\n"a":1e400 }',
    ]);
  });

  test.each([
    ["text", '"datacontenttype":"text/plain","data":"a\\nb"', "a\nb", "text/plain"],
    [
      "text that is JSON",
      '"datacontenttype":"application/json","data":"a\\nb"',
      '"a\\nb"',
      "application/json",
    ],
    ["base64", '"datacontenttype":"image/png","data_base64":"YWI="', "ab", "image/png"],
    ["null", '"data":null', "null", "application/json"],
  ])("takes out data that is %s", (_, data, expected, type) => {
    const found = sent({ envelope: "cloudevents" }, `{${ATTRIBUTES},${data}}`, STRUCTURED);
    expect(found[1]).toBe(expected);
    expect(found[0]).toContain(`Content-Type: ${type}`);
  });

  test("does not call the inner event a message of its own", () => {
    const inner = '"datacontenttype":"application/cloudevents+json","data":{}';
    const [lines] = sent({ envelope: "cloudevents" }, `{${ATTRIBUTES},${inner}}`, STRUCTURED);
    expect(lines).not.toContain("Content-Type: application/cloudevents+json");
  });
});

describe("envelope: cloudevents-structured", () => {
  const out = { envelope: "cloudevents-structured" as const };

  test("puts a plain event into one object, its JSON as it is", () => {
    expect(
      sent(
        out,
        '{ "a":1.0 }',
        block("Nats-Msg-Id: m", "content-type: application/json", "traceparent: 00", "x: y"),
      ),
    ).toEqual([
      ["Nats-Msg-Id: m", "traceparent: 00", "x: y", "Content-Type: application/cloudevents+json"],
      '{"specversion":"1.0","id":"m","source":"/berlin/acme","type":"acme.orders.new.v1","subject":"acme.orders.new.v1","time":"2026-01-02T03:04:05.006Z","tenant":"acme","origin":"berlin","traceparent":"00","datacontenttype":"application/json","data":{ "a":1.0 }}',
    ]);
  });

  test.each([
    ["text/plain", "a"],
    ["application/json", "{,}"],
    ["application/json", "\ufeff{}"],
    [undefined, "a"],
  ])("puts what is no JSON in as base64 (%s, %s)", (type, data) => {
    const found = sent(out, data, type === undefined ? NONE : block(`Content-Type: ${type}`));
    expect(JSON.parse(found[1] ?? "")).toMatchObject({
      datacontenttype: type ?? "application/octet-stream",
      data_base64: Buffer.from(data).toString("base64"),
    });
  });

  test("puts a binary event together, and leaves out data where there is none", () => {
    expect(
      sent(out, "", block(...BINARY, "ce-subject: a%20%22b%22", "Ce-Tenant: other", 'ce-quoted: "a\\"b"')),
    ).toEqual([
      ["Content-Type: application/cloudevents+json"],
      `{${ATTRIBUTES},"subject":"a \\"b\\"","quoted":"a\\"b","tenant":"acme","origin":"berlin"}`,
    ]);
  });

  test("sets tenant and origin of a structured event, and leaves its other bytes", () => {
    expect(sent(out, `{ ${ATTRIBUTES} , "data":{"a":1.0}}`, STRUCTURED)).toEqual([
      ["Nats-Msg-Id: m1", "Content-Type: application/cloudevents+json"],
      `{"tenant":"acme","origin":"berlin", ${ATTRIBUTES} , "data":{"a":1.0}}`,
    ]);
    expect(sent(out, `{"origin" : null, ${ATTRIBUTES},"ten\\u0061nt":"x" }`, STRUCTURED)[1]).toBe(
      `{"origin" : "berlin", ${ATTRIBUTES},"ten\\u0061nt":"acme" }`,
    );
  });
});

describe("a rule with an envelope", () => {
  test("redacts the data of a structured event, and no other byte", () => {
    const payload = (value: string) =>
      `\n{ "email":"outer", ${ATTRIBUTES}, "d\\u0061ta" :  {"b":1.00, "email": ${value},"c":[ ]} ,"time":"x" }`;
    for (const out of ["same", "structured"] as const) {
      const [, data] = sent({ envelope: { out }, ...masked }, payload('"ada@example.com"'), STRUCTURED);
      const ours = out === "same" ? "" : '"tenant":"acme","origin":"berlin",';
      expect(data).toBe(payload('"***"').replace("{", `{${ours}`));
    }
    const found = sent({ envelope: "cloudevents", ...masked }, payload('"ada@example.com"'), STRUCTURED);
    expect(found[1]).toBe('{"b":1.00, "email": "***","c":[ ]}');
  });

  test("leaves bytes as they are where nothing is to do", () => {
    const payload = bytes(`{ ${ATTRIBUTES},"data":{"x":1}}`);
    const decision = decided({ envelope: {}, ...masked }, payload, STRUCTURED);
    expect(decision.type === "forward" && decision.data).toBe(payload);
    expect(decision.type === "forward" && decision.headers).toBe(STRUCTURED);
  });

  test("has conditions see data and attributes, however the event came", () => {
    const when = 'headers["ce-type"] == "t" && data.total > 5 && size < 20';
    for (const [data, headers] of [
      [`{${ATTRIBUTES},"data":{"total":6}}`, STRUCTURED],
      ['{"total":6}', block(...BINARY)],
    ] as const) {
      expect(decided({ envelope: {}, when }, data, headers).type).toBe("forward");
      expect(decided({ envelope: {}, when: `!(${when})` }, data, headers).type).toBe("drop");
      expect(decided({ envelope: { in: "auto" }, when, deny: true }, data, headers)).toMatchObject({
        reason: "denied",
      });
    }
  });

  test("without one a payload is what it is", () => {
    const payload = `{"email":"x",${ATTRIBUTES},"data":{"email":"y"}}`;
    expect(sent(masked, payload, STRUCTURED)[1]).toBe(payload.replace('"email":"x"', '"email":"***"'));
  });

  test("takes structured events that say no more than that they are JSON, if it expects them", () => {
    const payload = `{${ATTRIBUTES},"data":1}`;
    for (const headers of [NONE, block("Content-Type: application/json")]) {
      expect(sent({ envelope: { in: "structured", out: "binary" } }, payload, headers)[1]).toBe("1");
      // Receivers may take it for one, and a redaction would have looked elsewhere.
      for (const envelope of ["cloudevents", {}, { in: "none" }] as const) {
        expect(sent({ envelope }, payload, headers)).toBe(
          "envelope_invalid: Payload is a structured CloudEvent, and its headers do not say so: name it in the rule (in: structured)",
        );
      }
    }
  });
});

describe("what is no CloudEvent", () => {
  const structured = (data: string, change: Partial<Rule> = {}, ...more: string[]) =>
    sent({ envelope: {}, ...change }, data, block("Content-Type: application/cloudevents+json", ...more));

  test.each([
    ["{}", "CloudEvent has no specversion"],
    ['{"specversion":"1.0","id":"i","source":"s"}', "CloudEvent has no type"],
    ['{"specversion":"1.0","id":"","source":"s","type":"t"}', "CloudEvent has no id"],
    ['{"specversion":"1.0","id":null,"source":"s","type":"t"}', "CloudEvent has no id"],
    ['{"specversion":"0.3","id":"i","source":"s","type":"t"}', "CloudEvent is not of version 1.0"],
    [
      '{"specversion":1.0,"id":"i","source":"s","type":"t"}',
      "CloudEvent has an attribute that is no text, integer or boolean",
    ],
    [`{${ATTRIBUTES},"x":{"secret":1}}`, "CloudEvent has an attribute that is no text, integer or boolean"],
    [`{${ATTRIBUTES},"x":"\\ud800"}`, "CloudEvent has an attribute that is no text, integer or boolean"],
    [`{${ATTRIBUTES},"data":1,"data":2}`, "CloudEvent has two members of one name"],
    [`{${ATTRIBUTES},"data":1,"d\\u0061ta":2}`, "CloudEvent has two members of one name"],
    [`{${ATTRIBUTES},"Data":1}`, "CloudEvent has a member whose name no attribute can have"],
    [`{${ATTRIBUTES},"data":1,"data_base64":"YQ=="}`, "CloudEvent has both data and data_base64"],
    [`{${ATTRIBUTES},"data_base64":"Y"}`, "CloudEvent has data_base64 that is no base64"],
    [`{${ATTRIBUTES},"data_base64":true}`, "CloudEvent has data_base64 that is no base64"],
    [
      `{${ATTRIBUTES},"datacontenttype":"text/plain","data":{}}`,
      "CloudEvent has data that is neither text nor of a JSON type",
    ],
  ])("%s is put aside", (payload, error) => {
    expect(structured(payload)).toBe(`envelope_invalid: ${error}`);
  });

  test.each([
    ["", "payload_not_json: Payload is not JSON at byte 0"],
    ["[]", "payload_not_json: Payload is not JSON at byte 0"],
    [`\ufeff{${ATTRIBUTES}}`, "payload_not_json: Payload is not JSON at byte 0"],
    [`{${ATTRIBUTES}} x`, "payload_not_json: Payload is not JSON at byte 56"],
    [`{${ATTRIBUTES},}`, "payload_not_json: Payload is not JSON at byte 55"],
    [
      `{${ATTRIBUTES},"data":${"[".repeat(200)}${"]".repeat(200)}}`,
      "payload_too_deep: Payload nests too deep at byte 189",
    ],
  ])("%s is put aside", (payload, error) => {
    expect(structured(payload)).toBe(error);
  });

  test("so is data that a rule must look into and cannot", () => {
    expect(structured(`{${ATTRIBUTES},"data_base64":"e30="}`, masked)).toBe(
      "envelope_invalid: CloudEvent has data as base64, which a rule cannot look into",
    );
    expect(structured(`{${ATTRIBUTES},"datacontenttype":"text/plain","data":"x"}`, masked)).toBe(
      "content_type_unsupported: CloudEvent says that its data is not JSON in UTF-8",
    );
    for (const type of ["text/plain", "application/json;ch%61rset=utf-16", "%"]) {
      expect(sent({ envelope: {}, ...masked }, "{}", block(...BINARY, `ce-datacontenttype: ${type}`))).toBe(
        "content_type_unsupported: CloudEvent says that its data is not JSON in UTF-8",
      );
    }
    expect(structured(`{${ATTRIBUTES}}`, masked)).toBe("payload_not_json: Payload is not JSON at byte 0");
    expect(structured(`{${ATTRIBUTES},"data":{}}`, {}, "Content-Encoding: gzip")).toBe(
      "payload_compressed: A structured event cannot hold an encoded payload",
    );
  });

  test.each([
    [["ce-id: i"], "CloudEvent has no specversion"],
    [["ce-specversion: 1.0"], "CloudEvent has no id"],
    [[...BINARY, "CE-ID: j"], "A ce- header stands there twice"],
    [[...BINARY, "ce-data: x"], "A ce- header has a name that no attribute can have"],
    [[...BINARY, "ce-a_b: x"], "A ce- header has a name that no attribute can have"],
    [
      [...BINARY, "Content-Type: application/cloudevents+json"],
      "Event is both a structured and a binary CloudEvent",
    ],
    [["Content-Type: a/b", "content-type: a/b"], "Header Content-Type stands there twice"],
    [
      ["Content-Type: application/cloudevents-batch+json"],
      "CloudEvent is of a format that is not supported (expected application/cloudevents+json in UTF-8)",
    ],
    [
      ["Content-Type: application/cloudevents+json; charset=utf-16"],
      "CloudEvent is of a format that is not supported (expected application/cloudevents+json in UTF-8)",
    ],
  ])("headers %j are put aside", (lines, error) => {
    expect(sent({ envelope: {} }, "{}", block(...lines))).toBe(`envelope_invalid: ${error}`);
  });

  test("is put aside where another kind is expected", () => {
    const expecting = (kind: "structured" | "binary" | "none", headers: Uint8Array) =>
      sent({ envelope: { in: kind } }, `{${ATTRIBUTES}}`, headers);
    expect(expecting("binary", NONE)).toBe(
      "envelope_invalid: Event is no CloudEvent, expected a binary CloudEvent",
    );
    expect(expecting("structured", block("Content-Type: text/plain"))).toBe(
      "envelope_invalid: Event is no CloudEvent, expected a structured CloudEvent",
    );
    expect(expecting("none", STRUCTURED)).toBe(
      "envelope_invalid: Event is a structured CloudEvent, expected no CloudEvent",
    );
    expect(sent({ envelope: { in: "none" } }, '{"data":1}')).toEqual([[], '{"data":1}']);
  });

  test("a value that cannot be decoded is put aside when it must be", () => {
    const headers = block(...BINARY, "ce-subject: 100%");
    expect(sent({ envelope: "cloudevents-structured" }, "{}", headers)).toBe(
      "envelope_invalid: A ce- header cannot be decoded",
    );
    expect(sent({ envelope: "cloudevents" }, "{}", headers)[0]).toContain("ce-subject: 100%");
    const raw = Uint8Array.from([...block(...BINARY).slice(0, -2), ...bytes("ce-x: "), 0xff, 13, 10, 13, 10]);
    expect(sent({ envelope: "cloudevents" }, "{}", raw)).toBe("envelope_invalid: Unexpected TypeError");
  });
});

describe("from one mode to the other and back", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 12 });
  const name = fc
    .stringMatching(/^[a-z0-9]{1,8}$/)
    .filter((one) => !/^(data|tenant|origin|time|subject)$/.test(one));
  const attributes = fc.dictionary(name, text, { maxKeys: 4 }).map((more) => ({
    ...more,
    specversion: "1.0",
    id: "i",
    source: "/s",
    type: "t",
  }));
  const convert = (envelope: Rule["envelope"], data: Uint8Array, headers: Uint8Array) => {
    const decision = decided({ envelope }, data, headers);
    if (decision.type !== "forward") throw new Error(JSON.stringify(decision));
    return decision;
  };

  test("attributes and data stay", () => {
    fc.assert(
      fc.property(attributes, fc.json({ maxDepth: 3 }), (given, data) => {
        fc.pre(!Object.hasOwn(given, "datacontenttype"));
        const payload = bytes(`${JSON.stringify(given).slice(0, -1)},"data": ${data} }`);
        const binary = convert("cloudevents", payload, STRUCTURED);
        expect(decoder.decode(binary.data)).toBe(data);
        const back = convert("cloudevents-structured", binary.data, binary.headers);
        expect(JSON.parse(decoder.decode(back.data))).toEqual({
          ...given,
          datacontenttype: "application/json",
          tenant: "acme",
          origin: "berlin",
          data: JSON.parse(data),
        });
      }),
      { ...seeded, numRuns: 300 },
    );
  });

  test("bytes of any kind stay", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (data) => {
        const structured = convert(
          "cloudevents-structured",
          data,
          block(...BINARY, "ce-datacontenttype: a/b"),
        );
        const back = convert("cloudevents", structured.data, structured.headers);
        expect([...back.data]).toEqual([...data]);
      }),
      { ...seeded, numRuns: 300 },
    );
  });

  test("values of headers are decoded as they were encoded", () => {
    fc.assert(
      fc.property(text, (value) => {
        const header = encodeValue(value);
        expect(header).toMatch(/^[!-~]*$/);
        expect(decodeValue(header)).toBe(value);
      }),
      seeded,
    );
  });
});

describe("any event with any envelope", () => {
  const line = fc.constantFrom(
    "Content-Type: application/cloudevents+json",
    "Content-Type: application/json",
    "content-type: text/plain",
    "Content-Encoding: gzip",
    ...BINARY,
    "ce-data: {}",
    "CE-Tenant: evil",
    "ce-origin: evil",
    "Nats-Msg-Id: m",
    "Nats-Rollup: all",
    "traceparent: 00",
  );
  const member = fc.constantFrom(
    ATTRIBUTES,
    '"data":{"email":"SECRET"}',
    '"d\\u0061ta":{"em\\u0061il":"SECRET"}',
    '"data":"SECRET"',
    '"data_base64":"U0VDUkVU"',
    '"Data":{"email":"SECRET"}',
    '"tenant":"evil"',
    '"origin":"evil"',
    '"datacontenttype":"text/plain"',
    '"x":{"email":"SECRET"}',
    "}",
  );
  const envelope = fc.constantFrom<Rule["envelope"]>(
    "cloudevents",
    "cloudevents-structured",
    {},
    { in: "structured" },
    { in: "binary", out: "structured" },
    { in: "none", out: "binary" },
  );

  test("is forwarded without what is redacted and with headers that can be read, or put aside", () => {
    let forwarded = 0;
    fc.assert(
      fc.property(
        fc.uniqueArray(line, { maxLength: 6 }),
        fc.array(member, { maxLength: 5 }),
        envelope,
        (lines, members, given) => {
          const structured =
            lines.some((one) => one.includes("cloudevents+json")) ||
            JSON.stringify(given).includes('"in":"structured"');
          const payload = structured ? `{${members.join(",")}}` : '{"email":"SECRET"}';
          const decision = decided(
            {
              envelope: given,
              redact: [
                { path: "$..email", with: "mask" },
                { path: "$", with: "mask" },
              ],
            },
            payload,
            block(...lines),
          );
          if (decision.type !== "forward") {
            expect(decision.type).toBe("quarantine");
            return;
          }
          forwarded++;
          const all = decoder.decode(decision.headers) + decoder.decode(decision.data);
          expect(all).not.toContain("SECRET");
          expect(all).not.toContain("U0VDUkVU");
          expect(all).not.toContain("Rollup");
          const same = typeof given === "object" && given.out === undefined;
          if (!same) expect(all).not.toContain("evil");
          const cursor = new HeaderCursor();
          cursor.start(decision.headers);
          while (cursor.next());
          expect(cursor.invalid).toBe(false);
        },
      ),
      { ...seeded, numRuns: 4000 },
    );
    expect(forwarded).toBeGreaterThan(100);
  }, 60_000);
});

describe("headers that a rule keeps back", () => {
  test.each<[Rule["envelope"], Rule["headers"]]>([
    ["cloudevents", { drop: ["Trace*"] }],
    ["cloudevents", { mask: ["TraceParent", "tracestate"] }],
    ["cloudevents", { keep: ["ce-*", "content-type"] }],
    ["cloudevents-structured", { drop: ["traceparent", "tracestate"] }],
    ["cloudevents-structured", { keep: ["content-type"] }],
  ])("are not said by the envelope either: %s, %j", (envelope, rules) => {
    const headers = block("traceparent: SECRET-1", "tracestate: x=SECRET-2");
    const found = sent({ envelope, headers: rules }, "{}", headers);
    expect(JSON.stringify(found)).toContain("specversion");
    expect(JSON.stringify(found)).not.toContain("SECRET");
  });

  test.each<NonNullable<Rule["headers"]>>([
    { drop: ["content-type"] },
    { mask: ["Content-*"] },
    { keep: ["ce-*"] },
  ])("nor is the media type that a header says: %j", (rules) => {
    const headers = block("Content-Type: application/json; note=SECRET");
    const [lines] = sent({ envelope: "cloudevents", headers: rules }, "{}", headers);
    expect(lines).toContain("ce-datacontenttype: application/json");
    expect(String(lines)).not.toContain("SECRET");
  });

  test("only what is kept back is left out", () => {
    const headers = block("traceparent: 00-1", "tracestate: x=y");
    const [lines] = sent({ envelope: "cloudevents", headers: { drop: ["tracestate"] } }, "{}", headers);
    expect(lines).toContain("ce-traceparent: 00-1");
    expect(String(lines)).not.toContain("x=y");
  });
});

describe("ruleProblems() on envelopes", () => {
  const problems = (rule: Partial<Rule>) =>
    ruleProblems({ subjects: ["acme.a"], ...rule }, "r").map((one) => `${one.path}: ${one.message}`);

  test.each([
    [
      { envelope: "cloudevents" as const, deny: true as const },
      "r.envelope: A rule that denies has an envelope to read alone ('in'): nothing of the event leaves",
    ],
    [
      { envelope: { type: "t" } },
      "r.envelope.type: A type is given to plain events that leave as CloudEvents: say with 'out' whether as binary or structured",
    ],
    [
      { envelope: "cloudevents" as const, headers: { drop: ["ce-i*"] } },
      "r.headers.drop[0]: 'ce-i*' takes header 'ce-id', which the envelope needs",
    ],
    [
      { envelope: "cloudevents" as const, headers: { mask: ["CE-Source"] } },
      "r.headers.mask[0]: 'CE-Source' takes header 'ce-source', which the envelope needs",
    ],
    [
      { envelope: "cloudevents-structured" as const, headers: { keep: ["a"] } },
      "r.headers.keep: 'keep' leaves out header 'content-type', which the envelope needs",
    ],
    [
      { envelope: "cloudevents" as const, headers: { set: { "ce-origin": "x" } } },
      "r.headers.set.ce-origin: Header 'ce-origin' is set, which the envelope needs",
    ],
    [
      { envelope: "cloudevents" as const, headers: { rename: { a: "ce-tenant" } } },
      "r.headers.rename.a: Header 'a' is renamed to 'ce-tenant': one of them is 'ce-tenant', which the envelope needs",
    ],
  ])("%j is refused", (rule, message) => {
    expect(problems(rule)).toEqual([message]);
  });

  test("header rules for attributes are refused where events may leave structured", () => {
    const ce = (path: string, name: string) =>
      `r.headers.${path}: '${name}' takes attributes of CloudEvents ('ce-…') as headers, and events may leave structured, with attributes in the payload: let them leave as binary ('out')`;
    const headers = {
      drop: ["CE-customer"],
      mask: ["ce-a*", "c*"],
      rename: { "ce-b": "x-b", y: "ce-y" },
      set: { "ce-e": "1" },
      keep: ["ce-f", "content-type"],
    };
    const refused = [
      ce("drop[0]", "CE-customer"),
      ce("mask[0]", "ce-a*"),
      ce("mask[1]", "c*"),
      ce("rename.ce-b", "ce-b"),
      ce("rename.y", "ce-y"),
      ce("set.ce-e", "ce-e"),
      ce("keep[0]", "ce-f"),
    ];
    for (const envelope of ["cloudevents-structured", {}, { in: "structured" }] as const) {
      expect(problems({ envelope, headers }).filter((one) => one.includes("takes attributes"))).toEqual(
        refused,
      );
    }
    for (const envelope of ["cloudevents", { in: "binary" }, { in: "none" }] as const) {
      expect(problems({ envelope, headers: { drop: ["ce-customer"] } })).toEqual([]);
    }
    expect(problems({ envelope: {}, headers: { keep: ["ce-*", "content-type"], drop: ["x-*"] } })).toEqual(
      [],
    );
  });

  test("has nothing against rules that leave the envelope whole", () => {
    expect(problems({ envelope: "cloudevents", headers: { keep: ["ce-*"], mask: ["ce-subject"] } })).toEqual(
      [],
    );
    expect(problems({ envelope: { in: "structured" }, deny: true, when: "data.a" })).toEqual([]);
  });
});
