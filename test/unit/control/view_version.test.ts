/** What a view notes of the policy that decides it, against a real server that does not take every change of a stream. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { JetStreamManager, StreamConfig } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { type ApplyContext, applyStep } from "../../../src/control/apply.ts";
import { notePosition } from "../../../src/control/erasure/copies.ts";
import { observeMesh } from "../../../src/control/observe.ts";
import { planSteps } from "../../../src/control/plan.ts";
import { sequenceOfVersion } from "../../../src/control/position.ts";
import { planExports } from "../../../src/control/routes.ts";
import type { Step } from "../../../src/control/step.ts";
import { NamedTurns } from "../../../src/control/turns.ts";
import { erasedPosition, POLICY_HEADER, POSITION_HEADER } from "../../../src/model/names.ts";
import { accepting, berlin, FakeServer, WRITTEN } from "./fake_server.ts";
import { startJetStream, type TestJetStream } from "./jetstream.ts";

const OUT = "out_acme";
const VIEW = "view_acme_orders";
const DESIRED = berlin([
  {
    tenant: "acme",
    exports: [{ name: "orders", to: ["austin"], rules: [{ subjects: ["acme.>"], when: "size > 1" }] }],
  },
]);
const plan = planExports(DESIRED)[0]!;

let server: TestJetStream;
beforeAll(async () => {
  server = await startJetStream();
});
afterAll(async () => await server[Symbol.asyncDispose]());

beforeEach(async () => {
  const { jsm } = server;
  for (const name of await jsm.streams.names().next()) await jsm.streams.delete(name);
  const made = { storage: "memory", allow_direct: true } as const;
  await jsm.streams.add({ ...made, name: OUT, subjects: ["berlin.acme.>"] });
  await jsm.streams.add({ ...made, name: VIEW, subjects: ["berlin~orders.acme.>"] });
  await jsm.consumers.add(OUT, { durable_name: "view_orders", ack_policy: "all" });
});

/** The site's sidecar, and the worker of its view, which decides by `version` once it is told. */
class Site {
  readonly running = new Map<string, string>();
  /** The versions that the worker was told of. */
  readonly told: string[] = [];
  readonly streamTurns = new NamedTurns();
  /** Changes of a stream that the server takes before it takes none. */
  takes = Number.POSITIVE_INFINITY;
  position = 0;
  readonly #context: ApplyContext;

  constructor() {
    const { jsm } = server;
    const streams = {
      info: (name: string) => jsm.streams.info(name),
      getMessage: (...args: Parameters<typeof jsm.streams.getMessage>) => jsm.streams.getMessage(...args),
      update: async (name: string, config: StreamConfig) => {
        if (--this.takes < 0) throw new Error("no responders");
        return await jsm.streams.update(name, config);
      },
    };
    const tell = async (_plan: unknown, version: string) => {
      this.told.push(version);
      this.running.set("acme/orders", version);
      return this.position;
    };
    this.#context = {
      mesh: { streams, consumers: jsm.consumers } as unknown as JetStreamManager,
      streamTurns: this.streamTurns,
      views: { running: () => this.running, start: tell, change: tell },
      log: () => {},
    } as unknown as ApplyContext;
  }

  /** Makes the steps of the worker that a plan has now, where the policy has this version. */
  async pass(version: string): Promise<void> {
    const steps = planSteps({
      desired: DESIRED,
      peers: new Map([["austin", accepting(["acme.>"])]]),
      observed: { mesh: await observeMesh(server.jsm), logs: new Map() },
      configChanges: [],
      strangers: [],
      undialled: [],
      silent: [],
      stuck: [],
      views: this.running,
      changedAt: () => WRITTEN,
      versionOf: () => version,
    }).steps;
    for (const step of steps) {
      if (step.type === "start-view" || step.type === "change-view") await this.make(step);
    }
  }

  async make(step: Step): Promise<void> {
    await applyStep(this.#context, step);
  }
}

/** Events that the worker stores, by their positions; it has decided all that there is. */
async function store(version: string, ...positions: number[]): Promise<void> {
  for (const position of positions) {
    const header = headers();
    header.set(POLICY_HEADER, version);
    header.set(POSITION_HEADER, String(position));
    await server.js.publish("berlin~orders.acme.x", "", { headers: header });
  }
}

const joinsAfter = (version: string) => sequenceOfVersion(server.jsm, plan, version);

test("a note that could not be made is made by the next pass, where the version began, and the worker is told once", async () => {
  const site = new Site();
  await site.pass("a");
  await store("a", 1, 2, 3);
  site.takes = 1;
  await expect(site.pass("b")).rejects.toThrow("no responders");
  await store("a", 4);
  await store("b", 5, 6);
  expect(await joinsAfter("b")).toBeNull();
  site.takes = Number.POSITIVE_INFINITY;
  await site.pass("b");
  expect(site.told).toEqual(["a", "b"]);
  expect(await joinsAfter("b")).toBe(4);
  await site.pass("b");
  expect(await joinsAfter("b")).toBe(4);
});

test("a worker is told of a stricter policy also where nothing can be noted", async () => {
  const site = new Site();
  await site.pass("a");
  site.takes = 0;
  await expect(site.pass("b")).rejects.toThrow("no responders");
  expect(site.told).toEqual(["a", "b"]);
  await store("b", 1);
  site.takes = Number.POSITIVE_INFINITY;
  await site.pass("b");
  await store("b", 2);
  expect(await joinsAfter("b")).toBe(1);
});

test("another one that leads notes what the worker was told by the one before", async () => {
  const killed = new Site();
  await killed.pass("a");
  await store("a", 1, 2);
  killed.takes = 1;
  await expect(killed.pass("b")).rejects.toThrow("no responders");
  await store("b", 3);
  const next = new Site();
  next.running.set("acme/orders", "b");
  await next.pass("b");
  expect(next.told).toEqual([]);
  expect(await joinsAfter("b")).toBe(2);
});

test.each([
  ["its note was begun", 1],
  ["nothing was noted", 0],
])(
  "a policy that is changed back lets nobody see what the one in between let others see: %s",
  async (_how, takes) => {
    const site = new Site();
    await site.pass("a");
    await store("a", 1, 2, 3);
    site.takes = takes;
    await expect(site.pass("b")).rejects.toThrow("no responders");
    await store("b", 4);
    site.takes = Number.POSITIVE_INFINITY;
    await site.pass("a");
    await store("a", 5);
    expect(site.told).toEqual(["a", "b", "a"]);
    expect(await joinsAfter("a")).toBe(4);
  },
);

test("a worker is not told of an earlier version while the view's old note of it stands", async () => {
  const site = new Site();
  await site.pass("a");
  site.takes = 0;
  await expect(site.pass("b")).rejects.toThrow("no responders");
  await store("b", 1);
  await expect(site.pass("a")).rejects.toThrow("no responders");
  expect(site.told).toEqual(["a", "b"]);
  site.takes = Number.POSITIVE_INFINITY;
  await site.pass("a");
  expect(await joinsAfter("a")).toBe(1);
});

test("a sidecar that is started anew does not trust a note that the view's last event speaks against", async () => {
  const killed = new Site();
  await killed.pass("a");
  await store("a", 1, 2, 3);
  killed.takes = 0;
  await expect(killed.pass("b")).rejects.toThrow("no responders");
  await store("b", 4);
  await new Site().pass("a");
  await store("a", 5);
  expect(await joinsAfter("a")).toBe(4);
});

test("a sidecar that is started anew leaves a note as it is that holds", async () => {
  await new Site().pass("a");
  await store("a", 1, 2, 3);
  await new Site().pass("a");
  expect(await joinsAfter("a")).toBe(0);
});

test("a policy that is changed and changed back while events of it are on their way hides those in between", async () => {
  const site = new Site();
  await site.pass("a");
  site.position = 5;
  await site.pass("b");
  site.position = 7;
  await site.pass("a");
  // Nothing was stored before the last change.
  await store("a", 1, 2, 3, 4, 5);
  await store("b", 6, 7);
  await store("a", 8);
  expect(await joinsAfter("a")).toBe(7);
});

test("what an erasure notes and what a change of the policy notes are both kept", async () => {
  const site = new Site();
  await site.pass("a");
  await store("a", 1, 2, 3);
  const message = await server.jsm.streams.getMessage(VIEW, { seq: 3 });
  if (message === null) throw new Error("no event");
  // Both look at the stream before one of them has changed it.
  await Promise.all([
    site.make({ type: "start-view", plan, version: "b" }),
    notePosition({ jsm: server.jsm, turns: site.streamTurns }, VIEW, message),
  ]);
  const { config } = await server.jsm.streams.info(VIEW);
  expect(erasedPosition(config.metadata)?.position).toBe(3);
  expect(await joinsAfter("b")).toBe(3);
});

test("a plan notes a version that its worker runs already", () => {
  const fake = new FakeServer();
  for (let round = 0; round < 4; round++) fake.apply(DESIRED, new Map([["austin", accepting(["acme.>"])]]));
  const { metadata = {} } = fake.stream(VIEW).config;
  metadata["leafmesh-version"] = "another";
  expect(fake.apply(DESIRED, new Map([["austin", accepting(["acme.>"])]])).map(({ type }) => type)).toEqual([
    "change-view",
  ]);
  expect(fake.plan(DESIRED, new Map([["austin", accepting(["acme.>"])]])).steps).toEqual([]);
});
