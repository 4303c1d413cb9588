import { describe, expect, test } from "bun:test";
import { describeStep, type Step } from "../../../src/control/step.ts";
import { mirrorStream } from "../../../src/model/names.ts";
import type { ExportPolicy } from "../../../src/model/schema/policy.ts";
import type { TenantDocument } from "../../../src/model/schema/tenant.ts";
import { accepting, berlin, FakeServer, peer, WRITTEN } from "./fake_server.ts";

const ORDERS: ExportPolicy = { name: "orders", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };
const REDACTED: ExportPolicy = {
  ...ORDERS,
  rules: [{ subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "remove" }] }],
};
const acme = (more: Omit<TenantDocument, "tenant"> = {}) => berlin([{ tenant: "acme", ...more }]);
const AUSTIN = new Map([["austin", accepting(["acme.>"])]]);

const types = (steps: readonly Step[]) => steps.map((step) => step.type);
const texts = (steps: readonly Step[]) => steps.map((step) => describeStep(step).text);
const place = (steps: readonly Step[], type: Step["type"]) => types(steps).indexOf(type);

/** What a peer offers of the tenant's own events. */
const offers = (stream: string, origin = "austin", kind: "native" | "view" = "native") =>
  peer({ offered: [{ tenant: "acme", origin, policy: "all", kind, stream, subjects: ["acme.>"] }] });

/** A server on which a state has been applied until nothing is left. */
function settled(...args: Parameters<FakeServer["apply"]>): FakeServer {
  const server = new FakeServer();
  for (let round = 0; round < 3; round++) server.apply(...args);
  return server;
}

describe("planSteps() of a first start", () => {
  test("makes streams, then consumers, then accounts, then what fills the log", () => {
    const server = new FakeServer();
    const steps = server.apply(acme({ exports: [ORDERS] }), AUSTIN);
    expect(texts(steps)).toEqual([
      "create stream MESH/out_acme",
      "create stream MESH/in_acme",
      "create consumer MESH/out_acme/log_, starting with the first event",
      // Nothing of our own is in there: no import, so the log takes none of it.
      "create consumer MESH/in_acme/log_, starting with the first event (filter berlin.acme.>)",
      "create consumer MESH/out_acme/austin, starting with the first event (filter berlin.acme.orders.>)",
      "write and reload the server's configuration: tenants",
      // The account answers only after the reload.
      "create stream T_acme/acme",
    ]);
  });

  test("adds the view, its worker and the dead letters when a rule looks inside", () => {
    const steps = new FakeServer().apply(acme({ exports: [REDACTED] }), AUSTIN);
    expect(texts(steps).filter((text) => /view|dlq/.test(text))).toEqual([
      "create stream MESH/dlq_acme",
      "create view MESH/view_acme_orders of out_acme: rule #1 ('acme.orders.>') has redactions",
      "create the consumer of the view's worker on out_acme (filter berlin.acme.orders.>)",
      expect.stringMatching(/^start the worker of view acme\/orders, policy version [0-9a-f]{12}$/),
      `create consumer MESH/view_acme_orders/austin, starting with events from ${WRITTEN} on (filter berlin~orders.acme.orders.>)`,
    ]);
  });

  test("begins a new route with events from when its policy was written, or with all that is stored when it says so", () => {
    const server = settled(acme(), AUSTIN);
    const added = (policy: ExportPolicy) =>
      server.plan(acme({ exports: [policy] }), AUSTIN).steps.find((step) => step.type === "create-consumer");
    expect(added(ORDERS)).toMatchObject({ start: { type: "new", since: WRITTEN } });
    expect(added({ ...ORDERS, start: "all" })).toMatchObject({ start: { type: "first" } });
    const view = (policy: ExportPolicy) =>
      server.plan(acme({ exports: [policy] }), AUSTIN).steps.find((step) => step.type === "create-view");
    expect(view(REDACTED)).toMatchObject({ since: WRITTEN });
    expect(view({ ...REDACTED, start: "all" })).toMatchObject({ since: null });
  });
});

describe("planSteps() on what it made itself", () => {
  const states: Record<string, [Parameters<typeof acme>[0], ReturnType<typeof peer>]> = {
    "nothing but a tenant": [{}, peer()],
    "a native route": [{ exports: [ORDERS] }, accepting(["acme.>"])],
    "a narrowed route": [{ exports: [ORDERS] }, accepting(["acme.orders.eu", "acme.orders.us"])],
    "a view": [{ exports: [REDACTED] }, accepting(["acme.>"])],
    "an import": [{ imports: [{ from: "austin", subjects: ["acme.>"] }] }, offers("out_acme")],
    "an import of a view": [
      { imports: [{ from: "austin", subjects: ["acme.>"] }] },
      offers("view_acme_x", "austin", "view"),
    ],
    "a quiet import": [
      { imports: [{ from: "austin", subjects: ["acme.>"], live: false }] },
      offers("out_acme"),
    ],
    "a mirror": [{ imports: [{ from: "austin", subjects: ["acme.>"], mirror: true }] }, offers("out_acme")],
    "ids of the whole mesh": [
      { dedupe: { ids: "mesh" }, imports: [{ from: "austin", subjects: ["acme.>"] }] },
      offers("out_acme"),
    ],
    "a log that is off": [{ log: false, exports: [ORDERS] }, accepting(["acme.>"])],
    "a stream that refuses": [{ limits: { whenFull: "refuse" }, exports: [REDACTED] }, accepting(["acme.>"])],
    "a peer that accepts nothing": [{ exports: [ORDERS] }, accepting(["acme.other"])],
    "a peer that is somebody else": [{ exports: [ORDERS] }, peer({ verified: "no", accepted: null })],
    "a peer that is silent": [
      { exports: [ORDERS] },
      peer({ verified: "unknown", accepted: null, offered: null }),
    ],
    transit: [
      {
        imports: [{ from: "tokyo", subjects: ["acme.>"] }],
        exports: [{ ...REDACTED, origin: "tokyo" }],
      },
      accepting(["acme.>"], "tokyo"),
    ],
  };
  for (const [name, [tenant, austin]] of Object.entries(states)) {
    test(`has nothing left to do when the state is ${name}`, () => {
      const peers = new Map([["austin", austin]]);
      const server = new FakeServer();
      expect(server.apply(acme(tenant), peers)).not.toEqual([]);
      server.apply(acme(tenant), peers);
      expect(texts(server.plan(acme(tenant), peers).steps)).toEqual([]);
    });
  }
});

describe("planSteps() of a rate for each peer", () => {
  const RATE = "update consumer MESH/out_acme/austin: rate_limit_bps (filter berlin.acme.orders.>)";
  const ALONE = "update consumer MESH/out_acme/austin: rate_limit_bps";
  const SIZE = "update stream MESH/out_acme: max_msg_size";
  const paced = (maxMsgSize: string, perPeer: string | null = "1MiB/s") =>
    acme({
      limits: { maxMsgSize },
      exports: [perPeer === null ? ORDERS : { ...ORDERS, limit: { perPeer } }],
    });
  const rates = (steps: readonly Step[]) =>
    steps.flatMap((step) => (step.type === "update-consumer" ? [step.spec.rate_limit_bps] : []));

  test("lets it go while the stream gets to take larger events", () => {
    const server = settled(paced("16KiB"), AUSTIN);
    const steps = server.apply(paced("64KiB"), AUSTIN);
    expect(texts(steps)).toEqual([RATE, SIZE, ALONE]);
    expect(rates(steps)).toEqual([0, 8 * 1024 ** 2]);
    expect(server.plan(paced("64KiB"), AUSTIN).steps).toEqual([]);
  });

  test("sets it when the stream has room for the largest event with its subject", () => {
    const server = settled(paced("16KiB", null), AUSTIN);
    expect(texts(server.apply(paced("16KiB"), AUSTIN))).toEqual([SIZE, ALONE]);
    expect(server.stream("out_acme").config.max_msg_size).toBe(24 * 1024);
    expect(server.plan(paced("16KiB"), AUSTIN).steps).toEqual([]);
  });

  test("is set alone again: a filter that gets wider with it waits for the peer", () => {
    const server = settled(paced("16KiB"), AUSTIN);
    const wider = { ...ORDERS, rules: [{ subjects: ["acme.>"] }], limit: { perPeer: "1MiB/s" } };
    const state = acme({ limits: { maxMsgSize: "64KiB" }, exports: [wider] });
    const { steps } = server.plan(state, AUSTIN);
    const after = steps.slice(place(steps, "widen-route"));
    expect(types(after)).toContain("update-consumer");
    for (const step of after) {
      if (step.type === "update-consumer")
        expect(Object.keys(step.spec)).toEqual(["durable_name", "rate_limit_bps"]);
    }
    expect(place(steps, "widen-route")).toBeGreaterThan(0);
  });

  test("has the stream take no less than before, until it is gone", () => {
    const server = settled(paced("64KiB"), AUSTIN);
    expect(server.plan(paced("16KiB"), AUSTIN).steps).toEqual([]);
    expect(texts(server.apply(paced("16KiB", null), AUSTIN))).toEqual([RATE, SIZE]);
    expect(server.stream("out_acme").config.max_msg_size).toBe(16 * 1024);
  });
});

describe("planSteps() against drift", () => {
  const state = acme({ exports: [ORDERS] });

  test("sets back the fields of a stream that are ours, and names them", () => {
    const server = settled(state, AUSTIN);
    server.stream("out_acme").config = {
      ...server.stream("out_acme").config,
      max_age: 1,
      max_bytes: 1,
      description: "somebody's own",
    };
    expect(texts(server.plan(state, AUSTIN).steps)).toEqual([
      "update stream MESH/out_acme: max_bytes, max_age",
    ]);
  });

  test("sets back a consumer's filter", () => {
    const server = settled(state, AUSTIN);
    server.consumer("out_acme", "austin").config.filter_subjects = ["berlin.acme.>"];
    expect(texts(server.plan(state, AUSTIN).steps)).toEqual([
      "update consumer MESH/out_acme/austin: filter_subjects (filter berlin.acme.orders.>)",
    ]);
  });

  test("makes what was deleted, and leaves alone what is not ours", () => {
    const server = settled(state, AUSTIN);
    server.stream("out_acme").consumers.delete("austin");
    server.logs.delete("acme");
    server.stream("out_acme").consumers.set("some_body", server.consumer("out_acme", "log_"));
    expect(types(server.plan(state, AUSTIN).steps)).toEqual(["create-consumer", "create-stream"]);
  });

  test("starts the worker of a view that does not run, and changes one that decides by another version", () => {
    const viewed = acme({ exports: [REDACTED] });
    const server = settled(viewed, AUSTIN);
    server.views.clear();
    expect(types(server.plan(viewed, AUSTIN).steps)).toEqual(["start-view"]);
    server.views.set("acme/orders", "another");
    expect(types(server.plan(viewed, AUSTIN).steps)).toEqual(["change-view"]);
  });

  test("cuts a link that the state does not know and attaches a silent source again", () => {
    const server = settled(state, AUSTIN);
    const { steps } = server.plan(state, AUSTIN, {
      strangers: [{ peer: "paris", why: "paris is not a peer" }],
      silent: [
        {
          account: { type: "mesh" },
          stream: "in_acme",
          api: "mesh.austin.API",
          source: "out_acme",
          by: "anew",
        },
      ],
    });
    expect(texts(steps)).toEqual([
      "cut the leaf connection of paris: paris is not a peer",
      "attach out_acme of mesh.austin.API to in_acme again: it is silent",
    ]);
  });
});

describe("planSteps() when a policy changes", () => {
  test("pauses the native route, makes the view, fills it, switches, and only then removes", () => {
    const server = settled(acme({ exports: [ORDERS] }), AUSTIN);
    const steps = server.apply(acme({ exports: [REDACTED] }), AUSTIN);
    expect(types(steps)).toEqual([
      "pause-consumer",
      "create-stream",
      "create-view",
      "create-view-consumer",
      "start-view",
      "switch-route",
    ]);
    expect(steps[0]).toMatchObject({ stream: "out_acme", consumer: "austin" });
    expect(steps.find((step) => step.type === "create-view")).toMatchObject({
      from: [{ stream: "out_acme", consumer: "austin", source: "out_acme" }],
    });
    expect(server.plan(acme({ exports: [REDACTED] }), AUSTIN).steps).toEqual([]);
  });

  test("keeps the old route paused, and makes no second one, while the switch waits for the peer", () => {
    const server = settled(acme({ exports: [ORDERS] }), AUSTIN);
    const viewed = acme({ exports: [REDACTED] });
    for (const step of server.plan(viewed, AUSTIN).steps) {
      if (step.type !== "switch-route") server.run(step, viewed);
    }
    expect(types(server.plan(viewed, AUSTIN).steps)).toEqual(["switch-route"]);
    expect(server.consumer("out_acme", "austin").paused).toBe(true);
  });

  test("goes back from the view to the native route, and removes the view when nobody moves away from it any more", () => {
    const server = settled(acme({ exports: [REDACTED] }), AUSTIN);
    const steps = server.apply(acme({ exports: [ORDERS] }), AUSTIN);
    expect(types(steps)).toEqual(["stop-view", "switch-route"]);
    expect(steps.at(-1)).toMatchObject({
      from: { stream: "view_acme_orders", source: "out_acme" },
      drain: true,
    });
    expect(texts(server.apply(acme({ exports: [ORDERS] }), AUSTIN))).toEqual([
      "delete consumer out_acme/view_orders: view view_acme_orders goes",
      "delete stream MESH/view_acme_orders: no export needs this view",
    ]);
    expect(server.plan(acme({ exports: [ORDERS] }), AUSTIN).steps).toEqual([]);
  });

  const moved = (from: ExportPolicy, to: ExportPolicy, change: (server: FakeServer) => void = () => {}) => {
    const server = settled(acme({ exports: [from] }), AUSTIN);
    change(server);
    return server.apply(acme({ exports: [to] }), AUSTIN);
  };

  test("has a peer take no more of a view that it leaves than the native policy lets pass", () => {
    const narrower = { ...ORDERS, rules: [{ subjects: ["acme.orders.eu"] }] };
    const steps = moved(REDACTED, narrower);
    expect(types(steps)).toEqual(["stop-view", "update-consumer", "switch-route"]);
    expect(steps[1]).toMatchObject({ spec: { filter_subjects: ["berlin~orders.acme.orders.eu"] } });
  });

  test("has a peer take nothing more of a view of which the native policy lets nothing pass", () => {
    const other = { ...ORDERS, rules: [{ subjects: ["acme.catalog.>"] }] };
    const steps = moved(REDACTED, other);
    expect(types(steps)).toEqual(["stop-view", "pause-consumer", "switch-route"]);
    expect(steps[2]).toMatchObject({ drain: false });
  });

  test("has a peer take nothing more of a view that it leaves for another one, or whose events have other names", () => {
    const renamed = { ...REDACTED, name: "others" };
    expect(moved(REDACTED, renamed).filter(({ type }) => /pause|switch/.test(type))).toMatchObject([
      { type: "pause-consumer" },
      { type: "switch-route", drain: false },
    ]);
    const rewritten = { ...ORDERS, rules: [{ subjects: ["acme.orders.*"], rewrite: "acme.o.*" }] };
    expect(moved(rewritten, ORDERS).filter(({ type }) => /pause|switch/.test(type))).toMatchObject([
      { type: "pause-consumer" },
      { type: "switch-route", drain: false },
    ]);
  });

  test("lets a peer go on that was held and has not taken the rest of its view yet", () => {
    const held = (left: number) => (server: FakeServer) => {
      const consumer = server.consumer("view_acme_orders", "austin");
      Object.assign(consumer, { paused: true, num_pending: left });
    };
    expect(types(moved(REDACTED, ORDERS, held(3)))).toEqual(["stop-view", "resume-consumer", "switch-route"]);
    expect(types(moved(REDACTED, ORDERS, held(0)))).toEqual(["stop-view", "switch-route"]);
  });

  test("narrows a filter before the new configuration and before anything is resumed", () => {
    const wide = { ...ORDERS, rules: [{ subjects: ["acme.>"] }] };
    const server = settled(acme({ exports: [wide] }), AUSTIN);
    server.consumer("out_acme", "austin").paused = true;
    const { steps } = server.plan(acme({ exports: [ORDERS] }), AUSTIN, { configChanges: ["something"] });
    expect(types(steps)).toEqual(["update-consumer", "configure-server", "resume-consumer"]);
  });

  test("makes the consumer anew that a native policy lets deliver more, once the peer has what it may have of before", () => {
    const wide = { ...ORDERS, rules: [{ subjects: ["acme.orders.>"] }, { subjects: ["acme.invoices.>"] }] };
    const server = settled(acme({ exports: [ORDERS] }), AUSTIN);
    const { steps } = server.plan(acme({ exports: [wide] }), AUSTIN);
    expect(steps).toMatchObject([{ type: "widen-route", rest: true }]);
    for (const step of steps) server.run(step, acme({ exports: [wide] }));
    expect(server.plan(acme({ exports: [wide] }), AUSTIN).steps).toEqual([]);
  });

  test("narrows at once what becomes another, and then widens", () => {
    const server = settled(
      acme({ exports: [{ ...ORDERS, rules: [{ subjects: ["acme.a"] }, { subjects: ["acme.b"] }] }] }),
      AUSTIN,
    );
    const other = { ...ORDERS, rules: [{ subjects: ["acme.b"] }, { subjects: ["acme.c"] }] };
    expect(server.plan(acme({ exports: [other] }), AUSTIN).steps).toMatchObject([
      { type: "update-consumer", spec: { filter_subjects: ["berlin.acme.b"] } },
      { type: "widen-route", rest: true, spec: { filter_subjects: ["berlin.acme.b", "berlin.acme.c"] } },
    ]);
    const third = { ...ORDERS, rules: [{ subjects: ["acme.d"] }] };
    expect(server.plan(acme({ exports: [third] }), AUSTIN).steps).toMatchObject([
      { type: "pause-consumer" },
      { type: "widen-route", rest: false },
    ]);
  });

  test("lets no route go on that is held, and whose filter names nothing that the policy still allows", () => {
    const server = settled(acme({ exports: [ORDERS] }), AUSTIN);
    const consumer = server.consumer("out_acme", "austin");
    consumer.config.metadata = { "leafmesh-held": JSON.stringify({ last: 1, source: 1 }) };
    consumer.paused = true;
    const other = (...subjects: string[]) => acme({ exports: [{ ...ORDERS, rules: [{ subjects }] }] });
    expect(server.plan(other("acme.catalog.>"), AUSTIN).steps).toMatchObject([
      { type: "place-route", paused: true },
    ]);
    expect(server.plan(other("acme.catalog.>", "acme.orders.eu"), AUSTIN).steps).toMatchObject([
      { type: "update-consumer", spec: { filter_subjects: ["berlin.acme.orders.eu"] } },
      { type: "place-route", paused: false },
    ]);
    consumer.config.metadata = {};
    expect(server.plan(other("acme.catalog.>"), AUSTIN).steps).toMatchObject([
      { type: "widen-route", rest: false },
    ]);
  });

  test("decides by the new version before the route to a view is resumed", () => {
    const server = settled(acme({ exports: [REDACTED] }), AUSTIN);
    server.consumer("view_acme_orders", "austin").paused = true;
    const stricter = {
      ...REDACTED,
      rules: [{ subjects: ["acme.orders.>"], redact: [{ path: "$..email", with: "remove" as const }] }],
    };
    expect(types(server.plan(acme({ exports: [stricter] }), AUSTIN).steps)).toEqual([
      "change-view",
      "resume-consumer",
    ]);
  });

  test("pauses the route to a peer that accepts nothing any more, and resumes when it does again", () => {
    const state = acme({ exports: [ORDERS] });
    const server = settled(state, AUSTIN);
    const refusing = new Map([["austin", accepting(["acme.other"])]]);
    expect(texts(server.apply(state, refusing))).toEqual([
      "pause out_acme to austin: austin accepts none of acme.orders.>",
    ]);
    const again = new Map([["austin", accepting(["acme.orders.eu"])]]);
    expect(types(server.apply(state, again))).toEqual(["update-consumer", "resume-consumer"]);
    expect(server.consumer("out_acme", "austin").config.filter_subjects).toEqual(["berlin.acme.orders.eu"]);
  });

  test("pauses at once when a peer turns out to be somebody else", () => {
    const state = acme({ exports: [ORDERS] });
    const server = settled(state, AUSTIN);
    const impostor = new Map([["austin", { ...accepting(["acme.>"]), verified: "no" as const }]]);
    expect(types(server.apply(state, impostor))).toEqual(["pause-consumer"]);
    expect(types(server.apply(state, new Map([["austin", peer({ verified: "unknown" })]])))).toEqual([]);
    expect(types(server.apply(state, AUSTIN))).toEqual(["resume-consumer"]);
  });
});

describe("planSteps() when something is removed", () => {
  const both = { exports: [{ ...ORDERS, to: ["austin", "tokyo"] }] };
  const peers = new Map([...AUSTIN, ["tokyo", accepting(["acme.>"])] as const]);

  test("deletes the consumer of a peer that no export names any more", () => {
    const server = settled(acme(both), peers);
    expect(texts(server.apply(acme({ exports: [ORDERS] }), peers))).toEqual([
      "delete consumer out_acme/tokyo: no export of acme goes to tokyo",
    ]);
  });

  test("deletes the consumer of a peer that is gone, and says so", () => {
    const server = settled(acme(both), peers);
    const without = berlin([{ tenant: "acme", exports: [ORDERS] }], ["austin"]);
    expect(texts(server.plan(without, peers).steps)).toEqual([
      "delete consumer out_acme/tokyo: tokyo is not a peer",
    ]);
  });

  test("deletes view and worker with the last export that needs them, and keeps the tenant's events and dead letters", () => {
    const server = settled(acme({ exports: [REDACTED] }), AUSTIN);
    const steps = server.apply(acme(), AUSTIN);
    expect(types(steps)).toEqual(["stop-view", "delete-consumer", "delete-consumer", "delete-stream"]);
    expect([...server.streams.keys()].sort()).toEqual(["dlq_acme", "in_acme", "out_acme"]);
    expect([...server.stream("out_acme").consumers.keys()]).toEqual(["log_"]);
    expect(server.plan(acme(), AUSTIN).steps).toEqual([]);
  });

  test("takes the source of a removed import out, and deletes only a mirror", () => {
    const imported = acme({ imports: [{ from: "austin", subjects: ["acme.>"] }] });
    const server = settled(imported, new Map([["austin", offers("out_acme")]]));
    expect(server.stream("in_acme").config.sources).toHaveLength(1);
    server.apply(acme(), new Map([["austin", offers("out_acme")]]));
    expect(server.stream("in_acme").config.sources).toEqual([]);

    const mirrored = acme({ imports: [{ from: "austin", subjects: ["acme.>"], mirror: true }] });
    const other = settled(mirrored, new Map([["austin", offers("out_acme")]]));
    expect(other.streams.has(mirrorStream("acme", "austin"))).toBe(true);
    expect(texts(other.apply(acme(), AUSTIN))).toEqual([
      "delete stream MESH/mirror_acme_austin: no import asks for this mirror",
    ]);
  });

  test("takes the sources of a peer out that is gone or turns out to be somebody else", () => {
    const tenant: TenantDocument = { tenant: "acme", imports: [{ from: "austin", subjects: ["acme.>"] }] };
    const known = new Map([["austin", offers("out_acme")]]);
    const gone = settled(berlin([tenant]), known);
    gone.apply(berlin([tenant], ["tokyo"]), known);
    expect(gone.stream("in_acme").config.sources).toEqual([]);
    const other = settled(berlin([tenant]), known);
    other.apply(berlin([tenant]), new Map([["austin", { ...offers("out_acme"), verified: "no" as const }]]));
    expect(other.stream("in_acme").config.sources).toEqual([]);
  });

  test("deletes what lets out the events of a removed tenant, and none of its events", () => {
    const server = settled(acme(both), peers);
    const steps = server.apply(berlin([]), peers);
    expect(texts(steps)).toEqual([
      "delete consumer out_acme/austin: tenant acme was removed",
      "delete consumer out_acme/tokyo: tenant acme was removed",
      "write and reload the server's configuration: tenants",
    ]);
    expect([...server.streams.keys()]).toEqual(["out_acme", "in_acme"]);
    expect(server.plan(berlin([]), peers).steps).toEqual([]);
  });
});

describe("planSteps() of imports", () => {
  const importing = (more: object = {}) =>
    acme({ imports: [{ from: "austin", subjects: ["acme.>"], ...more }] });

  test("forces origin and tenant on whatever the peer sends", () => {
    const server = settled(importing(), new Map([["austin", offers("out_acme")]]));
    expect(server.stream("in_acme").config.sources).toMatchObject([
      {
        name: "out_acme",
        external: { api: "mesh.austin.API" },
        consumer: { name: "berlin", deliver_subject: "mesh.austin.deliver.berlin.out_acme" },
        subject_transforms: [{ src: "*.*.>", dest: "austin.acme.>" }],
      },
    ]);
  });

  test("refuses a stream that is not of the tenant, and notes it", () => {
    for (const stream of ["out_globex", "dlq_acme", "leafmesh_state", "mirror_acme_tokyo"]) {
      const server = new FakeServer();
      const plan = server.plan(importing(), new Map([["austin", offers(stream)]]));
      expect(plan.notes).toEqual([`austin offers ${stream}, which is no stream of acme: refused`]);
      const made = plan.steps.find((step) => step.type === "create-stream" && step.spec.name === "in_acme");
      expect(made).toMatchObject({ spec: { sources: [] } });
    }
  });

  test("makes no mirror of a stream that is not of the tenant", () => {
    const plan = new FakeServer().plan(
      importing({ mirror: true }),
      new Map([["austin", offers("out_globex")]]),
    );
    expect(plan.steps.some((step) => step.type === "create-stream" && /mirror/.test(step.spec.name))).toBe(
      false,
    );
  });

  test("leaves a mirror as it is when the peer offers another stream, and notes it", () => {
    const server = settled(importing({ mirror: true }), new Map([["austin", offers("out_acme")]]));
    const plan = server.plan(importing({ mirror: true }), new Map([["austin", offers("view_acme_x")]]));
    expect(texts(plan.steps)).toEqual([]);
    expect(plan.notes.join()).toContain(
      "mirror_acme_austin mirrors another stream than austin offers now (view_acme_x)",
    );
  });

  test("follows the peer from one stream to another in one update", () => {
    const server = settled(importing(), new Map([["austin", offers("out_acme")]]));
    const peers = new Map([["austin", offers("view_acme_x", "austin", "view")]]);
    expect(texts(server.apply(importing(), peers))).toEqual(["update stream MESH/in_acme: sources"]);
    expect(server.stream("in_acme").config.sources?.map((source) => source.name)).toEqual(["view_acme_x"]);
  });

  test("lets the log take of remote events what the imports accept", () => {
    const state = acme({
      imports: [
        { from: "austin", subjects: ["acme.a.>"] },
        { from: "austin", origin: "paris", subjects: ["acme.b"] },
        { from: "tokyo", subjects: ["acme.c"], live: false },
      ],
    });
    const server = settled(state, new Map([["austin", offers("out_acme")]]));
    // Of both streams the same: an import that changes `live` leaves events behind that the log is to have.
    for (const stream of ["in_acme", "quiet_acme"]) {
      expect(server.consumer(stream, "log_").config.filter_subjects).toEqual([
        "austin.acme.a.>",
        "paris.acme.b",
        "tokyo.acme.c",
      ]);
    }
    expect(server.consumer("out_acme", "log_").config.filter_subjects).toBeUndefined();
    expect(server.logs.get("acme")?.sources?.map((source) => source.name)).toEqual([
      "out_acme",
      "in_acme",
      "quiet_acme",
    ]);
  });
});

describe("planSteps() of the log", () => {
  test("takes its sources away when it is switched off, keeps its events, and goes on when it is on again", () => {
    const server = settled(acme(), AUSTIN);
    const off = server.apply(acme({ log: false }), AUSTIN);
    expect(texts(off)).toEqual(
      [
        "delete consumer out_acme/log_: acme keeps no log",
        "delete consumer in_acme/log_: acme keeps no log",
        "update stream T_acme/acme: sources",
      ].sort((a, b) => texts(off).indexOf(a) - texts(off).indexOf(b)),
    );
    expect(server.logs.has("acme")).toBe(true);
    expect(server.plan(acme({ log: false }), AUSTIN).steps).toEqual([]);
    expect(types(server.apply(acme(), AUSTIN))).toEqual([
      "create-consumer",
      "create-consumer",
      "update-stream",
    ]);
    expect(server.plan(acme(), AUSTIN).steps).toEqual([]);
  });
});

describe("planSteps() orders its phases", () => {
  test("so that nothing lets events out before what keeps them in", () => {
    // Everything at once: a native route becomes a view, another route narrows and is released, a peer goes.
    const before = acme({
      exports: [
        { ...ORDERS, to: ["austin"] },
        { name: "catalog", to: ["tokyo"], rules: [{ subjects: ["acme.>"] }] },
      ],
    });
    const peers = new Map([...AUSTIN, ["tokyo", accepting(["acme.>"])] as const]);
    const server = settled(before, peers);
    server.consumer("out_acme", "tokyo").paused = true;
    const after = acme({
      exports: [
        { ...REDACTED, to: ["austin"] },
        { name: "catalog", to: ["tokyo"], rules: [{ subjects: ["acme.catalog.>"] }] },
      ],
    });
    const { steps } = server.plan(after, peers, { configChanges: ["x"] });
    const order: Step["type"][] = [
      "pause-consumer",
      "create-stream",
      "create-view",
      "create-view-consumer",
      "update-consumer",
      "start-view",
      "configure-server",
      "switch-route",
      "resume-consumer",
    ];
    expect(types(steps)).toEqual(order);
    expect(place(steps, "update-consumer")).toBeLessThan(place(steps, "resume-consumer"));
  });
});
