/** A nats-server for a benchmark, in a temporary folder on loopback. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { freePorts } from "../../src/nats/addresses.ts";
import { findServer } from "../../src/nats/find.ts";

/** A port of loopback that is free now. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts("127.0.0.1", 1);
  return port;
}

/** A folder for the servers of a benchmark; gone at its end. */
export function benchFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "leafmesh-bench-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export interface BenchServer extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  connect(user?: { readonly user: string; readonly pass: string }): Promise<NatsConnection>;
}

/** Starts a server with `config` and waits until it answers. */
export async function startServer(
  folder: string,
  name: string,
  port: number,
  config: string,
): Promise<BenchServer> {
  const file = join(folder, `${name}.conf`);
  writeFileSync(file, config);
  const child: ChildProcess = spawn(
    (await findServer()).path,
    ["-c", file, "-l", join(folder, `${name}.log`)],
    // What it says before it opens its log: why it does not start.
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  const connections: NatsConnection[] = [];
  const open = async (user?: { readonly user: string; readonly pass: string }) => {
    const deadline = Date.now() + 20_000;
    for (;;) {
      try {
        const nc = await connect({ servers: `127.0.0.1:${port}`, reconnect: false, ...user });
        connections.push(nc);
        return nc;
      } catch (error) {
        if (Date.now() > deadline || child.exitCode !== null) throw error;
        await Bun.sleep(50);
      }
    }
  };
  return {
    port,
    pid: child.pid ?? 0,
    connect: open,
    [Symbol.asyncDispose]: async () => {
      for (const nc of connections) await nc.close().catch(() => {});
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await gone;
    },
  };
}

/** The middle one, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The median over the pairs of runs of one rate by the other: what slows a whole pair down does not count. */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): number {
  const ratios = ours.map((rate, run) => rate / (theirs[run] ?? Number.NaN));
  return Number(median(ratios).toFixed(3));
}
