/** What a pass leaves undone when a step before it has failed. */
import { expect, test } from "bun:test";
import type { ConsumerConfig } from "@nats-io/jetstream";
import { UNKNOWN_PEER } from "../../../src/control/agreement.ts";
import type { StateStore } from "../../../src/control/api.ts";
import type { ApplyContext } from "../../../src/control/apply.ts";
import { Reconciler } from "../../../src/control/reconcile.ts";
import { NamedTurns } from "../../../src/control/turns.ts";
import type { DesiredState } from "../../../src/model/desired.ts";
import { replayStream } from "../../../src/model/names.ts";
import type { TenantDocument } from "../../../src/model/schema/tenant.ts";
import { policyVersion } from "../../../src/policy/compile.ts";
import { berlin, FakeServer, peer, WRITTEN } from "./fake_server.ts";

const FULL = peer({
  accepted: [{ tenant: "acme", origin: "berlin", subjects: ["acme.>"], mirror: false, replay: true }],
});

const AGREED = new Map([["austin", FULL]]);

function siteOf(policy: Pick<NonNullable<TenantDocument["exports"]>[number], "rules">): DesiredState {
  return berlin([{ tenant: "acme", exports: [{ name: "orders", to: ["austin"], ...policy }] }], ["austin"]);
}

/** A pass over what `fake` has, on a server that refuses the calls in `refused`; those that it does are in `done`. */
async function passOver(fake: FakeServer, state: DesiredState, refused: readonly string[], replay?: string) {
  const done: string[] = [];
  const call = (name: string) => async () => {
    if (refused.includes(name)) throw new Error("no response from the server");
    done.push(name);
    return {};
  };
  const consumers = {
    info: async (stream: string, name: string) => fake.consumer(stream, name),
    update: (_stream: string, _name: string, { filter_subjects }: Partial<ConsumerConfig>) =>
      call(
        filter_subjects !== undefined && refused.includes("update of filters")
          ? "update of filters"
          : "update",
      )(),
    pause: call("pause"),
    resume: call("resume"),
  };
  const streams = {
    info: async (name: string) => ({ config: fake.stream(name).config, state: { last_seq: 0 } }),
    update: call("note"),
  };
  const context = {
    site: "berlin",
    mesh: { consumers, streams },
    views: { running: () => fake.views, change: call("change") },
    streamTurns: new NamedTurns(),
    setbacks: { placed: async () => {} },
    log: () => {},
  } as unknown as ApplyContext;
  await using reconciler = new Reconciler({
    state: {
      desired: () => ({ state, revision: 1 }),
      get: () => ({ changedAt: WRITTEN }),
    } as unknown as StateStore,
    context,
    observe: async () => fake.observed(),
    peers: () => AGREED,
    configChanges: () => [],
    strangers: async () => [],
    silent: () => [],
    stuck: () => [],
    versionOf: (plan) => policyVersion(plan.policy, {}, plan.tenant.schemas),
    replays: () =>
      replay === undefined
        ? []
        : [{ id: replay, tenant: "acme", target: { type: "peer", peer: "austin", policy: "orders" } }],
    log: () => {},
  });
  const { failed } = await reconciler.apply();
  return { done, waits: failed.filter(({ waiting }) => waiting) };
}

/** A server that has all of a state but the peer's consent: what goes to it is paused. */
function pausedFor(state: DesiredState): FakeServer {
  const fake = new FakeServer();
  for (let round = 0; round < 4; round++) fake.apply(state, new Map([["austin", UNKNOWN_PEER]]));
  return fake;
}

const WIDE = siteOf({ rules: [{ subjects: ["acme.>"] }] });
const NARROW = siteOf({ rules: [{ subjects: ["acme.orders.>"] }] });

test("a paused consumer whose filter could not be narrowed is not resumed", async () => {
  const fake = pausedFor(WIDE);
  expect(fake.consumer("out_acme", "austin").paused).toBe(true);
  const { done, waits } = await passOver(fake, NARROW, ["update"]);
  expect(done).not.toContain("resume");
  expect(waits).toMatchObject([{ type: "resume-consumer", target: "MESH/out_acme/austin" }]);
  expect(waits[0]?.error).toContain("update consumer MESH/out_acme/austin");
});

test("a held consumer whose filter could not be narrowed is not let go on", async () => {
  const fake = pausedFor(WIDE);
  const { config } = fake.consumer("out_acme", "austin");
  config.metadata = { "leafmesh-held": JSON.stringify({ last: 1, source: 1 }) };
  const { done, waits } = await passOver(fake, NARROW, ["update"]);
  expect(done).not.toContain("resume");
  expect(waits).toMatchObject([{ type: "place-route" }]);
});

test("a replay whose filter could not be narrowed is not resumed", async () => {
  const id = "r1";
  const fake = pausedFor(NARROW);
  const wide = { id, tenant: "acme", target: { type: "peer", peer: "austin", policy: "orders" } } as const;
  for (const step of fake.plan(WIDE, AGREED, { replays: [wide] }).steps) {
    if (step.type.startsWith("create")) fake.run(step, WIDE);
  }
  const stream = replayStream("acme", id);
  fake.consumer(stream, "austin").paused = true;
  fake.consumer("out_acme", "austin").paused = false;
  const { done, waits } = await passOver(fake, NARROW, ["update"], id);
  expect(done).not.toContain("resume");
  expect(waits).toMatchObject([{ type: "resume-consumer", target: `MESH/${stream}/austin` }]);
});

test("a consumer of a view is not resumed whose worker could not be told of the policy", async () => {
  const rule = { subjects: ["acme.>"], redact: [{ path: "$.a", with: "remove" as const }] };
  const fake = pausedFor(siteOf({ rules: [rule] }));
  const stricter = siteOf({
    rules: [{ ...rule, redact: [...rule.redact, { path: "$.b", with: "remove" }] }],
  });
  expect([...fake.views.keys()]).toEqual(["acme/orders"]);
  const { done, waits } = await passOver(fake, stricter, ["change"]);
  expect(done).not.toContain("resume");
  expect(waits).toMatchObject([{ type: "resume-consumer", target: "MESH/view_acme_orders/austin" }]);
});

test("a consumer that delivers and could not be narrowed is paused", async () => {
  const fake = pausedFor(WIDE);
  fake.consumer("out_acme", "austin").paused = false;
  expect((await passOver(fake, NARROW, ["update of filters"])).done).toEqual(["update", "pause"]);
});

test("a consumer that lets nothing pass but what it may goes on where it could not be brought up to date", async () => {
  const fake = pausedFor(WIDE);
  const consumer = fake.consumer("out_acme", "austin");
  consumer.paused = false;
  consumer.config.max_ack_pending = 1;
  expect((await passOver(fake, WIDE, ["update of filters"])).done).toEqual([]);
});

test("a step that failed keeps none of another consumer from being made", async () => {
  const fake = pausedFor(WIDE);
  const { done } = await passOver(fake, WIDE, ["update"]);
  expect(done).toContain("resume");
});
