/** Waiting for conditions, up to the signal's end. */
import { sleep } from "../../src/nats/wait.ts";

/** The demo was asked to stop, or its time is over. */
export class Interrupted extends Error {}

/**
 * Polls until `condition` returns something truthy. What it throws counts as "not yet".
 * @throws {Interrupted} when the signal aborts, with what was waited for and what was found last
 */
export async function waitUntil(
  what: string,
  condition: () => unknown,
  signal: AbortSignal,
  pollMs = 50,
): Promise<void> {
  let last = "";
  for (;;) {
    try {
      if (await condition()) return;
    } catch (error) {
      last = error instanceof Error ? `; last: ${error.message}` : "";
    }
    if (signal.aborted) throw new Interrupted(`${reasonOf(signal)}: waited in vain for ${what}${last}`);
    await sleep(pollMs, signal);
  }
}

/** Why the signal aborted. */
export function reasonOf(signal: AbortSignal): string {
  return signal.reason instanceof Error ? signal.reason.message : String(signal.reason);
}
