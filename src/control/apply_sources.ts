/** Steps on the sources of streams: attached, taken out, attached again, and set going where they stand still. */
import {
  JetStreamApiError,
  type JetStreamManager,
  type StreamConfig,
  type StreamInfo,
  type StreamSource,
} from "@nats-io/jetstream";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { LOG_API_PREFIX, logStream, parseStreamName, remoteStreams } from "../model/names.ts";
import type { ResetTo } from "../nats/consumer_reset.ts";
import type { ApplyContext } from "./apply.ts";
import type { StreamAccount } from "./assets.ts";
import { deliveredBy, sourceKey, streamDifferences } from "./differences.ts";
import { heardWithin, isPeerConsumer, sourceReports } from "./observe.ts";
import type { RouteEnd } from "./rollback/setback_note.ts";
import type { SilentSource } from "./silent_sources.ts";
import { goesOnInCopy, isSameStream, type Taken, takenOf } from "./source_position.ts";
import { detachedMetadata, detachedSources } from "./source_repair.ts";
import type { SourcesOf } from "./source_waits.ts";
import type { Step } from "./step.ts";
import type { StuckConsumer } from "./stuck_consumers.ts";
import { Waiting } from "./waiting.ts";

type AttachSource = Extract<Step, { type: "attach-source" }>;

/** What an older copy lacks of a peer's events, and its route to us does not give again. */
export interface Missed {
  readonly tenant: string;
  readonly peer: string;
  readonly origin: string;
  /** What the peer gives them by now. */
  readonly stream: string;
  /** Positions in the stream of the peer that they are in: the first and the last. */
  readonly first: number;
  readonly last: number;
}

/** An attached source was heard within this. */
const HEARD_MS = 1200;

/** Updates the fields that we own and leaves the others as they are. @throws {Waiting} where sources must not be put in yet: all else is done */
export async function updateStream(
  context: ApplyContext,
  { account, spec }: Extract<Step, { type: "update-stream" }>,
): Promise<void> {
  const manager = await jsm(context, account);
  const update = () => updateFields(context, manager, { account, spec });
  await (account.type === "mesh" ? context.streamTurns.take(spec.name, update) : update());
}

async function updateFields(
  context: ApplyContext,
  manager: JetStreamManager,
  { account, spec }: Pick<Extract<Step, { type: "update-stream" }>, "account" | "spec">,
): Promise<void> {
  const info = await manager.streams.info(spec.name);
  const { config } = info;
  const of = { account, stream: spec.name };
  const [before, after] = [config.sources ?? [], spec.sources ?? config.sources ?? []];
  const blocked = await blockedOf(context, of, without(after, before));
  const metadata = spec.metadata === undefined ? config.metadata : { ...config.metadata, ...spec.metadata };
  const wanted = { ...config, ...spec, ...(metadata === undefined ? {} : { metadata }) };
  if (blocked === null)
    await puttingIn(context, of, without(after, before), () => manager.streams.update(spec.name, wanted));
  else {
    // What is taken out, and all else that changes, does not wait for what cannot be put in.
    const { subjects, duplicate_window } = config;
    const sources = without(after, blocked.sources);
    // A stream without sources has what the server gives it.
    const own = sources.length === 0 ? { subjects, duplicate_window } : {};
    const now = { ...wanted, ...own, sources };
    if (streamDifferences(now, config).length > 0)
      await puttingIn(context, of, without(sources, before), () => manager.streams.update(spec.name, now));
  }
  context.waits.takenOut(
    of,
    without(before, after).filter((source) => !isAttached(info, source)),
  );
  if (blocked !== null) throw new Waiting(blocked.why);
}

/** Which sources must not be put in now, and why: somebody may listen for them. `null`: there is none. */
async function blockedOf(
  { waits, listens }: Pick<ApplyContext, "waits" | "listens">,
  of: SourcesOf,
  sources: readonly StreamSource[],
): Promise<{ readonly sources: readonly StreamSource[]; readonly why: string } | null> {
  const blocked: StreamSource[] = [];
  let why = "";
  for (const source of sources) {
    const found = waits.why(of, source) ?? (await whyNotAlone(listens, of, source));
    if (found === null) continue;
    blocked.push(source);
    why ||= found;
  }
  return blocked.length === 0 ? null : { sources: blocked, why };
}

/** What the server has left behind of a source would hear, and might store, what the source gets. Of a log's it cannot be told. */
async function whyNotAlone(
  listens: ApplyContext["listens"],
  { account, stream }: SourcesOf,
  source: StreamSource,
): Promise<string | null> {
  const subject = account.type === "mesh" ? deliveredBy(source) : null;
  if (subject === null || !(await listens(subject))) return null;
  return `the server listens to what ${source.name} gives, while it is not in ${stream}: the server must start anew`;
}

/** Throws unless a source may be put in now. @throws {Waiting} */
async function requireAlone(context: ApplyContext, of: SourcesOf, source: StreamSource): Promise<void> {
  const blocked = await blockedOf(context, of, [source]);
  if (blocked !== null) throw new Waiting(blocked.why);
}

/** An update that puts sources in. What the server has refused it may show all the same: it has not noted it on its disk. */
async function puttingIn(
  context: Pick<ApplyContext, "putIn">,
  { account, stream }: SourcesOf,
  sources: readonly StreamSource[],
  update: () => Promise<unknown>,
): Promise<void> {
  const answered = (refused: boolean) => {
    for (const { name, external } of sources)
      if (external !== undefined)
        context.putIn({ account, stream, api: external.api, source: name }, refused);
  };
  try {
    await update();
    answered(false);
  } catch (error) {
    if (error instanceof JetStreamApiError) answered(true);
    throw error;
  }
}

/** Whether a source hears of its origin, which it does every second: then its server asks for nothing. */
function isAttached(info: StreamInfo, { name, external }: StreamSource): boolean {
  const report = sourceReports(info).find((one) => one.name === name && one.external?.api === external?.api);
  return report !== undefined && heardWithin(report, HEARD_MS);
}

/** The sources of `some` that are not in `others`. */
function without(some: readonly StreamSource[], others: readonly StreamSource[]): StreamSource[] {
  const keys = new Set(others.map(sourceKey));
  return some.filter((source) => !keys.has(sourceKey(source)));
}

/**
 * Attaches a source that the tenant's other stream of remote events may have had until now: the peer's consumer knows only
 * roughly how far that one has come, so it is told.
 */
export async function attachSource(context: ApplyContext, step: AttachSource): Promise<void> {
  const { mesh, setbacks, waits } = context;
  const { route, spec, source } = step;
  const tenant = route.tenant.name;
  const of = { account: { type: "mesh" }, stream: spec.name } as const;
  waits.requireFree(of, source);
  const places = remoteStreams(tenant).map((stream) => ({ manager: mesh, stream }));
  const asks = [{ origin: route.origin, tenant, stream: source.name }];
  const taken = await takenOf(places, asks);
  const from: RouteEnd = `from ${route.origin}`;
  const isCopy = places.some(({ stream }) => setbacks.lastOf(stream, from) !== null);
  await setSource(context, step, taken, isCopy ? await goesOnInCopy(places, asks, taken) : null);
  const { config } = await mesh.streams.info(spec.name);
  const { duplicate_window = config.duplicate_window } = spec;
  // What was free before the peer was asked may not be by now.
  await requireAlone(context, of, source);
  const sources = [...(config.sources ?? []), source];
  await puttingIn(context, of, [source], () =>
    mesh.streams.update(spec.name, withSources({ ...config, duplicate_window }, sources)),
  );
  // It may have been in the other one.
  for (const { stream } of places) await setbacks.placed(stream, from);
}

/**
 * Has the consumer of a source go on after what is stored of it.
 * @param copied of an older copy, see {@link goesOnInCopy}: what was acknowledged since is lost, and the consumer has dealt with it
 */
async function setSource(
  { resetSource, missed }: ApplyContext,
  { route, source }: AttachSource,
  taken: Taken,
  copied: number | null,
): Promise<void> {
  const { peer, origin, tenant } = route;
  const waiting = (error: unknown) => {
    throw new Waiting(`${peer} must say where ${source.name} goes on: ${errorText(error)}`);
  };
  const reset = (to: ResetTo) => resetSource(peer, source.name, to);
  const isOurs =
    taken.type === "stored" && isSameStream(taken.identity, (await reset(null).catch(waiting)).identity);
  if (copied === null) {
    if (!isOurs) return;
    await reset(taken.sequence + 1).catch((error: unknown) => {
      // A consumer that was made to begin later leaves nothing out that this site could miss.
      if (!(error instanceof LeafmeshError)) waiting(error);
    });
    return;
  }
  const refused = (error: unknown) => (error instanceof LeafmeshError ? null : waiting(error));
  const done = await reset({ least: isOurs ? copied : 0 }).catch(refused);
  // The route may have been made anew since the copy, and begins behind what is missing: another policy decided that.
  const position = (taken.type === "erased" ? null : taken.position) ?? 0;
  const begin = done?.beginsAfter ?? 0;
  if (begin <= position) return;
  const found = { tenant: tenant.name, peer, origin, stream: source.name };
  missed({ ...found, first: position + 1, last: begin });
}

/** A server that has heard no answer is woken; where that does not help, the source is taken out: the plan puts it in again. */
export async function reattachSource(
  context: ApplyContext,
  step: Extract<Step, { type: "reattach-source" }>,
): Promise<void> {
  const { account, stream, api, source, by } = step;
  if (by === "anew") return await takeOut(context, step);
  const { config } = await (await jsm(context, account)).streams.info(stream);
  for (const one of config.sources ?? []) {
    const subject = deliveredBy(one);
    if (one.name === source && one.external?.api === api && subject !== null) context.wakeSource(subject);
  }
}

/** Takes a source out. The plan puts it in again, after what is stored of it. */
export async function takeOut(
  context: Pick<ApplyContext, "mesh" | "tenant" | "waits">,
  { account, stream, api, source }: Omit<SilentSource, "by">,
): Promise<void> {
  const manager = await jsm(context, account);
  const { config } = await manager.streams.info(stream);
  const isIt = (one: StreamSource) => one.name === source && one.external?.api === api;
  const sources = config.sources ?? [];
  const out = sources.filter(isIt);
  if (out.length === 0) return;
  // A log's sources are put in again as they are; those of peers where what is stored ends.
  const detached = [...detachedSources(config), ...out];
  const noted =
    account.type === "mesh" ? { metadata: { ...config.metadata, ...detachedMetadata(detached) } } : {};
  const others = sources.filter((one) => !isIt(one));
  await manager.streams.update(stream, { ...withSources(config, others), ...noted });
  context.waits.takenOut({ account, stream }, out);
}

/**
 * A stream's configuration with these sources. What is not named stays as it is there; and a stream that had none for a moment has got
 * a subject and a duplicate window from the server, which would take events of two origins with one id for the same.
 */
function withSources(config: StreamConfig, sources: readonly StreamSource[]): StreamConfig {
  const { duplicate_window = 0 } = config;
  const own = sources.length === 0 ? {} : { subjects: [], duplicate_window };
  return { ...config, ...own, sources: [...sources] };
}

/** A peer that cannot be asked is left alone: a link that is slow answers late. */
export async function unstick(context: ApplyContext, stuck: StuckConsumer): Promise<void> {
  const { stream, consumer, by } = stuck;
  if (isPeerConsumer(consumer)) {
    const tenant = parseStreamName(stream)?.tenant ?? "";
    const says = await context.peerPosition(consumer, tenant, stream).catch(() => null);
    if (says === null || !context.standsStill(stuck, says.sequence)) return;
  }
  context.log("warn", `${stream} to ${consumer} does not move: ${REMEDIES[by]}`);
  switch (by) {
    case "link":
      await context.kickLeaf(consumer);
      return;
    case "attach": {
      const tenant = parseStreamName(stream)?.tenant ?? "";
      const account = { type: "tenant", tenant } as const;
      await takeOut(context, { account, stream: logStream(tenant), api: LOG_API_PREFIX, source: stream });
      return;
    }
    case "reset":
      await context.letGo(stream, consumer, { withinMs: 0 });
      return;
  }
}

const REMEDIES: Readonly<Record<StuckConsumer["by"], string>> = {
  link: "its link is made anew",
  attach: "the log is attached to it again",
  reset: "who takes it attaches again, after what is acknowledged",
};

/** JetStream of the account that a stream is in. */
export async function jsm(
  context: Pick<ApplyContext, "mesh" | "tenant">,
  account: StreamAccount,
): Promise<JetStreamManager> {
  return account.type === "mesh" ? context.mesh : await context.tenant(account.tenant);
}
