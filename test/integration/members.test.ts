/** The lease of the sidecar that leads: taken, given back, lost, stolen; with clocks that the test moves. */
import { expect, test } from "bun:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { type Lease, MEMBER_TIMES, MEMBERS_PROTOCOL } from "../../src/control/members/heartbeat.ts";
import { MemberTable } from "../../src/control/members/member_table.ts";
import { Members } from "../../src/control/members/members.ts";
import { LeafmeshError } from "../../src/model/errors.ts";
import { MEMBERS_BUCKET, memberKey } from "../../src/model/names.ts";
import { waitFor } from "../support/wait_for.ts";
import { TestServer } from "./flow_support.ts";

const PIDS = { a: 1, b: 2, c: 3 } as const;

/** A member whose clock stands until it is moved, and that can be stopped between two looks. */
class Rig implements AsyncDisposable {
  /** Processes that are gone, as it knows. */
  readonly ended: Set<number>;
  readonly members: Members;
  readonly #state: RigState;

  private constructor(members: Members, state: RigState, ended: Set<number>) {
    this.members = members;
    this.#state = state;
    this.ended = ended;
  }

  static async join(
    nc: NatsConnection,
    name: keyof typeof PIDS,
    more: { keys?: string; fresh?: boolean; ownFolder?: boolean; gone?: number } = {},
  ) {
    const state: RigState = { ms: 1_000, gate: null, open: () => {}, waiting: false, alone: false };
    const ended = new Set<number>(more.gone === undefined ? [] : [more.gone]);
    const alone = async () => {
      state.waiting = state.gate !== null;
      await state.gate;
      return state.alone;
    };
    const members = await Members.open({
      nc,
      name,
      version: "1",
      api: () => "",
      keys: async () => more.keys ?? "k",
      process: { host: "here", pid: PIDS[name], started: "0" },
      isRunning: async ({ pid }) => !ended.has(pid),
      fresh: more.fresh === true,
      ...(more.ownFolder === true ? {} : { alone }),
      views: () => new Map([["acme/out", "v1"]]),
      log: () => {},
      now: () => state.ms,
    });
    return new Rig(members, state, ended);
  }

  /** Its clock goes on. */
  later(ms: number): void {
    this.#state.ms += ms;
  }

  /** Whether its data folder says that no other member can be there. */
  isAlone(alone: boolean): void {
    this.#state.alone = alone;
  }

  /** It does nothing until {@link resume}. */
  async stop(): Promise<void> {
    this.#state.gate = new Promise((resolve) => {
      this.#state.open = resolve;
    });
    await until(() => this.#state.waiting, "it to stand still");
  }

  resume(): void {
    this.#state.gate = null;
    this.#state.waiting = false;
    this.#state.open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resume();
    await this.members[Symbol.asyncDispose]();
  }
}

interface RigState {
  ms: number;
  gate: Promise<void> | null;
  open: () => void;
  waiting: boolean;
  alone: boolean;
}

const until = async (check: () => boolean | Promise<boolean>, what: string) =>
  await waitFor(check, { what, deadlineMs: 30_000, pollMs: 20 });

/** Two members; `a` leads, `b` stands by and has seen that. */
async function pair(server: TestServer): Promise<{ a: Rig; b: Rig }> {
  const a = await Rig.join(await server.connect(), "a", { fresh: true });
  a.members.stand();
  await until(() => a.members.isLeader, "a to lead");
  const b = await Rig.join(await server.connect(), "b");
  b.members.stand();
  await until(() => b.members.leader === "a", "b to see a");
  expect(b.members.hasLease).toBe(false);
  return { a, b };
}

async function refusal(work: Promise<unknown>): Promise<LeafmeshError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof LeafmeshError) return error;
    throw error;
  }
  throw new Error("It was not refused");
}

test("a lease that is given back is taken at once, by the next epoch", async () => {
  await using server = await TestServer.start();
  const { a, b } = await pair(server);
  await using _a = a;
  await using _b = b;
  const { epoch } = a.members;
  await a.members.resign();
  expect(a.members.hasLease).toBe(false);
  await until(() => b.members.isLeader, "b to lead");
  expect(b.members.epoch).toBeGreaterThan(epoch);
  expect(await a.members.confirm(epoch)).toBe(false);
});

test("the lease of a process that is gone is taken at once, and what it ran is known", async () => {
  await using server = await TestServer.start();
  const { a, b } = await pair(server);
  await using _a = a;
  await using _b = b;
  await a.stop();
  b.ended.add(PIDS.a);
  await until(() => b.members.isLeader, "b to lead");
  expect([...b.members.ranBefore]).toEqual([["acme/out", "v1"]]);
});

test("who could not renew in time must not write, and leads on where nobody has taken over", async () => {
  await using server = await TestServer.start();
  const { a, b } = await pair(server);
  await using _a = a;
  await using _b = b;
  const { epoch } = a.members;
  expect(a.members.remainingMs).toBeGreaterThan(0);
  await a.stop();
  a.later(MEMBER_TIMES.holdMs);
  expect(a.members.isLeader).toBe(false);
  expect(a.members.remainingMs).toBe(0);
  a.resume();
  expect(await a.members.confirm(epoch)).toBe(true);
  expect(a.members.epoch).toBe(epoch);
  expect(b.members.hasLease).toBe(false);
});

test("a lease that stands still is taken, and who held it steps down before it does anything", async () => {
  await using server = await TestServer.start();
  const { a, b } = await pair(server);
  await using _a = a;
  await using _b = b;
  const { epoch } = a.members;
  await a.stop();
  await until(() => {
    // Time goes by for both.
    for (const one of [a, b]) one.later(100);
    return b.members.hasLease;
  }, "b to lead");
  expect(a.members.isLeader).toBe(false);
  expect(a.members.remainingMs).toBe(0);
  a.resume();
  expect(await a.members.confirm(epoch)).toBe(false);
  expect(a.members.hasLease).toBe(false);
  await until(() => a.members.leader === "b", "a to see b");
});

test("one that was stopped while another led, and the bucket was lost, does not go on as if nobody had led", async () => {
  await using server = await TestServer.start();
  const { a, b } = await pair(server);
  await using _a = a;
  await using _b = b;
  const { epoch } = a.members;
  await a.stop();
  const nc = await server.connect();
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  await jsm.streams.delete(`KV_${MEMBERS_BUCKET}`);
  await until(() => {
    for (const one of [a, b]) one.later(500);
    return b.members.hasLease;
  }, "b to lead");
  expect(b.members.epoch).toBeGreaterThan(epoch);
  await b.members.resign();
  a.resume();
  // It may lead again, as anybody may; what it began before is over.
  expect(await a.members.confirm(epoch)).toBe(false);
});

test("one that leads alone renews its lease once a second, and as often as any other where a look was slow or it is not alone any more", async () => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  await using a = await Rig.join(nc, "a", { fresh: true });
  a.isAlone(true);
  a.members.stand();
  await until(() => a.members.isLeader && a.members.isAlone, "a to lead alone");
  const at: number[] = [];
  nc.subscribe(`$KV.${MEMBERS_BUCKET}.${memberKey.leader}`, {
    callback: () => void at.push(performance.now()),
  });
  const pauses = () => at.slice(1).map((ms, n) => ms - (at[n] ?? 0));
  await until(() => at.length > 4, "four renewals of one that is alone");
  const alone = pauses().sort((x, y) => x - y)[1] ?? 0;
  const afterSlow = async () => {
    await a.stop();
    at.length = 0;
    a.later(MEMBER_TIMES.slowMs + 1);
    a.resume();
    await until(() => at.length > 1, "it to renew its lease twice");
    return pauses()[0] ?? 0;
  };
  await until(
    async () => (await afterSlow()) < MEMBER_TIMES.aloneTickMs / 2,
    "a slow look to be followed soon",
  );
  a.isAlone(false);
  await until(() => !a.members.isAlone, "a to see that it is not alone");
  at.length = 0;
  await until(() => Math.min(...pauses()) < MEMBER_TIMES.aloneTickMs / 2, "a to renew it more often");
  expect(alone).toBeGreaterThan(MEMBER_TIMES.aloneTickMs * 0.8);
});

test("a lease and a heartbeat that somebody deletes by hand are written again", async () => {
  await using server = await TestServer.start();
  const { a, b } = await pair(server);
  await using _a = a;
  await using _b = b;
  const nc = await server.connect();
  const bucket = await new Kvm(nc).open(MEMBERS_BUCKET);
  const table = await MemberTable.open(nc, () => 1);
  for (const key of [memberKey.leader, memberKey.member("a"), memberKey.member("b")])
    await bucket.delete(key);
  await until(async () => (await table.lease())?.value.holder?.name === "a", "the lease of a");
  for (const name of ["a", "b"]) {
    await until(async () => (await table.heartbeat(name)) !== null, `the heartbeat of ${name}`);
  }
  expect(a.members.isLeader).toBe(true);
});

test("one that was stopped while one that knows of no epoch led in a new bucket steps down", async () => {
  await using server = await TestServer.start();
  const a = await Rig.join(await server.connect(), "a", { fresh: true });
  await using _a = a;
  a.members.stand();
  await until(() => a.members.isLeader, "a to lead");
  const { epoch } = a.members;
  await a.stop();
  const nc = await server.connect();
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  await jsm.streams.delete(`KV_${MEMBERS_BUCKET}`);
  // One that comes now knows of no epoch.
  const c = await Rig.join(await server.connect(), "c", { fresh: true });
  await using _c = c;
  c.members.stand();
  await until(() => c.members.isLeader, "c to lead");
  expect(c.members.epoch).toBe(epoch);
  await c.members.resign();
  a.later(MEMBER_TIMES.takeMs);
  a.resume();
  expect(await a.members.confirm(epoch)).toBe(false);
});

test("one whose own clock jumps takes no lease that was renewed meanwhile", async () => {
  await using server = await TestServer.start();
  const { a, b } = await pair(server);
  await using _a = a;
  await using _b = b;
  const table = await MemberTable.open(await server.connect(), () => 1);
  const revision = async () => (await table.lease())?.revision ?? 0;
  const heartbeat = async () => (await table.heartbeat("b"))?.revision ?? 0;
  await b.stop();
  const before = await revision();
  await until(async () => (await revision()) > before, "a to renew");
  b.later(3_600_000);
  b.resume();
  for (let looks = 0; looks < 2; looks++) {
    const seen = await heartbeat();
    await until(async () => (await heartbeat()) > seen, "b to look");
  }
  expect(b.members.hasLease).toBe(false);
  expect(a.members.isLeader).toBe(true);
});

test("one that cannot work with the others is refused, with a message that says why", async () => {
  await using server = await TestServer.start();
  const { a, b } = await pair(server);
  await using _a = a;
  await using _b = b;
  const nc = await server.connect();
  const keys = await refusal(Rig.join(nc, "c", { keys: "others", ownFolder: true }));
  expect([keys.code, keys.message]).toEqual([
    "conflict",
    "The keys in this data folder are others than those of member a: copy the folder keys/ of its data folder here, as it is, and start again",
  ]);
  const name = await refusal(Rig.join(nc, "b"));
  expect([name.code, name.message]).toEqual([
    "conflict",
    "The site has a sidecar with the member name b (process 2): give this one another with --member",
  ]);
});

test("a lease of before the keys were rotated is taken by who shares the data folder", async () => {
  await using server = await TestServer.start();
  const { a, b } = await pair(server);
  await using _a = a;
  await using _b = b;
  await a.stop();
  await b.stop();
  await using c = await Rig.join(await server.connect(), "c", { keys: "rotated", gone: PIDS.a });
  c.members.stand();
  await until(() => c.members.isLeader, "c to lead");
});

test("one of another version of the protocol is refused", async () => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const table = await MemberTable.open(nc, () => 1);
  const lease: Lease = {
    holder: { name: "a", instance: "1", process: { host: "here", pid: 1, started: "0" } },
    epoch: 1,
    keys: "k",
    protocol: MEMBERS_PROTOCOL + 1,
  };
  await table.put(memberKey.leader, lease, 0);
  const { code, message } = await refusal(Rig.join(nc, "b"));
  expect(code).toBe("conflict");
  expect(message).toBe(
    `Member a speaks version ${MEMBERS_PROTOCOL + 1} of the members' protocol, this one ${MEMBERS_PROTOCOL}: stop all of one version before one of the other starts`,
  );
});
