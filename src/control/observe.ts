/** What the server has: the streams and consumers that are ours. */
import type { ConsumerInfo, JetStreamManager, StreamConfig, StreamInfo } from "@nats-io/jetstream";
import { LeafmeshError } from "../model/errors.ts";
import { LOG_CONSUMER, logStream, parseStreamName, userOfConsumer } from "../model/names.ts";
import { isGone, isStreamNotFound } from "../nats/jetstream_errors.ts";
import { together } from "./together.ts";

/** Metadata of a view: the stream that it is filled from, and the sequence there that it begins after. */
export const VIEW_SOURCE = "leafmesh-source";
export const VIEW_AFTER = "leafmesh-after";
/** The policy that a view is decided by now, and the sequence of the view up to which another one may have decided. */
export const VIEW_VERSION = "leafmesh-version";
export const VIEW_VERSION_AFTER = "leafmesh-version-after";
/** The last position that another policy has decided, where that is known. */
export const VIEW_VERSION_POSITION = "leafmesh-version-position";
/** The policy that the worker of a view is being told of. */
export const VIEW_TURNING = "leafmesh-turning";
/** The site whose events a view holds. */
export const VIEW_ORIGIN = "leafmesh-origin";

/** How the events of a view were renamed, while it may hold some of them. */
export const VIEW_RENAMES = "leafmesh-renames";

/** The stream whose sequences are the positions of a stream: itself, or what a view is filled from. */
export const filledFrom = ({ name, metadata }: Pick<StreamConfig, "name" | "metadata">): string =>
  metadata?.[VIEW_SOURCE] ?? name;

/** What nats-server 2.15 says of a source or mirror. The client's own type lacks some of it. */
export interface SourceReport {
  readonly name: string;
  readonly lag: number;
  /** Nanoseconds since the origin was heard; -1 for never. */
  readonly active: number;
  /** Last sequence of the origin that is stored. */
  readonly seq?: number;
  readonly external?: { readonly api: string } | null;
  readonly error?: { readonly description?: string } | null;
}

/** Whether a source has heard of its origin within so many milliseconds. One that is attached does every second. */
export function heardWithin({ active }: Pick<SourceReport, "active">, ms: number): boolean {
  return active >= 0 && active < ms * 1e6;
}

/** The sources of a stream as the server reports them. */
export function sourceReports(info: StreamInfo): readonly SourceReport[] {
  return (info.sources ?? []) as unknown as SourceReport[];
}

/** The mirror of a stream as the server reports it. */
export function mirrorReport(info: StreamInfo): SourceReport | undefined {
  return info.mirror as unknown as SourceReport | undefined;
}

/** When a time of JetStream's API is one; the server gives none, or the year 1, for "never". */
export function apiTime(time: unknown): string | null {
  return typeof time === "string" && !time.startsWith("0001") ? time : null;
}

export interface ObservedStream {
  readonly info: StreamInfo;
  readonly consumers: ReadonlyMap<string, ConsumerInfo>;
}

/** The streams of an account by name. */
export type ObservedStreams = ReadonlyMap<string, ObservedStream>;

export interface Observed {
  readonly mesh: ObservedStreams;
  /** The log of each tenant whose account answers; no entry: the account does not answer (yet). */
  readonly logs: ReadonlyMap<string, StreamInfo | null>;
  /** Consumers of users on each log that is there; no entry: none. */
  readonly readers?: ReadonlyMap<string, readonly ConsumerInfo[]>;
}

/** What is asked beside the lists of a cluster: those leave out what has no leader for a moment. */
export interface ClusterNames {
  /** Names of a stream's consumers, also of those that have no leader. */
  readonly consumers: (stream: string) => Promise<readonly string[]>;
  /** Whether a consumer of that name is one of ours. */
  readonly isOurs: (consumer: string) => boolean;
}

/**
 * Reads all streams of MESH that have a name of ours, with their consumers.
 * @param cluster `null`: the site is one server
 * @throws LeafmeshError `server_failed` while a stream or consumer of a cluster has no leader
 */
export async function observeMesh(
  jsm: JetStreamManager,
  cluster: ClusterNames | null = null,
): Promise<ObservedStreams> {
  const missing = new Set(cluster === null ? [] : await streamNames(jsm));
  const infos: StreamInfo[] = [];
  for await (const info of jsm.streams.list()) {
    if (parseStreamName(info.config.name) === null) continue;
    infos.push(info);
    missing.delete(info.config.name);
  }
  const consumersOf = async (info: StreamInfo): Promise<[string, ObservedStream]> => {
    const consumers = new Map<string, ConsumerInfo>();
    if (info.state.consumer_count > 0) {
      const { name: stream } = info.config;
      const names = (await cluster?.consumers(stream)) ?? [];
      for await (const consumer of jsm.consumers.list(stream)) consumers.set(consumer.name, consumer);
      for (const name of names) {
        if (consumers.has(name) || cluster?.isOurs(name) !== true) continue;
        const there = await isThere(jsm.consumers.info(stream, name));
        if (there)
          throw new LeafmeshError("server_failed", `Consumer ${name} of ${stream} has no leader now`);
      }
    }
    return [info.config.name, { info, consumers }];
  };
  const streams = new Map(await together(infos, consumersOf));
  // What has no leader for a moment is in no list: it must not be taken for one that was removed.
  for (const name of missing) {
    if (await isThere(jsm.streams.info(name)))
      throw new LeafmeshError("server_failed", `Stream ${name} has no leader now`);
  }
  return streams;
}

async function streamNames(jsm: JetStreamManager): Promise<string[]> {
  const names: string[] = [];
  for await (const name of jsm.streams.names()) if (parseStreamName(name) !== null) names.push(name);
  return names;
}

async function isThere(asked: Promise<unknown>): Promise<boolean> {
  return await asked.then(
    () => true,
    (error: unknown) => !isGone(error),
  );
}

/** Reads a tenant's log through its account; `null` when there is none, `undefined` when the account does not answer. */
export async function observeLog(
  jsm: JetStreamManager,
  tenant: string,
): Promise<StreamInfo | null | undefined> {
  try {
    return await jsm.streams.info(logStream(tenant));
  } catch (error) {
    return isStreamNotFound(error) ? null : undefined;
  }
}

/** Reads the consumers of a tenant's log that the sidecar makes for users. */
export async function observeReaders(jsm: JetStreamManager, tenant: string): Promise<ConsumerInfo[]> {
  const readers: ConsumerInfo[] = [];
  for await (const consumer of jsm.consumers.list(logStream(tenant))) {
    if (userOfConsumer(consumer.name) !== null) readers.push(consumer);
  }
  return readers;
}

/** Whether a consumer serves a peer (not the log, not a view's worker). */
export function isPeerConsumer(name: string): boolean {
  return name !== LOG_CONSUMER && !name.includes("_");
}
