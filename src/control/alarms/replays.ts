/** Replays as alarms and metrics see them: how far each is, and those that have failed or stand still. */
import { peerConsumer, replayStream } from "../../model/names.ts";
import { hasEnded, type ReplayNumbers, type ReplayReport } from "../../model/replay.ts";
import type { ObservedStreams } from "../observe.ts";
import type { Danger, Patience } from "./dangers.ts";
import type { Lasting } from "./lasting.ts";

/** One that failed longer ago than this is no danger any more. */
const TOLD_MS = 24 * 60 * 60_000;
/** Numbers of one that has ended are told for so long. */
const COUNTED_MS = 60 * 60_000;

/** A replay with what its peer has of it. */
export interface ReplayStand {
  readonly replay: ReplayReport;
  /** Events that are decided, and that the peer has not taken; 0 where there is no peer, or it was not seen yet. */
  readonly untaken: number;
  /** Sequence of the replay's stream up to which the peer has taken all. */
  readonly taken: number;
}

/** How replays stand. @param mesh as it was observed last; `undefined`: it was not yet */
export function replayStands(
  replays: readonly ReplayReport[],
  mesh: ObservedStreams | undefined,
): readonly ReplayStand[] {
  return replays.map((replay) => {
    const { id, tenant, target, dryRun } = replay;
    const consumer =
      target.type === "local" || dryRun || hasEnded(replay)
        ? undefined
        : mesh?.get(replayStream(tenant, id))?.consumers.get(peerConsumer(target.peer));
    return {
      replay,
      untaken: consumer === undefined ? 0 : consumer.num_pending + consumer.num_ack_pending,
      taken: consumer?.ack_floor.stream_seq ?? 0,
    };
  });
}

/** The dangers of replays. @param stands of each tenant the newest first */
export function replayDangers(
  stands: readonly ReplayStand[],
  lasting: Lasting,
  patience: Patience,
  now: Date,
): Danger[] {
  return [
    ...newest(stands).flatMap(({ replay }) => failedDanger(replay, now)),
    ...stands.flatMap((stand) => stillDanger(stand, lasting, patience)),
  ];
}

/** What is counted of the replays that have not ended, or lately. */
export function replayNumbers(stands: readonly ReplayStand[], now: Date): readonly ReplayNumbers[] {
  return stands
    .filter(({ replay: { endedAt } }) => endedAt === null || now.getTime() - Date.parse(endedAt) < COUNTED_MS)
    .map(({ replay, untaken }) => {
      const { id, tenant, state, forwarded, dropped, quarantined } = replay;
      const remaining = hasEnded(replay) ? 0 : left(replay) + untaken;
      return { id, tenant, to: toOf(replay), state, forwarded, dropped, quarantined, remaining };
    });
}

/** Of each place that a tenant's events are sent to again the last replay: another one makes up for one that failed. */
function newest(stands: readonly ReplayStand[]): ReplayStand[] {
  const seen = new Set<string>();
  return stands.filter(({ replay }) => {
    const place = `${replay.tenant} ${toOf(replay)}`;
    if (replay.dryRun || seen.has(place)) return false;
    seen.add(place);
    return true;
  });
}

function failedDanger(replay: ReplayReport, now: Date): Danger[] {
  const { state, endedAt, why, forwarded } = replay;
  if (state !== "failed" || endedAt === null || now.getTime() - Date.parse(endedAt) >= TOLD_MS) return [];
  const detail = `the replay to ${toOf(replay)} has failed, ${forwarded} events were sent and up to ${left(replay)} were not looked at: ${why ?? "no reason is known"}`;
  return [{ name: "replay-failed", ...of(replay), detail }];
}

function stillDanger(
  { replay, untaken, taken }: ReplayStand,
  lasting: Lasting,
  patience: Patience,
): Danger[] {
  const { id, tenant, state, position, until, why } = replay;
  if (hasEnded(replay) || state === "paused") return [];
  // A rate is kept to within a second: one that is slow moves all the same.
  if (lasting.held(`replay ${tenant} ${id} at ${position} ${taken}`) < patience.standsStillMs) return [];
  const waits = untaken === 0 ? "" : `, ${untaken} events wait to be taken`;
  const detail = `the replay to ${toOf(replay)} stands at ${position} of ${until}${waits}${why === null ? "" : `: ${why}`}`;
  return [{ name: "replay-not-moving", ...of(replay), detail }];
}

function of({ id, tenant, target }: ReplayReport) {
  const peer = target.type === "peer" ? { peer: target.peer } : {};
  return { target: `${tenant}/${id}`, tenant, ...peer };
}

/** Sequences of the range that are not decided yet. */
function left({ position, until }: ReplayReport): number {
  return Math.max(0, until - position);
}

/** Where it goes: the peer, or `local <name>`. */
function toOf({ target }: ReplayReport): string {
  return target.type === "peer" ? target.peer : `local ${target.name}`;
}
