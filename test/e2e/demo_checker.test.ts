/** The demo's checks must be able to fail: each is fed what it is there to find. */
import { describe, expect, test } from "bun:test";
import { Checker, type ExpectedEvent, type Observation } from "../../scripts/demo_parts/checker.ts";
import type { PersonalMember, WrittenPayload } from "../../scripts/demo_parts/personal_data.ts";

const ADDRESS = "mona.lisa@octo-corp.example";
const PERSONAL: readonly PersonalMember[] = [
  { parent: null, key: "email", shown: "domain" },
  { parent: "author", key: "name", shown: "pseudonym" },
  { parent: "verification", key: "payload", shown: "nothing" },
];
const PAYLOAD: WrittenPayload = {
  value: {
    sender: { email: ADDRESS },
    commits: [{ author: { name: "Mona Lisa" }, verification: { payload: `by ${ADDRESS}` } }],
    repository: { name: "octo" },
  },
  write: (value) => `{"id":9223372036854775809,${JSON.stringify(value).slice(1)}`,
};
const PSEUDONYM = "psn_abcd1234_AAAAAAAAAAAAAAAAAAAAAA";
const REDACTED = `{"id":9223372036854775809,"sender":{"email":"***@octo-corp.example"},"commits":[{"author":{"name":"${PSEUDONYM}"},"verification":{}}],"repository":{"name":"octo"}}`;

/** berlin publishes for austin, redacted, and for tokyo, without internal headers. */
function event(sequence = 1, more: Partial<ExpectedEvent> = {}): ExpectedEvent {
  return {
    id: `id-${sequence}`,
    tenant: "acme",
    origin: "berlin",
    subject: "acme.github.push",
    sequence,
    headers: [
      ["X-GitHub-Event", "push"],
      ["x-internal-trace", "t-1"],
    ],
    payload: PAYLOAD,
    audience: new Set(["austin", "tokyo"]),
    treatmentAt: (site) =>
      site === "austin"
        ? { redact: PERSONAL, secrets: [ADDRESS, "Mona Lisa"], dropHeaders: null }
        : { redact: [], secrets: [], dropHeaders: "x-internal-" },
    ...more,
  };
}

/** As it should arrive. */
function arrival(site: string, of: ExpectedEvent, more: Partial<Observation> = {}): Observation {
  const text = site === "austin" ? REDACTED : PAYLOAD.write(PAYLOAD.value);
  const internal = site === "tokyo" ? [] : [["x-internal-trace", "t-1"] as const];
  return {
    site,
    tenant: "acme",
    via: "app",
    subject: of.subject,
    headers: [["Nats-Msg-Id", of.id], ["Demo-Sent", "100"], ["X-GitHub-Event", "push"], ...internal],
    data: Buffer.from(text),
    atMs: 102,
    ...more,
  };
}

function checked(of: ExpectedEvent, ...messages: readonly Observation[]): Checker {
  const checker = new Checker([]);
  checker.expect(of);
  for (const message of messages) checker.received(message);
  return checker;
}

const NONE = { leak: 0, echo: 0, reordered: 0, altered: 0, missing: 0 };

describe("Checker", () => {
  test("counts no fault when everything is as it should be", () => {
    const one = event();
    const checker = checked(one, arrival("berlin", one), arrival("austin", one), arrival("tokyo", one));
    checker.checkMissing();
    expect(checker.faults).toEqual([]);
    expect(checker.counts).toEqual(NONE);
    expect(checker.outstanding).toBe(0);
    expect(Object.fromEntries(checker.delivered)).toEqual({ austin: 1, tokyo: 1 });
    expect([checker.redacted, checker.withoutHeaders]).toEqual([1, 1]);
    expect(checker.latency.percentiles()).toEqual({ p50: 2, p99: 2 });
  });

  test("counts a leak when a redacted value can be read where it stood", () => {
    const one = event();
    const data = Buffer.from(REDACTED.replace("***@octo-corp.example", ADDRESS));
    const { counts, faults } = checked(one, arrival("austin", one, { data }));
    expect(counts.leak).toBeGreaterThan(0);
    expect(JSON.stringify(faults)).not.toContain(ADDRESS);
  });

  test("counts a leak when a redacted value is written in escapes", () => {
    const one = event();
    const escaped = ADDRESS.replace("@", "\\u0040");
    const data = Buffer.from(REDACTED.replace("***@octo-corp.example", escaped));
    expect(checked(one, arrival("austin", one, { data })).counts.leak).toBe(1);
  });

  test("counts a leak when a redacted value can be read elsewhere: in the payload, in a header", () => {
    const one = event();
    const data = Buffer.from(REDACTED.replace('"octo"', `"${ADDRESS}"`));
    expect(checked(one, arrival("austin", one, { data })).counts.leak).toBe(1);
    const headers = [...arrival("austin", one).headers, ["Leafmesh-Note", "by Mona Lisa"] as const];
    expect(checked(one, arrival("austin", one, { headers })).counts.leak).toBe(1);
  });

  test("counts a leak when a member that is removed stays", () => {
    const one = event();
    const data = Buffer.from(REDACTED.replace('"verification":{}', '"verification":{"payload":"***"}'));
    expect(checked(one, arrival("austin", one, { data })).counts.leak).toBe(1);
  });

  test("counts a leak when a dropped header arrives", () => {
    const one = event();
    const headers = [...arrival("tokyo", one).headers, ["X-Internal-Other", "1"] as const];
    expect(checked(one, arrival("tokyo", one, { headers })).counts).toEqual({ ...NONE, leak: 1 });
  });

  test("counts a leak when an event arrives where no policy lets it, or at another tenant, or from nowhere", () => {
    const one = event(1, { audience: new Set(["tokyo"]) });
    expect(checked(one, arrival("austin", one)).counts).toEqual({ ...NONE, leak: 1 });
    expect(checked(one, arrival("tokyo", one, { tenant: "globex" })).counts).toEqual({ ...NONE, leak: 1 });
    expect(checked(one, arrival("tokyo", event(7))).counts).toEqual({ ...NONE, leak: 1 });
  });

  test("counts an echo when an event comes back to its origin or arrives twice", () => {
    const one = event();
    const home = arrival("berlin", one);
    expect(checked(one, home, home).counts).toEqual({ ...NONE, echo: 1 });
    const abroad = arrival("tokyo", one);
    expect(checked(one, abroad, abroad).counts).toEqual({ ...NONE, echo: 1 });
  });

  test("counts no echo at the origin when the app publishes an event again, and one elsewhere", () => {
    const one = event();
    const again = (site: string) => {
      const message = arrival(site, one);
      return { ...message, headers: [...message.headers, ["Demo-Attempt", "2"] as const] };
    };
    expect(checked(one, arrival("berlin", one), again("berlin")).counts).toEqual(NONE);
    expect(checked(one, arrival("tokyo", one), again("tokyo")).counts).toEqual({ ...NONE, echo: 1 });
  });

  test("counts a reorder by origin, tenant and receiver", () => {
    const [first, second] = [event(1), event(2)];
    const checker = new Checker([]);
    checker.expect(first);
    checker.expect(second);
    checker.received(arrival("austin", first));
    checker.received(arrival("tokyo", second));
    checker.received(arrival("austin", second));
    expect(checker.counts).toEqual(NONE);
    checker.received(arrival("tokyo", first));
    expect(checker.counts).toEqual({ ...NONE, reordered: 1 });
  });

  test("counts an alteration outside of what is redacted", () => {
    const one = event();
    for (const [from, to] of [
      ["9223372036854775809", "9223372036854775808"],
      ['"octo"', '"octa"'],
      ['"repository":', ' "repository":'],
      [PSEUDONYM, "someone"],
    ] as const) {
      const data = Buffer.from(REDACTED.replace(from, to));
      expect(checked(one, arrival("austin", one, { data })).counts).toEqual({ ...NONE, altered: 1 });
    }
    const rounded = Buffer.from(
      PAYLOAD.write(PAYLOAD.value).replace("9223372036854775809", "9223372036854775807"),
    );
    expect(checked(one, arrival("tokyo", one, { data: rounded })).counts).toEqual({ ...NONE, altered: 1 });
    const headers = arrival("tokyo", one).headers.filter(([name]) => name !== "X-GitHub-Event");
    expect(checked(one, arrival("tokyo", one, { headers })).counts).toEqual({ ...NONE, altered: 1 });
    const subject = "acme.github.pull";
    expect(checked(one, arrival("tokyo", one, { subject })).counts).toEqual({ ...NONE, altered: 1 });
  });

  test("counts what is missing, also in a log that is read", () => {
    const one = event();
    const checker = new Checker([{ site: "austin", tenant: "acme" }]);
    checker.expect(one);
    checker.received(arrival("austin", one));
    expect(checker.outstanding).toBe(2);
    expect(checker.checkMissing()).toBe(2);
    expect(checker.faults.map((fault) => fault.site)).toEqual(["tokyo", "austin"]);
  });

  test("forgets old events when it is told how many to keep", () => {
    const checker = new Checker([], 1);
    const [first, second] = [event(1), event(2)];
    checker.expect(first);
    checker.expect(second);
    checker.received(arrival("tokyo", first));
    checker.received(arrival("tokyo", second));
    expect(checker.counts).toEqual(NONE);
    expect(checker.delivered.get("tokyo")).toBe(1);
  });
});
