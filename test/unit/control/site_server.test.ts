import { expect, test } from "bun:test";
import type { Remembered } from "../../../src/control/remembered.ts";
import { type InForce, SiteServer, type SiteServerOptions } from "../../../src/control/site_server.ts";
import { type DesiredState, quietState } from "../../../src/model/desired.ts";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { linkAccount } from "../../../src/model/names.ts";
import { berlin } from "./fake_server.ts";

const OTHER_KEY = "UACZ7I5DM7DQBKMPNP4XMWVDIZRUEJSUBR6QKDKCMNQUVAHGW5TBSM2Z";
const AT = new Date("2026-01-01T00:00:00Z");

/** A server that does what it is told, until it is told to fail. */
class Rig {
  /** What stands where the server reads it. */
  file = "";
  readonly kicked: string[] = [];
  remembered: Remembered | null = null;
  reloads: string[] = [];
  /** `silent`: what is read is not answered. */
  failing: { reload?: LeafmeshError; kick?: boolean; silent?: boolean; verify?: boolean } = {};
  readonly server: SiteServer;

  constructor(state: DesiredState, inForce: Partial<InForce> = {}) {
    const system = {
      accounts: async () => [],
      reload: async () => {
        const { reload, silent } = this.failing;
        if (reload !== undefined) throw reload;
        this.reloads.push(this.file);
        if (silent === true) throw new LeafmeshError("server_failed", "does not answer RELOAD");
      },
      kickAccount: async (account: string) => {
        if (this.failing.kick === true) throw new LeafmeshError("server_failed", "does not answer LEAFZ");
        this.kicked.push(account);
        return 1;
      },
      kickLeaf: async () => 1,
      kickUser: async (account: string, login: string) => {
        if (this.failing.kick === true) throw new LeafmeshError("server_failed", "does not answer CONNZ");
        this.kicked.push(`${account} ${login}`);
        return 1;
      },
    } as unknown as SiteServerOptions["system"];
    this.server = new SiteServer({
      system,
      render: (given) => ({ text: JSON.stringify(given), files: [] }),
      write: async ({ text }) => {
        this.file = text;
      },
      verify: async () => {
        if (this.failing.verify === true) throw new LeafmeshError("server_fragment_missing", "sync differs");
      },
      remember: async (remembered) => {
        this.remembered = remembered;
      },
      inForce: { state, retired: [], at: AT, ...inForce },
      now: () => AT,
    });
  }
}

const before = berlin([]);
const rekeyed: DesiredState = {
  ...before,
  peers: before.peers.map((peer) => (peer.name === "tokyo" ? { ...peer, key: OTHER_KEY } : peer)),
};

test("a link that could not be cut after a reload is cut the next time, also by the next start", async () => {
  const rig = new Rig(before);
  rig.failing.kick = true;
  await expect(rig.server.configure(rekeyed)).rejects.toThrow("LEAFZ");
  expect(rig.file).toBe(JSON.stringify(rekeyed));
  // The plan has it to do.
  expect(rig.server.changes(rekeyed)).toEqual([`- connections of ${linkAccount("tokyo")}`]);
  expect(rig.remembered?.cut).toEqual([linkAccount("tokyo")]);

  const next = new Rig(rekeyed, rig.remembered ?? {});
  await next.server.configure(rekeyed);
  expect(next.kicked).toEqual([linkAccount("tokyo")]);
  expect(next.remembered?.cut).toBeUndefined();

  rig.failing = {};
  await rig.server.configure(rekeyed);
  expect(rig.kicked).toEqual([linkAccount("tokyo")]);
  expect(rig.server.changes(rekeyed)).toEqual([]);
});

test("a server that does not answer a reload finds the new configuration when it starts, one that refuses it the old one", async () => {
  const without = { ...before, peers: before.peers.filter(({ name }) => name !== "tokyo") };
  const rig = new Rig(before);
  rig.failing.reload = new LeafmeshError("server_failed", "nats-server does not answer RELOAD");
  await expect(rig.server.configure(without)).rejects.toThrow("does not answer");
  expect(rig.file).toBe(JSON.stringify(without));
  rig.failing.reload = new LeafmeshError("server_config_refused", "nats-server refuses");
  await expect(rig.server.configure(without)).rejects.toThrow("refuses");
  expect(rig.file).toBe(JSON.stringify(before));
  expect(rig.kicked).toEqual([]);
});

const GUEST = { name: "guest", key: OTHER_KEY, role: "subscriber" } as const;
const withGuest = berlin([{ tenant: "acme", users: [GUEST] }]);
const withoutGuest = berlin([{ tenant: "acme" }]);

test("a user that is in what the server has read without saying so is shut out when it is revoked", async () => {
  const rig = new Rig(withoutGuest);
  rig.failing.silent = true;
  await expect(rig.server.configure(withGuest)).rejects.toThrow("does not answer");
  await expect(rig.server.revoke(withoutGuest)).rejects.toThrow("does not answer");
  rig.failing = {};
  expect(await rig.server.revoke(withoutGuest)).toEqual(["acme/guest"]);
  expect(rig.reloads.at(-1)).toBe(JSON.stringify(withoutGuest));
  expect(rig.kicked).toEqual([`T_acme ${OTHER_KEY}`]);
  expect(await rig.server.revoke(withoutGuest)).toEqual([]);
  expect(rig.server.changes(withoutGuest)).toEqual([]);
});

const REFUSED = new LeafmeshError("server_config_refused", "refused");

test("a user who was shut out without the server's word is not let in again by what is refused, cut, dialled or restarted then", async () => {
  const both = { ...withGuest, peers: before.peers };
  const shut = { ...withoutGuest, peers: before.peers };
  const silenced = async () => {
    const rig = new Rig(both);
    rig.failing.silent = true;
    await expect(rig.server.revoke(shut)).rejects.toThrow("does not answer");
    rig.failing = {};
    return rig;
  };
  const rig = await silenced();
  rig.failing.reload = REFUSED;
  await expect(rig.server.configure({ ...rekeyed, tenants: [] })).rejects.toThrow("refused");
  expect(rig.file).toBe(JSON.stringify(shut));
  // Another sidecar that goes on from here knows as much.
  const next = new Rig(both, rig.server.inForce);
  expect(next.server.changes(both)).not.toEqual([]);
  next.failing.reload = REFUSED;
  await expect(next.server.configure({ ...rekeyed, tenants: [] })).rejects.toThrow("refused");
  expect(next.file).toBe(JSON.stringify(shut));
  // It is tried again until the server has said so.
  rig.failing = {};
  expect(await rig.server.revoke(shut)).toEqual(["acme/guest"]);
  expect(rig.kicked).toContain(`T_acme ${OTHER_KEY}`);
  expect(rig.server.changes(shut)).toEqual([]);

  const asks: ((server: SiteServer) => Promise<unknown>)[] = [
    (server) => server.cut("tokyo"),
    (server) => server.redial("tokyo"),
    (server) =>
      server.restartQuiet(
        async () => {},
        async () => {},
      ),
  ];
  for (const ask of asks) {
    const other = await silenced();
    await ask(other.server);
    expect(JSON.parse(other.file).tenants).toEqual(shut.tenants);
    expect(other.server.inForce.state.tenants).toEqual(shut.tenants);
  }
});

test("who is shut out does not stay for what else is wrong with the server's configuration", async () => {
  const rig = new Rig({ ...withGuest, peers: before.peers });
  rig.failing.verify = true;
  await expect(rig.server.cut("tokyo")).rejects.toThrow("sync differs");
  expect(rig.kicked).toEqual([linkAccount("tokyo")]);
  await expect(rig.server.revoke({ ...withoutGuest, peers: before.peers })).rejects.toThrow("sync differs");
  expect(rig.kicked).toContain(`T_acme ${OTHER_KEY}`);
  expect(JSON.parse(rig.file).peers.map(({ name }: { name: string }) => name)).not.toContain("tokyo");
});

test("a user whose connections could not be closed is no longer let in, and they are closed the next time", async () => {
  const rig = new Rig(withGuest);
  rig.failing.kick = true;
  await expect(rig.server.revoke(withoutGuest)).rejects.toThrow("CONNZ");
  expect(rig.server.changes(withoutGuest)).toEqual(["- connections of acme/guest"]);
  const reloads = rig.reloads.length;
  rig.failing = {};
  await rig.server.configure(withoutGuest);
  expect([rig.kicked, rig.reloads.length]).toEqual([[`T_acme ${OTHER_KEY}`], reloads]);
  expect(rig.server.changes(withoutGuest)).toEqual([]);
  // One that is let in again stays.
  rig.failing.kick = true;
  await rig.server.configure(withGuest);
  await expect(rig.server.revoke(withoutGuest)).rejects.toThrow("CONNZ");
  rig.failing = {};
  rig.kicked.length = 0;
  await rig.server.configure(withGuest);
  expect(rig.kicked).toEqual([]);
});

test("what the server has read without saying so is replaced, and its links are cut, where the state is again what it was", async () => {
  const rig = new Rig(before);
  for (const fails of ["silent", "refused"] as const) {
    rig.kicked.length = 0;
    rig.failing = fails === "silent" ? { silent: true } : { reload: REFUSED };
    for (let times = 0; times < 2; times++) await expect(rig.server.configure(rekeyed)).rejects.toThrow();
    expect(rig.server.changes(before)).toEqual(["~ peer tokyo"]);
    rig.failing = {};
    await rig.server.configure(before);
    expect([rig.reloads.at(-1), rig.kicked]).toEqual([JSON.stringify(before), [linkAccount("tokyo")]]);
    expect(rig.server.changes(before)).toEqual([]);
    const reloads = rig.reloads.length;
    await rig.server.configure(before);
    expect(rig.reloads).toHaveLength(reloads);
  }
  rig.failing.silent = true;
  await expect(rig.server.configure(rekeyed)).rejects.toThrow();
  rig.failing = {};
  // A peer that may have come in by that alone is shut out, too.
  await rig.server.cut("tokyo");
  expect(JSON.parse(rig.file).peers.map(({ name }: { name: string }) => name)).not.toContain("tokyo");
});

test("a peer that the server does not take under the name that it had is dialled under another, and stays so", async () => {
  const dialled: DesiredState = {
    ...before,
    peers: before.peers.map((peer) => ({ ...peer, dial: `nats-leaf://${peer.name}.example.net:7422` })),
  };
  const rig = new Rig(before);
  const held = new LeafmeshError(
    "server_config_refused",
    'nats-server refuses to reload its configuration: config reload not supported for LeafNode: remote urls=["nats-leaf://tokyo.example.net:7422"], account="LINK_tokyo", nkey="[REDACTED]": cannot be added at the moment, try again',
  );
  rig.failing.reload = held;
  await expect(rig.server.configure(dialled)).rejects.toThrow("cannot be added");
  // What is refused for good does not stay where the server reads.
  expect(rig.file).toBe(JSON.stringify(before));
  let reloads = 0;
  Object.defineProperty(rig.failing, "reload", { get: () => (++reloads === 1 ? held : undefined) });
  await rig.server.configure(dialled);
  expect(rig.file).toMatch(/nats-leaf:\/\/tokyo\.example\.net:7422\?again=\d+"/);
  expect(rig.file).toContain('"nats-leaf://austin.example.net:7422"');
  expect(rig.server.changes(dialled)).toEqual([]);
  const file = rig.file;
  await rig.server.redial("austin");
  expect(rig.file).toBe(
    file.replace(/"nats-leaf:..austin.example.net:7422"/, '["nats-leaf://austin.example.net:7422?again=1"]'),
  );
  expect(rig.server.changes(dialled)).toEqual([]);
});

test("a server stays quiet until the work that it waits for is done, whatever changes meanwhile", async () => {
  const rig = new Rig(before);
  const done: string[] = [];
  const restart = async () => {
    done.push("restart");
  };
  const failing = async () => await Promise.reject(new Error("a source cannot be taken out"));
  await expect(rig.server.restartQuiet(restart, failing)).rejects.toThrow("cannot be taken out");
  expect([rig.file, rig.reloads]).toEqual([JSON.stringify(quietState(before)), []]);
  expect(rig.server.changes(before)).toEqual([]);
  // What is asked for in between is in force when it opens, and does not open it.
  expect(rig.server.changes(rekeyed)).toEqual(["~ peer tokyo"]);
  await rig.server.configure(rekeyed);
  await rig.server.cut("austin");
  const left = { ...rekeyed, peers: rekeyed.peers.filter(({ name }) => name !== "austin") };
  expect(new Set([rig.file, ...rig.reloads])).toEqual(new Set([JSON.stringify(quietState(before))]));
  expect(rig.remembered?.state).toEqual(left);
  // One that does not answer is restarted once more.
  rig.failing.reload = new LeafmeshError("server_failed", "nats-server does not answer RELOAD");
  const work = async (state: DesiredState) => {
    done.push(...state.peers.map(({ name }) => name));
  };
  await expect(rig.server.restartQuiet(restart, work)).rejects.toThrow("does not answer");
  rig.failing = {};
  await rig.server.restartQuiet(restart, work);
  expect(done).toEqual(["restart", "restart", "tokyo", "restart", "tokyo"]);
  expect([rig.file, rig.reloads.at(-1)]).toEqual([JSON.stringify(left), JSON.stringify(left)]);
});
