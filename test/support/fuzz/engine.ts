/** Holds a policy engine against what it promises on any event. */
import type { Decision, MeshEvent } from "../../../src/model/event.ts";
import { leaksIn, leaksInText } from "./secrets.ts";

/** A promise that was broken; `what` holds nothing of the event. */
export interface EngineFault {
  readonly kind: "threw" | "unknown result" | "leak" | "not the same again" | "too slow";
  readonly what: string;
}

/** Longest time of one decision. An accepted one takes far less, but the machine may be busy. */
const MOST_MS = 10_000;
const RESULTS = new Set(["forward", "drop", "quarantine"]);

const encoder = new TextEncoder();

/** Decides an event twice and says which promises that breaks. */
export function engineFaults(decide: (event: MeshEvent) => Decision, event: MeshEvent): EngineFault[] {
  let first: Decision;
  let again: Decision;
  const before = [event.headers.slice(), event.data.slice()];
  const start = performance.now();
  try {
    first = decide(event);
    again = decide(event);
  } catch (thrown) {
    return [{ kind: "threw", what: thrown instanceof Error ? thrown.name : typeof thrown }];
  }
  const faults: EngineFault[] = [];
  if (performance.now() - start > 2 * MOST_MS) faults.push({ kind: "too slow", what: first.type });
  if (!RESULTS.has(first.type)) faults.push({ kind: "unknown result", what: String(first.type) });
  if (shown(first) !== shown(again)) faults.push({ kind: "not the same again", what: first.type });
  if (!Buffer.from(before[0]!).equals(event.headers) || !Buffer.from(before[1]!).equals(event.data)) {
    faults.push({ kind: "not the same again", what: "the event was changed" });
  }
  for (const encoding of leaksOf(first)) faults.push({ kind: "leak", what: `${first.type}: ${encoding}` });
  return faults;
}

/** The encodings in which a secret stands in what leaves the engine. */
function leaksOf(decision: Decision): string[] {
  switch (decision.type) {
    case "forward":
      return leaksIn(decision.headers, decision.data, encoder.encode(decision.subject));
    case "quarantine":
      // What the dead letter says beside the event itself, and what goes to the log.
      return leaksInText(`${decision.error} ${decision.reason}`);
    default:
      return [];
  }
}

function shown(decision: Decision): string {
  return JSON.stringify(decision, (_key, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value,
  );
}
