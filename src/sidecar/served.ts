/** Work at the start that needs the server: it is tried again while the server does not serve it. */
import { errorText, LeafmeshError } from "../model/errors.ts";
import { sleep } from "../nats/wait.ts";

const DEADLINE_MS = 120_000;
const PAUSE_MS = 500;
/** What may pass by itself: a server that is restarted because its disk was full, or that is busy. */
const PASSING: readonly string[] = ["timeout", "server_failed", "audit_unavailable"];

/**
 * Does `work`; where the server does not serve it, again. A start that ended there would take a server along that others use.
 * @throws what `work` throws, at once where trying again does not help, else after two minutes or when `signal` is aborted
 */
export async function whenServed<T>(
  work: () => Promise<T>,
  options: {
    readonly log: (message: string) => void;
    readonly signal?: AbortSignal;
    /** Whether trying again has a point: not when another sidecar leads. Default: it has. */
    readonly goesOn?: () => boolean;
    /** Default two minutes. */
    readonly deadlineMs?: number;
    /** Default half a second. */
    readonly pauseMs?: number;
  },
): Promise<T> {
  const end = performance.now() + (options.deadlineMs ?? DEADLINE_MS);
  let said = "";
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (options.goesOn?.() === false) throw error;
      const passes = !(error instanceof LeafmeshError) || PASSING.includes(error.code);
      if (!passes || options.signal?.aborted === true || performance.now() > end) throw error;
      const text = errorText(error);
      if (text !== said) options.log(`the server does not serve the start, which tries again: ${text}`);
      said = text;
    }
    await sleep(options.pauseMs ?? PAUSE_MS, options.signal);
  }
}
