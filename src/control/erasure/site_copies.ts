/** All copies of events at this site: the stream that holds them, the views, the dead letters and the tenant's log. */
import type { JetStreamManager, StoredMsg } from "@nats-io/jetstream";
import type { DesiredState } from "../../model/desired.ts";
import type { ErasedCopy, ErasureRequest } from "../../model/erasure.ts";
import {
  DLQ_HEADERS,
  dlqStream,
  dlqSubject,
  inStream,
  logStream,
  MESH_ACCOUNT,
  mirrorStream,
  outStream,
  POSITION_HEADER,
  parseStreamName,
  REDRIVEN_HEADER,
  replayedStream,
  storedSubject,
  streamEpoch,
  tenantAccount,
  tenantSubjects,
  viewConsumer,
  viewSubject,
} from "../../model/names.ts";
import { type ExportPlan, planExports } from "../routes.ts";
import type { NamedTurns } from "../turns.ts";
import {
  apiHash,
  copyMatcher,
  eraseMessage,
  idHash,
  notePosition,
  type Place,
  readSubject,
  sourceOf,
} from "./copies.ts";

export interface SiteCopiesOptions {
  readonly site: string;
  readonly mesh: JetStreamManager;
  readonly tenant: (tenant: string) => Promise<JetStreamManager>;
  readonly state: () => DesiredState;
  /** By stream of MESH: what changes its configuration. */
  readonly streamTurns: NamedTurns;
}

/** An event in the stream that this site holds it in first: `out`, or `in` for those of other sites. */
export interface HeldEvent {
  readonly stream: string;
  readonly sequence: number;
  readonly ids: readonly string[];
}

/** How many copies were found, by stream, and whether some may still come. */
export interface Swept {
  readonly erased: ReadonlyMap<string, number>;
  /** A view's worker has one of the events in hand. */
  readonly unsettled: string | null;
}

export class SiteCopies {
  readonly #options: SiteCopiesOptions;

  constructor(options: SiteCopiesOptions) {
    this.#options = options;
  }

  /** The events that a request means, in the streams that hold them; at most `limit` + 1. */
  async select(tenant: string, request: ErasureRequest, limit: number): Promise<HeldEvent[]> {
    const { site } = this.#options;
    const origin = request.origin ?? site;
    const streams = origin === site ? [outStream(tenant)] : [inStream(tenant, true), inStream(tenant, false)];
    const found: HeldEvent[] = [];
    for (const stream of streams) {
      const epoch = await this.#epoch(stream);
      if (epoch === null) continue;
      for await (const message of readSubject(this.#mesh(stream), storedSubject(origin, request.subject))) {
        if (!meant(message, request)) continue;
        found.push({ stream, sequence: message.seq, ids: idsOf(site, stream, epoch, message.seq, message) });
        if (found.length > limit) return found;
      }
    }
    // What the stream has dropped may still be in a view, in the log or at a peer.
    if (found.length === 0 && request.sequence !== undefined && origin === site) {
      const [stream = ""] = streams;
      const epoch = await this.#epoch(stream);
      if (epoch !== null)
        found.push({
          stream,
          sequence: request.sequence,
          ids: idsOf(site, stream, epoch, request.sequence, null),
        });
    }
    return found;
  }

  /** The events that are copies of a peer's: only those that came over its link, of this tenant and origin. */
  async copiesOf(
    peer: string,
    tenant: string,
    origin: string,
    copies: readonly ErasedCopy[],
    until: Date,
  ): Promise<HeldEvent[]> {
    const matches = copyMatcher(copies);
    const hash = apiHash(peer);
    const found: HeldEvent[] = [];
    for (const stream of [inStream(tenant, true), inStream(tenant, false)]) {
      const epoch = await this.#epoch(stream);
      if (epoch === null) continue;
      for await (const message of readSubject(
        this.#mesh(stream),
        storedSubject(origin, tenantSubjects(tenant)),
      )) {
        const source = sourceOf(message);
        if (source === null || source.api !== hash || message.time > until) continue;
        if (!matches(source.stream, source.sequence, message)) continue;
        found.push({
          stream,
          sequence: message.seq,
          ids: idsOf(this.#options.site, stream, epoch, message.seq, message),
        });
      }
    }
    return [...found, ...(await this.#replayed(peer, tenant, origin, copies, until))];
  }

  /** What a peer has replayed of its events: each says by its position which one it is. */
  async #replayed(
    peer: string,
    tenant: string,
    origin: string,
    copies: readonly ErasedCopy[],
    until: Date,
  ): Promise<HeldEvent[]> {
    const positions = new Set(copies.filter(({ by }) => by === "sequence").map(({ sequence }) => sequence));
    const hash = apiHash(peer);
    const found: HeldEvent[] = [];
    for (const stream of [replayedStream(tenant, true), replayedStream(tenant, false)]) {
      if ((await this.#epoch(stream)) === null) continue;
      for await (const message of readSubject(
        this.#mesh(stream),
        storedSubject(origin, tenantSubjects(tenant)),
      )) {
        if (sourceOf(message)?.api !== hash || message.time > until) continue;
        if (!positions.has(Number(message.header.get(POSITION_HEADER)))) continue;
        found.push({ stream, sequence: message.seq, ids: [] });
      }
    }
    return found;
  }

  /** Erases what the mirror of a peer holds of its events. */
  async sweepMirror(
    peer: string,
    tenant: string,
    copies: readonly ErasedCopy[],
    until: Date,
    dryRun: boolean,
  ): Promise<Map<string, number>> {
    const erased = new Map<string, number>();
    const place = this.#mesh(mirrorStream(tenant, peer));
    const info = await place.jsm.streams.info(place.stream).catch(() => null);
    const mirrored = info?.config.mirror?.name;
    if (mirrored === undefined) return erased;
    const matches = copyMatcher(copies);
    for await (const message of readSubject(place, ">")) {
      if (message.time <= until && matches(mirrored, message.seq, message)) {
        await this.#erase(place, message.seq, `${MESH_ACCOUNT}/${place.stream}`, erased, dryRun);
      }
    }
    return erased;
  }

  /** Erases all copies of events here. The streams that others are copied from come first. */
  async sweep(tenant: string, origin: string, events: readonly HeldEvent[], dryRun: boolean): Promise<Swept> {
    const erased = new Map<string, number>();
    let unsettled: string | null = null;
    if (events.length === 0) return { erased, unsettled };
    for (const { stream, sequence } of events) {
      const place = this.#mesh(stream);
      if (
        !dryRun ||
        (await place.jsm.streams.getMessage(stream, { seq: sequence }).catch(() => null)) !== null
      ) {
        await this.#erase(place, sequence, `${MESH_ACCOUNT}/${stream}`, erased, dryRun);
      }
    }
    for (const plan of this.plans(tenant, origin)) {
      const inView = events.filter(({ stream }) => stream === plan.source);
      if (plan.stream === plan.source || inView.length === 0) continue;
      if (!dryRun && !(await this.#passed(plan, inView)))
        unsettled = `the worker of ${plan.stream} has one in hand`;
      await this.#sweepView(plan, inView, erased, dryRun);
    }
    await this.#sweepDeadLetters(tenant, origin, events, erased, dryRun);
    await this.#sweepLog(tenant, origin, events, erased, dryRun);
    return { erased, unsettled };
  }

  /** How a peer is told of events: as what they are in the streams that it sources from. */
  told(tenant: string, origin: string, events: readonly HeldEvent[], peer: string): ErasedCopy[] {
    const streams = new Map<string, "sequence" | "position">();
    for (const plan of this.plans(tenant, origin)) {
      if (!plan.policy.to.includes(peer)) continue;
      // Before a view there may have been a native route.
      const { source } = plan;
      streams.set(source, "sequence");
      if (plan.stream !== source) streams.set(plan.stream, "position");
    }
    return [...streams].flatMap(([stream, by]) =>
      events
        .filter(isFirst)
        .map(({ sequence, ids }) => ({ stream, by, sequence, ids: by === "position" ? [...ids] : [] })),
    );
  }

  /** The exports of a tenant's events of an origin. */
  plans(tenant: string, origin: string): ExportPlan[] {
    return planExports(this.#options.state()).filter(
      (plan) => plan.tenant.name === tenant && plan.origin === origin,
    );
  }

  #mesh(stream: string): Place {
    return { jsm: this.#options.mesh, stream, direct: true };
  }

  /** The life of a stream, as a view's ids name it; `null` when there is no such stream. */
  async #epoch(stream: string): Promise<string | null> {
    const info = await this.#options.mesh.streams.info(stream).catch(() => null);
    return info === null ? null : streamEpoch(info.created);
  }

  /** Whether a view's worker has no event of these in hand: it has dealt with them, or they were gone before it took them. */
  async #passed(plan: ExportPlan, events: readonly HeldEvent[]): Promise<boolean> {
    const info = await this.#options.mesh.consumers
      .info(plan.source, viewConsumer(plan.policy.name))
      .catch(() => null);
    if (info === null) return true;
    const { ack_floor, delivered, num_ack_pending } = info;
    if (num_ack_pending === 0) return true;
    return events.every(
      ({ sequence }) => sequence <= ack_floor.stream_seq || sequence > delivered.stream_seq,
    );
  }

  async #sweepView(
    plan: ExportPlan,
    events: readonly HeldEvent[],
    erased: Map<string, number>,
    dryRun: boolean,
  ): Promise<void> {
    const { site } = this.#options;
    const place = this.#mesh(plan.stream);
    const copies = events.map(({ sequence, ids }) => ({
      stream: plan.stream,
      by: "position" as const,
      sequence,
      ids: [...ids],
    }));
    const matches = copyMatcher(copies);
    for await (const message of readSubject(
      place,
      viewSubject(site, plan.policy.name, tenantSubjects(plan.tenant.name)),
    )) {
      if (!message.header.has(POSITION_HEADER) || !matches(plan.stream, -1, message)) continue;
      if (!dryRun && !message.header.has(REDRIVEN_HEADER))
        await notePosition({ jsm: place.jsm, turns: this.#options.streamTurns }, plan.stream, message);
      await this.#erase(place, message.seq, `${MESH_ACCOUNT}/${plan.stream}`, erased, dryRun);
    }
  }

  async #sweepDeadLetters(
    tenant: string,
    origin: string,
    events: readonly HeldEvent[],
    erased: Map<string, number>,
    dryRun: boolean,
  ): Promise<void> {
    const positions = new Set(events.filter(isFirst).map(({ sequence }) => String(sequence)));
    const place = this.#mesh(dlqStream(tenant));
    for await (const message of readSubject(place, dlqSubject(tenantSubjects(tenant)))) {
      const { header } = message;
      if (header.get(DLQ_HEADERS.origin) !== origin || !positions.has(header.get(DLQ_HEADERS.position)))
        continue;
      await this.#erase(place, message.seq, `${MESH_ACCOUNT}/${place.stream}`, erased, dryRun);
    }
  }

  async #sweepLog(
    tenant: string,
    origin: string,
    events: readonly HeldEvent[],
    erased: Map<string, number>,
    dryRun: boolean,
  ): Promise<void> {
    const held = new Set(events.map(({ stream, sequence }) => `${stream} ${sequence}`));
    const place: Place = {
      jsm: await this.#options.tenant(tenant),
      stream: logStream(tenant),
      direct: false,
    };
    for await (const message of readSubject(place, storedSubject(origin, tenantSubjects(tenant)))) {
      const source = sourceOf(message);
      if (source === null || !held.has(`${source.stream} ${source.sequence}`)) continue;
      await this.#erase(place, message.seq, `${tenantAccount(tenant)}/${place.stream}`, erased, dryRun);
    }
  }

  async #erase(
    place: Place,
    sequence: number,
    name: string,
    erased: Map<string, number>,
    dryRun: boolean,
  ): Promise<void> {
    if (dryRun || (await eraseMessage(place, sequence))) erased.set(name, (erased.get(name) ?? 0) + 1);
  }
}

/** Whether policies read it: what was replayed to this site goes no further, and its sequences are those of no policy. */
function isFirst({ stream }: HeldEvent): boolean {
  return !parseStreamName(stream)?.type.startsWith("replayed");
}

function meant(message: StoredMsg, { id, sequence, sinceMs, untilMs }: ErasureRequest): boolean {
  const time = message.time.getTime();
  return (
    (id === undefined || message.header?.get("Nats-Msg-Id") === id) &&
    (sequence === undefined || message.seq === sequence) &&
    (sinceMs === undefined || time >= sinceMs) &&
    (untilMs === undefined || time <= untilMs)
  );
}

/** Hashes of the ids that an event may have in a view: its own, its own made unlike another's, or the one of its place. */
function idsOf(
  site: string,
  stream: string,
  epoch: string,
  sequence: number,
  message: StoredMsg | null,
): string[] {
  const own = message?.header?.get("Nats-Msg-Id") ?? "";
  const placed = idHash(`${site}.${stream}.${epoch}.${sequence}`);
  return own === "" ? [placed] : [placed, idHash(own), idHash(`${own}~${sequence}`)];
}
