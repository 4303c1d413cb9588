/** Reads the oldest event of a stream that a filter passes. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { isMessageNotFound } from "../../nats/jetstream_errors.ts";
import type { OldestWaiting } from "./retention.ts";

/** With more filters than these the first event of any subject stands for it: that is older, never younger. */
const MOST_FILTERS = 16;

/** The first event from `from` on; `null` where there is none any more. */
export async function oldestFrom(
  mesh: JetStreamManager,
  stream: string,
  from: number,
  filters: readonly string[],
): Promise<OldestWaiting | null> {
  const asked = filters.length === 0 || filters.length > MOST_FILTERS ? [">"] : filters;
  const found = await Promise.all(asked.map((filter) => first(mesh, stream, from, filter)));
  return found
    .filter((one) => one !== null)
    .reduce<OldestWaiting | null>(
      (least, one) => (least === null || one.sequence < least.sequence ? one : least),
      null,
    );
}

async function first(
  mesh: JetStreamManager,
  stream: string,
  seq: number,
  filter: string,
): Promise<OldestWaiting | null> {
  try {
    // The client knows this request for direct reads only.
    const message = await mesh.streams.getMessage(stream, { seq, next_by_subj: filter } as { seq: number });
    return message === null ? null : { sequence: message.seq, timeMs: message.time.getTime() };
  } catch (error) {
    if (isMessageNotFound(error)) return null;
    throw error;
  }
}
