import { describe, expect, test } from "bun:test";
import type { ConsumerInfo, StreamInfo } from "@nats-io/jetstream";
import type { PeerKnowledge } from "../../../src/control/agreement.ts";
import type { ViewReport } from "../../../src/control/link_api.ts";
import { type LinkInput, reportLinks } from "../../../src/control/link_report.ts";
import type { ObservedStream } from "../../../src/control/observe.ts";
import type { ExportPolicy, ImportPolicy } from "../../../src/model/schema/policy.ts";
import { accepting, berlin, FakeServer, peer } from "./fake_server.ts";

const ORDERS: ExportPolicy = { name: "orders", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };
const REDACTED: ExportPolicy = {
  ...ORDERS,
  rules: [{ subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "remove" }] }],
};
const IMPORT: ImportPolicy = { from: "austin", subjects: ["acme.>"] };
const KEY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const UP = {
  type: "up",
  peer: "austin",
  ip: "10.0.0.7",
  port: 7422,
  rttMs: 1.5,
  compression: "s2_fast",
} as LinkInput["leafs"][number];
const OFFER = {
  tenant: "acme",
  origin: "austin",
  policy: "all",
  kind: "native" as const,
  stream: "out_acme",
  subjects: ["acme.>"],
};

interface Setting {
  readonly exports?: ExportPolicy[];
  readonly imports?: ImportPolicy[];
  readonly knowledge?: PeerKnowledge;
  readonly streams?: Record<string, ObservedStream>;
  readonly input?: Partial<LinkInput>;
}

/** The report of the link to austin, which is up unless the input says otherwise. */
function report({ exports = [], imports = [], knowledge = accepting(["acme.>"]), ...rest }: Setting) {
  const peers = new Map([["austin", knowledge]]);
  const [link] = reportLinks({
    plan: new FakeServer().plan(berlin([{ tenant: "acme", exports, imports }]), peers),
    streams: new Map(Object.entries(rest.streams ?? {})),
    peers: [{ name: "austin", key: KEY }],
    knowledge: peers,
    leafs: [UP],
    why: () => null,
    views: new Map(),
    ...rest.input,
  });
  if (link === undefined) throw new Error("no link");
  return link;
}

/** A stream with austin's consumer, which flows unless told otherwise. */
function withConsumer(consumer: object = {}, state: object = { first_seq: 1, last_seq: 9 }): ObservedStream {
  const info = {
    push_bound: true,
    num_pending: 2,
    num_ack_pending: 1,
    ack_floor: { stream_seq: 6 },
    delivered: { stream_seq: 7, last_active: "2026-01-02T03:04:05Z" },
    config: { opt_start_seq: 1 },
    ...consumer,
  } as unknown as ConsumerInfo;
  return { info: { state } as StreamInfo, consumers: new Map([["austin", info]]) };
}

/** in_acme with the report of its source. */
function withSource(source: object | null): ObservedStream {
  const sources =
    source === null
      ? []
      : [{ name: "out_acme", external: { api: "mesh.austin.API" }, lag: 4, active: 1e9, seq: 8, ...source }];
  const state = { last_seq: 3, last_ts: "0001-01-01T00:00:00Z" };
  return { info: { sources, state } as unknown as StreamInfo, consumers: new Map() };
}

const VIEW: ViewReport = {
  member: "a",
  state: "running",
  version: "v",
  position: 1,
  forwarded: 2,
  redacted: 3,
  denied: 4,
  quarantined: 5,
  reasons: {},
  redriven: 0,
  limited: 0,
  deferredMs: 0,
  deferral: null,
  waiting: 0,
  missed: 0,
  lastError: null,
};

describe("reportLinks() of a link", () => {
  const down = { leafs: [{ type: "down", peer: "austin" }] } as Partial<LinkInput>;

  test("has nothing to say when it stands", () => {
    expect(report({})).toMatchObject({
      peer: "austin",
      direction: "accept",
      address: "10.0.0.7:7422",
      connected: true,
      verified: "yes",
      rttMs: 1.5,
      compression: "s2_fast",
      why: null,
    });
  });

  test("names the address that is dialled when nobody answers there", () => {
    const peers = [{ name: "austin", key: KEY, dial: "nats-leaf://austin:7422" }];
    expect(report({ input: { ...down, peers } })).toMatchObject({
      direction: "dial",
      address: "nats-leaf://austin:7422",
      connected: false,
      rttMs: null,
      compression: null,
      why: "no leaf connection to nats-leaf://austin:7422: the site is down, the address is wrong, or it does not know our key",
    });
  });

  test("names the key that is expected when the peer does not dial", () => {
    expect(report({ input: down })).toMatchObject({
      address: null,
      why: `austin has not dialled us, or with another key than ${KEY}`,
    });
    expect(report({ input: { leafs: [] } }).connected).toBe(false);
  });

  test("repeats what the peer said wrong, connected or not", () => {
    const knowledge = peer({ verified: "no" });
    const why = () => "it signs with another key";
    expect(report({ knowledge, input: { why } })).toMatchObject({ verified: "no", why: why() });
    expect(report({ knowledge, input: { ...down, why } }).why).toBe(why());
    expect(report({ input: { why: () => "it did not answer" } }).why).toBe("it did not answer");
  });

  test("shows only the peer's own routes", () => {
    const exports = [{ ...ORDERS, to: ["tokyo"] }];
    expect(report({ exports, imports: [{ ...IMPORT, from: "tokyo" }] }).routes).toEqual([]);
  });
});

describe("reportLinks() of an export", () => {
  const out = (setting: Omit<Setting, "exports"> & { policy?: ExportPolicy } = {}) => {
    const { policy = ORDERS, ...rest } = setting;
    const [route] = report({ exports: [policy], streams: { out_acme: withConsumer() }, ...rest }).routes;
    if (route === undefined) throw new Error("no route");
    return route;
  };

  test("says what has crossed when it flows", () => {
    expect(out()).toMatchObject({
      direction: "out",
      tenant: "acme",
      origin: "berlin",
      policy: "orders",
      kind: "native",
      stream: "out_acme",
      subjects: ["acme.orders.>"],
      active: true,
      position: 6,
      lastEvent: "2026-01-02T03:04:05Z",
      lost: 0,
      why: null,
      view: null,
    });
  });

  const consumer = (more: object) => ({ streams: { out_acme: withConsumer(more) } });
  const whys: [string, Parameters<typeof out>[0], string][] = [
    [
      "the peer did not prove its key",
      { knowledge: peer({ verified: "no", accepted: null }) },
      "austin did not prove its key",
    ],
    [
      "the peer accepts nothing of it",
      { knowledge: accepting(["acme.x"]) },
      "austin accepts none of acme.orders.>",
    ],
    ["its consumer is not there", { streams: {} }, "the route is being set up"],
    ["the link is down", { input: { leafs: [] } }, "the link is down"],
    [
      "the peer was not asked yet",
      { ...consumer({ paused: true }), knowledge: peer({ verified: "unknown", accepted: null }) },
      "held until austin has proved its key",
    ],
    [
      "the peer has not said what it accepts",
      { ...consumer({ paused: true }), knowledge: peer({ accepted: null }) },
      "held until austin has said what it accepts",
    ],
    ["it moves to another stream", consumer({ paused: true }), "held while the route changes"],
    [
      "nobody takes it",
      consumer({ push_bound: false }),
      "austin does not take it: no import there, or it is still attaching",
    ],
  ];
  for (const [what, setting, why] of whys) {
    test(`says why it does not flow when ${what}`, () => {
      expect(out(setting)).toMatchObject({ active: false, why });
    });
  }

  test("says what its view does, and why it does not flow when the view's worker does not run", () => {
    const streams = { view_acme_orders: withConsumer() };
    const views = (view: ViewReport) => new Map([["acme/orders", view]]);
    expect(out({ policy: REDACTED, streams, input: { views: views(VIEW) } })).toMatchObject({
      kind: "view",
      stream: "view_acme_orders",
      active: true,
      view: VIEW,
    });
    const stalled = { ...VIEW, state: "stalled", lastError: "the view is full" };
    expect(out({ policy: REDACTED, streams, input: { views: views(stalled) } })).toMatchObject({
      active: false,
      why: "the view's worker is stalled: the view is full",
    });
  });

  test("counts as lost what retention dropped before it crossed", () => {
    const lost = (delivered: number, start: number, first: number) =>
      out({
        streams: {
          out_acme: withConsumer(
            {
              ack_floor: { stream_seq: 0 },
              delivered: { stream_seq: delivered },
              config: { opt_start_seq: start },
            },
            { first_seq: first, last_seq: 99 },
          ),
        },
      }).lost;
    expect(lost(6, 1, 7)).toBe(0);
    expect(lost(6, 1, 10)).toBe(3);
    expect(lost(0, 20, 10)).toBe(0);
    expect(lost(0, 20, 25)).toBe(5);
  });

  test("counts as lost what a view came too late for", () => {
    const streams = { view_acme_orders: withConsumer() };
    const views = new Map([["acme/orders", { ...VIEW, missed: 7 }]]);
    expect(out({ policy: REDACTED, streams, input: { views } }).lost).toBe(7);
  });

  test("shows no time when nothing has crossed yet", () => {
    const never = { delivered: { stream_seq: 0, last_active: "0001-01-01T00:00:00Z" } };
    expect(out(consumer(never)).lastEvent).toBeNull();
    expect(out(consumer({ delivered: { stream_seq: 0 } })).lastEvent).toBeNull();
  });
});

describe("reportLinks() of an import", () => {
  const offering = peer({ offered: [OFFER] });
  const incoming = (setting: Omit<Setting, "imports"> & { policy?: Partial<ImportPolicy> } = {}) => {
    const { policy, ...rest } = setting;
    const streams = { in_acme: withSource({}) };
    const [route] = report({
      imports: [{ ...IMPORT, ...policy }],
      knowledge: offering,
      streams,
      ...rest,
    }).routes;
    if (route === undefined) throw new Error("no route");
    return route;
  };

  test("says what has arrived when it flows", () => {
    expect(incoming()).toMatchObject({
      direction: "in",
      origin: "austin",
      policy: "all",
      kind: "native",
      stream: "in_acme",
      subjects: ["acme.>"],
      active: true,
      lag: 4,
      position: 8,
      lastEvent: null,
      why: null,
    });
  });

  const source = (more: object | null) => ({ streams: { in_acme: withSource(more) } });
  const silent = "nothing is heard from austin: attaching, or held there";
  const whys: [string, Parameters<typeof incoming>[0], string][] = [
    [
      "the peer has not spoken",
      { knowledge: peer({ offered: null }) },
      "austin has not said yet what it offers",
    ],
    ["the peer offers nothing", { knowledge: peer() }, "austin exports nothing of acme to us"],
    ["the link is down", { input: { leafs: [] } }, "the link is down"],
    ["the source has an error", source({ error: { description: "no such consumer" } }), "no such consumer"],
    ["the source has an error without words", source({ error: {} }), "the source reports an error"],
    ["the source was never heard", source({ active: -1 }), silent],
    ["the source is silent", source({ active: 6e9 }), silent],
    ["there is no source", source(null), silent],
    ["the source is that of another site", source({ external: { api: "mesh.tokyo.API" } }), silent],
    ["the source is another stream", source({ name: "view_acme_x" }), silent],
    ["there is no stream", { streams: {} }, silent],
  ];
  for (const [what, setting, why] of whys) {
    test(`says why it does not flow when ${what}`, () => {
      expect(incoming(setting)).toMatchObject({ active: false, why });
    });
  }

  test("judges a source by when it was heard, not by its lag", () => {
    expect(incoming(source({ lag: 0, active: 6e9 })).active).toBe(false);
    expect(incoming(source({ lag: 1000, active: 1e9 })).active).toBe(true);
  });

  test("reports a mirror by itself", () => {
    const mirror = { name: "out_acme", lag: 2, active: 1e9 };
    const info = {
      mirror,
      state: { last_seq: 12, last_ts: "2026-01-02T03:04:05Z" },
    } as unknown as StreamInfo;
    const streams = { mirror_acme_austin: { info, consumers: new Map() } };
    expect(incoming({ policy: { mirror: true }, streams })).toMatchObject({
      kind: "mirror",
      stream: "mirror_acme_austin",
      active: true,
      lag: 2,
      position: 12,
      lastEvent: "2026-01-02T03:04:05Z",
    });
  });
});
