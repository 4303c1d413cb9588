/**
 * Has what is sourced go on after what is stored. nats-server acknowledges sourced events by how far it has read, also when the
 * disk did not take the last of them: the next start would go on behind those. So the sources are taken out while nothing
 * flows, and each consumer is told again where its stream ends. Source: nats-server `server/stream.go`,
 * processInboundSourceMsg and handleFlowControl.
 */
import type { JetStreamManager, StreamConfig, StreamSource } from "@nats-io/jetstream";
import type { DesiredState, DesiredTenant } from "../model/desired.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { LOG_CONSUMER, logStream, outStream, remoteStreams } from "../model/names.ts";
import { unlessGone } from "../nats/jetstream_errors.ts";
import { sleep } from "../nats/wait.ts";
import { sourceKey } from "./differences.ts";
import { rewoundAgain, rewoundMetadata } from "./rollback/rewound.ts";
import { goOnAfter } from "./source_position.ts";
import type { SourceWaits } from "./source_waits.ts";

/** Metadata of a stream of remote events: the sources that were taken out, as JSON. Each is told where to go on before it is put in again. */
const DETACHED = "leafmesh-detached";

/** The sources that {@link detachSources} has taken out of a stream and that are not in it again. */
export function detachedSources({ metadata, sources = [] }: StreamConfig): readonly StreamSource[] {
  const text = metadata?.[DETACHED] ?? "";
  if (text === "") return [];
  const there = new Set(sources.map(sourceKey));
  return (JSON.parse(text) as StreamSource[]).filter((source) => !there.has(sourceKey(source)));
}

/** Metadata that says which sources are taken out. */
export function detachedMetadata(sources: readonly StreamSource[]): Readonly<Record<string, string>> {
  return { [DETACHED]: JSON.stringify(sources) };
}

/** Metadata that says that nothing is taken out any more, where a stream says otherwise. */
export function attachedMetadata({ metadata }: StreamConfig): { readonly metadata?: Record<string, string> } {
  return (metadata?.[DETACHED] ?? "") === "" ? {} : { metadata: { [DETACHED]: "" } };
}

/** Work is given up that has failed for so long, and so often: each request may have waited for seconds. */
const GIVE_UP_MS = 60_000;
const LEAST_TRIES = 3;
const PAUSE_MS = 250;

export interface RepairContext {
  readonly site: string;
  readonly mesh: JetStreamManager;
  readonly tenant: (tenant: string) => Promise<JetStreamManager>;
  /** Sets where a consumer of MESH goes on, `null`: where it is. Answers with the identity of its stream. */
  readonly reset: (stream: string, consumer: string, sequence: number | null) => Promise<string>;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
  /** Is told what is taken out. */
  readonly waits: SourceWaits;
  /** When the server started, or a little earlier, by the clock of `waits`; `undefined`: not known. */
  readonly startedAt?: number | undefined;
}

/**
 * Takes the sources out of all streams of a state, and sets back the consumers of the logs. The plan puts the sources in
 * again. Must be called while nothing can flow; doing it twice does what doing it once does.
 * @throws what JetStream says
 */
export async function detachSources(context: RepairContext, state: DesiredState): Promise<void> {
  for (const tenant of state.tenants) {
    for (const stream of remoteStreams(tenant.name)) await detachIncoming(context, stream);
    if (tenant.log) await detachLog(context, tenant);
  }
}

/**
 * Does something on a server that has just been started: as soon as the connection to it has come back, and again where it is too
 * busy to answer.
 * @throws what `work` threw last: after a minute, and at once where another sidecar leads or `signal` is aborted
 */
export async function whenThere<T>(
  work: () => Promise<T>,
  {
    log,
    signal,
    giveUpMs = GIVE_UP_MS,
  }: {
    readonly log: RepairContext["log"];
    readonly signal?: AbortSignal | undefined;
    readonly giveUpMs?: number;
  },
): Promise<T> {
  const end = performance.now() + giveUpMs;
  let said = "";
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const led = error instanceof LeafmeshError && error.code === "no_leader";
      const late = tries >= LEAST_TRIES && performance.now() > end;
      if (led || late || signal?.aborted === true) throw error;
      const text = errorText(error);
      if (text !== said) log("info", `the server is not there yet: ${text}`);
      said = text;
      await sleep(PAUSE_MS, signal);
    }
  }
}

async function detachIncoming({ mesh, log, waits, startedAt }: RepairContext, stream: string): Promise<void> {
  const config = await configOf(mesh, stream);
  if (config === null || (config.sources ?? []).length === 0) return;
  await mesh.streams.update(stream, {
    ...config,
    sources: [],
    // Those of a repair that was cut short are still out.
    metadata: {
      ...config.metadata,
      ...detachedMetadata([...(config.sources ?? []), ...detachedSources(config)]),
    },
  });
  waits.takenOut({ account: { type: "mesh" }, stream }, config.sources ?? [], startedAt);
  log("info", `${stream} goes on after what is stored of each source`);
}

async function detachLog(context: RepairContext, tenant: DesiredTenant): Promise<void> {
  const manager = await context.tenant(tenant.name);
  const name = logStream(tenant.name);
  const config = await configOf(manager, name);
  if (config === null) return;
  if ((config.sources ?? []).length > 0) {
    await manager.streams.update(name, { ...config, sources: [] });
    const account = { type: "tenant", tenant: tenant.name } as const;
    context.waits.takenOut({ account, stream: name }, config.sources ?? [], context.startedAt);
  }
  const origins = new Set(tenant.imports.map((policy) => policy.origin ?? policy.from));
  const remote = remoteStreams(tenant.name);
  for (const stream of [outStream(tenant.name), ...remote]) {
    const of = remote.includes(stream) ? [...origins] : [context.site];
    if (!(await hasConsumer(context.mesh, stream))) continue;
    const last = await goOnAfter(
      [{ manager, stream: name }],
      of.map((origin) => ({ origin, tenant: tenant.name, stream })),
      () => context.reset(stream, LOG_CONSUMER, null),
    );
    if (last === null) continue;
    const after = stream === outStream(tenant.name) ? await goBack(context, manager, tenant, last) : last;
    await context.reset(stream, LOG_CONSUMER, after + 1);
    context.log("info", `the log of ${tenant.name} goes on after ${after} of ${stream}`);
  }
}

/**
 * Where a log goes on that has `last` of its site's own stream. That may be an older copy alone, which uses the sequences behind its end
 * again: then the log keeps what it has, and its source becomes one that nats-server knows nothing of.
 */
async function goBack(
  { site, mesh }: RepairContext,
  manager: JetStreamManager,
  tenant: DesiredTenant,
  last: number,
): Promise<number> {
  const stream = outStream(tenant.name);
  const after = (await mesh.streams.info(stream)).state.last_seq;
  if (last <= after) return last;
  const { config, state } = await manager.streams.info(logStream(tenant.name));
  const source = { origin: site, stream };
  const rewound = rewoundAgain(config, source, { at: state.last_seq, after, position: after });
  const metadata = rewoundMetadata(config, source, rewound);
  await manager.streams.update(config.name, { ...config, metadata: { ...config.metadata, ...metadata } });
  return after;
}

async function hasConsumer(mesh: JetStreamManager, stream: string): Promise<boolean> {
  return (await unlessGone(mesh.consumers.info(stream, LOG_CONSUMER), null)) !== null;
}

async function configOf(manager: JetStreamManager, stream: string): Promise<StreamConfig | null> {
  return (await unlessGone(manager.streams.info(stream), null))?.config ?? null;
}
