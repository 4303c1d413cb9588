/** All that an attack could change or make somebody hear, as flat facts: two snapshots are compared line by line. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { z } from "zod";
import {
  AUDIT_STREAM,
  MEMBERS_BUCKET,
  STATE_BUCKET,
  tenantAccount,
  tenantApiPrefix,
} from "../../../src/model/names.ts";
import type { WatchedSite } from "./world.ts";

/** Facts by path, for example `berlin/MESH/out_acme/state`. */
export type Snapshot = ReadonlyMap<string, string>;

const STATE_STREAM = `KV_${STATE_BUCKET}`;
const Connz = z.object({
  connections: z.array(z.object({ account: z.string().default("") })).nullish(),
});
const Leafz = z.object({ leafs: z.array(z.object({ account: z.string() })).nullish() });

/** Takes the facts of all sites. `idle`: nothing that was delivered waits for its acknowledgement. */
export async function takeSnapshot(
  sites: readonly WatchedSite[],
): Promise<{ facts: Snapshot; idle: boolean }> {
  const parts = await Promise.all(sites.map(siteFacts));
  return {
    facts: new Map(parts.flatMap((part) => [...part.facts])),
    idle: parts.every((part) => part.idle),
  };
}

/** What differs, one line a fact. */
export function differences(before: Snapshot, after: Snapshot): { path: string; text: string }[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort();
  return paths.flatMap((path) => {
    const [was, is] = [before.get(path) ?? "nothing", after.get(path) ?? "nothing"];
    return was === is ? [] : [{ path, text: `${path}: ${was} became ${is}` }];
  });
}

async function siteFacts(watched: WatchedSite): Promise<{ facts: Map<string, string>; idle: boolean }> {
  const { site, control, tenants } = watched;
  const facts = new Map<string, string>();
  const idle: boolean[] = [];
  const put = (path: string, value: unknown) => {
    facts.set(`${site.name}/${path}`, typeof value === "string" ? value : JSON.stringify(value));
  };
  const mesh = await jetstreamManager(control.mesh, { checkAPI: false });
  await Promise.all([
    streamFacts("MESH", mesh, put).then((quiet) => idle.push(quiet)),
    ...tenants.map(async (tenant) => {
      const jsm = await jetstreamManager(control.mesh, {
        apiPrefix: tenantApiPrefix(tenant),
        checkAPI: false,
      });
      idle.push(await streamFacts(tenantAccount(tenant), jsm, put));
    }),
    serverFacts(watched, put),
    readFile(join(site.dataFolder, "nats.conf")).then((bytes) =>
      put("nats.conf", createHash("sha256").update(bytes).digest("hex").slice(0, 16)),
    ),
  ]);
  for (const [name, heard] of watched.inboxes) put(`inbox/${name}`, { heard: heard.lines.length });
  for (const [subject, count] of watched.marked) put(`marked/MESH/${subject}`, count);
  return { facts, idle: idle.every((quiet) => quiet) };
}

async function streamFacts(
  account: string,
  jsm: JetStreamManager,
  put: (path: string, value: unknown) => void,
): Promise<boolean> {
  let idle = true;
  for await (const { config, state, created } of jsm.streams.list()) {
    const path = `${account}/${config.name}`;
    put(`${path}/config`, { ...config, created });
    if (config.name === AUDIT_STREAM) {
      // That a denial is written down is as it should be; that nothing of the trail goes is what counts.
      put(`${path}/begins`, state.first_seq);
      continue;
    }
    // Heartbeats: they come while nobody does anything.
    if (config.name === `KV_${MEMBERS_BUCKET}`) continue;
    const { messages, bytes, first_seq, last_seq, num_subjects, num_deleted, consumer_count } = state;
    put(`${path}/state`, { messages, bytes, first_seq, last_seq, num_subjects, num_deleted });
    if (consumer_count === 0) continue;
    for await (const one of jsm.consumers.list(config.name)) {
      // The sidecar's own watch of its state: the client makes it anew when it likes.
      if (config.name === STATE_STREAM && one.name.startsWith("oc_")) continue;
      put(`${path}/consumer/${one.name}/config`, { ...one.config, created: one.created, paused: one.paused });
      const { delivered, ack_floor, num_ack_pending, num_redelivered } = one;
      // The server passes over events that a worker's filter leaves out when it likes.
      if (one.config.deliver_subject === undefined && delivered.consumer_seq === 0) {
        put(`${path}/consumer/${one.name}/position`, { delivered: 0, pending: num_ack_pending });
        continue;
      }
      put(`${path}/consumer/${one.name}/position`, {
        delivered: [delivered.consumer_seq, delivered.stream_seq],
        floor: [ack_floor.consumer_seq, ack_floor.stream_seq],
        pending: num_ack_pending,
        redelivered: num_redelivered,
      });
      if (one.config.deliver_subject !== undefined && !one.paused && num_ack_pending > 0) idle = false;
    }
  }
  return idle;
}

async function serverFacts(
  { site, control }: WatchedSite,
  put: (path: string, value: unknown) => void,
): Promise<void> {
  const [varz, connz, leafz, accounts] = await Promise.all([
    control.system.varz(),
    control.system.request("CONNZ", { auth: true, limit: 4096 }),
    control.system.request("LEAFZ"),
    control.system.accounts(),
  ]);
  put("server", { id: varz.server_id, start: varz.start, slow: varz.slow_consumers });
  put("sidecar", { pid: site.pid, running: site.running });
  put("accounts", accounts);
  const count = (which: string, found: readonly { readonly account: string }[]) => {
    const byAccount = new Map<string, number>();
    for (const { account } of found) byAccount.set(account, (byAccount.get(account) ?? 0) + 1);
    for (const [account, number] of byAccount) put(`${which}/${account}`, number);
  };
  count("connections", Connz.parse(connz).connections ?? []);
  count("leafs", Leafz.parse(leafz).leafs ?? []);
}
