/** Works on one replay until it has ended, is paused, or somebody else works on it. */
import type { ConsumerInfo, JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { errorText, LeafmeshError } from "../model/errors.ts";
import type { EventScan } from "../model/event_scan.ts";
import { peerConsumer, replayStream } from "../model/names.ts";
import { hasEnded, type Replay } from "../model/replay.ts";
import { isGone } from "../nats/jetstream_errors.ts";
import { sleep } from "../nats/wait.ts";
import { type ReplaySource, replayPass } from "./replay_pass.ts";

/** What replays need of the site. */
export interface ReplayHost {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly scan: EventScan;
  /** What a replay reads and who decides it now. @throws LeafmeshError `not_found` when that is gone for good */
  readonly source: (replay: Replay) => Promise<ReplaySource>;
  /** Replays have come, or gone: their streams are to be made, or removed. */
  readonly changed: () => void;
  /** A replay has ended. */
  readonly ended: (replay: Replay) => void;
  /** Whether this sidecar is the one of the site that works on replays. Default: it is. */
  readonly leads?: () => boolean;
  readonly log: (level: "info" | "warn", message: string) => void;
}

export interface ReplayRun extends ReplayHost {
  readonly signal: AbortSignal;
  /** The document as it stands; `null`: it is gone. */
  readonly now: () => Replay | null;
  readonly edit: (edit: (replay: Replay) => Replay) => Promise<Replay>;
  /** Ends when the document has changed. */
  readonly heard: () => AbortSignal;
}

/** Events that a peer may be behind what is decided: no more are decided by the rules of now before their time. */
const MOST_AHEAD = 1_000;
/** What is taken is dropped in parts of at least so many. */
const FORGET = 500;
const PEER_MS = 100;
const RETRY_MS = 500;
const MAX_RETRY_MS = 5_000;

/** @throws what the bucket says when the document cannot be written */
export async function runReplay(run: ReplayRun): Promise<void> {
  let retryMs = RETRY_MS;
  while (!run.signal.aborted && run.leads?.() !== false) {
    const replay = run.now();
    if (replay === null || hasEnded(replay)) return;
    if (replay.wanted === "cancel") return await end(run, "canceled", null);
    if (replay.wanted === "pause") {
      if (replay.state !== "paused") await note(run, "paused", null);
      await sleep(RETRY_MS, run.heard());
      continue;
    }
    try {
      if (await step(run, replay)) return;
      retryMs = RETRY_MS;
    } catch (error) {
      if (run.signal.aborted) return;
      const over =
        error instanceof LeafmeshError && (error.code === "not_found" || error.code === "conflict");
      if (over) return await end(run, "failed", errorText(error));
      await note(run, "waiting", isGone(error) ? "its stream is being made" : errorText(error));
      if (isGone(error)) run.changed();
      await sleep(retryMs, AbortSignal.any([run.signal, run.heard()]));
      retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
    }
  }
}

/** @returns whether the replay has ended */
async function step(run: ReplayRun, replay: Replay): Promise<boolean> {
  const { jsm, signal } = run;
  const source = await run.source(replay);
  const peer = await peerOf(run, replay);
  const decided = replay.position >= replay.until;
  if (peer !== null && (decided ? peer.behind > 0 : peer.behind >= MOST_AHEAD)) {
    await note(run, decided ? "sent" : "waiting", peer.why);
    await sleep(PEER_MS, signal);
    return false;
  }
  if (decided) {
    await end(run, "done", null);
    return true;
  }
  const started = performance.now();
  const { progress, written } = await replayPass(run, replay, source);
  await run.edit((now) => ({
    ...now,
    ...progress,
    ...(hasEnded(now) ? {} : { state: "running", why: null }),
  }));
  if (!replay.dryRun) await forget(jsm, replay, peer);
  await pace(run, replay, started + (1000 * written) / replay.rate);
  return false;
}

/** Waits until then, or until something else is asked for. */
async function pace(run: ReplayRun, replay: Replay, untilMs: number): Promise<void> {
  for (;;) {
    const leftMs = untilMs - performance.now();
    const now = run.now();
    if (leftMs <= 0 || run.signal.aborted || now?.wanted !== "run" || now.rate !== replay.rate) return;
    await sleep(leftMs, AbortSignal.any([run.signal, run.heard()]));
  }
}

/** How far a peer is behind; `null` where there is none to wait for. */
async function peerOf({ jsm }: ReplayRun, { id, tenant, target, dryRun }: Replay) {
  if (dryRun || target.type === "local") return null;
  const stream = replayStream(tenant, id);
  const info = await jsm.consumers.info(stream, peerConsumer(target.peer));
  const behind = info.num_pending + info.num_ack_pending;
  const why = info.paused
    ? `${target.peer} does not take replays of this route: its import must say 'replay: true'`
    : `${target.peer} has ${behind} events to take`;
  return { info, behind, why };
}

/** Drops from the replay's stream what is taken, all but the last one: it says how far the replay is. */
async function forget(
  jsm: JetStreamManager,
  { id, tenant }: Replay,
  peer: { readonly info: ConsumerInfo } | null,
): Promise<void> {
  const stream = replayStream(tenant, id);
  const { state } = await jsm.streams.info(stream);
  const taken = peer === null ? state.last_seq : peer.info.ack_floor.stream_seq;
  if (taken > state.first_seq + FORGET)
    await jsm.streams.purge(stream, { seq: Math.min(taken, state.last_seq) });
}

async function note(run: ReplayRun, state: Replay["state"], why: string | null): Promise<void> {
  const known = run.now();
  if (known === null || (known.state === state && known.why === why)) return;
  // How many are left changes all the time: that is not worth a revision each.
  if (known.state === state && known.why?.replace(/\d+/, "") === why?.replace(/\d+/, "")) return;
  await run.edit((now) => (hasEnded(now) ? now : { ...now, state, why }));
}

async function end(run: ReplayRun, state: "done" | "canceled" | "failed", why: string | null): Promise<void> {
  const replay = await run.edit((now) =>
    hasEnded(now) ? now : { ...now, state, why, endedAt: new Date().toISOString() },
  );
  const { id, tenant, forwarded, dropped, quarantined } = replay;
  const text = `Replay ${id} of tenant '${tenant}' is ${state}: ${forwarded} forwarded, ${dropped} dropped, ${quarantined} quarantined`;
  run.log(state === "failed" ? "warn" : "info", why === null ? text : `${text}: ${why}`);
  run.ended(replay);
  run.changed();
}
