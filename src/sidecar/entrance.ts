/** How a sidecar comes to its server: it starts the one that does not run, or finds the one that another sidecar has started. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { MemberTable } from "../control/members/member_table.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { localAddress, resolveAddresses } from "../nats/addresses.ts";
import { connectionOptions } from "../nats/control_connection.ts";
import { isUnserved } from "../nats/jetstream_errors.ts";
import { finishEnding } from "../nats/keeper.ts";
import type { SigningKey } from "../nats/keys.ts";
import { readRunningProcess } from "../nats/processes.ts";
import { sleep } from "../nats/wait.ts";
import { type Foundation, type PreparedServer, prepareServer } from "./foundation.ts";

const POLL_MS = 100;
const ATTEMPT_MS = 2_000;
/** Recovery of a large store takes its time. */
const DEADLINE_MS = 300_000;

export interface Entrance {
  /** The sidecar's own connection to MESH, whoever leads. */
  readonly nc: NatsConnection;
  /** Where the sidecar's connections go. */
  readonly address: string;
  readonly listen: string;
  readonly leaf: string;
  /** The server, where this sidecar has started or configured it; who leads takes it over. */
  readonly prepared: PreparedServer | null;
}

/** @throws {LeafmeshError} when there is no server and none can be started */
export async function enter(foundation: Foundation, leave: () => Promise<boolean>): Promise<Entrance> {
  const { options, member, loadKeys } = foundation;
  const { site, server: settings = {} } = options.file;
  const { mesh } = await loadKeys();
  if (settings.mode === "external") {
    const address = settings.url ?? "";
    const listen = settings.listen ?? address;
    const leaf = settings.leaf ?? "0.0.0.0:7422";
    const nc = await attempt(site, member, address, mesh).catch(() => null);
    if (nc !== null && (await isLed(nc))) return { nc, address, listen, leaf, prepared: null };
    await nc?.close();
    const prepared = await prepareServer(foundation, leave);
    return { nc: await attempt(site, member, address, mesh), address, listen, leaf, prepared };
  }
  return await enterEmbedded(foundation, mesh, leave);
}

async function enterEmbedded(
  foundation: Foundation,
  mesh: SigningKey,
  leave: () => Promise<boolean>,
): Promise<Entrance> {
  const { options, member, folder } = foundation;
  const { site, server: settings = {} } = options.file;
  const until = performance.now() + DEADLINE_MS;
  let why = "it is being started";
  while (performance.now() < until && options.signal?.aborted !== true) {
    await finishEnding(folder);
    const running = (await readRunningProcess(folder.file("serverPid"))) !== null;
    if (!running && (await folder.own())) {
      const prepared = await prepareServer(foundation, leave);
      const { address, listen, leaf } = prepared.server;
      return { nc: await attempt(site, member, address, mesh), address, listen, leaf, prepared };
    }
    if (running) {
      const addresses = await resolveAddresses(folder, settings);
      const address = localAddress(addresses.listen);
      try {
        const nc = await attempt(site, member, address, mesh);
        return { nc, address, ...addresses, prepared: null };
      } catch (error) {
        why = errorText(error);
      }
    }
    await sleep(POLL_MS, options.signal);
  }
  throw new LeafmeshError("timeout", `Gave up waiting for the nats-server of ${folder.path}: ${why}`);
}

/** Whether a sidecar leads, or has led: then the server has all that this one needs. */
async function isLed(nc: NatsConnection): Promise<boolean> {
  const table = await MemberTable.open(nc, () => 1);
  try {
    return (await table.lease({ make: false })) !== null;
  } catch (error) {
    // Where it cannot be read now somebody may lead: who does has configured the server, and who takes the lease does it anew.
    return !isUnserved(error);
  }
}

/** A connection that is never given up, once it is there. */
async function attempt(
  site: string,
  member: string,
  server: string,
  key: SigningKey,
): Promise<NatsConnection> {
  const options = connectionOptions(site, server, key, {
    name: `leafmesh ${site} member ${member}`,
    timeout: ATTEMPT_MS,
  });
  return await connect(options);
}
