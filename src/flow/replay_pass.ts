/**
 * One pass of a replay: reads some of its events, has the policy decide them, and stores what it forwards, fenced, in the
 * replay's stream. The stream itself says how far it has come: each message carries its position, and what a pass that was
 * cut short has stored is not stored again.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { LeafmeshError } from "../model/errors.ts";
import type { Decision, MeshEvent } from "../model/event.ts";
import type { EventScan } from "../model/event_scan.ts";
import { POSITION_HEADER, replayStream, streamEpoch } from "../model/names.ts";
import type { Replay, ReplaySample } from "../model/replay.ts";
import { FencedWriter, messageSize } from "../nats/fenced_writer.ts";
import type { RawFrame } from "../nats/raw_frame.ts";
import { SubjectMatcher } from "../policy/match.ts";
import { replayMessage } from "./replay_message.ts";

/** What a replay reads, and who decides it. */
export interface ReplaySource {
  readonly site: string;
  /** Pattern of the stored subjects that it looks at. */
  readonly filter: string;
  readonly decide: (event: MeshEvent) => Decision;
  /** Version of the policy, safe in a header. */
  readonly version: string;
}

export interface ReplayPassOptions {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly scan: EventScan;
  readonly signal: AbortSignal;
}

/** How far a pass has come: what changes in the document. */
export type ReplayProgress = Pick<
  Replay,
  "position" | "until" | "missing" | "looked" | "forwarded" | "dropped" | "quarantined" | "samples"
>;

/** Events that one pass looks at, and writes, at most; about. */
const LOOK = 5_000;
const WRITE = 500;
const WRITE_BYTES = 4 * 1024 * 1024;
/** Looking is no moving: it has this share of the thread. */
const PACE = { perSecond: 20_000, share: 0.25 } as const;
/** Of each outcome. */
const SAMPLES = 10;
const MAX_HEADER_BYTES = 65_535 - FencedWriter.overheadBytes;

/**
 * Does one pass.
 * @returns how far it came, and how many events it has written now
 * @throws LeafmeshError `conflict` when the stream that it reads is another one than when it began; what the server says
 */
export async function replayPass(
  options: ReplayPassOptions,
  replay: Replay,
  source: ReplaySource,
): Promise<{ readonly progress: ReplayProgress; readonly written: number }> {
  const { jsm, scan, signal } = options;
  const read = await jsm.streams.info(replay.stream);
  if (streamEpoch(read.created) !== replay.epoch) {
    throw new LeafmeshError(
      "conflict",
      `Stream '${replay.stream}' was made anew since the replay began: its sequences are those of other events`,
    );
  }
  const into = replay.dryRun ? null : await openTarget(options, replay);
  const progress = withGaps(replay, read.state.first_seq, read.state.last_seq);
  const frames: RawFrame[] = [];
  const matchers = replay.subjects?.map((pattern) => new SubjectMatcher(pattern)) ?? null;
  let seen = 0;
  let bytes = 0;
  const most = Math.max(1, Math.min(WRITE, Math.ceil(replay.rate / 5)));
  const isFull = () => seen >= LOOK || frames.length >= most || bytes >= WRITE_BYTES;
  const end = await scan({
    stream: replay.stream,
    filter: source.filter,
    start: { sequence: progress.position + 1 },
    end: progress.until,
    onEvent: (event) => {
      // The rest of a slice is read again by the next pass.
      if (isFull()) return;
      seen++;
      progress.position = event.sequence;
      if (matchers !== null && !matchers.some((one) => one.matches(event.subject))) return;
      progress.looked++;
      const frame = decideOne(replay, source, event, into?.maxBytes ?? Number.POSITIVE_INFINITY, progress);
      // Stored by a pass that was cut short: only counted.
      if (frame === null || into === null || event.sequence <= into.position) return;
      frames.push(frame);
      bytes += messageSize(frame);
    },
    onSlice: () => !isFull(),
    pace: () => PACE,
    signal,
  });
  if (end === "end" && !isFull()) progress.position = Math.max(progress.position, progress.until);
  if (into !== null && frames.length > 0) await write(options.nc, frames, into.sequence);
  return { progress, written: frames.length };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Where the pass begins: what is gone of the range is counted, never passed over in silence. */
function withGaps(replay: Replay, first: number, last: number): Mutable<ReplayProgress> {
  const { looked, forwarded, dropped, quarantined, samples } = replay;
  const counts = { looked, forwarded, dropped, quarantined, samples: [...samples] };
  const until = Math.min(replay.until, last);
  const position = Math.min(Math.max(replay.position, first - 1), Math.max(until, replay.position));
  const missing = replay.missing + (position - replay.position) + (replay.until - until);
  return { ...counts, position, until, missing };
}

/** Counts what the policy says. @returns what is to be stored; `null`: nothing */
function decideOne(
  replay: Replay,
  source: ReplaySource,
  event: MeshEvent,
  maxBytes: number,
  progress: Mutable<ReplayProgress>,
): RawFrame | null {
  const { sequence, subject } = event;
  const note = (outcome: ReplaySample["outcome"], reason: string, error: string | null) => {
    const nth = outcome === "drop" ? ++progress.dropped : ++progress.quarantined;
    if (nth <= SAMPLES) progress.samples.push({ sequence, subject, outcome, reason, error });
    return null;
  };
  const decision = source.decide(event);
  switch (decision.type) {
    case "drop":
      return note("drop", decision.reason, null);
    case "quarantine":
      // The route itself has put it aside, or will: here it is only told.
      return note("quarantine", decision.reason, decision.error);
    case "forward": {
      const stream = `${source.site}.${replay.stream}.${replay.epoch}`;
      const options = { site: source.site, id: replay.id, stream };
      const frame = replayMessage(options, event, decision, source.version);
      const size = messageSize(frame);
      if (size > maxBytes || size - frame.data.length > MAX_HEADER_BYTES) {
        return note("quarantine", "payload_too_large", `With its mark it has ${size} bytes: too many`);
      }
      progress.forwarded++;
      return frame;
    }
  }
}

/** Where the replay's stream stands. */
async function openTarget({ nc, jsm }: ReplayPassOptions, replay: Replay) {
  const name = replayStream(replay.tenant, replay.id);
  const { config, state } = await jsm.streams.info(name);
  const last = state.messages === 0 ? null : await jsm.streams.getMessage(name, { seq: state.last_seq });
  if (replay.forwarded > 0 && state.last_seq === 0) {
    throw new LeafmeshError("conflict", `Stream '${name}' was made anew while the replay was under way`);
  }
  const most = Math.min(config.max_msg_size, nc.info?.max_payload ?? config.max_msg_size);
  return {
    sequence: state.last_seq,
    position: Math.max(replay.position, Number(last?.header.get(POSITION_HEADER) ?? 0)),
    maxBytes: most - FencedWriter.overheadBytes,
  };
}

/** Stores messages behind `lastSequence`, all of them in order. @throws LeafmeshError `server_failed` when not all are stored for certain */
async function write(nc: NatsConnection, frames: readonly RawFrame[], lastSequence: number): Promise<void> {
  let failure: string | null = null;
  let ready: () => void = () => {};
  const writer = new FencedWriter({
    nc,
    lastSequence,
    onStored: () => {},
    onReady: () => ready(),
    onFailed: (failed) => {
      failure = failed.message;
      ready();
    },
  });
  try {
    for (const frame of frames) {
      while (!writer.ready && failure === null) {
        await new Promise<void>((resolve) => {
          ready = resolve;
        });
      }
      if (failure !== null) break;
      writer.append(frame);
    }
    await writer.drain();
  } finally {
    writer.close();
  }
  if (failure !== null) throw new LeafmeshError("server_failed", `The replay's stream refuses: ${failure}`);
}
