/** That a site which was restarted lost nothing of a load, and repeated nothing. */
import { expect } from "bun:test";
import type { NatsConnection } from "@nats-io/transport-node";
import { faults, type Load } from "./ledger.ts";
import { readLog } from "./read_log.ts";
import { waitFor } from "./wait_for.ts";

const DEADLINE_MS = 60_000;

/**
 * Lets a load go on for a while, ends it, and expects each of its events once and in order in the log of acme at another site.
 * @param pattern of its events, as they are stored
 */
export async function arrivesOnce(load: Load, far: NatsConnection, pattern: string): Promise<void> {
  const count = load.count;
  await waitFor(() => load.count > count + 200, { what: "load after it", deadlineMs: DEADLINE_MS });
  await load.stop();
  const events = await waitFor(
    async () => {
      const read = await readLog(far, "acme", pattern);
      return read.length >= load.count ? read : null;
    },
    { what: `${load.count} events at the far site`, deadlineMs: DEADLINE_MS },
  );
  expect(events.length).toBe(load.count);
  expect(faults(events, load.acked)).toMatchObject({ repeated: [], reordered: 0 });
}
