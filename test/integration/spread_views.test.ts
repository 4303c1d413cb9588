/** Which sidecar of a site runs which view, and who may write: with real members over a real server, and workers that only note what they are told. */
import { describe, expect, test } from "bun:test";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Heartbeat } from "../../src/control/members/heartbeat.ts";
import { MemberRpc } from "../../src/control/members/member_rpc.ts";
import { MemberTable } from "../../src/control/members/member_table.ts";
import { Members } from "../../src/control/members/members.ts";
import { startingStats } from "../../src/flow/thread/supervisor.ts";
import type { ViewStats } from "../../src/flow/view_worker.ts";
import { LeafmeshError } from "../../src/model/errors.ts";
import type { PolicyKeys } from "../../src/model/keys.ts";
import { memberKey } from "../../src/model/names.ts";
import type { ExportPolicy } from "../../src/model/schema/policy.ts";
import { policyVersion } from "../../src/policy/compile.ts";
import type { WantedView } from "../../src/sidecar/adapters.ts";
import { LocalViews } from "../../src/sidecar/spread/local_views.ts";
import { encode, ORDER_VERB } from "../../src/sidecar/spread/messages.ts";
import { SpreadViews } from "../../src/sidecar/spread/spread_views.ts";
import { waitFor } from "../support/wait_for.ts";
import { TestServer } from "./flow_support.ts";

const KEYS: PolicyKeys = {
  pseudonym: { id: "k1", secret: new Uint8Array(32) },
  encrypt: { id: "k1", secret: new Uint8Array(32) },
};
const until = async (check: () => boolean | Promise<boolean>, what: string) =>
  await waitFor(check, { what, deadlineMs: 40_000, pollMs: 20 });

function view(tenant: string, name = "out", { keyed = false, drop = "$.a" } = {}): WantedView {
  const policy: ExportPolicy = {
    name,
    to: ["austin"],
    rules: [
      {
        subjects: [`${tenant}.>`],
        redact: [keyed ? { path: drop, with: "pseudonym" } : { path: drop, with: "remove" }],
      },
    ],
  };
  const keys = keyed ? KEYS : {};
  return {
    target: {
      key: `${tenant}/${name}`,
      tenant,
      policy: name,
      sourceStream: `out_${tenant}`,
      viewStream: `view_${tenant}_${name}`,
    },
    policy: { compile: { tenant, policy, keys, schemas: [] }, version: policyVersion(policy, keys, []) },
  };
}

/** Notes what it is told. */
class Workers {
  readonly views = new Map<string, string>();
  readonly told: string[] = [];
  refusal: LeafmeshError | null = null;
  forwarded = 0;

  async set(target: WantedView["target"], { version, compile }: WantedView["policy"]): Promise<number> {
    if (this.refusal !== null) throw this.refusal;
    expect(compile.tenant).toBe(target.tenant);
    this.told.push(`${this.views.has(target.key) ? "change" : "start"} ${target.key}`);
    this.views.set(target.key, version);
    return 7;
  }

  async stop(key: string): Promise<ViewStats | null> {
    this.told.push(`stop ${key}`);
    const stats = this.stats().get(key) ?? null;
    this.views.delete(key);
    return stats;
  }

  stats(): ReadonlyMap<string, ViewStats> {
    return new Map(
      [...this.views].map(([key, version]) => [
        key,
        { ...startingStats(version, null, 0), state: "running", forwarded: this.forwarded },
      ]),
    );
  }

  async redrive(tenant: string, policy: string, sequences: readonly number[]) {
    if (!this.views.has(`${tenant}/${policy}`)) throw new LeafmeshError("not_found", "no view");
    return sequences.map(() => ({ type: "forwarded" as const }));
  }

  abandon(): void {
    this.told.push("abandon");
    this.views.clear();
  }

  warm(): void {}
}

const PIDS: Readonly<Record<string, number>> = { a: 1, b: 2, c: 3 };

/** A sidecar, as far as it has to do with views. */
class Rig implements AsyncDisposable {
  readonly workers = new Workers();
  readonly members: Members;
  readonly rpc: MemberRpc;
  readonly local: LocalViews;
  readonly spread: SpreadViews;
  readonly lines: string[] = [];
  changes = 0;
  #left = false;

  private constructor(nc: NatsConnection, members: Members, keys: PolicyKeys, software: string) {
    this.members = members;
    this.rpc = new MemberRpc({ nc, site: "berlin", name: members.name, epoch: () => members.epoch });
    const log = (_level: string, line: string) => void this.lines.push(line);
    const { workers, rpc } = this;
    this.local = new LocalViews({ members, rpc, workers, software, keysOf: async () => keys, log });
    const { local } = this;
    this.spread = new SpreadViews({ members, rpc, local, software, changed: () => this.changes++, log });
    members.onChange((change) => {
      if (change === "leader" && !members.hasLease) local.drop();
    });
  }

  static async join(
    server: TestServer,
    name: string,
    {
      keys = KEYS,
      software = "1",
      ended = new Set<number>(),
    }: { keys?: PolicyKeys; software?: string; ended?: Set<number> } = {},
  ): Promise<Rig> {
    const nc = await server.connect();
    const members = await Members.open({
      nc,
      name,
      version: software,
      api: () => "",
      keys: async () => "k",
      process: { host: "here", pid: PIDS[name] ?? 0, started: "0" },
      isRunning: async ({ pid }) => !ended.has(pid),
      fresh: name === "a",
      views: () => new Map<string, string>(),
      log: () => {},
    });
    return new Rig(nc, members, keys, software);
  }

  /** Leads, with these views wanted. */
  async lead(wanted: readonly WantedView[], ran: ReadonlyMap<string, string> = new Map()) {
    this.members.stand();
    await until(() => this.members.isLeader, `${this.members.name} to lead`);
    await this.spread.begin(this.members.epoch);
    const views = new Map(wanted.map((one) => [one.target.key, one]));
    return await this.spread.goOn(this.members.epoch, views, ran);
  }

  async set({ target, policy }: WantedView): Promise<number> {
    return await this.spread.set(target, policy);
  }

  /** Leaves as a process that is stopped in order. */
  async leave(): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    await this.spread.handOver();
    await this.local[Symbol.asyncDispose]();
    this.spread[Symbol.dispose]();
    this.rpc[Symbol.dispose]();
    await this.members[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
  }
}

const [ACME, GLOBEX] = [view("acme"), view("globex")];

/** Two members of which `a` leads; each runs the view of one tenant. */
async function pair(server: TestServer, options: Parameters<typeof Rig.join>[2] = {}) {
  const a = await Rig.join(server, "a", options);
  await a.lead([]);
  await a.set(ACME);
  await a.set(GLOBEX);
  expect([...a.workers.views.keys()]).toEqual(["acme/out", "globex/out"]);
  const b = await Rig.join(server, "b", options);
  await until(() => b.workers.views.size === 1, "b to run a view");
  const theirs = b.workers.views.has("acme/out") ? ACME : GLOBEX;
  return { a, b, theirs, ours: theirs === ACME ? GLOBEX : ACME };
}

describe("views of a site with several sidecars", () => {
  test("each has one worker, all of a tenant at one member, and all that is asked of it reaches it there", async () => {
    await using server = await TestServer.start();
    const { a, b, theirs, ours } = await pair(server);
    await using _a = a;
    await using _b = b;
    const { key, tenant } = theirs.target;
    expect([...a.workers.views.keys()]).toEqual([ours.target.key]);
    expect([a.spread.memberOf(key), a.spread.memberOf(ours.target.key)]).toEqual(["b", "a"]);
    expect(a.spread.running().get(key)).toBe(theirs.policy.version);
    await until(() => b.local.mayWriteMs > 0, "b to be granted time");

    // Another view of a tenant is where the first one is.
    await a.set(view(tenant, "more"));
    expect(a.spread.memberOf(`${tenant}/more`)).toBe("b");
    b.workers.forwarded = 12;
    await until(() => a.spread.stats().get(key)?.forwarded === 12, "a to know what b has counted");
    const changed = view(tenant, "out", { drop: "$.b" });
    expect(await a.set(changed)).toBe(7);
    expect(b.workers.told.at(-1)).toBe(`change ${key}`);
    expect(a.spread.running().get(key)).toBe(changed.policy.version);
    expect(await a.spread.redrive(tenant, "out", [1, 2], false)).toEqual([
      { type: "forwarded" },
      { type: "forwarded" },
    ]);
    await a.spread.stop(`${tenant}/more`);
    await a.spread.stop(key);
    expect(b.workers.views.size).toBe(0);
    expect([...a.spread.running().keys()]).toEqual([ours.target.key]);
  }, 60_000);

  test("one whose order is not answered is granted nothing, and another one has its view only when that has run out", async () => {
    await using server = await TestServer.start();
    const { a, b, theirs } = await pair(server);
    await using _a = a;
    await using _b = b;
    const { key, tenant } = theirs.target;
    b.workers.refusal = new LeafmeshError("timeout", "the thread does not change in time");
    const open: number[] = [];
    const { set } = a.workers;
    a.workers.set = async (target, policy) => {
      if (target.key === key) open.push(b.local.mayWriteMs);
      return await set.call(a.workers, target, policy);
    };
    await a.set(view(tenant, "out", { drop: "$.b" }));
    expect(open).toEqual([0]);
    expect(a.spread.memberOf(key)).toBe("a");
    await until(() => b.workers.told.includes("abandon"), "b to drop what others have");
    // Once it is well again it has its part.
    b.workers.refusal = null;
    await until(() => b.workers.views.size === 1, "b to run a view again");
  }, 60_000);

  test("one that says nothing loses its view when it may not write it any more; counts go on", async () => {
    await using server = await TestServer.start();
    const { a, b, theirs } = await pair(server);
    await using _a = a;
    await using _b = b;
    const { key } = theirs.target;
    b.workers.forwarded = 5;
    await until(() => a.spread.stats().get(key)?.forwarded === 5, "a to know what b has counted");
    const open: number[] = [];
    const { set } = a.workers;
    a.workers.set = async (target, policy) => {
      if (target.key === key) open.push(b.local.mayWriteMs);
      return await set.call(a.workers, target, policy);
    };
    // Nothing of it is heard any more, though it lives.
    const ask = b.rpc.ask.bind(b.rpc);
    b.rpc.ask = () => Promise.reject(new LeafmeshError("timeout", "not sent"));
    await until(() => a.workers.views.has(key), "a to run the view of b");
    expect(open).toEqual([0]);
    expect(a.spread.stats().get(key)?.forwarded).toBe(5);
    expect(b.workers.views.has(key)).toBe(true);
    b.rpc.ask = ask;
    await until(() => b.workers.told.includes("abandon"), "b to drop what others have");
  }, 60_000);

  test("a process that is gone is not waited for; one that leaves has its view taken over at once", async () => {
    await using server = await TestServer.start();
    const ended = new Set<number>();
    const { a, b, theirs } = await pair(server, { ended });
    await using _a = a;
    const { key } = theirs.target;
    await b.leave();
    await until(() => a.workers.views.has(key), "a to run the view of b");
    expect(b.workers.told.at(-1)).toBe(`stop ${key}`);
    await using again = await Rig.join(server, "b", { ended });
    await until(() => again.workers.views.size === 1, "b to run a view");
    const [moved = ""] = again.workers.views.keys();
    ended.add(PIDS.b ?? 0);
    await until(() => a.workers.views.has(moved), "a to run it");
    expect(a.lines).toContain("member b is gone: others have its views");
  }, 60_000);

  test("a member without a tenant's keys, or of another version, is given none of its views", async () => {
    await using server = await TestServer.start();
    await using a = await Rig.join(server, "a");
    await a.lead([]);
    const keyed = [view("acme", "out", { keyed: true }), view("globex", "out", { keyed: true })];
    for (const one of keyed) await a.set(one);
    await using b = await Rig.join(server, "b", {
      keys: { ...KEYS, pseudonym: { id: "k2", secret: new Uint8Array(32) } },
    });
    await using c = await Rig.join(server, "c", { software: "2" });
    await until(
      () => a.lines.some((line) => line.includes("has other keys of tenant acme")),
      "b to be asked",
    );
    await until(
      () => a.lines.some((line) => line.includes("has other keys of tenant globex")),
      "b to be asked",
    );
    // What needs no key it runs.
    await a.set(view("initech"));
    expect(a.spread.memberOf("initech/out")).toBe("b");
    expect([...b.workers.views.keys()]).toEqual(["initech/out"]);
    expect(b.workers.told).toEqual(["start initech/out"]);
    expect(c.workers.told).toEqual([]);
    // Asked before: a view is not stopped for a member that cannot have it.
    expect(a.workers.told.some((line) => line.startsWith("stop"))).toBe(false);
  }, 60_000);

  test("while a member lives that knows nothing of this, all views run where the site is led", async () => {
    await using server = await TestServer.start();
    const { a, b } = await pair(server);
    await using _a = a;
    await using _b = b;
    const table = await MemberTable.open(await server.connect(), () => 1);
    const old: Record<string, unknown> = {
      ...(await table.heartbeat("b"))?.value,
      name: "c",
      instance: "old",
    };
    // As it was before views were spread.
    delete old.sharesViews;
    let revision = 0;
    const beats = setInterval(() => {
      table.put(memberKey.member("c"), old as Heartbeat, revision).then(
        (next) => {
          revision = next ?? revision;
        },
        () => {},
      );
    }, 100);
    try {
      await until(() => a.workers.views.size === 2, "a to run all");
      expect(b.workers.views.size).toBe(0);
    } finally {
      clearInterval(beats);
    }
    await table.remove("c");
    await until(() => b.workers.views.size === 1, "b to run a view again");
  }, 60_000);

  test("another one that leads leaves what is unchanged where it runs, and stops what has changed", async () => {
    await using server = await TestServer.start();
    const { a, b, theirs, ours } = await pair(server);
    await using _a = a;
    await using _b = b;
    await using c = await Rig.join(server, "c");
    await a.set(view("initech"));
    expect(a.spread.memberOf("initech/out")).not.toBe("b");
    const { epoch } = a.members;
    await until(() => c.members.leader === "a", "c to see a");
    await a.members.resign();
    const initech = view("initech", "out", { drop: "$.b" });
    const ran = new Map([[ours.target.key, ours.policy.version]]);
    const before = b.workers.told.length;
    await c.lead([theirs, ours, initech], ran);
    expect(c.spread.memberOf(theirs.target.key)).toBe("b");
    expect(c.spread.running().has("initech/out")).toBe(false);
    await until(() => c.spread.running().has(ours.target.key), "the view of the one that led");
    expect(b.workers.told.slice(before).filter((line) => line.includes(theirs.target.key))).toEqual([]);
    await until(() => b.local.mayWriteMs > 0, "b to be granted time by c");
    // Whoever led before gives no orders any more.
    const order = encode({ type: "stop", epoch, key: theirs.target.key });
    const late = a.rpc.ask("b", ORDER_VERB, order, { timeoutMs: 5_000 });
    expect(
      await late.then(
        () => "done",
        (error: LeafmeshError) => error.code,
      ),
    ).toBe("no_leader");
    expect(b.workers.views.has(theirs.target.key)).toBe(true);
    expect(
      await a.set(theirs).then(
        () => "done",
        (error: LeafmeshError) => error.code,
      ),
    ).toBe("no_leader");
  }, 60_000);

  test("the one that leads gives its views to others when it leaves, and a member alone has them all", async () => {
    await using server = await TestServer.start();
    const { a, b, theirs, ours } = await pair(server);
    await using _b = b;
    await a.leave();
    expect([...b.workers.views.keys()].sort()).toEqual([ACME.target.key, GLOBEX.target.key]);
    const before = [...b.workers.told];
    expect(await b.lead([theirs, ours])).toEqual({ stay: 2, begin: 0 });
    expect(b.workers.told).toEqual(before);
    expect(b.local.mayWriteMs).toBeGreaterThan(0);
  }, 60_000);
});
