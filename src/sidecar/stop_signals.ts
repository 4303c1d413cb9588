/** The signals that end a sidecar: the first has it drain, a second one has it end at once. */
import { constants } from "node:os";
import process from "node:process";

const NAMES = ["SIGINT", "SIGTERM"] as const;
export type StopSignal = (typeof NAMES)[number];

export interface StopSignals {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  readonly first: Promise<StopSignal>;
  readonly second: Promise<StopSignal>;
}

/** Listens from now on, for as long as the process runs. */
export function listenForStop(): StopSignals {
  const abort = new AbortController();
  const first = Promise.withResolvers<StopSignal>();
  const second = Promise.withResolvers<StopSignal>();
  for (const name of NAMES) {
    process.on(name, () => {
      (abort.signal.aborted ? second : first).resolve(name);
      abort.abort();
    });
  }
  return { signal: abort.signal, first: first.promise, second: second.promise };
}

/** Exit code of a process that a signal has ended. */
export const signalExit = (name: StopSignal): number => 128 + constants.signals[name];
